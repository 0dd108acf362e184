"""A document -> files: whole or not there, and nothing that lies there is replaced unless that was asked for.

A document in one piece is one file. Where each table or figure is a file of its own, and there are several, their keys
stand in their names: `table.csv` becomes `table-results.csv` and `table-differences.csv`.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from crdnd_tui.core.text import display
from crdnd_tui.write import data, render
from crdnd_tui.write.document import Document
from crdnd_tui.write.formats import ExportFormat
from engine.spec.errors import ConfigError, CrdndError
from engine.spec.files import write_atomically

_BESIDE: Mapping[str, Literal["svg", "pdf"]] = {"markdown": "svg", "latex": "pdf"}  # figures that lie beside a text
_TEXTS: Mapping[str, Callable[..., str]] = {
    "markdown": render.markdown, "latex": render.latex, "json": data.json_text, "html": render.html,
}  # fmt: skip
_FOREIGN = re.compile(r"[^\w.-]+")


def write(document: Document, form: ExportFormat, path: Path, *, force: bool = False) -> list[Path]:
    """Write the document in this format; the files that were written.

    `path` is the file; a suffix of another kind stays as it is. Figures lie beside Markdown as SVG, beside LaTeX as
    PDF. CrdndError when a file lies there and `force` is not given, or when the document has nothing for this format.
    OSError when the disk refuses. A figure that lies there already, the same, may stay.
    """
    beside = _BESIDE.get(form.name)
    if beside:
        targets = _illustrated(document, path, form, beside)
    else:
        pieces = rendered(document, form)
        targets = {named(path, key if len(pieces) > 1 else ""): content for key, content in pieces.items()}
    for target, content in targets.items():
        is_figure = form.kind == "figure" or (beside is not None and target != path)
        check([target], force=force or (is_figure and _lies_there(target, content)))
    for target, content in targets.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, content)
    return list(targets)


def _illustrated(document: Document, path: Path, form: ExportFormat, kind: Literal["svg", "pdf"]) -> dict[Path, bytes]:
    """The text, and the figures that it shows beside it."""
    from crdnd_tui.write import figures  # noqa: PLC0415  matplotlib, which only figures need

    stem = path.stem if kind == "svg" else _FOREIGN.sub("-", path.stem)  # TeX does not read all names
    shown = [one for one in document.figures if not one.is_empty]
    beside = {one.key: named(path.with_name(f"{stem}.{kind}"), one.key) for one in shown}
    drawn = {beside[one.key]: figures.render(one, kind, origins=document.origins, bare=kind == "pdf") for one in shown}
    text: str = _TEXTS[form.name](document, figures={key: one.name for key, one in beside.items()})
    return {path: text.encode(), **drawn}


def rendered(document: Document, form: ExportFormat) -> dict[str, bytes]:
    """Content by the key of its table or figure; one piece has the key ""."""
    match form.name:
        case "markdown" | "latex" | "json" | "html" as name:
            return {"": _TEXTS[name](document).encode()}
        case "csv":
            sheets = {one.key: data.csv_table(one, document).encode() for one in document.tables}
            sheets |= {"curves": data.csv_figures(document).encode()} if document.figures else {}
        case "svg" | "png" | "pdf" as kind:
            from crdnd_tui.write import figures  # noqa: PLC0415  matplotlib, which only figures need

            sheets = {one.key: figures.render(one, kind, origins=document.origins) for one in document.figures}
        case _:
            raise CrdndError(f"a document cannot be written as {form.name}")
    if not sheets:
        what = "table" if form.kind == "text" else "figure"
        raise CrdndError(f"there is no {what} to write as {form.name}", hint="Was the run trained and judged?")
    return sheets


def text(document: Document, form: ExportFormat) -> str:
    """For a pipe. Several tables as CSV are one, a number a line; ConfigError when the format is no text."""
    if form.kind != "text" and form.name != "svg":
        raise ConfigError([f"{form.name} is no text: name a file with -o"])
    pieces = rendered(document, form)
    if form.name == "csv" and len(pieces) > 1:
        return data.csv_cells(document)
    if len(pieces) > 1:
        pick = f"`crdnd export` with --figure picks one of {', '.join(pieces)}"
        raise ConfigError([f"-o -: there are {len(pieces)} figures; name a file, or {pick}"])
    return next(iter(pieces.values())).decode()


def picked(document: Document, tables: Collection[str], figures: Collection[str]) -> Document:
    """With these tables and figures only, by their keys; all of both when neither is named."""
    if not tables and not figures:
        return document
    _known(tables, [one.key for one in document.tables], "--only", "table")
    _known(figures, [one.key for one in document.figures], "--figure", "figure")
    return replace(
        document,
        tables=tuple(one for one in document.tables if one.key in tables),
        figures=tuple(one for one in document.figures if one.key in figures),
        pictures=(),
    )


def named(path: Path, key: str) -> Path:
    """The file of one piece: its key before the suffix."""
    return path.with_name(f"{path.stem}-{_FOREIGN.sub('-', key)}{path.suffix}") if key else path


def check(targets: Iterable[Path], *, force: bool) -> None:
    """CrdndError when one of these may not be written: it is there, is a folder, or lies in a run's folder."""
    for target in targets:
        if target.is_dir():
            raise CrdndError(f"{target} is a folder", hint="Name a file in it.")
        for folder in (inside := target.parent.resolve(), *inside.parents):
            if folder.is_file():
                raise CrdndError(f"{folder} is a file, no folder", hint="-o names another one.")
            if (folder / "config.toml").exists() and (folder / "events.jsonl").exists():
                raise CrdndError(f"{target} lies in the folder of a run, which is its engine's alone")
        if target.exists() and not force:
            raise CrdndError(f"{target} exists", hint="--force replaces it; -o names another file.")


def _lies_there(target: Path, content: bytes) -> bool:
    """Whether the file has this very content already, so that nothing is lost."""
    return target.is_file() and target.stat().st_size == len(content) and target.read_bytes() == content


def _known(wanted: Collection[str], there: Sequence[str], option: str, what: str) -> None:
    unknown = [key for key in wanted if key not in there]
    if unknown:
        may = f"it may be {', '.join(there)}" if there else f"there is no {what} here"
        raise ConfigError([f"{option}: no {what} `{display(unknown[0], 80)}`; {may}"])
