"""Tables as HTML: numbers above their intervals, the best bold, what is beside the point quiet, notes below."""

import html
from collections.abc import Sequence

from crdnd_tui.write import escape, numbers
from crdnd_tui.write.document import Cell, Row, Table
from crdnd_tui.write.numbers import Worded

_LONG = 28  # characters that stay on one line
_MANY = 9  # columns from which they stand closer
_TALL = 60  # rows from which a table scrolls by itself on a screen


def words(said: str) -> str:
    """Escaped, also for an attribute."""
    return html.escape(escape.clean(said), quote=True)


def whole(table: Table) -> str:
    """The table and what is said below it; its title is the section's."""
    return f"{drawn(table)}\n{_below(table)}"


def drawn(table: Table) -> str:
    """The table alone, in a box that scrolls where the window is narrow."""
    kinds = [_kind(table, place) for place in range(len(table.columns))]
    heads = "".join(
        f'<th scope="col"{_class(kind)}>{_title(column.title)}</th>'
        for column, kind in zip(table.columns, kinds, strict=True)
    )
    body = "\n".join(_row(row, said, table, kinds) for row, said in zip(table.rows, numbers.rows(table), strict=True))
    sort = (" tall" if len(table.rows) >= _TALL else "") + (" dense" if len(table.columns) >= _MANY else "")
    return (
        f'<div class="scroll{sort}" tabindex="0" role="region" aria-label="{words(table.title)}"><table>\n'
        f'<thead><tr><th scope="col">{words(table.head)}</th>{heads}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _title(said: str) -> str:
    """A line may end between its words, and not at a hyphen."""
    return " ".join(f"<span>{words(word)}</span>" for word in said.split())


def _kind(table: Table, place: int) -> str:
    """Of a column: words; numbers, which end where the others do; numbers with room for many letters behind them."""
    if table.columns[place].unit == "words":
        return ""
    marked = any(len(numbers.marks(row.cells[place])) + row.cells[place].significant > 1 for row in table.rows)
    return "n marked" if marked else "n"


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""


def _row(row: Row, said: tuple[Worded, ...], table: Table, kinds: Sequence[str]) -> str:
    names = [name for name, is_so in (("quiet", row.quiet), ("rule", row.rule)) if is_so]
    cells = "".join(map(_cell, row.cells, said, kinds))
    name = numbers.name(row, table)
    head = f'<th scope="row"{_class(_long(name))}>{words(name)}</th>'
    return f"{_group(row, table)}<tr{_class(' '.join(names))}>{head}{cells}</tr>"


def _long(said: str) -> str:
    """What is long is broken into lines; all else stays on one."""
    return "long" if len(said) > _LONG else ""


def _group(row: Row, table: Table) -> str:
    if not row.group:
        return ""
    return f'<tr class="group"><th scope="rowgroup" colspan="{1 + len(table.columns)}">{words(row.group)}</th></tr>\n'


def _cell(cell: Cell, worded: Worded, kind: str) -> str:
    number = words(worded.number)
    if worded.is_number and (cell.best or cell.struck):
        number = f"<s>{number}</s>" if cell.struck else f"<strong>{number}</strong>"
    spread = f'<span class="std"> {numbers.PLUS_MINUS} {words(worded.std)}</span>' if worded.std else ""
    count = f'<span class="std"> {words(worded.count)}</span>' if worded.count else ""
    signs = words(numbers.marks(cell)) + (numbers.DAGGER if cell.significant and worded.is_number else "")
    marks = f"<sup>{signs}</sup>" if signs else ""
    interval = f'<span class="interval">{words(worded.interval)}</span>' if worded.interval else ""
    if kind and not worded.is_number:
        kind += " none"
    return f"<td{_class(kind or _long(worded.number))}>{number}{spread}{count}{marks}{interval}</td>"


def _below(table: Table) -> str:
    """Caption, notes with their letters, what the signs mean, why cells have no number."""
    parts = [f'<p class="caption">{words(table.caption)}</p>'] if table.caption else []
    lettered = [(letter, said) for letter, said in table.notes if letter]
    if lettered:
        listed = "".join(f"<dt>{words(letter)}</dt><dd>{words(said)}</dd>" for letter, said in lettered)
        parts.append(f'<dl class="notes">{listed}</dl>')
    loose = [said for letter, said in table.notes if not letter]
    said = [*loose, *numbers.refusals(table)]
    signs = " ".join(numbers.legend(table, best="Bold"))
    said += [signs] if signs else []
    return "\n".join([*parts, *(f'<p class="note">{words(sentence)}</p>' for sentence in said)])
