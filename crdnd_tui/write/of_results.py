"""The robustness table of a comparison: attacks as columns, runs or groups of seeds as rows."""

from crdnd_tui.compare.comparison import Row, disputed
from crdnd_tui.core import report
from crdnd_tui.core.format import count
from crdnd_tui.write import document
from crdnd_tui.write.document import Cell, Column, Table
from crdnd_tui.write.laid import Laid, ids, several
from engine.spec.outcomes import wilson


def results(laid: Laid) -> Table:
    """Per cent right, with the Wilson interval of one run or the deviation over seeds."""
    columns = [Column(key=attack, title=laid.title(attack)) for attack in laid.attacks]
    grouped = several(laid.rows)
    rows = [
        document.Row(
            label=row.label,
            runs=ids(row),
            cells=tuple(_cell(laid, row, attack) for attack in laid.attacks),
        )
        for row in laid.rows
    ]
    return Table(
        key="results", title="Accuracy in %", head="run", columns=tuple(columns), rows=tuple(rows),
        caption=_caption(laid, grouped=grouped), notes=(*laid.grid.notes, *_notes(laid)),
        baseline=laid.base.label if laid.others else "",
    )  # fmt: skip


def _cell(laid: Laid, row: Row, attack: str) -> Cell:
    why = laid.grid.reasons.get((row.id, attack), "")
    value = laid.grid.values.get((row.id, attack))
    if why:
        return Cell(text=why, barred=True)
    if value is None and any(attack in disputed(side, laid.wanted) for side in row.sides):
        return Cell(text="does not agree", severity="red")
    if value is None:
        return Cell()
    one, contrast = value.runs == 1, laid.contrasts.get((row.id, attack))
    return Cell(
        value=100 * value.mean, std=None if value.std is None else 100 * value.std,
        low=100 * value.low if one else None, high=100 * value.high if one else None, n=laid.images(row, attack),
        runs=value.runs, best=(row.id, attack) in laid.tied, significant=contrast is not None and contrast.significant,
        marks=value.marked.letters, severity=value.marked.severity,
    )  # fmt: skip


def _caption(laid: Laid, *, grouped: bool) -> str:
    """Over seeds the sampling error is another one than the deviation."""
    if not laid.conditions:
        return ""
    widest = max((laid.images(row, attack) for row in laid.rows for attack in laid.attacks), default=0)
    low, high = wilson(widest // 2, widest)
    error = f"{50 * (high - low):.1f} points at 50 %"
    besides = f"Besides, the choice of {count(widest)} images carries an error of {error}"
    return laid.caption(besides if grouped and widest else "")


def _notes(laid: Laid) -> list[tuple[str, str]]:
    """What has no number and why; cells of fewer seeds than their row has."""
    notes = [("", f"{row.label}: {why}.") for row in laid.rows if (why := laid.grid.empty.get(row.id))]
    for row in laid.rows:
        judged = len({side.draw for side in row.sides if side.state.table})
        short = [
            f"{laid.title(attack)} {value.runs} of {judged}"
            for attack in laid.attacks
            if (value := laid.grid.values.get((row.id, attack))) is not None and value.runs < judged
        ]
        notes += [("", f"{row.label}: seeds with a number: {', '.join(short)}.")] if short else []
        again = "a seed that ran more than once counts once, by the mean of its runs"
        notes += [("", f"{row.label}: {again}.")] if row.draws < len(row.sides) else []
    beyond = [laid.title(attack) for attack in laid.grid.apart]
    if beyond and report.WORST in laid.attacks:
        notes.append(("", f"{', '.join(beyond)}: another threat model, left out of the worst case."))
    if laid.tied:
        alone = any(len(row.sides) == 1 for row in laid.rows)
        tests = [*(["McNemar's test"] if alone else []), *(["t tests over seeds"] if several(laid.rows) else [])]
        notes.append(("", f"Told apart by {' or '.join(tests)}, p below 0.05 after Holm's correction."))
    return notes
