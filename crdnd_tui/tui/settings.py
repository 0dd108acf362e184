"""What is remembered between sittings: a small file of the user's, `crdnd/settings.toml` among the other settings.

A file that is damaged or cannot be read counts as none; lines that are not ours stay. It may be a link.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from engine.spec import files
from engine.spec.toml_text import MARK

CAP = 1 << 16  # bytes


def place(environment: Mapping[str, str]) -> Path | None:
    """Where the file lies, whether it is there or not; None for a user without a home."""
    base, home = Path(environment.get("XDG_CONFIG_HOME", "")), Path(environment.get("HOME", ""))
    if not base.is_absolute():  # which the XDG rules say to pass over
        base = home / ".config"
    return base / "crdnd" / "settings.toml" if base.is_absolute() else None


def remembered(path: Path | None, key: str) -> str:
    """The word under this key; empty when there is none."""
    table = files.decoded(os.path.realpath(path), files.toml_table, CAP) if path is not None else None
    word = (table or {}).get(key, "")
    return word if isinstance(word, str) else ""


def remember(path: Path, key: str, word: str) -> None:
    """Write a word of letters and digits; the other lines stay as they are. OSError when that is not possible."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = f'{key} = "{word}"\n'
    real = Path(os.path.realpath(path))
    try:
        before = files.content_of(real, CAP).decode("utf-8", "surrogateescape").removeprefix(MARK)
    except FileNotFoundError:
        before = ""
    after, found = re.subn(rf"(?m)^{re.escape(key)}[ \t]*=.*(\n|\Z)", line, before, count=1)
    if not found:
        after = line + after  # before the first table, to which it would belong otherwise
    files.write_atomically(real, after.encode("utf-8", "surrogateescape"))
