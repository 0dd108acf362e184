"""crdnd queue: its commands, what they print, and how they refuse."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from crdnd_tui.cli import app
from crdnd_tui.core import advice
from crdnd_tui.queue import worker
from crdnd_tui.queue.tickets import Queue, Ticket
from crdnd_tui.queue.worker import outcome
from engine.spec import locks
from tests.tui.lab_queue import driver, runs_folder, states, ticket, until, waiting_run  # noqa: F401  a fixture

PRESET = 'name = "tiny"\n[data]\nname = "digits"\n[student]\nname = "small_cnn"\n[method]\nname = "natural"\n'


@pytest.fixture
def call(runs: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(worker, "ensure", lambda runs: True)  # nothing starts unless a test wants it

    def go(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["crdnd", "queue", *words, "--runs", str(runs)])
        capfd.readouterr()
        code = app._called()
        said = capfd.readouterr()
        return code, said.out, said.err

    return go


@pytest.fixture
def preset(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(PRESET)
    return path


def test_add_makes_a_run_for_each_seed_and_prints_their_ids(call, runs: Path, preset: Path) -> None:
    code, out, _ = call("add", str(preset), "--seeds", "3,5", "--set", "training.epochs=2", "--device", "cpu")
    assert code == 0
    names = out.split()
    assert [name.split("-")[4] for name in names] == ["s3", "s5"]
    assert states(runs) == dict.fromkeys(names, "waiting")
    assert "epochs = 2" in (runs / names[0] / "config.toml").read_text()
    assert json.loads((runs / names[0] / "machine.json").read_text())["device"] == "cpu"


def test_a_queue_that_cannot_be_written_is_told_before_a_run_is_made(
    call, runs: Path, preset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of another user's folder: by the lock, or by the folder of tickets."""
    before = sorted(path.name for path in runs.iterdir())
    with monkeypatch.context() as theirs:
        theirs.setattr(locks, "open_lock", _denied)
        code, out, err = call("add", str(preset))
        assert (code, out) == (2, "") and "the queue cannot be written: Permission denied" in err
    may = os.access
    monkeypatch.setattr(
        os, "access", lambda path, *rest, **more: Path(path).name != "tickets" and may(path, *rest, **more)
    )
    code, out, err = call("add", str(preset))
    assert (code, out) == (2, "") and "another user's and cannot be written" in err
    assert sorted(path.name for path in runs.iterdir() if path.name != ".queue") == before


def _denied(path: Path) -> int:
    raise PermissionError(errno.EACCES, "Permission denied", str(path))


def test_what_died_twice_at_the_same_step_may_be_retried_with_a_word(call, runs: Path) -> None:
    run = waiting_run(runs, "r1")
    fatal = "Fatal Python error: Bus error\n"
    run.log.write_text(f"{fatal}\n  File\n{fatal}")
    Queue(runs).add_all([Ticket(run="r1", state="waiting")])
    Queue(runs).change("r1", ("waiting",), lambda t: msgspec.structs.replace(t, state="failed"))
    code, _, err = call("retry", "r1")
    assert code == 0 and "--machine layout=contiguous" in err
    assert outcome(run, Ticket(run="r1", started=1.0))[1].startswith("the engine died of SIGBUS (")


def test_the_note_of_a_failure_is_never_an_event(runs: Path) -> None:
    run = waiting_run(runs, "r1")
    run.log.write_text('2026-01-01 10:00:00,123 INFO {"event":"run_started","v":1}\n')
    note = outcome(run, Ticket(run="r1", started=1.0))[1]
    resume = f"`crdnd resume {advice.named(run)}`"
    assert note == f"the engine died without a word; {resume} goes on from the last checkpoint."


def test_a_queued_run_keeps_how_many_devices_it_takes(call, runs: Path, preset: Path) -> None:
    name = call("add", str(preset), "--device", "cpu", "--devices", "2", "--exact")[1].strip()
    said = json.loads((runs / name / "machine.json").read_text())
    assert (said["devices"], said["exact"], ticket(runs, name).devices) == (2, True, 2)
    (found,) = json.loads(call("list", "--json")[1])["tickets"]
    assert found["devices"] == ["cpu"]


def test_a_mistake_in_a_preset_adds_nothing(call, runs: Path, preset: Path) -> None:
    for words in (["--seeds", "1,x"], ["--set", "nonsense=1"], ["--device", "gpu7"]):
        code, _, err = call("add", str(preset), *words)
        assert code == 2
        assert err
    assert states(runs) == {}


def test_the_order_and_holding(call, runs: Path) -> None:
    for name in ("aaa1", "bbb2", "ccc3"):
        waiting_run(runs, name)
        Queue(runs).add(name, "cpu", 1.0)
    assert call("move", "ccc", "top")[::2] == (0, "ccc3 is in place 1.\n")
    assert call("hold", "aaa1")[0] == 0
    assert [(t.run, t.state) for t in Queue(runs).tickets()] == [
        ("ccc3", "waiting"),
        ("aaa1", "held"),
        ("bbb2", "waiting"),
    ]
    assert call("release", "aaa")[0] == 0
    assert ticket(runs, "aaa1").state == "waiting"
    assert call("move", "aaa1", "sideways")[0] == 2
    assert call("slots", "2")[0] == 0
    assert Queue(runs).at_once == 2
    assert call("slots", "0")[0] == 2


def test_the_list_for_people_and_for_scripts(call, runs: Path) -> None:
    code, out, err = call("list")
    assert (code, out) == (0, "")
    assert "Nothing waits" in err
    waiting_run(runs, "aaa1")
    Queue(runs).add("aaa1", "cpu", 1.0)
    (runs / ".queue" / "tickets" / "bad.json").write_text("{")
    code, out, err = call("list")
    assert code == 0
    assert "waiting" in out and "aaa1" in out
    assert "No worker is there" in out
    assert "bad.json" in err
    found = json.loads(call("list", "--json")[1])
    (one,) = found["tickets"]
    assert (one["run"], one["state"], one["place"], one["method"]) == ("aaa1", "waiting", 1, "Natural")
    assert (found["worker"], found["at_once"], found["damaged"]) == (False, 1, ["bad.json"])


def test_cancel_and_retry(call, runs: Path) -> None:
    waiting_run(runs, "aaa1")
    Queue(runs).add("aaa1", "cpu", 1.0)
    code, _, err = call("retry", "aaa1")
    assert code == 2
    assert "aaa1 is waiting" in err
    assert call("cancel", "aaa1")[0] == 0
    assert (runs / ".trash" / "aaa1").is_dir()
    assert call("cancel", "aaa1")[0] == 2
    waiting_run(runs, "bbb1")
    Queue(runs).add("bbb1", "cpu", 1.0)
    Queue(runs).change("bbb1", ("waiting",), lambda t: type(t)(run="bbb1", state="running", started=2.0))
    code, _, err = call("cancel", "bbb1")
    assert code == 2
    assert "crdnd stop bbb1" in err
    Queue(runs).change("bbb1", ("running",), lambda t: type(t)(run="bbb1", state="failed", ended=3.0))
    assert call("retry", "bbb1")[0] == 0
    assert ticket(runs, "bbb1").state == "waiting"


def test_a_run_that_is_not_in_the_queue_is_said(call, runs: Path) -> None:
    waiting_run(runs, "aaa1")
    for name, said in (("aaa1", "not in the queue"), ("nothing", "no run")):
        code, _, err = call("hold", name)
        assert code == 2
        assert said in err


def test_work_is_the_worker_in_the_foreground(runs: Path) -> None:
    waiting_run(runs, "aaa1")
    Queue(runs).add("aaa1", "cpu", 1.0)
    program = driver(runs)[2].rpartition("worker.work(")[0] + (
        "real = worker.work\n"
        "worker.work = lambda runs, say: real(runs, say, poll=0.05, idle=0.2)\n"
        "from crdnd_tui.cli.app import main\n"
        "sys.argv = ['crdnd', 'queue', 'work', '--runs', sys.argv[1]]\n"
        "main()\n"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([sys.executable, "-c", program, str(runs)], capture_output=True, text=True, timeout=60,
                          check=False, env=environment)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "aaa1: started on cpu" in done.stderr
    assert states(runs) == {"aaa1": "done"}
    until(lambda: not worker.alive(runs))
