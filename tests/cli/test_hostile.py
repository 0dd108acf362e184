"""Hostile files in runs, queue, tables and settings: every command ends soon, with a documented exit code and words."""

import json
import sys
import time
from pathlib import Path

import pytest

from crdnd_tui.cli import app
from crdnd_tui.core import notes, run_status, runtime_estimate, verifying
from crdnd_tui.queue import worker
from crdnd_tui.queue.tickets import Queue
from crdnd_tui.tui import settings
from crdnd_tui.tui.form import prospect
from engine.spec import rundir, teacher_logits
from tests import hostile

PARTS = (
    "config.toml", "status.json", "events.jsonl", "machine.json", "provenance.json", "preset.toml", "engine.log",
    "engine.lock", "notes.toml", "evaluation/best/clean.json", "evaluation/best/gallery.json",
)  # fmt: skip
CODES = (0, 1, 2, 4)  # done, failed, refused, nothing to compare
SOON = 5.0  # seconds of CPU, for others use the machine, too
WAITED = 60.0  # seconds, by the clock
PRESET = '[data]\nname = "digits"\n[student]\nname = "small_cnn"\n[method]\nname = "natural"\n'


@pytest.fixture
def call(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """crdnd in this process; its code and all that it said."""
    monkeypatch.setattr(worker, "ensure", lambda runs: True)
    monkeypatch.chdir(tmp_path)

    def go(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["crdnd", *words])
        capfd.readouterr()
        began, spent = time.monotonic(), time.process_time()
        code = app._called()
        said = capfd.readouterr()
        assert time.process_time() - spent < SOON and time.monotonic() - began < WAITED, words
        assert code in CODES, words
        assert "Traceback" not in said.out + said.err, words
        return code, said.out + said.err

    return go


def neighbours(runs: Path, content: str) -> list[str]:
    """Runs of which one part each is hostile."""
    names = []
    for k, part in enumerate(PARTS):
        name = f"20261122-21593{k % 10}-rslad-small_cnn-s{k}-6622"
        hostile.plant(hostile.run(runs, name).path / part, content)
        names.append(name)
    hostile.plant(runs / "20261122-215940-rslad-small_cnn-s0-6622", content)
    return names


@pytest.mark.parametrize("content", hostile.CONTENTS)
def test_hostile_parts_of_runs_stop_no_command(tmp_path: Path, content: str, call) -> None:
    runs = tmp_path / "runs"
    names, whole = neighbours(runs, content), hostile.run(runs, "20261122-230000-rslad-small_cnn-s0-0001").id
    for part in ("tickets/x.json", f"tickets/{whole}.json", "settings.toml", "studies/x.json", "worker.lock"):
        hostile.plant(runs / ".queue" / part, content)
    hostile.plant(teacher_logits.tables_folder(tmp_path / "data") / ("0" * 16), content)
    code, said = call("runs", "--json")
    assert code == 0
    assert whole in [row["id"] for row in json.loads(said)]
    assert call("queue", "list")[0] == 0
    assert call("tables")[0] == 0
    assert call("show", whole)[0] == 0
    for part in ("config.toml", "status.json", "events.jsonl", "evaluation/best/clean.json"):
        call("show", names[PARTS.index(part)])
    for part in ("status.json", "engine.lock"):
        call("stop", names[PARTS.index(part)], "--kill")
    call("show", names[PARTS.index("provenance.json")], "--provenance")
    call("compare", whole, names[0])
    assert runtime_estimate.past_runs(runs)
    prospect.saved_runs(runs, now=0.0)
    assert Queue(runs).at_once
    assert notes.read(runs / whole) == notes.NONE
    assert run_status.summary(rundir.RunDir(runs / whole)).state == "done"


def test_no_word_of_a_provenance_reaches_the_terminal_as_it_is(tmp_path: Path, call) -> None:
    run = hostile.run(tmp_path / "runs")
    said = json.loads(run.provenance.read_bytes())
    run.provenance.write_text(json.dumps(said | {"data_sha256": {"[/red]\x1b]0;x\x07": "\x1b[31m"}}))
    code, shown = call("show", run.id, "--provenance")
    assert code == 0
    assert "\x1b" not in shown
    assert "[/red]" in shown


def test_a_status_that_the_log_contradicts_is_not_believed(tmp_path: Path, call, monkeypatch) -> None:
    run = hostile.run(tmp_path / "runs")
    assert run_status.summary(run).state == "done"
    lines = run.events.read_bytes().splitlines(keepends=True)
    run.events.write_bytes(b"".join(lines[:-1]))
    row = run_status.summary(run)
    assert (row.state, row.status) == ("killed", None)
    assert "its log does not" in row.why
    code, said = call("show", run.id)
    assert (code, "its log does not" in said) == (0, True)
    run.events.write_bytes(
        b"".join([*lines[:-1], b'{"v":1,"seq":9999,"time":1.0,"event":"run_stopped","reason":"asked","step":9}\n'])
    )
    assert run_status.summary(run).state == "stopped"
    run.events.write_bytes(b"".join(lines) + b"?" * 2000 + b"\n")
    assert run_status.summary(run).state == "done"
    started = []
    monkeypatch.setattr("crdnd_tui.cli.follow.go", lambda folder, **_: started.append(folder.id) or 0)
    assert "is done already" in call("resume", run.id)[1]
    run.events.write_bytes(b"".join(lines[:-1]))
    assert call("resume", run.id)[0] == 0
    run.events.write_bytes(b"".join(lines))
    run.checkpoints.mkdir()
    (run.checkpoints / f"000001-{'0' * 32}.pt").write_bytes(b"")
    assert call("resume", run.id)[0] == 0  # there are no weights, and there is what they can be made from
    assert started == [run.id] * 2


@pytest.mark.parametrize("content", hostile.CONTENTS)
def test_hostile_presets_studies_and_settings_are_one_sentence(tmp_path: Path, content: str, call) -> None:
    hostile.plant(tmp_path / "it.toml", content)
    for words in (
        ("check", "it.toml"),
        ("run", "it.toml"),
        ("queue", "add", "it.toml"),
        ("study", "status", "it.toml"),
    ):
        code, said = call(*words)
        assert code == 2, words
        assert 0 < len(said) < 3000, words
    (tmp_path / "over.toml").write_text('extends = "it.toml"\n')
    assert call("check", "over.toml")[0] == 2
    assert settings.remembered(tmp_path / "it.toml", "theme") in ("", "x")
    assert not (tmp_path / "runs").exists() or not run_status.names(tmp_path / "runs")


SETTINGS = {
    "400 digits": "9" * 400, "5,000 digits": "9" * 5000, "hexadecimal": "0x" + "f" * 40_000, "deep": "[" * 20_000,
    "1e400": "1e400", "nan": "nan", "surrogate": "\udcff", "long": '"' + "a" * 100_000 + '"', "table": "{a={a={a=1}}}",
    "many": "[" + "1," * 30_000 + "]", "unclosed": '"', "control": "\x1b[31m",
}  # fmt: skip


@pytest.mark.parametrize("value", SETTINGS)
def test_hostile_settings_are_one_sentence(tmp_path: Path, value: str, call) -> None:
    (tmp_path / "it.toml").write_text(PRESET)
    for key in ("seed", "training.learning_rate", "threat_model.epsilon", "data.name", "data", "teacher.preset"):
        code, said = call("check", "it.toml", "--set", f"{key}={SETTINGS[value]}")
        assert code == 2, key
        assert 0 < len(said) < 1000, key
        assert "\x1b[31m" not in said
    for words in (
        ("queue", "add", "it.toml", "--machine", f"table_gib={SETTINGS[value]}", "--set", "seed=-1"),
        ("evaluate", "nothing", "--epsilon", SETTINGS[value]),
        ("check", "it.toml", "--seed", SETTINGS[value]),
    ):
        assert call(*words)[0] == 2, words[:2]


@pytest.mark.parametrize(
    "key", ["x" + ".a" * 20_000, "." * 9999, "a" * 100_000, "=", "evaluation.attacks." + "9" * 400]
)
def test_hostile_keys_are_one_sentence(tmp_path: Path, key: str, call) -> None:
    (tmp_path / "it.toml").write_text(PRESET)
    code, said = call("check", "it.toml", "--set", f"{key}=1")
    assert code == 2
    assert 0 < len(said) < 1000


def test_chains_and_circles_of_presets_are_one_sentence(tmp_path: Path, call) -> None:
    for k in range(1000):
        (tmp_path / f"{k}.toml").write_text(f'extends = "{k + 1}.toml"\n')
    (tmp_path / "1000.toml").write_text(PRESET)
    (tmp_path / "a.toml").write_text('extends = "b.toml"\n')
    (tmp_path / "b.toml").write_text(PRESET + '[teacher]\npreset = "a.toml"\n')
    (tmp_path / "link.toml").symlink_to("990.toml")
    for name, words in (("0.toml", "more than 16 presets"), ("a.toml", "circle")):
        code, said = call("check", name)
        assert (code, len(said) < 300) == (2, True)
        assert words in said
    assert call("check", "link.toml")[0] == 0


@pytest.mark.parametrize("runs", ["/old/runs", ""])
@pytest.mark.parametrize("data", ["~nobody-of-this-name/data", "data\0"])
def test_folders_of_a_machine_that_no_path_leads_to_are_one_sentence(
    tmp_path: Path, call, runs: str, data: str
) -> None:
    run = hostile.run(tmp_path / "runs", "20261122-215930-rslad-small_cnn-s0-6622")
    said = {"runs": runs or str(tmp_path / "runs"), "data": data}
    run.machine.write_text(json.dumps(json.loads(run.machine.read_bytes() if run.machine.exists() else "{}") | said))
    call("show", run.id, "--provenance")
    assert verifying.flags(run, tmp_path, quick=False) == ["--data", str(tmp_path)]


@pytest.mark.parametrize("words", [("runs",), ("tables", "--data", "~nobody-of-this-name/x")])
def test_a_home_of_nobody_is_one_sentence(call, words: tuple[str, ...]) -> None:
    more = ("--runs", "~nobody-of-this-name/x") if words == ("runs",) else ()
    code, said = call(*words, *more)
    assert code == 2 and "~nobody-of-this-name/x" in said
