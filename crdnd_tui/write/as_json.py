"""A document as JSON: every number unrounded, as it is read beside it; what is not finite is null."""

import json
from dataclasses import asdict
from typing import Any

from crdnd_tui.write.document import Document, Table
from crdnd_tui.write.numbers import rows

SCHEMA = 1  # goes up when a key changes its meaning or goes away


def value(document: Document) -> dict[str, Any]:
    """Plain values: schema, title, tables, figures, runs with their config hashes; no viewing copies of images."""
    made: dict[str, Any] = _plain(asdict(document))
    made["pictures"] = [
        {"caption": picture.caption, "height": picture.height, "width": picture.width} for picture in document.pictures
    ]
    made["tables"] = [_table(table) for table in document.tables]
    return {"schema": SCHEMA, **made}


def text(document: Document) -> str:
    """ASCII, so that it can steer no terminal."""
    return json.dumps(value(document), indent=2, allow_nan=False).replace("\x7f", "\\u007f") + "\n"


def _table(table: Table) -> dict[str, Any]:
    """Each cell with its column's key, and with what the other writers show for it."""
    made: dict[str, Any] = _plain(asdict(table))
    for row, words in zip(made["rows"], rows(table), strict=True):
        for cell, said, column in zip(row["cells"], words, table.columns, strict=True):
            cell |= {"column": column.key, "shown": said.text}
    return made


def _plain(field: Any) -> Any:  # noqa: ANN401  any JSON
    match field:
        case float():
            return field if field - field == 0 else None
        case dict():
            return {key: _plain(item) for key, item in field.items()}
        case list() | tuple():
            return [_plain(item) for item in field]
        case bytes():
            return None
        case _:
            return field
