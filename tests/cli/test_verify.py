"""crdnd verify: what the engine checks becomes rows, its end becomes an exit code, and Ctrl-C leaves nothing behind."""

import json
import signal
import sys
import threading
from pathlib import Path

import psutil
import pytest

from crdnd_tui.cli import verify
from crdnd_tui.core import engine_process, verifying
from engine.spec.errors import CrdndError, RunFolderError
from engine.spec.rundir import RunDir

RUN = "20260101-000000-natural-small_cnn-s0-0001"
CHECKED = {"event": "checked", "what": "data test", "verdict": "holds", "words": "sha256 1234"}
BROKEN = {"event": "checked", "what": "again best pgd", "verdict": "fails", "words": "9 of 10 images differ \x1b[2J"}
OPEN = {"event": "checked", "what": "teacher", "verdict": "unknown", "words": "is not here"}


@pytest.fixture
def runs(tmp_path) -> Path:
    folder = tmp_path / "runs"
    (folder / RUN).mkdir(parents=True)
    (folder / RUN / "config.toml").write_text("")
    return folder


@pytest.fixture
def engine(monkeypatch):
    """An engine that says these lines and leaves so."""

    def says(*lines: dict, code: int = 0, then: str = "") -> None:
        script = "import sys\n" + "".join(f"print({json.dumps(line)!r}, flush=True)\n" for line in lines)
        script += f"{then}\nsys.exit({code})\n"
        monkeypatch.setattr(verifying, "verify_command", lambda run, flags: [sys.executable, "-c", script])

    return says


def verdict(kind: str) -> dict:
    return {"event": "verdict", "verdict": kind, "words": "so it is"}


def test_checks_are_rows_on_stdout_and_the_verdict_stands_below(runs, engine, capsys):
    engine(CHECKED, OPEN, verdict("holds"))
    assert verify.verify(RUN, runs, (), as_json=False) == verify.OK
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "  \u2713 data test  sha256 1234",
        "  ? teacher    is not here",
        "",
        f"\u2713 {RUN} holds: so it is",
    ]
    assert err.splitlines() == ["data test: holds, sha256 1234", "teacher: cannot be said, is not here"]


@pytest.mark.parametrize(("kind", "words"), [("fails", "does not hold"), ("unknown", "cannot be said")])
def test_numbers_that_do_not_hold_or_cannot_be_judged_are_exit_code_1(runs, engine, capsys, kind, words):
    engine(BROKEN, verdict(kind), code=1)
    assert verify.verify(RUN, runs, (), as_json=False) == verify.FAILED
    out = capsys.readouterr().out
    assert f"{RUN} {words}: so it is" in out
    assert "\x1b" not in out


def test_json_holds_every_check_and_nothing_else_is_on_stdout(runs, engine, capsys):
    engine(CHECKED, BROKEN, {"event": "progress", "checkpoint": "best", "attack": "pgd", "done": 10, "total": 10},
           verdict("fails"), code=1)  # fmt: skip
    assert verify.verify(RUN, runs, (), as_json=True) == verify.FAILED
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert (told["run"], told["verdict"], told["exit"]) == (RUN, "fails", 1)
    assert [check["what"] for check in told["checks"]] == ["data test", "again best pgd"]
    assert "judging best pgd: 10 of 10 images" in err


def test_what_the_engine_refuses_is_the_user_s_message(runs, engine):
    engine({"event": "failed", "message": "this run was not judged by `x`"}, code=2)
    with pytest.raises(CrdndError, match="was not judged by `x`"):
        verify.verify(RUN, runs, ("--attack", "x"), as_json=False)


def test_an_engine_that_dies_is_told_with_its_last_words(runs, engine):
    engine(CHECKED, then="print('not json'); raise RuntimeError('the GPU is gone')")
    with pytest.raises(CrdndError, match="the engine left with 1: RuntimeError: the GPU is gone"):
        verify.verify(RUN, runs, (), as_json=False)


def test_a_run_that_is_not_there_is_a_mistake(runs):
    with pytest.raises(RunFolderError):
        verify.verify("nothing", runs, (), as_json=False)


def test_ctrl_c_stops_the_engine_and_says_so(runs, engine, capsys, tmp_path, monkeypatch):
    mark = tmp_path / "pid"
    engine(CHECKED, then=f"import os, pathlib, signal\npathlib.Path({str(mark)!r}).write_text(str(os.getpid()))\n"
                         "print('{\"event\": \"progress\", \"done\": 0, \"total\": 1}', flush=True)\nsignal.pause()")  # fmt: skip  # noqa: E501
    narrate = verify._narrate

    def interrupted(word) -> None:
        narrate(word)
        if isinstance(word, verifying.VerifyProgress):
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    monkeypatch.setattr(verify, "_narrate", interrupted)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell ignores it
    assert verify.verify(RUN, runs, (), as_json=False) == verify.INTERRUPTED
    assert not psutil.pid_exists(int(mark.read_text()))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("interrupted; the run was only read\n")


def test_the_engine_is_ours_whatever_lies_in_the_working_folder():
    command = verifying.verify_command(RunDir(Path("/some/run")), ("--quick",))
    assert command == [sys.executable, "-P", "-m", "engine.verify", "/some/run", "--quick"]
    assert (engine_process.ROOT / "engine" / "verify" / "__main__.py").is_file()
