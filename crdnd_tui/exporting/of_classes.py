"""Classes under the strongest judgement: how each differs from the baseline's."""

from crdnd_tui.comparing import comparison_config
from crdnd_tui.documents import document
from crdnd_tui.documents.document import Bar, Cell, Column, Figure, Table
from crdnd_tui.exporting.laid import Laid, ids, several

_MOST = 8  # figures


def classes(laid: Laid) -> Table | None:
    """Points by which each class differs from the baseline's; None where nothing may be compared."""
    attack = laid.strongest
    found = [
        (row, comparison_config.classes(row, laid.base, laid.wanted, attack))
        for row in laid.others
    ]  # fmt: skip
    compared = [(row, entries) for row, (entries, _) in found if entries]
    if not compared:
        return None
    names = [entry.name for entry in compared[0][1]]
    rows = [
        document.Row(
            label=name,
            cells=(
                Cell(value=100 * compared[0][1][k].baseline),
                *(Cell(value=entries[k].points) for _, entries in compared),
            ),
        )
        for k, name in enumerate(names)
    ]
    refused = [("", f"{row.label}: {why}") for row, (entries, why) in found if not entries]
    return Table(
        key="classes", title=f"Classes under {laid.title(attack)}, differences to {laid.base.label}", head="class",
        columns=(
            Column(key="baseline", title=laid.base.label),
            *(Column(key=row.id, title=row.label, unit="points") for row, _ in compared),
        ),
        rows=tuple(rows), notes=tuple(refused), baseline=laid.base.label, appendix=True,
        caption=laid.caption(
            f"{laid.base.label} in %, the others in points from it", "means over seeds" if several(laid.rows) else "",
            "no test is made of single classes",
        ),
    )  # fmt: skip


def class_figures(laid: Laid) -> list[Figure]:
    """Bars for each of the first rows that may be compared with the baseline."""
    attack = laid.strongest
    figures = []
    for place, row in enumerate(laid.others[:_MOST], 1):
        colour, runs = laid.rows.index(row), ids(row)
        entries, _ = comparison_config.classes(row, laid.base, laid.wanted, attack)
        if entries:
            figures.append(
                Figure(
                    key=f"classes-{place}", title=f"{row.label} minus {laid.base.label}, {laid.title(attack)}",
                    kind="bars", x="class", y="points",
                    bars=tuple(
                        Bar(label=one.name, value=one.points, colour=colour, series=row.label, runs=runs)
                        for one in entries
                    ),
                    caption=laid.caption("Means over seeds" if row.draws > 1 else ""),
                )
            )  # fmt: skip
    return figures
