"""crdnd doctor: whether this machine can do the work. Every check is tried for real; torch is not imported."""

import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from rich.text import Text

from crdnd_tui.cli import output
from crdnd_tui.core.format import size
from crdnd_tui.core.text import encodes_unicode, one_line
from engine.spec import locks
from engine.spec.files import free_bytes
from engine.spec.locks import NO_LOCKS
from engine.spec.process import usable_cpus

Level = Literal["ok", "note", "bad"]
_SIGNS = {"ok": ("\u2713", "green"), "note": ("\u00b7", "yellow"), "bad": ("\u2717", "red")}
MIN_FREE = 2 << 30  # bytes: checkpoints of one CIFAR run, with room for its results


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    level: Level
    found: str


def doctor(runs: Path, data: Path, *, as_json: bool) -> int:
    """Exit code 0 when nothing stands in the way."""
    checks = [*_software(), *_device(), *_disk(runs), *_data_sets(data), *_terminal()]
    if as_json:
        output.show_json([asdict(check) for check in checks])
    else:
        output.show(_line(check) for check in checks)
    return 1 if any(check.level == "bad" for check in checks) else 0


def _line(check: Check) -> Text:
    sign, style = _SIGNS[check.level]
    return Text.assemble((f"{sign} ", style), (f"{check.name:<12} ", "bold"), one_line(check.found, 300))


def _software() -> Iterator[Check]:
    yield Check("crdnd", "ok", f"{_version('crdnd-tui') or 'source tree, not installed'}")
    python = platform.python_version()
    yield Check("python", "ok" if sys.version_info >= (3, 11) else "bad", f"{python} at {sys.executable}")
    for package in ("torch", "torchvision", "pyautoattack"):
        version = _version(package)
        yield Check(package, "ok" if version else "bad", version or "missing: pip install crdnd-tui")


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _device() -> Iterator[Check]:
    """GPUs as the driver sees them, and the CPU."""
    yield Check("cpu", "ok", f"{usable_cpus()} cores for us")
    try:
        import pynvml
    except ModuleNotFoundError:
        yield Check("gpu", "note", "cannot tell: nvidia-ml-py is missing")
        return
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        yield Check("gpu", "note", f"none ({error}); runs use the CPU")
    else:
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
            name = str(pynvml.nvmlDeviceGetName(handle))
            yield Check("gpu", "ok", f"cuda:{index} {name}, {size(memory.free)} of {size(memory.total)} free")
        pynvml.nvmlShutdown()


def _disk(runs: Path) -> Iterator[Check]:
    """Room, and locks that work: two descriptors of one file must not both get it."""
    folder = runs
    while not folder.exists():
        folder = folder.parent
    free = free_bytes(folder)
    if free is None:
        yield Check("disk", "note", f"the file system does not tell how much is free for runs in {runs}")
    else:
        yield Check("disk", "ok" if free > MIN_FREE else "bad", f"{size(free)} free for runs in {runs}")
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as first, Path(first.name).open("rb") as second:
            locks.try_lock(first.fileno())
            if locks.try_lock(second.fileno()):
                yield Check("locks", "bad", "flock does not exclude here: two engines could work on one run")
            else:
                yield Check("locks", "ok", "flock works where the runs lie")
    except locks.LocksMissingError as error:
        yield Check("locks", "note", f"{NO_LOCKS} ({error.strerror})")
    except OSError as error:
        yield Check("locks", "bad", f"no file can be made and locked in {folder}: {error.strerror}")


def _data_sets(data: Path) -> Iterator[Check]:
    yield Check("digits", "ok" if _version("scikit-learn") else "bad", "comes with scikit-learn")
    for name, folder in (("cifar10", "cifar-10-batches-py"), ("cifar100", "cifar-100-python")):
        here = (data / folder).is_dir()
        yield Check(
            name, "ok" if here else "note", str(data / folder) if here else f"not in {data}; fetched when needed"
        )


def _terminal() -> Iterator[Check]:
    console = output.data()
    unicode = encodes_unicode(console.encoding)
    yield Check("encoding", "ok" if unicode else "note", console.encoding + ("" if unicode else ": ASCII bars"))
    if not console.is_terminal:
        yield Check("terminal", "note", "stdout is no terminal: plain lines")
        return
    colours = console.color_system or "no colours"
    reason = " (NO_COLOR is set)" if os.environ.get("NO_COLOR") else ""
    width, height = console.size
    yield Check("terminal", "ok", f"{os.environ.get('TERM', '?')}, {width} x {height}, {colours}{reason}")
