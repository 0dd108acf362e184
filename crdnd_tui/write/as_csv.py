"""Tables as CSV for spreadsheets and pandas: numbers as numbers, words never as formulas, the runs in every line."""

import csv
from collections.abc import Iterable, Sequence
from io import StringIO

from crdnd_tui.core.format import finite
from crdnd_tui.write.document import Bar, Cell, Document, Figure, Row, Series, Table
from crdnd_tui.write.escape import spreadsheet
from crdnd_tui.write.numbers import BARRED, name

_COLUMNS = ("table", "group", "row", "column", "title", "unit", "value", "std", "low", "high", "n", "runs", "text",
            "best", "significant", "barred", "notes", "run_ids", "config_hashes", "severity", "believed",
            "marks")  # fmt: skip
_CURVES = ("figure", "series", "x", "y", "low", "high", "run_ids", "config_hashes", "severity", "believed", "marks")
_Field = str | float | int | bool | None


def text(document: Document) -> str:
    """All tables in long form, one line for each cell; `n` is empty where it is not known."""
    return _written(_COLUMNS, (line for table in document.tables for line in _long(table, document)))


def wide(table: Table, document: Document) -> str:
    """One table as it is read: a line for each row, deviations and intervals in columns of their own."""
    spreads = [
        [part for part in ("std", "low", "high") if _any(table, place, part)] for place in range(len(table.columns))
    ]
    marked = [any(row.cells[k].marks or row.cells[k].severity for row in table.rows) for k in range(len(table.columns))]
    grouped = any(row.group for row in table.rows)
    head = ["group", table.head] if grouped else [table.head]
    for column, parts, is_marked in zip(table.columns, spreads, marked, strict=True):
        more = ("severity", "believed", "marks") if is_marked else ()
        head += [column.title, *(f"{column.title} {part}" for part in (*parts, *more))]
    lines, group = [], ""
    for row, label in zip(table.rows, _labels(table), strict=True):
        group = row.group or group
        said = label if row.quiet else name(row, table)
        line: list[_Field] = [group, said] if grouped else [said]
        for cell, parts, is_marked in zip(row.cells, spreads, marked, strict=True):
            line += [_value_or_words(cell), *(finite(getattr(cell, part)) for part in parts)]
            line += _marks(cell, table.notes) if is_marked else ()
        lines.append([*line, *_bearers(row, table, document), *([_loose(table)] if _loose(table) else [])])
    loose = ["notes"] if _loose(table) else []
    return _written([*head, "run_ids", "config_hashes", *loose], lines)


def curves(document: Document) -> str:
    """All curves, points, bars and cells in long form; x of a bar is its label, of a cell its column.

    Each line bears the runs of its own series, else the run of the same label, else all runs of the document.
    """
    return _written(_CURVES, (line for figure in document.figures for line in _points(figure, document)))


def _long(table: Table, document: Document) -> Iterable[list[_Field]]:
    group = ""
    for row, label in zip(table.rows, _labels(table), strict=True):
        group = row.group or group
        for column, cell in zip(table.columns, row.cells, strict=True):
            yield [
                table.key, group, label, column.key, column.title, row.unit or column.unit, finite(cell.value),
                finite(cell.std), finite(cell.low), finite(cell.high), cell.n or None, cell.runs, cell.text,
                cell.best, cell.significant, cell.barred, cell.marks, *_bearers(row, table, document),
                *_marks(cell, table.notes),
            ]  # fmt: skip


def _marks(what: Cell | Series | Bar | Figure, notes: Sequence[tuple[str, str]]) -> tuple[str, bool | None, str]:
    """Severity, whether the number is believed, and the sentences of its letters."""
    said = [sentence for letter, sentence in notes if letter and letter in what.marks]
    is_there = not isinstance(what, Cell) or finite(what.value) is not None
    return what.severity or "", what.severity != "red" if is_there else None, " ".join(said)


def _loose(table: Table) -> str:
    """Notes on the whole table, such as which checks were made."""
    return " ".join(sentence for letter, sentence in table.notes if not letter)


def _labels(table: Table) -> list[str]:
    """Each line by itself: a quiet one belongs to the one above, `RSLAD: paper`."""
    owner, said = "", []
    for row in table.rows:
        owner = owner if row.quiet else row.label
        said.append(f"{owner}: {row.label}" if row.quiet and owner else row.label)
    return said


def _points(figure: Figure, document: Document) -> Iterable[list[_Field]]:
    for series in figure.series:
        bearers = _runs_of(series.runs, series.label, document)
        for index, (x, y) in enumerate(zip(series.x, series.y, strict=True)):
            band = [finite(side[index]) if side else None for side in (series.low, series.high)]
            yield [figure.key, series.label, finite(x), finite(y), *band, *bearers, *_marks(series, figure.notes)]
    for bar in figure.bars:
        ends = (finite(bar.low), finite(bar.high))
        bearers = _runs_of(bar.runs, bar.label, document)
        yield [figure.key, bar.series, bar.label, finite(bar.value), *ends, *bearers, *_marks(bar, figure.notes)]
    bearers = _runs_of(figure.runs, "", document)
    for label, line in zip(figure.labels, figure.matrix, strict=False):
        for other, value in zip(figure.labels, line, strict=False):
            yield [figure.key, label, other, finite(value), None, None, *bearers, *_marks(figure, figure.notes)]


def _runs_of(runs: Sequence[str], label: str, document: Document) -> tuple[str, str]:
    if runs:
        return _of_runs(runs, document)
    own = [origin.run for origin in document.origins if label and label in (origin.label, origin.run)]
    return _of_runs(own, document) if own else _of_all(document)


def _of_all(document: Document) -> tuple[str, str]:
    return _joined(list(document.hashes.items()))


def _bearers(row: Row, table: Table, document: Document) -> tuple[str, str]:
    """Run ids and config hashes, in the same order, with spaces between; all of them where no row names its own."""
    if not any(each.runs for each in table.rows):
        return _of_all(document)
    return _of_runs(row.runs, document)


def _of_runs(runs: Sequence[str], document: Document) -> tuple[str, str]:
    known = document.hashes
    return _joined([(run, known.get(run) or "unknown") for run in runs])


def _joined(pairs: Sequence[tuple[str, str]]) -> tuple[str, str]:
    return " ".join(run for run, _ in pairs), " ".join(config_hash for _, config_hash in pairs)


def _value_or_words(cell: Cell) -> _Field:
    if cell.barred:
        return f"{BARRED}: {cell.text}" if cell.text else BARRED
    value = finite(cell.value)
    return cell.text if value is None else value


def _any(table: Table, place: int, part: str) -> bool:
    return any(finite(getattr(row.cells[place], part)) is not None for row in table.rows)


def _written(head: Sequence[str], lines: Iterable[Sequence[_Field]]) -> str:
    """Words in quotation marks, numbers bare."""
    made = StringIO()
    writer = csv.writer(made, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow([_harmless(field) for field in head])
    writer.writerows([_harmless(field) for field in line] for line in lines)
    return made.getvalue()


def _harmless(field: _Field) -> _Field:
    match field:
        case bool():
            return "true" if field else "false"
        case str():
            return spreadsheet(field)
        case _:
            return field
