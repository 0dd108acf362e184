"""crdnd doctor: whether this machine can do the work. Every check is tried for real; torch is not imported."""

import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from rich.text import Text

from crdnd_tui.cli import output
from crdnd_tui.cli.options import Data, Json, Runs
from crdnd_tui.core.text import encodes_unicode, one_line
from engine.spec.process import usable_cpus

Level = Literal["ok", "note", "bad"]
_SIGNS = {"ok": ("\u2713", "green"), "note": ("\u00b7", "yellow"), "bad": ("\u2717", "red")}
MIN_FREE = 2 << 30  # bytes: checkpoints of one CIFAR run, with room for its results


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    level: Level
    found: str


def doctor(as_json: Json = False, data: Data = Path("data"), runs: Runs = Path("runs")) -> int:
    """Say whether this machine can do the work."""
    checks = [*_software(), *_device(), *_disk(runs), *_data_sets(data), *_terminal()]
    if as_json:
        output.show_json([asdict(check) for check in checks])
    else:
        for check in checks:
            sign, style = _SIGNS[check.level]
            name = f"{check.name:<12} "
            output.show([Text.assemble((f"{sign} ", style), (name, "bold"), one_line(check.found, 300))])
    return 1 if any(check.level == "bad" for check in checks) else 0


def _software() -> Iterator[Finding]:
    yield Finding("crdnd", "ok", f"{_version('crdnd-tui') or 'source tree, not installed'}")
    python = platform.python_version()
    yield Finding("python", "ok" if sys.version_info >= (3, 11) else "bad", f"{python} at {sys.executable}")
    for package in ("torch", "torchvision", "pyautoattack"):
        version = _version(package)
        yield Finding(package, "ok" if version else "bad", version or "missing: pip install crdnd-tui")


def _version(package: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _device() -> Iterator[Finding]:
    """GPUs as the driver sees them, and the CPU."""
    from crdnd_tui.core import gpu
    from crdnd_tui.core.format import size

    yield Finding("cpu", "ok", f"{usable_cpus()} cores for us")
    for card in (found := gpu.cards()):
        free = f"{size(card.total - card.used)} of {size(card.total)} free"
        yield Finding("gpu", "ok", f"cuda:{card.index} {card.name}, {free}")
    if not found:
        yield Finding("gpu", "note", f"none ({gpu.why_none()}); runs use the CPU")


def _disk(runs: Path) -> Iterator[Finding]:
    """Room, and locks that work: two descriptors of one file must not both get it."""
    import tempfile

    from crdnd_tui.core.format import size
    from engine.spec import locks
    from engine.spec.files import free_bytes

    folder = runs
    while not folder.exists():
        folder = folder.parent
    free = free_bytes(folder)
    if free is None:
        yield Finding("disk", "note", f"the file system does not tell how much is free for runs in {runs}")
    else:
        yield Finding("disk", "ok" if free > MIN_FREE else "bad", f"{size(free)} free for runs in {runs}")
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as first, Path(first.name).open("rb") as second:
            if locks.try_lock(first.fileno()) is None:
                yield Finding("locks", "note", locks.NO_LOCKS)
            elif locks.try_lock(second.fileno()):
                yield Finding("locks", "bad", "flock does not exclude here: two engines could work on one run")
            else:
                yield Finding("locks", "ok", "flock works where the runs lie")
    except OSError as error:
        yield Finding("locks", "bad", f"no file can be made and locked in {folder}: {error.strerror}")


def _data_sets(data: Path) -> Iterator[Finding]:
    yield Finding("digits", "ok" if _version("scikit-learn") else "bad", "comes with scikit-learn")
    for name, place in (("cifar10", data / "cifar-10-batches-py"), ("cifar100", data / "cifar-100-python")):
        if place.is_dir():
            yield Finding(name, "ok", str(place))
        else:
            yield Finding(name, "note", f"not in {data}; fetched when needed")


def _terminal() -> Iterator[Finding]:
    console = output.data()
    unicode = encodes_unicode(console.encoding)
    yield Finding("encoding", "ok" if unicode else "note", console.encoding + ("" if unicode else ": ASCII bars"))
    if not console.is_terminal:
        yield Finding("terminal", "note", "stdout is no terminal: plain lines")
        return
    colours = console.color_system or "no colours"
    reason = " (NO_COLOR is set)" if os.environ.get("NO_COLOR") else ""
    width, height = console.size
    yield Finding("terminal", "ok", f"{os.environ.get('TERM', '?')}, {width} x {height}, {colours}{reason}")
