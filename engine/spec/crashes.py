"""How an engine died, read from the end of its log: the signal, its likely cause, and what to do about it.

Python's faulthandler writes a crash there; whoever started the engine writes any death by a signal.
"""

import os
import re
import signal
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from engine.spec import files
from engine.spec.rundir import RunDir

CAUSES = {
    "SIGKILL": "killed from outside, most often because memory ran out",
    "SIGSEGV": "a crash inside a native library",
    "SIGABRT": "a native library gave up",
    "SIGBUS": "memory behind a file was not there: a full disk or a file that was cut",
    "SIGILL": "an instruction that this processor lacks",
    "SIGFPE": "a native library divided by zero",
}
AGAIN = "again at the same step"
MODULES = "Extension modules: "  # of faulthandler, as long as a page
FRAMES = 3  # of the stack of a crash that are shown
_FATAL = {
    "Segmentation fault": "SIGSEGV",
    "Aborted": "SIGABRT",
    "Bus error": "SIGBUS",
    "Illegal instruction": "SIGILL",
    "Floating point exception": "SIGFPE",
    "Floating-point exception": "SIGFPE",
}
_LINE = re.compile(
    rb'^[\d-]+ [\d:,]+ INFO \{"event":"(?P<event>\w+)"(?P<rest>.*)'
    rb"|^[\d-]+ [\d:,]+ CRITICAL engine (?P<pid>\d+) died of (?P<name>signal \d+|\w+)"
    rb"|^Fatal Python error: (?P<fatal>[\w -]+)",
    re.MULTILINE,
)
_PLACE = re.compile(rb'"(?:step|epoch|checkpoint|attack)":(?:\d+|"[^"]*")')
_PROGRESS = (b"checkpoint_saved", b"validated", b"evaluated")


_REMEDIES = (  # of a native crash that repeats, in this order: what a machine.json says when it was tried, and words
    ("layout", "contiguous", "--machine layout=contiguous` avoids one known cause."),
    ("exact", True, "--exact` goes without all shortcuts."),
    ("threads", 1, "--threads 1` goes without parallel kernels."),
)


@dataclass(frozen=True)
class Death:
    """How the last engine of a run died. `name` is empty where nobody saw it."""

    name: str
    repeated: bool = False  # the one before it died at the same place, too
    after_end: bool = False  # its last word, that the run was finished, had been said

    @property
    def native(self) -> bool:
        """Return whether native code crashed, rather than somebody killing the engine."""
        return self.name in _FATAL.values()

    @property
    def text(self) -> str:
        """Say in one sentence that it died, and of what."""
        again = f", {AGAIN}" if self.repeated else ""
        if self.after_end:
            return f"the engine crashed after its last word ({cause_of(self.name)}): its numbers are suspect"
        if not self.name:
            return f"the engine died without a word{again}"
        return f"the engine died of {cause_of(self.name)}{again}"

    def advice(self, run: str, machine: bytes | None) -> str:
        """Say what to do now, but nothing that its machine.json says was tried; `run` is an id as commands take it."""
        resume = f"`crdnd resume {run}"
        if self.after_end:
            return f"`crdnd verify {run}` computes them again; begin the run anew if they do not hold."
        if not self.repeated:
            return f"{resume}` goes on from the last checkpoint."
        if not self.native:
            return (
                "Resuming alone leads here again if memory runs out: free memory first, or begin anew with a smaller "
                "training.batch_size or evaluation.batch_size."
            )
        try:
            tried = files.json_table(machine or b"{}")
        except files.MalformedError:
            tried = {}
        for key, value, words in _REMEDIES:
            if tried.get(key) != value:
                return f"Resuming alone leads here again: {resume} {words}"
        return "Resuming leads here again: this is a defect of PyTorch or of the machine; try another version."


def signal_name(code: int) -> str:
    """Return the name of the signal N of an exit code -N; `signal N` for one without a name."""
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def cause_of(of: str | int) -> str:
    """Describe a signal, given by name or by a process's exit code, and what it most likely means."""
    name = signal_name(of) if isinstance(of, int) else of
    return f"{name} ({CAUSES[name]})" if name in CAUSES else name or "an unknown cause"


def log_death(run: RunDir, pid: int, code: int) -> None:
    """Write into engine.log that this process died by a signal; nothing for an exit code of its own."""
    if code >= 0:
        return
    line = f"{time.strftime('%Y-%m-%d %H:%M:%S')},000 CRITICAL engine {pid} died of {signal_name(code)}\n"
    flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with suppress(OSError), os.fdopen(os.open(run.log, flags), "ab") as log:  # without a log the death stays unnamed
        log.write(line.encode())


def last_death(log: bytes, *, alive: bool = False) -> Death | None:
    """Read how the last engine died from the end of engine.log; None when it lives, or said how it ended."""
    deaths, open_, finished = list[tuple[str, int]](), False, False  # names, and numbers of processes where known
    seen = set[bytes]()
    for found in _LINE.finditer(log):
        event, fatal = found["event"], found["fatal"]
        if event in (b"run_started", b"run_resumed"):
            deaths += [("", 0)] * open_
            open_, finished = True, False
        elif event in (b"run_finished", b"run_stopped", b"run_failed"):
            open_, finished = False, event == b"run_finished"
            deaths.clear()
        elif event in _PROGRESS:
            place = event + b" ".join(_PLACE.findall(found["rest"]))
            if place not in seen:
                deaths.clear()
            seen.add(place)
        elif fatal is not None and (of := _FATAL.get(fatal.decode())):
            deaths.append((of, 0))
            open_ = False
        elif found["pid"] is not None:
            known, of = int(found["pid"]), found["name"].decode()
            if deaths and deaths[-1][1] in (0, known) and deaths[-1][0] in ("", of) and not open_:
                deaths.pop()  # the same death, told twice
            deaths.append((of, known))
            open_ = False
    deaths += [("", 0)] * (open_ and not alive)
    if not deaths or alive:
        return None
    return Death(deaths[-1][0], repeated=len(deaths) > 1, after_end=finished)


def end_in_death(lines: Sequence[str]) -> bool:
    """Return whether the last lines of a log name a death, with nothing said after it."""
    return " CRITICAL engine " in lines[-1] or any(line.startswith("Fatal Python error: ") for line in lines)


def readable(lines: Iterable[str]) -> list[str]:
    """Keep the lines of a log that tell a person something: no events, no lists of modules, few frames of a crash."""
    found, crash, frames = list[str](), False, 0
    for line in lines:
        frame = line.startswith("  File ")
        if line.startswith("Fatal Python error: "):
            crash, frames = True, 0
        elif line.strip() and not frame and not line.startswith(("Stack", "Current thread")):
            crash = False
        frames += frame
        if line.strip() and " INFO {" not in line and not line.startswith(MODULES) and not (crash and frames > FRAMES):
            found.append(line)
    return found
