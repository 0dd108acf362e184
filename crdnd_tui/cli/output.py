"""All that commands print: data to stdout, words about it to stderr. Nothing of a file is taken for markup."""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from crdnd_tui.core.text import display
from engine.spec.errors import ConfigError

if TYPE_CHECKING:
    from crdnd_tui.write.document import Document

OK, FAILED, USAGE, STOPPED, NOT_COMPARABLE, INTERRUPTED = 0, 1, 2, 3, 4, 130  # exit codes


def narration() -> Console:
    """Of stderr."""
    return Console(file=sys.stderr, markup=False, highlight=False, emoji=False)


def data() -> Console:
    """Of stdout."""
    return Console(file=sys.stdout, markup=False, highlight=False, emoji=False)


def is_lively(console: Console) -> bool:
    """Whether something may be redrawn in place: a terminal that moves its cursor, with colours."""
    return console.is_terminal and not console.is_dumb_terminal and not console.no_color


def show(lines: Iterable[Text]) -> None:
    """Lines of data."""
    console = data()
    for line in lines:
        console.print(line, soft_wrap=True)


def show_text(text: str) -> None:
    """Data as it is, such as a config; steering characters marked."""
    sys.stdout.write("".join(display(line, 1 << 16) for line in text.splitlines(keepends=True)))
    sys.stdout.flush()


def show_file(text: str) -> None:
    """What a file would hold, for a pipe: UTF-8 wherever it goes, lines of any length. Its writer has escaped it."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode())
    sys.stdout.buffer.flush()


def show_json(value: Any, indent: int | None = 2) -> None:  # noqa: ANN401  any JSON
    """One JSON value, in ASCII, so that it can steer no terminal; numbers that are not finite are null."""
    text = json.dumps(_finite(value), indent=indent, allow_nan=False)
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
    narration().print(Text(display(words), style), soft_wrap=True)


def say_all(lines: Iterable[tuple[str, str]]) -> None:
    """Words and the style of each line."""
    for words, style in lines:
        say(words, style)


def check_target(to: str, out: str, *, as_json: bool) -> None:
    """ConfigError for options of a command that prints a page unless --to names a format."""
    if out and not to:
        raise ConfigError(["-o: name the format with --to"])
    if to and as_json:
        raise ConfigError(["--json is --to json: leave one of them out"])
    from crdnd_tui.write import formats

    if to and not formats.known(to).is_document:
        raise ConfigError([f"--to {to}: only `crdnd export` writes that"])


def put_document(
    document: "Document", page: Callable[..., list[Text]], to: str, out: str, *, names: Sequence[str], force: bool
) -> None:
    """Print the page, or in a format: text to stdout, or files whose paths are printed, one a line."""
    from crdnd_tui.write import formats, writing

    if not to:
        show(page(width=data().width))
        return
    form = formats.known(to)
    if out in ("", formats.STDOUT):
        show_file(writing.text(document, form))
        return
    path = formats.target(names, form, out, Path())
    show_paths(map(formats.relative, writing.write(document, form, path, force=force)))


def show_paths(paths: Iterable[str]) -> None:
    """What lies there now, each once."""
    sys.stdout.write("".join(display(path) + "\n" for path in dict.fromkeys(paths)))
    sys.stdout.flush()
