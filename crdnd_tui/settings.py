"""What is remembered between sittings: a small file of the user's, `crdnd/settings.toml` among the other settings.

A file that is damaged or cannot be read counts as none; lines that are not ours stay. It may be a link.
"""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

CAP = 1 << 16  # bytes


def place(environment: Mapping[str, str]) -> Path | None:
    """Where the file lies, whether it is there or not; None for a user without a home."""
    base, home = Path(environment.get("XDG_CONFIG_HOME", "")), Path(environment.get("HOME", ""))
    if not base.is_absolute():  # which the XDG rules say to pass over
        base = home / ".config"
    return base / "crdnd" / "settings.toml" if base.is_absolute() else None


def remembered(path: Path | None, key: str) -> str:
    """The word under this key; empty when there is none."""
    content = _read(path) if path is not None else ""
    if not content:
        return ""
    import tomllib  # noqa: PLC0415  the first paint waits for it only where there is something to read

    try:
        word = tomllib.loads(content).get(key, "")
    except (tomllib.TOMLDecodeError, RecursionError):
        return ""
    return word if isinstance(word, str) else ""


def remember(path: Path, key: str, word: str) -> None:
    """Write a word of letters and digits; the other lines stay as they are. OSError when that is not possible."""
    from engine.spec.files import write_atomically  # noqa: PLC0415  nor for this

    line = f'{key} = "{word}"\n'
    after, found = re.subn(rf"(?m)^{re.escape(key)}[ \t]*=.*(\n|\Z)", line, _read(path), count=1)
    if not found:
        after = line + after  # before the first table, to which it would belong otherwise
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path.resolve(), after.encode())


def _read(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        return os.read(descriptor, CAP).decode("utf-8-sig") if regular else ""
    except (OSError, ValueError):
        return ""
    finally:
        os.close(descriptor)
