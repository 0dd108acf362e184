"""What the terminal costs: CPU time of the real program in a real pseudo-terminal.

    python -m benchmarks.terminal

First paint, a chart, the Live screen, a long log, ten thousand runs; and that torch and numpy stay out of it.
"""

import argparse
import fcntl
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.interleave import processor, save
from benchmarks.pseudo_terminal import Program
from benchmarks.terminal_data import LONG, step, write_long, write_many
from engine.spec.events import encode

PROBE = [sys.executable, "-m", "benchmarks.terminal_probe"]
PROGRAM = [sys.executable, "-c", "from crdnd_tui.tui.terminal import main; main()"]
FRAMES = 4.0  # per second
PATIENCE = 60.0  # seconds until something must have been drawn
POINTS = (1_000, 10_000, 100_000)
PAGE_DOWN = "\x1b[6~"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One figure: what was measured, each time, in seconds of CPU; and how much it may be."""

    name: str
    seconds: list[float]
    budget: float | None = None
    note: str = ""

    @property
    def median(self) -> float:
        """Of all times."""
        return statistics.median(self.seconds)

    @property
    def kept(self) -> bool:
        """Whether the median is within the budget."""
        return self.budget is None or self.median <= self.budget

    def facts(self) -> dict[str, Any]:
        """For the result file."""
        return {
            "median_ms": round(1e3 * self.median, 2),
            "min_ms": round(1e3 * min(self.seconds), 2),
            "max_ms": round(1e3 * max(self.seconds), 2),
            "n": len(self.seconds),
            "budget_ms": round(1e3 * self.budget, 1) if self.budget is not None else None,
            "within_budget": self.kept,
            "note": self.note,
            "ms": [round(1e3 * seconds, 2) for seconds in self.seconds],
        }

    def row(self) -> str:
        """For people."""
        low, high = 1e3 * min(self.seconds), 1e3 * max(self.seconds)
        limit = "" if self.budget is None else f"  of {1e3 * self.budget:4.0f}{'' if self.kept else '  OVER'}"
        note = f"  {self.note}" if self.note else ""
        return (
            f"  {self.name:<44} {1e3 * self.median:8.1f} ms [{low:.1f}, {high:.1f}] n={len(self.seconds)}{limit}{note}"
        )


def painted(folder: Path, texts: str, *arguments: str) -> float:
    """CPU seconds from exec until crdnd-tui, or the bare app, had written all these texts (separated by |)."""
    out = folder / "painted.json"
    out.unlink(missing_ok=True)
    program = Program([*PROBE, "paint", str(out), texts, *arguments])
    end = time.monotonic() + PATIENCE
    while not out.exists():
        program.drain(0.05)
        if time.monotonic() > end:
            raise TimeoutError(f"{texts} was never drawn")
    program.leave()
    spent: float = json.loads(out.read_text())[0]
    return spent


def first_paint(folder: Path, runs: Path, rounds: int) -> list[Measured]:
    """From exec to the first whole frame with runs in it; a bare Textual app in the same seconds."""
    bare: list[float] = []
    ours: list[float] = []

    def measure_bare() -> None:
        bare.append(painted(folder, "a bare app|Quit"))

    def measure_ours() -> None:
        ours.append(painted(folder, "run-00019|Quit", "--runs", str(runs)))

    turns = [measure_bare, measure_ours]
    for number in range(rounds + 1):  # the first fills the caches
        for measure in turns if number % 2 else reversed(turns):
            measure()
    ratio = statistics.median(a / b for a, b in zip(ours[1:], bare[1:], strict=True))
    return [
        Measured(name="first paint, a bare Textual app", seconds=bare[1:]),
        Measured(name="first paint, crdnd-tui", seconds=ours[1:], budget=0.6, note=f"{ratio:.2f} x the bare app"),
    ]


def probed(folder: Path, what: str, argument: str) -> list[float]:
    """The numbers of a probe that ran in a terminal of its own."""
    out = folder / "out.json"
    out.unlink(missing_ok=True)
    program = Program([*PROBE, what, str(out), argument])
    while program.drain(60.0):
        pass
    code = program.leave(" ")
    if code or not out.is_file():
        raise SystemExit(f"the probe {what} left with {code}")
    numbers: list[float] = json.loads(out.read_text())
    return numbers


def charts(folder: Path) -> list[Measured]:
    """Each refresh of a chart that fills 120 x 40, after one more point in each of its three series."""
    return [
        Measured(
            name=f"chart refresh, 3 x {points:,} points", seconds=probed(folder, "chart", str(points)), budget=0.015
        )
        for points in POINTS
    ]


def log_opening(folder: Path, run: Path, rounds: int) -> Measured:
    """From the file to curves, in a fresh process each time."""
    log = run / "events.jsonl"
    spent = [probed(folder, "opened", str(log))[0] for _ in range(rounds)]
    return Measured(name=f"event log of {log.stat().st_size / 1e6:.0f} MB, to curves", seconds=spent, budget=1.0)


def live(folder: Path, run: Path, steps: int, rounds: int) -> list[Measured]:
    """The Live screen of a long run into which an engine writes a step event for every frame."""
    with (run / "engine.lock").open("w") as lock, (run / "events.jsonl").open("ab") as log:
        lock.write(json.dumps({"pid": os.getpid()}))
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)  # a living engine's
        paints = [painted(folder, "images/s|Quit", "--runs", str(run.parent), LONG) for _ in range(3)]
        program = Program([*PROGRAM, "--runs", str(run.parent), "--fps", str(FRAMES), LONG])
        program.wait("images/s", "Quit")
        program.settle()
        per_frame = []
        frames = 12
        for _ in range(rounds):
            program.watch(0.5)
            before, began = program.cpu(), time.monotonic()
            for frame in range(frames):
                steps += 1
                log.write(encode(msgspec.structs.replace(step(steps), time=time.time())))
                log.flush()
                program.watch(began + (frame + 1) / FRAMES - time.monotonic())
            per_frame.append((program.cpu() - before) / frames)
        program.leave()
    return [
        Measured(name="first paint of Live on that run", seconds=paints, note="from exec"),
        Measured(name="Live, all of it, per frame", seconds=per_frame, budget=0.06, note=f"at {FRAMES:g} Hz"),
    ]


def many_runs(folder: Path, count: int, rounds: int) -> list[Measured]:
    """Reading the folder by itself; then the Runs screen on it, key by key."""
    runs = folder / "many" / "runs"
    write_many(runs, count)
    scans = [probed(folder, "scanned", str(runs)) for _ in range(rounds)]
    newest = f"run-{count - 1:05}"
    rows, listed, moves, sorts, letters = [], [], [], [], []
    for _ in range(rounds):
        rows.append(painted(folder, f"{newest}|Quit", "--runs", str(runs)))
        listed.append(painted(folder, f"{count:,} runs|Quit", "--runs", str(runs)))
        program = Program([*PROGRAM, "--runs", str(runs)])
        program.wait(f"{count:,} runs")
        program.settle()
        moves += [program.spent(PAGE_DOWN) for _ in range(3)]
        sorts += [program.spent("s") for _ in range(3)]
        program.press("/")
        program.settle()
        words = "method:crdnd"
        letters.append(program.spent(words) / len(words))
        program.leave()
    return [
        Measured(name=f"{count:,} runs: read the folder", seconds=[first for first, _ in scans], budget=0.5),
        Measured(
            name=f"{count:,} runs: read it again", seconds=[again for _, again in scans], note="every 2 s, a thread"
        ),
        Measured(name=f"{count:,} runs: first rows on the screen", seconds=rows, note="from exec"),
        Measured(name=f"{count:,} runs: all of them listed", seconds=listed, note="from exec"),
        Measured(name=f"{count:,} runs: page down", seconds=moves, budget=0.5),
        Measured(name=f"{count:,} runs: sort by the next column", seconds=sorts, budget=0.5),
        Measured(name=f"{count:,} runs: filter, per letter", seconds=letters, budget=0.5),
    ]


def heavy_modules(folder: Path, runs: Path) -> list[str]:
    """What of torch, torchvision and numpy was imported after all screens had been shown."""
    out = folder / "modules.json"
    program = Program([*PROBE, "modules", str(out), "--runs", str(runs)])
    program.wait("run-00019", "Quit")
    for key in "23456?":
        program.press(key)
        program.settle()
    program.press("\x1b")
    program.settle(0.5)
    program.press("1")
    program.settle()
    code = program.leave("q")
    if code:
        raise SystemExit(f"crdnd-tui left with {code}")
    found: list[str] = json.loads(out.read_text())
    return found


def main() -> int:
    """Measure, write, print. 0 when every budget is kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=100_000, help="of the long run")
    parser.add_argument("--runs", type=int, default=10_000, help="of the long list")
    wanted = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="crdnd-benchmark-"))
    try:
        few = folder / "few" / "runs"
        write_many(few, 20)
        heavy = heavy_modules(folder, few)
        long = write_long(folder / "long", wanted.steps)
        parts: list[Callable[[], list[Measured]]] = [
            lambda: first_paint(folder, few, wanted.rounds),
            lambda: charts(folder),
            lambda: [log_opening(folder, long, wanted.rounds)],
            lambda: live(folder, long, wanted.steps, wanted.rounds),
            lambda: many_runs(folder, wanted.runs, max(3, wanted.rounds // 2)),
        ]
        measured = []
        for part in parts:
            for one in part():
                print(one.row(), flush=True)
                measured.append(one)
    finally:
        shutil.rmtree(folder)
    print(f"  heavy modules imported: {', '.join(heavy) or 'none'}")
    path = save("terminal", facts(measured, heavy))
    print(f"written to {path.relative_to(path.parents[2])}")
    return 0 if not heavy and all(one.kept for one in measured) else 1


def facts(measured: list[Measured], heavy: list[str]) -> dict[str, Any]:
    """Everything, with what it depends on."""
    return {
        "clock": "CPU seconds of the process, all threads",
        "terminal": "120 x 40, a pty whose reader drains",
        "machine": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "load": round(os.getloadavg()[0], 1),
            "python": platform.python_version(),
            **{name: version(name) for name in ("textual", "rich", "msgspec")},
        },
        "heavy_modules": heavy,
        "figures": {one.name: one.facts() for one in measured},
    }


if __name__ == "__main__":
    sys.exit(main())
