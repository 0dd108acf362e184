"""A document as CSV, for spreadsheets and pandas, and as JSON: every number unrounded, with the runs that it is of.

In CSV numbers are bare and words are never formulas; in JSON what is not finite is null.
"""

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from io import StringIO
from typing import Any

from crdnd_tui.core.format import finite
from crdnd_tui.write.document import Bar, Cell, Document, Figure, Row, Series, Table
from crdnd_tui.write.escape import spreadsheet
from crdnd_tui.write.numbers import BARRED, cell_texts, row_label

SCHEMA = 1  # of the JSON; goes up when a key changes its meaning or goes away
_CELLS = ("table", "group", "row", "column", "title", "unit", "value", "std", "low", "high", "n", "runs", "text",
          "best", "significant", "barred", "notes", "run_ids", "config_hashes", "severity", "believed",
          "marks")  # fmt: skip
_POINTS = ("figure", "series", "x", "y", "low", "high", "run_ids", "config_hashes", "severity", "believed", "marks")
_SPREADS = ("std", "low", "high")
_Field = str | float | int | bool | None


def csv_cells(document: Document) -> str:
    """All tables in long form, one line for each cell; `n` is empty where it is not known."""
    return _csv(_CELLS, (line for table in document.tables for line in _cells(table, document)))


def csv_table(table: Table, document: Document) -> str:
    """One table as it is read: a line for each row, deviations, intervals and marks in columns of their own."""
    columns = [[row.cells[place] for row in table.rows] for place in range(len(table.columns))]
    parts = [[part for part in _SPREADS if any(finite(getattr(c, part)) is not None for c in cs)] for cs in columns]
    marked = [any(cell.marks or cell.severity for cell in cells) for cells in columns]
    grouped = any(row.group for row in table.rows)
    loose = " ".join(sentence for letter, sentence in table.notes if not letter)  # on the whole table
    head = [*(["group"] if grouped else []), table.head]
    for column, spreads, is_marked in zip(table.columns, parts, marked, strict=True):
        more = ("severity", "believed", "marks") if is_marked else ()
        head += [column.title, *(f"{column.title} {part}" for part in (*spreads, *more))]
    head += ["run_ids", "config_hashes", *(["notes"] if loose else [])]
    lines = []
    for row, group, label in _labelled(table):
        line: list[_Field] = [*([group] if grouped else []), label if row.quiet else row_label(row, table)]
        for cell, spreads, is_marked in zip(row.cells, parts, marked, strict=True):
            line += [_value_or_words(cell), *(finite(getattr(cell, part)) for part in spreads)]
            line += _marks(cell, table.notes) if is_marked else ()
        lines.append([*line, *_runs_of_row(row, table, document), *([loose] if loose else [])])
    return _csv(head, lines)


def csv_figures(document: Document) -> str:
    """All curves, points, bars and cells in long form; x of a bar is its label, of a cell its column.

    Each line has the runs of its own series, else the run of the same label, else all runs of the document.
    """
    return _csv(_POINTS, (line for figure in document.figures for line in _points(figure, document)))


def json_value(document: Document) -> dict[str, Any]:
    """Plain values: schema, title, tables, figures, runs with their config hashes; no viewing copies of images.

    Each cell has its column's key, and the text that tables show for it.
    """
    made: dict[str, Any] = _plain(asdict(document))
    made["pictures"] = [{"caption": one.caption, "height": one.height, "width": one.width} for one in document.pictures]
    for table, plain in zip(document.tables, made["tables"], strict=True):
        for row, words in zip(plain["rows"], cell_texts(table), strict=True):
            for cell, said, column in zip(row["cells"], words, table.columns, strict=True):
                cell |= {"column": column.key, "shown": said.text}
    return {"schema": SCHEMA, **made}


def json_text(document: Document) -> str:
    """ASCII, so that it can steer no terminal."""
    return json.dumps(json_value(document), indent=2, allow_nan=False).replace("\x7f", "\\u007f") + "\n"


def _labelled(table: Table) -> Iterable[tuple[Row, str, str]]:
    """Each row with its group and label; a quiet one belongs to the one above: `RSLAD: paper`."""
    group = owner = ""
    for row in table.rows:
        group, owner = row.group or group, owner if row.quiet else row.label
        yield row, group, f"{owner}: {row.label}" if row.quiet and owner else row.label


def _cells(table: Table, document: Document) -> Iterable[list[_Field]]:
    for row, group, label in _labelled(table):
        for column, cell in zip(table.columns, row.cells, strict=True):
            yield [
                table.key, group, label, column.key, column.title, row.unit or column.unit, finite(cell.value),
                *(finite(getattr(cell, part)) for part in _SPREADS), cell.n or None, cell.runs, cell.text, cell.best,
                cell.significant, cell.barred, cell.marks, *_runs_of_row(row, table, document),
                *_marks(cell, table.notes),
            ]  # fmt: skip


def _points(figure: Figure, document: Document) -> Iterable[list[_Field]]:
    for series in figure.series:
        runs = _runs_of_series(series.runs, series.label, document)
        for index, (x, y) in enumerate(zip(series.x, series.y, strict=True)):
            band = [finite(side[index]) if side else None for side in (series.low, series.high)]
            yield [figure.key, series.label, finite(x), finite(y), *band, *runs, *_marks(series, figure.notes)]
    for bar in figure.bars:
        runs, ends = _runs_of_series(bar.runs, bar.label, document), (finite(bar.low), finite(bar.high))
        yield [figure.key, bar.series, bar.label, finite(bar.value), *ends, *runs, *_marks(bar, figure.notes)]
    runs = _runs_of_series(figure.runs, "", document)
    for label, line in zip(figure.labels, figure.matrix, strict=False):
        for other, value in zip(figure.labels, line, strict=False):
            yield [figure.key, label, other, finite(value), None, None, *runs, *_marks(figure, figure.notes)]


def _marks(what: Cell | Series | Bar | Figure, notes: Sequence[tuple[str, str]]) -> tuple[str, bool | None, str]:
    """Severity, whether the number is believed, and the sentences of its letters."""
    said = [sentence for letter, sentence in notes if letter and letter in what.marks]
    is_there = not isinstance(what, Cell) or finite(what.value) is not None
    return what.severity or "", what.severity != "red" if is_there else None, " ".join(said)


def _runs_of_row(row: Row, table: Table, document: Document) -> tuple[str, str]:
    """Run ids and config hashes, in the same order, with spaces between; all of them where no row names its own."""
    return _runs(row.runs if any(each.runs for each in table.rows) else list(document.hashes), document)


def _runs_of_series(runs: Sequence[str], label: str, document: Document) -> tuple[str, str]:
    own = [origin.run for origin in document.origins if label and label in (origin.label, origin.run)]
    return _runs(runs or own or list(document.hashes), document)


def _runs(runs: Sequence[str], document: Document) -> tuple[str, str]:
    return " ".join(runs), " ".join(document.hashes.get(run) or "unknown" for run in runs)


def _value_or_words(cell: Cell) -> _Field:
    if cell.barred:
        return f"{BARRED}: {cell.text}" if cell.text else BARRED
    value = finite(cell.value)
    return cell.text if value is None else value


def _csv(head: Sequence[str], lines: Iterable[Sequence[_Field]]) -> str:
    """Words in quotation marks, numbers bare."""

    def field(value: _Field) -> _Field:
        if isinstance(value, bool):
            return "true" if value else "false"
        return spreadsheet(value) if isinstance(value, str) else value

    made = StringIO()
    writer = csv.writer(made, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerows(list(map(field, line)) for line in (head, *lines))
    return made.getvalue()


def _plain(field: Any) -> Any:  # noqa: ANN401  any JSON
    match field:
        case float():
            return finite(field)
        case dict():
            return {key: _plain(item) for key, item in field.items()}
        case list() | tuple():
            return [_plain(item) for item in field]
        case bytes():
            return None
        case _:
            return field
