"""The file of a figure, read without trust: what it says, why it cannot be believed, or that there is none."""

import os
from collections.abc import Callable
from typing import Protocol, TypeVar

import msgspec

from crdnd_tui.core.agreement import Place
from crdnd_tui.core.text import one_line
from engine.spec import files
from engine.spec.rundir import RunDir

Stamp = tuple[int, ...]  # of a file


class Judged(msgspec.Struct):
    """Of a record what a list holds against the status; the rest is passed over, for a list may have 10,000 runs."""

    checkpoint: str
    attack: str
    accuracy: float


judged = msgspec.json.Decoder(Judged).decode


class Told(Protocol):
    """What every record says."""

    @property
    def checkpoint(self) -> str:
        """`best` or `last`."""

    @property
    def attack(self) -> str:
        """Its key."""


T = TypeVar("T", bound=Told)


def read(run: RunDir, place: Place, decode: Callable[[bytes], T]) -> T | str | None:
    """The record of a figure; words where it cannot be believed, None where there is none."""
    if not _are_names(place):
        return None
    path = run.result(*place)
    content = None if run.leads_out(path) else files.read(path, files.RESULT_CAP)
    if content is None:
        return "its record is no regular file that can be read" if os.path.lexists(path) else None
    try:
        record = files.parsed(content, decode)
    except files.MalformedError as error:
        return f"its record is damaged: {one_line(str(error), 160)}"
    return record if (record.checkpoint, record.attack) == place else "its record is of another attack or checkpoint"


def stamp(run: RunDir, place: Place) -> Stamp | None:
    """What changes with the file of a figure; None where there is none."""
    if not _are_names(place):
        return None
    path = run.result(*place)
    try:
        facts = os.lstat(path)
    except OSError:
        return None
    return run.leads_out(path), facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


def _are_names(place: Place) -> bool:
    """Whether neither leads anywhere else."""
    return all(word and "/" not in word and "\0" not in word and not word.startswith(".") for word in place)
