"""What one run says of itself twice: best against last checkpoint, and attacks that see the logits' scale or not."""

from collections.abc import Iterable
from dataclasses import replace
from statistics import fmean, stdev

from crdnd_tui.compare import within
from crdnd_tui.compare.comparison import Row
from crdnd_tui.compare.comparison_side import Side, by_draw
from crdnd_tui.compare.comparison_verdict import CE, SUITE
from crdnd_tui.compare.within import Gap
from crdnd_tui.core import report
from crdnd_tui.core.format import number
from crdnd_tui.core.marks import UNMARKED, Marked
from crdnd_tui.write import document
from crdnd_tui.write.document import Cell, Column, Table
from crdnd_tui.write.laid import Laid, ids
from engine.spec.events import Validated

_BLIND = ("cw_inf", "pgd_rescaled", SUITE)  # to the scale of the logits


def masking(laid: Laid) -> Table | None:
    """PGD on the cross-entropy minus attacks that are blind to the logits' scale, in each run; None without them."""
    blind = [attack for attack in _BLIND if attack in laid.attacks]
    if CE not in laid.attacks or not blind:
        return None
    columns = [Column(key=f"minus_{attack}", title=f"minus {laid.title(attack)}", unit="points") for attack in blind]
    judged = [row for row in laid.fair(CE) if (row.id, CE) in laid.grid.values]
    scales = [_scale(row, laid.wanted) for row in judged]
    scaled = any(cell != Cell() for cell in scales)
    rows = [
        document.Row(
            label=row.label, runs=ids(row),
            cells=(
                _accuracy(
                    ((run.side, run.cell.accuracy) for run in row.scored(laid.wanted, CE)), laid.images(row, CE),
                    laid.marked(row, CE),
                ),
                *(
                    gap_cell(within.gap(row.sides, laid.wanted, CE, attack), laid.marked(row, CE, attack))
                    for attack in blind
                ),
                *([scale] if scaled else []),
            ),
        )
        for row, scale in zip(judged, scales, strict=True)
    ]  # fmt: skip
    said = f"{laid.title(CE)} minus attacks that do not see the scale of the logits, in points, paired by image"
    table = Table(
        key="masking", title=f"What {laid.title(CE)} overlooks", head="run",
        columns=(
            Column(key=CE, title=laid.title(CE)), *columns,
            *([Column(key="max_logit", title="max |z|", unit="words")] if scaled else []),
        ),
        rows=tuple(rows), notes=tuple(laid.unfair(CE)),
        caption=laid.caption(said, "a wide gap says that cross-entropy PGD flatters the run"),
    )  # fmt: skip
    return laid.noted(table)


def gap_cell(gap: Gap, found: Marked = UNMARKED) -> Cell:
    """A difference within one run or over seeds, in points, with the marks of both figures."""
    if gap.difference is None:
        return Cell(text=gap.why, barred=True) if gap.kind == "refused" else Cell()
    low, high = (None if end is None else 100 * end for end in (gap.low, gap.high))
    std = None if gap.std is None else 100 * gap.std
    return Cell(
        value=100 * gap.difference, std=std, low=low, high=high, n=gap.n, runs=gap.runs, marks=found.letters,
        severity=found.severity,
    )  # fmt: skip


def _accuracy(runs: Iterable[tuple[Side, float]], n: int, found: Marked) -> Cell:
    """Mean and deviation over seeds of at least one run's fraction, in per cent."""
    values = list(by_draw(runs).values())
    std = 100 * stdev(values) if len(values) > 1 else None
    return Cell(value=100 * fmean(values), std=std, n=n, runs=len(values), marks=found.letters, severity=found.severity)


def _scale(row: Row, wanted: str) -> Cell:
    """The largest logit of any clean image, of several runs the largest of all."""
    cells = [cell for side in row.sides if (cell := side.cell(wanted, report.CLEAN)) is not None]
    known = [cell.details["max_logit"] for cell in cells if "max_logit" in cell.details]
    return Cell(text=number(max(known))) if known else Cell()


def overfitting(laid: Laid) -> Table | None:
    """Best against last checkpoint on the test split, where both were judged; and on validation. None for neither."""
    tested, validated = _tested(laid), _validated(laid)
    if not tested and not validated:
        return None
    said = [
        "Test: both checkpoints on the same images." if tested else "",
        "Validation: the best epoch was chosen by this very number, which flatters it; no test is made of it."
        if validated
        else "",
    ]
    table = Table(
        key="overfitting", title="Robust overfitting: best against last", head="run",
        columns=(
            Column(key="best", title="best"), Column(key="last", title="last"),
            Column(key="difference", title="best \u2212 last", unit="points"),
        ),
        rows=(*tested, *(replace(row, rule=row.rule or bool(row.group and tested)) for row in validated)),
        caption=" ".join(words for words in said if words),
    )  # fmt: skip
    return laid.noted(table)


def _tested(laid: Laid) -> list[document.Row]:
    lines: list[document.Row] = []
    for attack in laid.attacks:
        group = f"{laid.title(attack)}, test"
        for row in laid.fair(attack):
            both = [s for s in row.sides if all(attack in s.state.table.get(c, {}) for c in ("best", "last"))]
            if both:
                best, last = (
                    _accuracy(
                        ((s, s.state.table[c][attack].accuracy) for s in both),
                        both[0].state.table[c][attack].n,
                        laid.marked(row, attack, checkpoints=[c]),
                    )
                    for c in ("best", "last")
                )
                gap = gap_cell(within.overfitting(both, attack), laid.marked(row, attack, checkpoints=["best", "last"]))
                cells, runs = (best, last, gap), tuple(side.id for side in both)
                lines.append(
                    document.Row(label=row.label, cells=cells, runs=runs, group=group, rule=bool(group and lines))
                )
                group = ""
    return lines


def _validated(laid: Laid) -> list[document.Row]:
    """By the attack that selects; only of trainings that ended, whose last epoch is the last."""
    lines: list[document.Row] = []
    seen: set[str] = set()
    ended = [(row, pairs) for row in laid.rows if (pairs := [(s, *p) for s in row.sides if (p := _ends(s))])]
    for by in dict.fromkeys(best.by for _, pairs in ended for _, best, _ in pairs if best.by != report.CLEAN):
        for row, pairs in ended:
            chosen = [(s, b.accuracy[by], e.accuracy[by], b.n) for s, b, e in pairs if b.by == by and by in e.accuracy]
            if not chosen:
                continue
            best, last, drop = (
                _accuracy(values, chosen[0][3], laid.marked(row, by, checkpoints=[""]))
                for values in (
                    [(s, b) for s, b, _, _ in chosen],
                    [(s, e) for s, _, e, _ in chosen],
                    [(s, b - e) for s, b, e, _ in chosen],
                )
            )
            group = "" if by in seen else f"{report.title(by)}, validation, {chosen[0][3]} images"
            seen.add(by)
            lines.append(
                document.Row(
                    label=row.label, cells=(best, last, drop), runs=ids(row), group=group, rule=bool(group and lines)
                )
            )
    return lines


def _ends(side: Side) -> tuple[Validated, Validated] | None:
    """The best epoch's validation and the last epoch's; None while a training goes on, or where nothing selects."""
    state = side.state
    best, last = state.best, next(iter(state.validations[-1:]), None)
    whole = state.training is not None and last is not None and last.epoch >= state.training.epochs
    return (best, last) if best is not None and last is not None and whole and best.by in best.accuracy else None
