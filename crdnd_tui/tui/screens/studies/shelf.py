"""Which studies there are: shipped ones, those beside the runs, those that were queued here, those that were opened.

What is wrong with a file is told with the file; a study is read again only when it or one of its presets changed.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from crdnd_tui.core import presets
from crdnd_tui.queue import snapshot
from crdnd_tui.study.file import read_study
from crdnd_tui.study.study import Study
from engine.spec import files
from engine.spec.errors import CrdndError

FOLDER = "studies"  # beside the folder of the runs
MOST = 60  # files of that folder

_Stamp = tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A study file: what it says, or what is wrong with it."""

    key: str  # its whole path, without links
    name: str  # as commands take it: a shipped name, or the path
    study: Study | None = None
    problems: tuple[str, ...] = ()  # not yet safe to show


class Shelf:
    """Remembers what it read. Blocks: not for the event loop."""

    def __init__(self, runs: Path) -> None:
        self._runs = runs
        self._read: dict[str, tuple[_Stamp, Entry]] = {}

    def entries(self, opened: Iterable[Path] = ()) -> list[Entry]:
        """All of them, shipped ones first, each file once."""
        names = {os.path.realpath(path): name for name, path in presets.shipped_studies().items()}
        for path in (*opened, *self._local(), *self._queued()):
            names.setdefault(os.path.realpath(path), os.path.abspath(path))  # noqa: PTH100  links keep their names
        return [self._entry(place, name) for place, name in names.items()]

    def forget_mistakes(self) -> None:
        """Broken files are read again, for what they lacked may lie in another one."""
        self._read = {key: known for key, known in self._read.items() if not known[1].problems}

    def _local(self) -> list[Path]:
        folder = self._runs.parent / FOLDER
        try:
            return sorted(folder.glob("*.toml"))[:MOST]
        except OSError:
            return []

    def _queued(self) -> Iterator[Path]:
        """Files of studies that were queued here, as far as they are still there."""
        for note in snapshot.study_notes(self._runs):
            path = Path(note.path)
            if "\0" not in note.path and path.suffix == ".toml" and path.is_absolute() and files.is_file(path):
                yield path

    def _entry(self, place: str, name: str) -> Entry:
        stamp, known = None, self._read.get(place)
        if known is not None:
            stamp = _stamp(place, known[1].study)
            if stamp == known[0]:
                return known[1]
        entry = _read(place, name)
        self._read[place] = _stamp(place, entry.study), entry
        return entry


def _read(place: str, name: str) -> Entry:
    try:
        return Entry(key=place, name=name, study=read_study(Path(place)))
    except CrdndError as error:
        problems = getattr(error, "problems", None) or str(error).splitlines()
        return Entry(key=place, name=name, problems=tuple(problems))
    except OSError as error:
        return Entry(key=place, name=name, problems=(f"{place}: {error.strerror or error}",))


def _stamp(place: str, study: Study | None) -> _Stamp:
    """Changes with the file and with the presets that it names."""
    presets = dict.fromkeys(cell.preset for cell in study.cells) if study else ()
    return tuple(_times(path) for path in (place, *presets))


def _times(path: str | Path) -> tuple[int, int]:
    try:
        found = os.stat(path)  # noqa: PTH116  a name of any kind
    except (OSError, ValueError):
        return 0, 0
    return found.st_mtime_ns, found.st_size
