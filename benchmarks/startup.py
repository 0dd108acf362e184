"""What commands cost before they do anything: CPU time of this tree's `crdnd` and of an older tree's, turn about.

    git worktree add --detach /tmp/older aae5b39
    python -m benchmarks.startup /tmp/older

Both run under this interpreter on the recorded runs of the tests.
"""

import argparse
import gzip
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.interleave import interleave, processor, save

ROOT = Path(__file__).parents[1]
RECORDED = ROOT / "tests" / "tui" / "recorded"
COMMANDS = (("--help",), ("runs",), ("show", "--help"))


def main() -> int:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("older", type=Path, help="a checkout of an older commit")
    parser.add_argument("--rounds", type=int, default=15)
    wanted = parser.parse_args()
    figures = {}
    with TemporaryDirectory() as folder:
        unpacked(Path(folder) / "runs")
        for words in COMMANDS:
            ours, theirs = (started(tree.resolve(), words, Path(folder)) for tree in (ROOT, wanted.older))
            timed = interleave(ours, theirs, wanted.rounds, children_seconds)
            figures[f"crdnd {' '.join(words)}"] = {
                "n": wanted.rounds,
                "ms_median": round(1e3 * statistics.median(timed.ours), 1),
                "older_ms_median": round(1e3 * statistics.median(timed.theirs), 1),
                "faster_median": round(statistics.median(timed.ratios), 3),
                "faster_range": [round(edge(timed.ratios), 3) for edge in (min, max)],
                "ms": [round(1e3 * seconds, 1) for seconds in timed.ours],
                "older_ms": [round(1e3 * seconds, 1) for seconds in timed.theirs],
            }
            print(f"crdnd {' '.join(words)}: {1e3 * statistics.median(timed.ours):.0f} ms; faster by {timed.row()}")
    facts = {
        "clock": "CPU seconds of the process and its children",
        "machine": {
            "processor": processor(), "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1),
            "python": platform.python_version(), **{name: version(name) for name in ("typer", "rich", "msgspec")},
        },
        "commit": commit(ROOT), "older": commit(wanted.older), "figures": figures,
    }  # fmt: skip
    save("startup", facts)
    return 0


def unpacked(runs: Path) -> None:
    """The recorded runs as folders that an engine left."""
    shutil.copytree(RECORDED, runs)
    for packed in runs.glob("*/events.jsonl.gz"):
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))


def started(tree: Path, words: tuple[str, ...], folder: Path) -> Callable[[], object]:
    """One command of this tree, from exec to exit."""
    ours = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-m", "crdnd_tui", *words]
    return lambda: subprocess.run(command, cwd=folder, env=ours, check=True, stdout=subprocess.DEVNULL)


def children_seconds() -> float:
    """CPU time of all processes that were waited for."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def commit(tree: Path) -> str:
    """The commit that is checked out there."""
    found = subprocess.run(["git", "-C", str(tree), "rev-parse", "--short", "HEAD"], check=True, stdout=subprocess.PIPE)
    return found.stdout.decode().strip()


if __name__ == "__main__":
    sys.exit(main())
