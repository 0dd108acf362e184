"""Every command and every exit code, with an engine that trains nothing."""

import errno
import fcntl
import json
import os
import re
from pathlib import Path

import pytest

from crdnd_tui.cli import doctor
from crdnd_tui.cli.evaluate import judge_config
from crdnd_tui.core.run_status import log_tail
from engine.spec.errors import ConfigError
from engine.spec.machine import Machine
from engine.spec.rundir import RUN_ID, RunDir
from tests import hostile
from tests.cli.conftest import Crdnd
from tests.tui.forging import record


def only_run(crdnd: Crdnd) -> Path:
    (run,) = [path for path in crdnd.runs.iterdir() if not path.name.startswith(".")]
    return run


def test_run_ends_with_the_table_the_id_and_the_folder(crdnd: Crdnd) -> None:
    done = crdnd("run", str(crdnd.preset), plan={"epochs": 3})
    assert done.returncode == 0, done.stderr
    run = only_run(crdnd)
    assert RUN_ID.fullmatch(run.name)
    assert "natural-small_cnn-s0" in run.name
    assert re.search(r"AutoAttack +71\.1 ", done.stdout)
    assert f"run     {run.name}\nfolder  {run}\n" in done.stdout
    assert done.stderr.count("epoch ") == 3  # one line for each, and nothing of it on stdout
    assert "epoch " not in done.stdout
    for name in ("preset.toml", "config.toml", "machine.json"):
        assert (run / name).is_file()
    assert (run / "preset.toml").read_text() == crdnd.preset.read_text()
    assert "epochs = 300" in (run / "config.toml").read_text()  # defaults are written out


def test_json_of_a_run_is_its_events_one_per_line(crdnd: Crdnd) -> None:
    done = crdnd("run", str(crdnd.preset), "--json", plan={"teacher": "teacher-run"})
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert (events[0]["event"], events[-1]["event"]) == ("run_started", "run_finished")
    assert done.stdout.isascii()


def test_a_teacher_that_is_trained_first_is_followed_in_its_own_folder(crdnd: Crdnd) -> None:
    done = crdnd("run", str(crdnd.preset), plan={"teacher": "teacher-run", "seconds": 0.05})
    assert done.returncode == 0
    assert "the teacher comes first: training teacher-run" in done.stderr
    assert done.stderr.count("teacher: epoch ") == 2


@pytest.mark.parametrize(
    ("end", "code", "said"),
    [
        ("fail", 1, "not finite at step 8"),
        ("die", 1, "the engine died of SIGKILL (killed from outside, most often because memory ran out)"),
        ("refuse", 2, "no such thing"),
        ("mute", 1, "died"),
    ],
)
def test_how_an_engine_ends_is_the_exit_code(crdnd: Crdnd, end: str, code: int, said: str) -> None:
    done = crdnd("run", str(crdnd.preset), plan={"end": end, "epochs": 1})
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("not finite") <= 1  # told once
    assert "\x1b" not in done.stdout + done.stderr  # though the engine's log and event hold escapes


def test_the_last_words_of_a_dead_engine_are_those_after_its_last_event(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    told = '2026-01-01 00:00:00,000 INFO {"event":"epoch_done","v":1}\n'
    run.log.write_text(f"old trouble\n{told}")
    assert log_tail(run) == []
    run.log.write_text(f"{told}Traceback:\n\x1b[2JMemoryError\n")
    assert log_tail(run) == ["Traceback:", "\ufffd[2JMemoryError"]


def test_lists_for_scripts(crdnd: Crdnd) -> None:
    assert json.loads(crdnd("runs", "--json").stdout) == []
    crdnd("run", str(crdnd.preset), "--name", "my [bold]run[/]", plan={"name": "my [bold]run[/]", "n": 120})
    (row,) = json.loads(crdnd("runs", "--json").stdout)
    assert (row["state"], row["name"]) == ("done", "my [bold]run[/]")
    assert json.loads(crdnd("runs", "--json", "--state", "failed").stdout) == []
    page = json.loads(crdnd("show", row["id"], "--json").stdout)
    cells = {(cell["checkpoint"], cell["attack"]): cell for cell in page["results"]}
    assert len(cells) == 16
    assert cells["best", "autoattack"]["accuracy"] == 85 / 120
    assert cells["best", "autoattack"]["n"] == 120
    assert [mark["code"] for mark in cells["best", "pgd_sat"]["marks"]] == ["margin_gap"]
    text = crdnd("show", row["id"]).stdout
    assert "my [bold]run[/]" in text  # no markup
    assert "120 of 360 test images" in text
    assert row["id"] in crdnd("runs").stdout


def test_results_are_read_from_their_files_when_the_log_lost_them(crdnd: Crdnd) -> None:
    crdnd("run", str(crdnd.preset))
    run = only_run(crdnd)
    lines = [line for line in (run / "events.jsonl").read_bytes().splitlines(True) if b'"fgsm"' not in line]
    (run / "events.jsonl").write_bytes(b"".join(lines))
    folder = run / "evaluation" / "best"
    folder.mkdir(parents=True)
    (folder / "fgsm.json").write_bytes(record("fgsm", 5, marks=["few_images"]))
    (folder / "gallery.json").write_text("[]")
    (folder / "torn.json").write_text('{"accuracy": 0.')
    cells = json.loads(crdnd("show", run.name, "--json").stdout)["results"]
    (cell,) = [cell for cell in cells if cell["attack"] == "fgsm"]
    assert (cell["accuracy"], cell["n"], cell["marks"][0]["code"]) == (0.5, 10, "few_images")


def test_a_run_that_lost_its_config_has_a_page(crdnd: Crdnd) -> None:
    crdnd("run", str(crdnd.preset))
    run = only_run(crdnd)
    (run / "config.toml").unlink()
    (row,) = json.loads(crdnd("runs", "--json").stdout)
    page = json.loads(crdnd("show", run.name, "--json").stdout)
    assert row["state"] == page["state"] == "damaged"
    assert len(page["results"]) == 16
    for command, *more in (["resume"], ["verify"], ["watch"], ["export", "--to", "csv"], ["stop"]):
        done = crdnd(command, run.name, *more)
        assert done.returncode == 2 and "config.toml is missing" in done.stderr and "no run" not in done.stderr


def test_results_without_a_log_stand_in_the_order_of_the_suite(crdnd: Crdnd) -> None:
    crdnd("run", str(crdnd.preset), plan={"end": "fail", "epochs": 1})
    name = only_run(crdnd).name
    folder = crdnd.runs / name / "evaluation" / "best"
    folder.mkdir(parents=True)
    for attack in ("autoattack", "clean", "fgsm", "worst", "mine"):
        (folder / f"{attack}.json").write_bytes(record(attack, 5))
    cells = json.loads(crdnd("show", name, "--json").stdout)["results"]
    assert [cell["attack"] for cell in cells] == ["clean", "fgsm", "autoattack", "mine", "worst"]


def test_mistakes_are_told_at_once_and_are_2(crdnd: Crdnd) -> None:
    bad = crdnd.home / "bad.toml"
    bad.write_text('[data]\nname = "digits"\nflop = 1\n[student]\nname = "small_cnn"\n[methd]\nname = "natural"\n')
    for command in ("run", "check"):
        done = crdnd(command, str(bad))
        assert (done.returncode, done.stdout) == (2, "")
        assert "flop" in done.stderr and "methd" in done.stderr and "Traceback" not in done.stderr
        assert done.stderr.startswith("3 mistakes:\n  ")
    assert not crdnd.runs.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "no-such-preset"],
        ["run", "tiny.toml", "--device", "gpu"],
        ["run", "tiny.toml", "--set", "nonsense"],
        ["run", "tiny.toml", "--threads", "-1"],
        ["run", "tiny.toml", "--machine", "layuot=auto"],
        ["run", "tiny.toml", "--machine", "layout=sideways"],
        ["run", "tiny.toml", "--seed", "x"],
        ["run"],
        ["frobnicate"],
        ["show", "nothing"],
        ["show", "../../etc"],
        ["show", "\x1b[31m"],
        ["resume", "nothing"],
        ["stop", "nothing"],
        ["watch", "nothing"],
        ["runs", "--state", "happy"],
        ["evaluate", "nothing"],
        ["evaluate", "tiny.toml"],
        ["evaluate", "tiny.toml", "--model", "small_cnn:width=x", "--data-set", "digits"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_makes_no_sense_is_2_without_a_traceback(crdnd: Crdnd, arguments: list[str]) -> None:
    done = crdnd(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip() and "Traceback" not in done.stderr
    assert "\x1b" not in done.stderr


def test_the_machine_is_settled_by_flags_and_never_part_of_the_config(crdnd: Crdnd) -> None:
    done = crdnd("run", str(crdnd.preset), "--threads", "1", "--machine", "tf32=true", "--machine", "layout=contiguous")
    assert done.returncode == 0, done.stderr
    run = only_run(crdnd)
    settled = json.loads((run / "machine.json").read_text())
    assert (settled["threads"], settled["tf32"], settled["layout"]) == (1, True, "contiguous")
    assert "tf32" not in (run / "config.toml").read_text()


def test_check_prints_the_resolved_config_and_the_cost(crdnd: Crdnd) -> None:
    done = crdnd("check", str(crdnd.preset), "--set", "training.epochs=7", "--seed", "3")
    assert done.returncode == 0, done.stderr
    assert "epochs = 7" in done.stdout and "seed = 3" in done.stdout
    assert "FLOP" in done.stderr
    page = json.loads(crdnd("check", str(crdnd.preset), "--json").stdout)
    assert page["config"]["training"]["epochs"] == 300
    assert page["estimate"]["steps"] > 0


def test_schema_is_a_json_schema(crdnd: Crdnd) -> None:
    schema = json.loads(crdnd("schema").stdout)
    assert "extends" in schema["$defs"]["RunConfig"]["properties"]


def test_doctor_says_what_it_found(crdnd: Crdnd) -> None:
    checks = {check["name"]: check["level"] for check in json.loads(crdnd("doctor", "--json").stdout)}
    assert checks["locks"] == "ok" and checks["torch"] == "ok"
    assert "locks" in crdnd("doctor").stdout


def test_evaluate_judges_a_run_with_its_own_protocol(crdnd: Crdnd) -> None:
    crdnd("run", str(crdnd.preset), "--set", 'threat_model.epsilon="1/10"')
    trained = only_run(crdnd)
    done = crdnd("evaluate", trained.name, "--attack", "pgd:steps=100,label=long", "--attack", "fgsm",
                 "--weights", "last", "--images", "50")  # fmt: skip
    assert done.returncode == 0, done.stderr
    (judged,) = [path for path in crdnd.runs.iterdir() if path != trained and not path.name.startswith(".")]
    config = (judged / "config.toml").read_text()
    for words in (
        'kind = "evaluation"',
        "steps = 100",
        'label = "long"',
        f'run = "{trained.name}"',
        'weights = "last"',
        "images = 50",
    ):
        assert words in config
    assert "-eval-" in judged.name


def test_evaluate_judges_a_checkpoint_file(crdnd: Crdnd) -> None:
    (crdnd.home / "net.pt").write_bytes(b"weights")
    done = crdnd("evaluate", "net.pt", "--model", "small_cnn:width=8", "--data-set", "digits", "--epsilon", "4/255",
                 "--attack", "pgd_rescaled:scales=1|10", "--prefix", "", "--detach")  # fmt: skip
    assert done.returncode == 0, done.stderr
    config = (only_run(crdnd) / "config.toml").read_text()
    for words in ("width = 8", 'epsilon = "4/255"', "scales = [1.0, 10.0]", 'prefix = ""'):
        assert words in config


@pytest.mark.parametrize("prefix", ["", "student.", None])
def test_the_prefix_of_a_file_may_be_empty_or_left_open(tmp_path: Path, prefix: str | None) -> None:
    (tmp_path / "net.pt").write_bytes(b"weights")
    changes = {"model": "small_cnn", "data_set": "digits", "prefix": prefix}
    config = judge_config(str(tmp_path / "net.pt"), changes, Machine(runs=str(tmp_path)))
    assert config.subject.prefix == prefix


@pytest.mark.parametrize("change", [{"prefix": ""}, {"model": "small_cnn"}, {"data_set": "digits"}], ids=str)
def test_what_is_said_of_a_checkpoint_file_is_refused_for_a_run(tmp_path: Path, change: dict[str, str]) -> None:
    run = hostile.run(tmp_path / "runs")
    with pytest.raises(ConfigError, match=r"--(prefix|model|data-set) is said of a checkpoint file"):
        judge_config(run.id, change, Machine(runs=str(tmp_path / "runs")))


def test_the_last_words_of_an_earlier_engine_are_not_told_as_those_of_the_next(crdnd: Crdnd) -> None:
    assert crdnd("run", str(crdnd.preset), plan={"end": "fail"}).returncode == 1
    name = only_run(crdnd).name
    for arguments in (["resume", name], ["resume", name, "--detach"]):
        again = crdnd(*arguments, plan={"end": "mute"})
        assert again.returncode == 1
        assert "without a word" in again.stderr and "not finite" not in again.stderr


def test_a_moved_run_goes_on_where_it_lies_and_its_machine_may_be_named_anew(crdnd: Crdnd) -> None:
    old, new = crdnd.home / "old", crdnd.home / "new"
    started = crdnd("run", str(crdnd.preset), "--runs", str(old / "runs"), "--data", str(old / "sets"),
                    plan={"end": "fail"})  # fmt: skip
    assert started.returncode == 1
    old.rename(new)
    (run,) = (path for path in (new / "runs").iterdir() if path.name[0] != ".")
    again = crdnd("resume", run.name, "--runs", str(new / "runs"), plan={"end": "fail"})
    assert f"its data folder {old / 'sets'} is not on this machine: {new / 'sets'} is used" in again.stderr
    told = json.loads((run / "machine.json").read_text())
    assert (told["runs"], told["data"]) == (str(new / "runs"), str(new / "sets"))
    named = crdnd("resume", run.name, "--runs", "new/runs", "--data", "here", "--device", "cpu", "--threads", "3")
    assert named.returncode == 0, named.stderr
    told = json.loads((run / "machine.json").read_text())
    assert (told["data"], told["device"], told["threads"]) == (str(crdnd.home / "here"), "cpu", 3)
    assert not old.exists()


def test_a_second_death_at_the_same_step_advises_another_thing(crdnd: Crdnd) -> None:
    first = crdnd("run", str(crdnd.preset), plan={"end": "die", "epochs": 0})
    name = only_run(crdnd).name
    assert f"`crdnd resume {name}` goes on from the last checkpoint" in first.stderr
    second = crdnd("resume", name, plan={"end": "die", "epochs": 0})
    assert "the engine died of SIGKILL" in second.stderr and "again at the same step" in second.stderr
    assert "goes on from the last checkpoint" not in second.stderr and "batch_size" in second.stderr
    for words in (crdnd("show", name).stdout, crdnd("watch", name).stderr):
        assert "again at the same step" in words
    (row,) = json.loads(crdnd("runs", "--json").stdout)
    assert row["state"] == "killed" and "SIGKILL" in row["reason"] and "batch_size" in row["reason"]


def test_an_engine_that_crashes_when_all_is_done_is_told_as_suspect(crdnd: Crdnd) -> None:
    done = crdnd("run", str(crdnd.preset), plan={"end": "crash at exit"})
    assert done.returncode == 1
    assert "crashed after its last word (SIGSEGV" in done.stderr and "numbers are suspect" in done.stderr
    (row,) = json.loads(crdnd("runs", "--json").stdout)
    assert row["state"] == "done" and "suspect" in row["reason"]
    assert "suspect" in crdnd("runs").stdout and "suspect" in crdnd("show", row["id"]).stdout


def test_doctor_tells_of_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refused)
    monkeypatch.setattr(os, "statvfs", refused)
    checks = {check.name: check for check in doctor._disk(tmp_path)}
    assert (checks["locks"].level, checks["disk"].level) == ("note", "note")
    assert "has no locks" in checks["locks"].found


def test_two_engines_never_work_on_one_run(crdnd: Crdnd) -> None:
    name = crdnd("run", str(crdnd.preset), "--detach", plan={"seconds": 0.1, "epochs": 500}).stdout.strip()
    again = crdnd("resume", name)
    assert again.returncode == 2 and "at work" in again.stderr
    crdnd("stop", name, "--kill")


def test_environment_variables_are_the_machines_defaults(crdnd: Crdnd) -> None:
    elsewhere = crdnd.home / "elsewhere"
    done = crdnd("run", str(crdnd.preset), "--detach", CRDND_RUNS=str(elsewhere), CRDND_DEVICE="cpu", CRDND_DATA="sets")
    machine = json.loads((elsewhere / done.stdout.strip() / "machine.json").read_text())
    assert (machine["device"], machine["data"]) == ("cpu", str(crdnd.home / "sets"))


def test_hostile_run_folders_put_no_escape_on_the_screen(crdnd: Crdnd) -> None:
    crdnd("run", str(crdnd.preset), plan={"name": "\x1b]0;pwned\x07\u202e[red]"})
    run = only_run(crdnd)
    hostile = run.with_name("20990101-\x1b[2J-evil")
    run.rename(hostile)
    (hostile / "engine.log").write_bytes(b"\x1b[2J\x9b31m")
    for arguments in (
        ["runs"],
        ["show", str(hostile)],
        ["watch", str(hostile)],
        ["runs", "--json"],
        ["show", str(hostile), "--json"],
    ):
        done = crdnd(*arguments)
        assert not set("\x1b\x07\x9b\u202e") & set(done.stdout + done.stderr), arguments


def test_an_ascii_locale_gets_ascii(crdnd: Crdnd) -> None:
    done = crdnd("run", str(crdnd.preset), PYTHONIOENCODING="ascii", LC_ALL="C")
    assert done.returncode == 0
    assert done.stdout.isascii() and done.stderr.isascii()
    assert "AutoAttack" in done.stdout
