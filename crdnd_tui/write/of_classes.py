"""Classes under the strongest judgement: how each differs from the baseline's."""

from crdnd_tui.compare import comparison_config
from crdnd_tui.core import marks
from crdnd_tui.write import document
from crdnd_tui.write.document import Bar, Cell, Column, Figure, Table
from crdnd_tui.write.laid import Laid, ids, several

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
    base = laid.marked(laid.base, attack)
    beside = [marks.joined((base, laid.marked(row, attack))) for row, _ in compared]
    rows = [
        document.Row(
            label=name,
            cells=(
                Cell(value=100 * compared[0][1][k].baseline, marks=base.letters, severity=base.severity),
                *(
                    Cell(value=entries[k].points, marks=found.letters, severity=found.severity)
                    for (_, entries), found in zip(compared, beside, strict=True)
                ),
            ),
        )
        for k, name in enumerate(names)
    ]
    refused = [("", f"{row.label}: {why}") for row, (entries, why) in found if not entries]
    table = Table(
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
    return laid.noted(table)


def class_figures(laid: Laid) -> list[Figure]:
    """Bars for each of the first rows that may be compared with the baseline."""
    attack = laid.strongest
    figures = []
    for place, row in enumerate(laid.others[:_MOST], 1):
        colour, runs = laid.rows.index(row), ids(row)
        found = marks.joined(laid.marked(one, attack) for one in (row, laid.base))
        entries, _ = comparison_config.classes(row, laid.base, laid.wanted, attack)
        if entries:
            figures.append(
                laid.legended(Figure(
                    key=f"classes-{place}", title=f"{row.label} minus {laid.base.label}, {laid.title(attack)}",
                    kind="bars", x="class", y="points",
                    bars=tuple(
                        Bar(
                            label=one.name, value=one.points, colour=colour, series=row.label, runs=runs,
                            marks=found.letters, severity=found.severity,
                        )
                        for one in entries
                    ),
                    caption=laid.caption("Means over seeds" if row.draws > 1 else ""),
                ))
            )  # fmt: skip
    return figures
