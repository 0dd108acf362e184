"""A comparison on one page of a terminal: what the numbers say, the tables, the trade-off, and where it all comes from.

What would fill screens is shortened here, and said to be: files hold all of it.
"""

from dataclasses import replace

from rich.text import Text

from crdnd_tui.cli import page_parts
from crdnd_tui.compare.comparison import Comparison
from crdnd_tui.compare.order import CE, SUITE
from crdnd_tui.core import report
from crdnd_tui.write import tables
from crdnd_tui.write.comparison_tables import compact_differences
from crdnd_tui.write.document import Document, Table

_LINES = 24  # of the differences, at most
_MATTERS = (report.CLEAN, CE, SUITE, report.WORST)
_CLASSES = 20  # lines of a table of classes


def page(document: Document, comparison: Comparison, width: int, *, ascii_only: bool) -> list[Text]:
    """All of it, in lines of at most `width` cells."""
    short = tuple(
        replace(t, caption=comparison.bare(t.caption)) for t in (_shortened(t, comparison) for t in document.tables)
    )
    lead = (*([f"{comparison.conditions}."] if comparison.conditions else []), *document.lead)
    shown = replace(document, lead=lead, tables=short, origins=(), made=0.0, version="")
    made = tables.document_lines(shown, width, ascii_only=ascii_only)
    trade = next((figure for figure in document.figures if figure.key == "tradeoff"), None)
    if trade is not None:
        made += [
            Text(),
            *page_parts.points(trade, width, caption=comparison.bare(trade.caption), ascii_only=ascii_only),
        ]
    return [*made, *page_parts.behind(document, width, ascii_only=ascii_only)]


def _shortened(table: Table, comparison: Comparison) -> Table:
    more = "the rest is in every file that --to writes"
    if table.key == "differences":
        matter = [a for a in comparison.attacks if a in _MATTERS or len(table.rows) <= _LINES]
        short = compact_differences(comparison, matter)
        left = [comparison.title(attack) for attack in comparison.attacks if attack not in matter]
        if not left:
            return short
        return replace(short, notes=(*short.notes, ("", f"Left out here: {', '.join(left)}; {more}.")))
    if table.key == "classes" and len(table.rows) > _CLASSES:
        spread = sorted(table.rows, key=lambda row: -max(abs(cell.value or 0.0) for cell in row.cells[1:]))
        note = f"The {_CLASSES} of {len(table.rows)} classes that differ most; {more}."
        return replace(table, rows=tuple(spread[:_CLASSES]), notes=(*table.notes, ("", note)))
    return table
