"""What an engine died of is read from its log, and what is advised leads out of a circle."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from crdnd_tui.core import engine_process, run_status
from engine.spec import crashes, status
from engine.spec.crashes import Death
from engine.spec.rundir import RunDir
from engine.spec.status import Status

FATAL = "Fatal Python error: Segmentation fault\n\nStack (most recent call first):\n" + "".join(
    f'  File "x.py", line {k} in f\n' for k in range(9)
)
MODULES = "\nExtension modules: numpy, torch._C (total: 2)\n"


def event(name: str, **facts: object) -> str:
    return f"2026-01-01 10:00:00,123 INFO {json.dumps({'event': name, 'v': 1, **facts}, separators=(',', ':'))}\n"


def died(pid: int, name: str) -> str:
    return f"2026-01-01 10:00:00,000 CRITICAL engine {pid} died of {name}\n"


START, RESUME = event("run_started"), event("run_resumed", step=5)
SAVED = [event("checkpoint_saved", step=step, epoch=0) for step in range(9)]
LOGS = {
    "lives on": (START + SAVED[0], True, None),
    "ended": (START + event("run_finished"), False, None),
    "failed by its own word": (START + event("run_failed", kind="OutOfMemory"), False, None),
    "nobody saw it": (START + SAVED[0], False, Death("")),
    "crash": (START + FATAL + MODULES, False, Death("SIGSEGV")),
    "crash, told twice": (START + FATAL + MODULES + died(7, "SIGSEGV"), False, Death("SIGSEGV")),
    "killed": (START + died(7, "SIGKILL"), False, Death("SIGKILL")),
    "told by two": (START + died(7, "SIGKILL") + died(7, "SIGKILL"), False, Death("SIGKILL")),
    "again": (START + FATAL + died(7, "SIGSEGV") + RESUME + FATAL + died(8, "SIGSEGV"), False, Death("SIGSEGV", True)),
    "again, before a word": (START + died(7, "SIGILL") + died(8, "SIGILL"), False, Death("SIGILL", True)),
    "again, nobody saw either": (START + RESUME, False, Death("", True)),
    "it got further": (START + FATAL + RESUME + SAVED[7] + FATAL, False, Death("SIGSEGV")),
    "the same checkpoint, said again": (
        START + SAVED[3] + FATAL + SAVED[3] + RESUME + FATAL, False, Death("SIGSEGV", True),
    ),
    "an attack more": (
        START + FATAL + RESUME + event("evaluated", checkpoint="best", attack="pgd") + FATAL, False, Death("SIGSEGV"),
    ),
    "stopped in between": (START + FATAL + RESUME + event("run_stopped") + RESUME + FATAL, False, Death("SIGSEGV")),
    "after its last word": (START + event("run_finished") + FATAL, False, Death("SIGSEGV", after_end=True)),
}  # fmt: skip


@pytest.mark.parametrize("name", LOGS)
def test_a_death_is_read_from_the_log(name: str) -> None:
    log, alive, expected = LOGS[name]
    assert crashes.last_death(log.encode(), alive=alive) == expected


def test_the_advice_never_leads_back() -> None:
    def advice(death: Death, **machine: object) -> str:
        return death.advice("r", json.dumps(machine).encode())

    assert advice(Death("SIGSEGV")) == "`crdnd resume r` goes on from the last checkpoint."
    again = Death("SIGBUS", True)
    assert "`crdnd resume r --machine layout=contiguous`" in advice(again)
    assert "`crdnd resume r --exact`" in advice(again, layout="contiguous")
    assert "`crdnd resume r --threads 1`" in advice(again, layout="contiguous", exact=True)
    assert "crdnd resume" not in advice(again, layout="contiguous", exact=True, threads=1)
    assert "batch_size" in advice(Death("SIGKILL", True)) and "crdnd resume" not in advice(Death("SIGKILL", True))
    assert again.advice("r", b"[damaged") == again.advice("r", None)
    assert "crdnd verify" in advice(Death("SIGABRT", after_end=True))


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE"])
def test_faulthandler_names_every_crash(tmp_path: Path, name: str) -> None:
    code = (
        f"import faulthandler, os, signal; faulthandler.enable(all_threads=False); os.kill(os.getpid(), signal.{name})"
    )
    done = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, check=False)
    found = crashes.last_death(START.encode() + done.stderr)
    assert found == Death(name)
    assert found.text.startswith(f"the engine died of {name} (")


def run_that(tmp_path: Path, log: str, phase: str = "training") -> RunDir:
    run = RunDir(tmp_path / "20260101-100000-a")
    run.path.mkdir()
    run.config.write_text("")
    run.status.write_bytes(status.encode(Status(run=run.id, phase=phase, heartbeat=time.time() - 60)))
    run.log.write_text(log)
    return run


def test_a_list_of_runs_names_the_death(tmp_path: Path) -> None:
    row = run_status.summary(run_that(tmp_path, START + FATAL + MODULES + RESUME + FATAL + MODULES))
    assert row is not None and row.state == "killed"
    assert row.why.startswith("the engine died of SIGSEGV (a crash inside a native library), again at the same step; ")
    assert row.why.endswith("--machine layout=contiguous` avoids one known cause.")


def test_a_run_that_was_done_when_its_engine_crashed_is_suspect(tmp_path: Path) -> None:
    run = run_that(tmp_path, START + event("run_finished"), "done")
    row = run_status.summary(run)
    assert row is not None and (row.state, row.why) == ("done", "")
    run.log.write_text(run.log.read_text() + FATAL + MODULES)
    row = run_status.summary(run)
    assert row is not None and row.state == "done"
    assert "crashed after its last word (SIGSEGV" in row.why and "its numbers are suspect" in row.why


def test_last_words_are_no_events_and_no_lists_of_modules(tmp_path: Path) -> None:
    run = run_that(tmp_path, START + "corrupted size vs. prev_size\n" + FATAL + MODULES + died(7, "SIGABRT"))
    said = run_status.log_tail(run)
    assert said[0] == "corrupted size vs. prev_size"
    assert [line.strip()[:5] for line in said[1:]] == ["Fatal", "Stack", "File ", "File ", "File ", "2026-"]
    run.log.write_text(START + event("stage_started"))
    assert run_status.log_tail(run) == []


def test_whoever_started_an_engine_writes_down_what_killed_it_once(tmp_path: Path) -> None:
    run = run_that(tmp_path, START)
    process = engine_process.detached(
        [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"], run.log
    )
    assert engine_process.ended(run, process) == engine_process.ended(run, process) == -9
    assert run.log.read_text().count(f"engine {process.pid} died of SIGKILL") == 1
    assert run_status.death_of(run) == Death("SIGKILL")
    crashes.log_death(run, 1, 3)  # an exit code of its own
    assert run.log.read_text().count("died of") == 1


def test_a_signal_without_a_name_is_told_by_its_number(tmp_path: Path) -> None:
    run = run_that(tmp_path, START)
    crashes.log_death(run, 7, -35)
    assert crashes.signal_name(-35) == "signal 35"
    assert run_status.death_of(run) == Death("signal 35")


def test_a_process_that_got_the_number_of_an_earlier_one_has_a_death_of_its_own(tmp_path: Path) -> None:
    run = run_that(tmp_path, START)
    for end, code in (("SIGKILL", -9), ("SIGTERM", -15)):
        words = f"import os, signal; os.kill(os.getpid(), signal.{end})"
        process = engine_process.detached([sys.executable, "-c", words], run.log)
        assert process.wait() == code
        process.pid = 12345  # numbers come again
        assert engine_process.ended(run, process) == code
    assert run.log.read_text().count("engine 12345 died of") == 2
