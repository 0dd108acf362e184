"""Tables of teachers' logits as text and JSON."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.text import Text

from crdnd_tui.core.format import count, duration, percent, size
from crdnd_tui.core.text import grid_lines, one_line
from engine.spec import files
from engine.spec.teacher_logits import ListedTable, TableMeta

WIDEST = 30  # cells of a teacher's name


def table_lines(found: Sequence[ListedTable], now: float) -> Iterator[Text]:
    head = ("", "table", "teacher", "data", "images x views", "filled %", "on disk", "last used")
    lines = grid_lines([head, *(_table_row(table, now) for table in found)], right=(4, 5, 6))
    lines[0].stylize("bold")
    yield lines[0]
    for table, line in zip(found, lines[1:], strict=True):
        yield line
        if table.trouble:
            hint = f"`crdnd tables --remove {table.id}` takes it away"
            yield Text(f"    no run uses it: {one_line(table.trouble)}; {hint}", "red")


def _table_row(table: ListedTable, now: float) -> list[str | Text]:
    """Sign, id, teacher, data set, number of views, how many of them are there, room on the disk, last use."""
    sign = Text("!", "red") if table.trouble else Text("\u25cf", "green") if table.in_use else ""
    data, views = "?", "?"
    if table.meta is not None:
        key = table.meta.key
        data, views = one_line(table.meta.data or key.data_sha256[:8], 10), f"{count(key.images)} x {key.views}"
    full = table.meta is not None and table.filled is not None
    filled = int(1000 * (table.filled or 0)) / 1000 if full else None  # 100.0 only when nothing is missing
    teacher, room = one_line(_teacher(table.meta), WIDEST), size(table.bytes_on_disk)
    return [sign, table.id, teacher, data, views, percent(filled), room, _when(table, now)]


def _teacher(meta: TableMeta | None) -> str:
    """As the run that made the table called it, else its architecture."""
    return "?" if meta is None else meta.teacher or str(_model(meta).get("name", "?"))


def _model(meta: TableMeta) -> dict[str, Any]:
    try:
        return files.json_table(meta.key.model.encode())
    except files.MalformedError:
        return {}


def _when(table: ListedTable, now: float) -> str:
    if table.in_use:
        return "in use"
    return "?" if table.last_used is None else f"{duration(now - table.last_used)} ago"


def to_json(table: ListedTable) -> dict[str, Any]:
    facts = asdict(table) | {"path": str(table.path)}
    if table.meta is not None:
        facts["meta"]["key"]["model"] = _model(table.meta)
        facts["meta"]["key"]["views"] = table.meta.key.views
    return facts
