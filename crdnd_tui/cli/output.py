"""The two ways out: data to stdout, words about it to stderr. Nothing that comes from a file is taken for markup."""

import json
import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.text import Text

from crdnd_tui.core.text import display, encodes_unicode, plain


def narration() -> Console:
    """Of stderr."""
    return Console(file=sys.stderr, markup=False, highlight=False, emoji=False)


def data() -> Console:
    """Of stdout."""
    return Console(file=sys.stdout, markup=False, highlight=False, emoji=False)


def is_ascii(console: Console) -> bool:
    """Whether this console has no bars and rules."""
    return not encodes_unicode(console.encoding)


def show(lines: Iterable[Text]) -> None:
    """Lines of data."""
    console = data()
    for line in lines:
        console.print(Text(plain(line.plain)) if is_ascii(console) else line, soft_wrap=True)


def show_text(text: str) -> None:
    """Data as it is, such as a config; steering characters marked."""
    sys.stdout.write("".join(display(line, 1 << 16) for line in text.splitlines(keepends=True)))
    sys.stdout.flush()


def show_file(text: str) -> None:
    """What a file would hold, for a pipe: UTF-8 wherever it goes, lines of any length. Its writer has escaped it."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode())
    sys.stdout.buffer.flush()


def show_json(value: Any) -> None:  # noqa: ANN401  any JSON
    """One JSON value, in ASCII, so that it can steer no terminal; numbers that are not finite are null."""
    text = json.dumps(_finite(value), indent=2, allow_nan=False)
    sys.stdout.write(text.replace("\x7f", "\\u007f") + "\n")
    sys.stdout.flush()


def _finite(value: Any) -> Any:  # noqa: ANN401  any JSON
    match value:
        case float():
            return value if value - value == 0 else None
        case dict():
            return {str(key): _finite(item) for key, item in value.items()}
        case list() | tuple():
            return [_finite(item) for item in value]
        case _:
            return value


def say(words: str, style: str = "") -> None:
    """A word about what happens."""
    console = narration()
    shown = display(words)
    console.print(Text(plain(shown) if is_ascii(console) else shown, style), soft_wrap=True)
