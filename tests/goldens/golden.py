"""The program as a user calls it, and what it said before: data/NAME.json; CRDND_GOLDENS=new writes them instead."""

import atexit
import difflib
import gzip
import json
import math
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from tests.program import Program

HERE = Path(__file__).parent
ROOT = HERE.parents[1]  # the tree that is called
PRESETS = ROOT / "presets"
RECORDED = ROOT / "tests" / "tui" / "recorded"  # folders of real runs, without weights
RUNS = HERE / "runs"  # a teacher, its student, and the same student killed in its second epoch; with weights
NEW = os.environ.get("CRDND_GOLDENS") == "new"
SAME_MACHINE = bool(os.environ.get("CRDND_GOLDENS_SAME_MACHINE"))  # losses and outcomes are compared bit for bit
SHOWN = 60  # lines of a difference
NUMBER = re.compile(r"(?<![\w.-])(-?[0-9]+\.[0-9]+(?:e-?[0-9]+)?)(?![\w.-])")

Done = subprocess.CompletedProcess[str]


def crdnd(home: Path, *words: str | Path) -> Done:
    """`crdnd WORDS` in this folder, whose runs and data it uses; with no settings and no terminal."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CRDND", "XDG", "NO_COLOR"))}
    fixed = {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", "COLUMNS": "120", "TZ": "UTC", "HOME": str(home),
             "OMP_NUM_THREADS": "1", "CRDND_RUNS": "runs", "CRDND_DATA": "data"}  # fmt: skip
    return program()(*map(str, words), cwd=home, env=kept | fixed)


@cache
def program() -> Program:
    started = Program(Path(tempfile.mkdtemp()))
    atexit.register(started.close)
    return started


def recorded(home: Path) -> Path:
    """A home with copies of the recorded runs."""
    for run in sorted(RECORDED.iterdir()):
        copy = home / "runs" / run.name
        shutil.copytree(run, copy, ignore=shutil.ignore_patterns("*.gz"))
        (copy / "events.jsonl").write_bytes(gzip.decompress((run / "events.jsonl.gz").read_bytes()))
    return home


def kept(home: Path) -> Path:
    """A home with copies of the runs that lie here."""
    shutil.copytree(RUNS, home / "runs")
    return home


def run_of(home: Path, *words: str) -> str:
    """The one run there whose id has these words."""
    (found,) = (path.name for path in (home / "runs").glob("2*") if all(word in path.name for word in words))
    return found


def settled(text: str, home: Path) -> str:
    """Without what differs between two calls: folders, the time of an export, the program's version."""
    for folder, name in ((home, "HOME"), (home.resolve(), "HOME"), (ROOT, "TREE")):
        text = text.replace(str(folder), name)
    text = re.sub(r'("made": )[0-9.]+', r"\g<1>0", text)
    return re.sub(rf'("version": )"{re.escape(metadata.version("crdnd-tui"))}"', r'\g<1>"VERSION"', text)


def held(name: str, value: Any, *, same: Callable[[Any, Any], bool] | None = None, packed: bool = False) -> None:
    """`value` is what data/NAME.json holds, or as good as that; `packed` is for long ones."""
    path = HERE / "data" / f"{name}.json{'.gz' if packed else ''}"
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    if NEW:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode(), mtime=0) if packed else text.encode())
        return
    stored = gzip.decompress(path.read_bytes()).decode() if packed else path.read_text(encoding="utf-8")
    before, now = json.loads(stored), json.loads(text)
    if before == now or (same is not None and same(before, now)):
        return
    lines = list(difflib.unified_diff(_lines(before), _lines(now), "golden", "now", lineterm="", n=1))
    more = [f"... and {len(lines) - SHOWN} lines more"] if len(lines) > SHOWN else []
    raise AssertionError("\n".join([f"{path.name} is not what it was:", *lines[:SHOWN], *more]))


def close(before: Any, now: Any) -> bool:
    """Equal but for the last digits of floats, in values and in texts: quantiles differ there between libraries."""
    if isinstance(before, dict) and isinstance(now, dict):
        return list(before) == list(now) and all(close(value, now[key]) for key, value in before.items())
    if isinstance(before, list) and isinstance(now, list):
        return len(before) == len(now) and all(map(close, before, now))
    if isinstance(before, float) and isinstance(now, float):
        return before == now or math.isclose(before, now, rel_tol=1e-12, abs_tol=1e-12)
    if isinstance(before, str) and isinstance(now, str):
        parts, others = NUMBER.split(before), NUMBER.split(now)
        return parts[::2] == others[::2] and all(map(_close_words, parts[1::2], others[1::2]))
    return type(before) is type(now) and bool(before == now)


def _close_words(before: str, now: str) -> bool:
    """What is written with few digits is the same text."""
    return before == now or (min(len(before), len(now)) > 14 and close(float(before), float(now)))


def _lines(value: Any) -> list[str]:
    """For reading; texts of many lines are laid open."""
    return json.dumps(value, indent=1, ensure_ascii=False).replace("\\n", "\n").splitlines()
