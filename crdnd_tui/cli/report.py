"""crdnd report: the tables of a study, with what is in print beside what was measured."""

import time
from dataclasses import replace
from pathlib import Path

from rich.text import Text

from crdnd_tui.cli import outlet, output, page_parts
from crdnd_tui.core import presets
from crdnd_tui.core.report import wrapped
from crdnd_tui.study.file import read_study
from crdnd_tui.write import study_document, tables
from crdnd_tui.write.document import Document
from engine.spec.errors import ConfigError

_LEFT = "Left out here, but in every file that --to writes: best against last, classes, keys that differ."
CHECKPOINTS = ("", "best", "last")


def report(
    name: str,
    folder: Path,
    *,
    checkpoint: str = "",
    as_json: bool = False,
    to: str = "",
    out: str = "",
    force: bool = False,
) -> int:
    """Print the report, or write it down; at any time, for what has not run says so in its row."""
    if checkpoint not in CHECKPOINTS:
        raise ConfigError([f"--checkpoint: no checkpoint `{checkpoint}`; it may be best or last"])
    outlet.check(to, out, as_json=as_json)
    study = read_study(presets.resolve_study(name))
    document = study_document.study_document(study, folder, checkpoint=checkpoint, now=time.time())
    if to or as_json:
        outlet.put(document, to or "json", out, names=(study.name,), force=force)
    else:
        console = output.data()
        output.show(_page(document, console.width, ascii_only=output.is_ascii(console)))
    return 0


def _page(document: Document, width: int, *, ascii_only: bool) -> list[Text]:
    """Tables but for the appendix, the trade-off of each as a plot, and where the numbers come from."""
    shown = tuple(table for table in document.tables if not table.appendix)
    bare = replace(document, tables=shown, origins=(), made=0.0, version="")
    made = tables.document_lines(bare, width, ascii_only=ascii_only)
    if len(shown) < len(document.tables):
        made += [Text(), *wrapped(_LEFT, width, "dim")]
    for figure in document.figures:
        if figure.kind == "scatter":
            made += [Text(), *page_parts.points(figure, width, caption=figure.caption, ascii_only=ascii_only)]
    return [*made, *page_parts.behind(document, width, ascii_only=ascii_only)]
