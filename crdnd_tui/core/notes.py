"""What a person says of a run: tags, a note, a pin, in `notes.toml` of its folder. Ours alone: no engine reads it.

A file that is damaged or too large reads as no notes; whoever then writes replaces it.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from crdnd_tui.core.text import display
from engine.spec import files
from engine.spec.files import write_atomically

NAME = "notes.toml"
CAP = 1 << 16  # bytes
MAX_TAGS = 16
MAX_TAG = 32  # characters
MAX_NOTE = 2000

_NO_TAG = re.compile(r"[\s,#\"()]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunNotes:
    """Safe to show."""

    tags: tuple[str, ...] = ()
    note: str = ""
    pinned: bool = False


NONE = RunNotes()


def read(folder: Path) -> RunNotes:
    """Of a run folder; NONE when there are none that can be read."""
    table = files.decoded(folder / NAME, files.toml_table, CAP)
    if table is None:
        return NONE
    tags, note = table.get("tags"), table.get("note")
    return RunNotes(
        tags=clean_tags(word for word in tags if isinstance(word, str)) if isinstance(tags, list) else (),
        note=display(note, MAX_NOTE) if isinstance(note, str) else "",
        pinned=table.get("pinned") is True,
    )


def write(folder: Path, notes: RunNotes) -> None:
    """Replace the notes of a run; empty ones are taken away. OSError when the folder cannot be written."""
    path = folder / NAME
    if notes == NONE:
        path.unlink(missing_ok=True)
        return
    import tomlkit  # noqa: PLC0415  only writing needs it

    table = {"tags": list(notes.tags), "note": notes.note, "pinned": notes.pinned}
    if path.is_dir():
        raise OSError(f"{os.fspath(path)} is a folder")
    write_atomically(path, tomlkit.dumps(table).encode())


def clean_tags(words: Iterable[str]) -> tuple[str, ...]:
    """As tags may be: without spaces, commas, quotes and #, each once, in the order given, not too many."""
    shown = (_NO_TAG.sub("", display(word, MAX_TAG)) for word in words)
    return tuple(dict.fromkeys(word for word in shown if word))[:MAX_TAGS]
