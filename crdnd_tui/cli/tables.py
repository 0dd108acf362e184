"""crdnd tables: the teachers' logits that engines keep in the data folder, how large they are, and taking one away."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.text import Text

from crdnd_tui.cli import output
from crdnd_tui.core.format import count, duration, percent, size
from crdnd_tui.core.text import one_line, pad
from engine.spec import files, tables
from engine.spec.tables import ListedTable, TableMeta

OK = 0
WIDEST = 30  # cells of a teacher's name


def show(data: Path, *, as_json: bool) -> int:
    """A line for each table, the one used last first."""
    folder = tables.tables_folder(data)
    found = tables.listed(folder)
    if as_json:
        output.show_json([_plain(table) for table in found])
        return OK
    if not found:
        output.say(
            f"No tables in {folder}. A run with a teacher makes one where it pays; --machine table=off forbids it."
        )
        return OK
    output.show(_lines(found, time.time()))
    taken, full = sum(table.bytes_on_disk for table in found), sum(table.bytes for table in found)
    output.say(f"{size(taken)} on disk, {size(full)} when all are filled, in {folder}")
    return OK


def remove(name: str, data: Path, *, as_json: bool) -> int:
    """Take one away, unless an engine uses it; the next run that wants it computes it again."""
    removed, freed = tables.remove(tables.tables_folder(data), name)
    if as_json:
        output.show_json({"removed": removed, "freed": freed})
    else:
        output.say(f"{removed} is removed; {size(freed)} are free again.")
    return OK


def _lines(found: Sequence[ListedTable], now: float) -> Iterator[Text]:
    wide = max(len("table"), *(len(table.id) for table in found))
    teachers = [one_line(_teacher(table.meta), WIDEST) for table in found]
    room = max(len("teacher"), *(len(teacher) for teacher in teachers))
    head = f"  {pad('table', wide)}  {pad('teacher', room)}  {'data':<10} {'images x views':>15} {'filled %':>8} "
    yield Text(f"{head} {'on disk':>9}  last used", "bold")
    for table, teacher in zip(found, teachers, strict=True):
        line = Text("! ", "red") if table.trouble else Text("\u25cf ", "green") if table.in_use else Text("  ")
        line.append(f"{pad(table.id, wide)}  {pad(teacher, room)}  {_facts(table)} ")
        line.append(f"{size(table.bytes_on_disk):>9}  {_when(table, now)}")
        yield line
        if table.trouble:
            hint = f"`crdnd tables --remove {table.id}` takes it away"
            yield Text(f"    no run uses it: {one_line(table.trouble)}; {hint}", "red")


def _facts(table: ListedTable) -> str:
    """Data set, number of views, and how many of them are there."""
    if table.meta is None:
        return f"{'?':<10} {'?':>15} {percent(None):>8}"
    key = table.meta.key
    data = pad(one_line(table.meta.data or key.data_sha256[:8], 10), 10)
    filled = None if table.filled is None else int(1000 * table.filled) / 1000  # 100.0 only when nothing is missing
    return f"{data} {f'{count(key.images)} x {key.views}':>15} {percent(filled):>8}"


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


def _plain(table: ListedTable) -> dict[str, Any]:
    facts = asdict(table) | {"path": str(table.path)}
    if table.meta is not None:
        facts["meta"]["key"]["model"] = _model(table.meta)
        facts["meta"]["key"]["views"] = table.meta.key.views
    return facts
