"""The keys in which compared runs were asked for different things."""

from crdnd_tui.compare import comparison_config
from crdnd_tui.write import document
from crdnd_tui.write.document import Cell, Column, Table
from crdnd_tui.write.laid import Laid


def configs(laid: Laid) -> Table:
    """One line for each key that differs; keys of one table that the same runs lack are one line."""
    known = comparison_config.of_rows(laid.rows)
    differing = [key for key in known if key.differs]
    shown = comparison_config.folded(differing)
    return Table(
        key="config", title="Config, only what differs", head="key",
        columns=tuple(Column(key=row.id, title=row.label, unit="words") for row in laid.rows),
        rows=tuple(
            document.Row(label=key.path, cells=tuple(Cell(text=value) for value in key.values)) for key in shown
        ),
        caption=f"{len(differing)} of {len(known)} keys differ.", baseline=laid.base.label,
        appendix=True,
    )  # fmt: skip
