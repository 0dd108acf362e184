"""A document on its way out of a command: to stdout, or to the file or folder that was named."""

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from crdnd_tui.cli import output
from crdnd_tui.core.text import display
from crdnd_tui.write import formats
from crdnd_tui.write.document import Document
from crdnd_tui.write.formats import Format
from engine.spec.errors import ConfigError

STDOUT = "-"


def check(to: str, out: str, *, as_json: bool) -> None:
    """ConfigError for options of a command that prints a page unless --to names a format."""
    if out and not to:
        raise ConfigError(["-o: name the format with --to"])
    if to and as_json:
        raise ConfigError(["--json is --to json: leave one of them out"])
    if to and formats.known(to).kind not in ("text", "figure"):
        raise ConfigError([f"--to {to}: only `crdnd export` writes that"])


def put(document: Document, to: str, out: str, *, names: Sequence[str], force: bool) -> None:
    """Text to stdout unless a file or a folder is named; then the paths of what was written, one a line."""
    from crdnd_tui.write import writing

    form = formats.known(to)
    if out in ("", STDOUT):
        output.show_file(writing.text(document, form))
        return
    tell(formats.relative(path) for path in writing.write(document, to, place(names, form, out), force=force))


def tell(paths: Iterable[str]) -> None:
    """What lies there now, each once."""
    sys.stdout.write("".join(display(path) + "\n" for path in dict.fromkeys(paths)))
    sys.stdout.flush()


def place(names: Sequence[str], form: Format, out: str, *, many: bool = False) -> Path:
    """The file: as it was named, with the format's suffix when it has none, or in the folder that was named."""
    path = Path(out).expanduser()
    if out.endswith(os.sep) or path.is_dir():
        return path / formats.file_name(tuple(names), form)
    if many:
        raise ConfigError([f"-o {display(out, 200)}: for several runs name a folder, with a / at its end"])
    return path if path.suffix else path.with_name(path.name + form.suffix)
