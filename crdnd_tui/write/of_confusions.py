"""What the baseline and the best of the other rows take for what, under the strongest judgement."""

from crdnd_tui.compare.comparison import Row
from crdnd_tui.compare.comparison_side import Side
from crdnd_tui.core import report
from crdnd_tui.write.document import Figure
from crdnd_tui.write.laid import Laid


def confusions(laid: Laid) -> list[Figure]:
    """A matrix for each of the two, of the first run that has one: means over seeds are no counts of images."""
    attack = laid.strongest
    known = {k: v.mean for k, v in laid.grid.values.items() if k not in laid.grid.reasons and not v.struck}
    others = [row for row in laid.others if (row.id, attack) in known]
    best = max(others, key=lambda row: known[row.id, attack], default=None)
    rows = [laid.base, *([best] if best else [])]
    return [figure for place, row in enumerate(rows, 1) if (figure := _confusion(laid, row, attack, place)) is not None]


def _confusion(laid: Laid, row: Row, attack: str, place: int) -> Figure | None:
    side = next((side for side in row.sides if _matrix(laid, side, attack)), None)
    if side is None:
        return None
    matrix = _matrix(laid, side, attack)
    record = side.record(laid.wanted, attack)
    lost = (record.n if record else 0) - sum(map(sum, matrix))
    state = next((s.state for s in (side, *row.sides) if s.state.training), side.state)
    alone = "" if len(row.sides) == 1 else f"One of {len(row.sides)} seeds"
    found = laid.grid.letters.of(side, attack)
    figure = Figure(
        key=f"confusion-{place}", marks=found.letters, severity=found.severity,
        title=f"Confusion under {laid.title(attack)}, {side.label}", kind="matrix",
        x="predicted class", y="true class", matrix=tuple(tuple(map(float, line)) for line in matrix), runs=(side.id,),
        labels=tuple(report.class_name(state, k, 14) for k in range(len(matrix))),
        caption=laid.caption(
            alone, "counts of images, right ones on the diagonal" if alone else "Counts of images, right ones on the "
            "diagonal", f"{lost} had no finite answer" if lost else "",
        ),
    )  # fmt: skip
    return laid.legended(figure)


def _matrix(laid: Laid, side: Side, attack: str) -> tuple[tuple[int, ...], ...]:
    record = side.record(laid.wanted, attack)
    return record.confusion if record is not None else ()
