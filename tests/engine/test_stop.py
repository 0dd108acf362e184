"""Asked to stop, an engine finishes its step, saves, says why, and leaves with 3; resumed, it changes nothing."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from engine.runtime.interrupt import Interrupt, Stopped
from engine.spec.errors import RunFolderError
from engine.spec.locks import hold, is_held
from engine.spec.process import signals_blocked
from engine.spec.rundir import RunDir
from tests.engine.broken_runs import (
    FINISHED,
    REFUSED,
    STOPPED,
    ForkServer,
    assert_same,
    make,
    newest,
    said,
    short,
    state,
    status,
)

SIGNALS = ("SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2")


@pytest.mark.parametrize("how", [*SIGNALS, "stop file"])
def test_training_stops_after_its_step(
    fork_server: ForkServer, data: Path, whole_short: RunDir, tmp_path: Path, how: str
) -> None:
    run = make(tmp_path, data, short())
    assert fork_server.work(run, at="step", do=how, k=3) == STOPPED
    (stopped,) = said(run, "run_stopped")
    assert (stopped["reason"], stopped["step"]) == (how, 3)
    assert [event["step"] for event in said(run, "step_done")] == [1, 2, 3]
    assert state(newest(run))["step"] == 3
    assert (status(run).phase, status(run).reason) == ("stopped", how)
    assert not run.stop.exists()
    assert fork_server.work(run) == FINISHED
    assert said(run, "run_resumed")[0]["step"] == 3
    assert_same(run, whole_short)


def test_a_stop_file_that_lies_there_when_an_engine_starts_is_heeded_before_its_next_step(
    fork_server: ForkServer, data: Path, whole_short: RunDir, tmp_path: Path
) -> None:
    run = make(tmp_path, data, short())
    run.stop.touch()
    assert fork_server.work(run) == STOPPED
    assert [event["step"] for event in said(run, "run_stopped")] == [0] and not run.stop.exists()
    assert fork_server.work(run, at="step", do="SIGTERM", k=3) == STOPPED
    run.stop.touch()
    assert fork_server.work(run) == STOPPED
    assert [(event["reason"], event["step"]) for event in said(run, "run_stopped")] == [
        ("SIGTERM", 3),
        ("stop file", 3),
    ]
    assert (status(run).phase, status(run).reason) == ("stopped", "stop file") and not run.stop.exists()
    assert fork_server.work(run) == FINISHED
    assert_same(run, whole_short)


@pytest.mark.parametrize("how", ["SIGTERM", "stop file"])
def test_validation_stops_and_is_done_again(
    fork_server: ForkServer, data: Path, whole: RunDir, tmp_path: Path, how: str
) -> None:
    run = make(tmp_path, data)
    assert fork_server.work(run, at="forward", do=how, k=3) == STOPPED
    assert said(run, "validated") == []
    assert said(run, "run_stopped")[0]["step"] == state(newest(run))["step"] == 6  # all batches of the epoch
    assert fork_server.work(run) == FINISHED
    assert_same(run, whole)


def test_evaluation_stops_and_goes_on(fork_server: ForkServer, data: Path, whole: RunDir, tmp_path: Path) -> None:
    run = make(tmp_path, data)
    deaths = 0
    for k in (60, 40, 40):
        assert fork_server.work(run, at="forward", do="SIGUSR1", k=k) == STOPPED
        deaths += bool(said(run, "evaluation_started"))
        assert status(run).phase == "stopped"
    assert deaths >= 2
    assert fork_server.work(run) == FINISHED
    assert_same(run, whole)


def test_a_closed_terminal_means_nothing(
    fork_server: ForkServer, data: Path, whole_short: RunDir, tmp_path: Path
) -> None:
    run = make(tmp_path, data, short())
    assert fork_server.work(run, at="step", do="SIGHUP", k=2) == FINISHED
    assert_same(run, whole_short)


def test_a_finished_run_is_left_as_it_is(fork_server: ForkServer, data: Path, tmp_path: Path) -> None:
    run = make(tmp_path, data, short())
    assert fork_server.work(run) == FINISHED
    before = {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file() and p != run.lock}
    assert fork_server.work(run) == FINISHED
    assert {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file() and p != run.lock} == before


def test_a_second_engine_is_refused_and_writes_nothing(fork_server: ForkServer, data: Path, tmp_path: Path) -> None:
    run = make(tmp_path, data, short())
    hold(run.lock)
    temporary = run.path / ".crdnd-tmp-of-the-first"
    temporary.touch()
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in run.path.rglob("*") if p.is_file()}
    assert fork_server.work(run) == REFUSED
    screen = fork_server.screen.read_text()
    assert f'another engine is at work here: {{"pid": {os.getpid()}}}' in screen
    assert "Traceback" not in screen
    assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in run.path.rglob("*") if p.is_file()} == before


def test_the_lock_of_a_killed_engine_is_free(fork_server: ForkServer, data: Path, tmp_path: Path) -> None:
    run = make(tmp_path, data, short())
    fork_server.work(run, at="step", do="die", k=1)
    assert run.lock.read_text()  # the dead engine's process id
    assert not is_held(run.lock)
    hold(run.lock)
    assert is_held(run.lock)


def test_probing_viewers_do_not_keep_an_engine_out(tmp_path: Path) -> None:
    path, done = tmp_path / "engine.lock", threading.Event()
    path.touch()

    def probe() -> None:
        while not done.is_set():
            file = os.open(path, os.O_RDONLY)
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            time.sleep(0.02)
            os.close(file)
            time.sleep(0.02)

    viewer = threading.Thread(target=probe)
    viewer.start()
    try:
        hold(path)
    finally:
        done.set()
    assert path.read_text()  # ours now
    viewer.join(5)


def test_a_folder_that_cannot_be_locked_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "engine.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunFolderError, match="cannot be locked"):
        hold(tmp_path / "engine.lock")
    assert not (tmp_path / "elsewhere").exists()


def test_the_first_reason_to_stop_is_the_one_that_is_told(tmp_path: Path) -> None:
    interrupt = Interrupt(tmp_path / "stop", clock=lambda: 0.0)
    interrupt.pause()
    interrupt._handle(signal.SIGUSR1, None)
    interrupt._handle(signal.SIGTERM, None)
    with pytest.raises(Stopped) as stopped:
        interrupt.pause()
    assert stopped.value.reason == "SIGUSR1"


@pytest.mark.parametrize(
    ("how", "when"), [("SIGTERM", ""), ("SIGINT", "engine.lock"), ("SIGUSR1", "status.json"),
                      ("SIGUSR2", "events.jsonl"), ("stop file", "")],
)  # fmt: skip
def test_whenever_an_engine_is_asked_it_leaves_with_a_word(data: Path, tmp_path: Path, how: str, when: str) -> None:
    """From before its first line of Python on: signals are held back until it listens."""
    run = make(tmp_path, data, short())
    with signals_blocked():
        engine = subprocess.Popen([sys.executable, "-P", "-m", "engine", str(run.path)])
    if how == "stop file":
        run.stop.touch()
    else:
        while not (run.path / when).exists():  # at once, or when the engine has come so far
            assert engine.poll() is None
        engine.send_signal(signal.SIGHUP)  # which means nothing
        engine.send_signal(getattr(signal, how))
    assert engine.wait(60) == STOPPED
    assert (status(run).phase, status(run).reason) == ("stopped", how)
    assert said(run, "run_stopped")[0]["reason"] == how
    assert not run.stop.exists()


def test_held_back_signals_are_ours_again_afterwards() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with signals_blocked():
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) >= {signal.SIGTERM, signal.SIGHUP}
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_nothing_swallows_a_stop() -> None:
    assert not issubclass(Stopped, Exception)
