"""Tables of a comparison beyond its results: gaps between attacks, robust overfitting, the worst class, classes."""

from collections.abc import Iterable
from dataclasses import replace
from statistics import fmean, stdev

from crdnd_tui.compare import stats
from crdnd_tui.compare.comparison import Comparison
from crdnd_tui.compare.order import CE
from crdnd_tui.compare.rows import ComparisonRow, WorstClass, class_differences
from crdnd_tui.compare.runs import ComparedRun, by_draw
from crdnd_tui.compare.significance import Contrast, attack_gap, overfitting_gap
from crdnd_tui.core import marks
from crdnd_tui.core.attack_names import CLEAN, SCALE_BLIND, attack_title
from crdnd_tui.core.format import number
from crdnd_tui.core.marks import Marked
from crdnd_tui.write.comparison_tables import count_cell, fraction_cell, noted_table, table_row
from crdnd_tui.write.document import Cell, Column, Row, Table, mark_fields
from engine.spec.events import Validated


def masking_table(comparison: Comparison) -> Table | None:
    """PGD on the cross-entropy minus attacks that are blind to the logits' scale, in each run; None without them."""
    blind = [attack for attack in SCALE_BLIND if attack in comparison.attacks]
    if CE not in comparison.attacks or not blind:
        return None
    lines: list[tuple[ComparisonRow, list[Cell]]] = []
    scales = []
    for row, cell in comparison.comparable(CE):
        if cell is not None:
            gaps = [_gap_cell(attack_gap(row.runs, CE, a), comparison.marked(row, attacks=[CE, a])) for a in blind]
            own = fraction_cell(cell.mean, std=cell.std, n=cell.n, runs=cell.runs, marked=cell.marked)
            lines.append((row, [own, *gaps]))
            logits = [one.cell.details.get("max_logit") for one in row.scored(CLEAN)]
            largest = max(
                (logit for logit in logits if logit is not None), default=None
            )  # of all clean images and runs
            scales.append(Cell() if largest is None else Cell(text=number(largest)))
    has_scales = any(cell != Cell() for cell in scales)
    title = comparison.title(CE)
    columns = [Column(key=CE, title=title)]
    columns += [Column(key=f"minus_{a}", title=f"minus {comparison.title(a)}", unit="points") for a in blind]
    columns += [Column(key="max_logit", title="max |z|", unit="words")] if has_scales else []
    said = f"{title} minus attacks that do not see the scale of the logits, in points, paired by image"
    return noted_table(
        comparison, "masking", f"What {title} overlooks", columns,
        [table_row(row, *cells, *[z] * has_scales) for (row, cells), z in zip(lines, scales, strict=True)],
        notes=comparison.left_out(CE),
        caption=comparison.caption(said, "a wide gap says that cross-entropy PGD flatters the run"),
    )  # fmt: skip


def _gap_cell(gap: Contrast, marked: Marked) -> Cell:
    """A difference within one run or over seeds, in points, with the marks of both figures."""
    if gap.difference is None:
        return Cell(text=gap.why, barred=True) if gap.kind == "refused" else Cell()
    return fraction_cell(
        gap.difference, std=gap.std, low=gap.low, high=gap.high, n=gap.n, runs=max(1, gap.pairs), marked=marked
    )


def overfitting_table(comparison: Comparison) -> Table | None:
    """Best against last checkpoint on the test split, where both were judged; and on validation. None for neither."""
    tested, validated = _test_rows(comparison), _validation_rows(comparison)
    if not tested and not validated:
        return None
    said = ["Test: both checkpoints on the same images."] * bool(tested)
    if validated:
        flatters = "the best epoch was chosen by this very number, which flatters it; no test is made of it"
        said.append(f"Validation: {flatters}.")
    columns = [Column(key=key, title=key) for key in ("best", "last")]
    return noted_table(
        comparison, "overfitting", "Robust overfitting: best against last",
        [*columns, Column(key="difference", title="best \u2212 last", unit="points")],
        [replace(row, rule=bool(row.group and k)) for k, row in enumerate((*tested, *validated))],
        caption=" ".join(said),
    )  # fmt: skip


def _test_rows(comparison: Comparison) -> list[Row]:
    lines: list[Row] = []
    for attack in comparison.attacks:
        group = f"{comparison.title(attack)}, test"
        for row, _ in comparison.comparable(attack):
            tables = ((run, [run.state.table.get(c, {}).get(attack) for c in ("best", "last")]) for run in row.runs)
            both = [(run, best, last) for run, (best, last) in tables if best is not None and last is not None]
            if both:
                signs = [comparison.marked(row, attacks=[attack], checkpoint=c) for c in ("best", "last")]
                gap = _gap_cell(overfitting_gap([run for run, *_ in both], attack), marks.joined(signs))
                best = _mean_cell(((run, one.accuracy) for run, one, _ in both), both[0][1].n, signs[0])
                last = _mean_cell(((run, one.accuracy) for run, _, one in both), both[0][2].n, signs[1])
                runs = tuple(run.id for run, *_ in both)
                lines.append(Row(label=row.label, cells=(best, last, gap), runs=runs, group=group))
                group = ""
    return lines


def _validation_rows(comparison: Comparison) -> list[Row]:
    """By the attack that selects; only of trainings that ended, whose last epoch is the last."""
    lines: list[Row] = []
    ends = [(row, [(run, *found) for run in row.runs if (found := _best_and_last(run))]) for row in comparison.rows]
    for by in dict.fromkeys(best.by for _, pairs in ends for _, best, _ in pairs if best.by != CLEAN):
        group = f"{attack_title(by)}, validation, {{}} images"
        for row, pairs in ends:
            chosen = [(run, b.accuracy[by], e.accuracy[by], b.n) for run, b, e in pairs if b.by == by in e.accuracy]
            if chosen:
                n, signs = chosen[0][3], comparison.marked(row, attacks=[by], checkpoint="")
                cells = (
                    _mean_cell(((run, best) for run, best, _, _ in chosen), n, signs),
                    _mean_cell(((run, last) for run, _, last, _ in chosen), n, signs),
                    _mean_cell(((run, best - last) for run, best, last, _ in chosen), n, signs),
                )
                lines.append(table_row(row, *cells, group=group.format(n)))
                group = ""
    return lines


def _best_and_last(run: ComparedRun) -> tuple[Validated, Validated] | None:
    """The best epoch's validation and the last epoch's; None while a training goes on, or where nothing selects."""
    state = run.state
    best, last = state.best, next(iter(state.validations[-1:]), None)
    is_whole = state.training is not None and last is not None and last.epoch >= state.training.epochs
    return (best, last) if best is not None and last is not None and is_whole and best.by in best.accuracy else None


def _mean_cell(runs: Iterable[tuple[ComparedRun, float]], n: int, marked: Marked) -> Cell:
    """Mean and deviation over seeds of at least one run's fraction, in per cent."""
    values = list(by_draw(runs).values())
    std = stdev(values) if len(values) > 1 else None
    return fraction_cell(fmean(values), std=std, n=n, runs=len(values), marked=marked)


def worst_class_table(comparison: Comparison) -> Table | None:
    """Each row's worst class under the strongest judgement, and how the baseline fares in it; None without classes."""
    attack, base = comparison.strongest, comparison.base.label
    found = [(row, one) for row in comparison.rows if (one := comparison.worst_class(row, attack)) is not None]
    if not found:
        return None
    beside = [_worst_to_baseline(comparison, row, one, attack) for row, one in found]
    is_compared = any(cell != Cell() for cell in beside)
    several = {cell.runs > 1 for cell in beside if cell.value is not None}
    how = " or ".join("t interval over seeds" if many else "paired by image" for many in sorted(several))
    same = f"difference: the row minus {base} in the row's own worst class, {how}; no test"
    beware = "The worst of several classes looks worse than it is, and so does its difference: it was chosen for that"
    columns = [Column(key="class", title="class", unit="words"), Column(key="accuracy", title="accuracy")]
    columns += [Column(key="difference", title="to baseline", unit="points")] * is_compared
    rows = []
    for (row, one), cell in zip(found, beside, strict=True):
        low, high = one.interval or (None, None)
        n, runs = one.count if one.std is not None or one.interval else 0, len(one.values)
        own = fraction_cell(one.mean, std=one.std, low=low, high=high, n=n, runs=runs, marked=one.marked)
        rows.append(table_row(row, Cell(text=one.title), own, *[cell] * is_compared, count_cell(one.count or None)))
    return noted_table(
        comparison, "worst-class", f"Worst class under {comparison.title(attack)}",
        [*columns, Column(key="n", title="images", unit="count")], rows, notes=comparison.left_out(attack),
        baseline=base if is_compared else "", caption=comparison.caption(beware, same if is_compared else ""),
    )  # fmt: skip


def _worst_to_baseline(comparison: Comparison, row: ComparisonRow, one: WorstClass, attack: str) -> Cell:
    """Points in that class, with the 95 % interval; nothing for the baseline, and where nothing can be paired."""
    base = comparison.base
    rows = [row.per_class(attack), base.per_class(attack)]
    if row.id == base.id or len(rows[0]) != len(rows[1]):
        return Cell()
    here, there = (known[one.index] for known in rows)
    shared = [here[draw] - there[draw] for draw in here if draw in there]
    span: tuple[float, float, float] | None = None
    runs = 1
    if len(here) == len(there) == 1:
        records = [next(s for s in r.scored(attack) if s.cell.per_class).record for r in (row, base)]
        counts = records[0].only_of(records[1], one.index) if records[0] and records[1] else None
        if counts is not None and one.count:
            span = (counts[0] - counts[1]) / one.count, *stats.agresti_min(*counts, one.count)
    elif len(shared) > 1 or min(len(here), len(there)) > 1:  # one run against several says nothing of a method
        runs = len(shared) if len(shared) > 1 else min(len(here), len(there))
        test = stats.paired_t(shared) if len(shared) > 1 else stats.welch_t(list(here.values()), list(there.values()))
        span = test[:3] if test else None
    if span is None:
        return Cell()
    found = marks.joined((one.marked, comparison.marked(base, attacks=[attack])))
    return fraction_cell(span[0], low=span[1], high=span[2], n=one.count, runs=runs, marked=found)


def classes_table(comparison: Comparison) -> Table | None:
    """Points by which each class differs from the baseline's; None where nothing may be compared."""
    attack, base = comparison.strongest, comparison.base
    found = [(row, *class_differences(row, base, attack)) for row in comparison.others]
    compared = [(row, entries, comparison.difference_marked(row, attack)) for row, entries, _ in found if entries]
    if not compared:
        return None
    own, over = comparison.marked(base, attacks=[attack]), "means over seeds" if comparison.is_grouped else ""
    return noted_table(
        comparison, "classes", f"Classes under {comparison.title(attack)}, differences to {base.label}",
        [Column(key="baseline", title=base.label)]
        + [Column(key=row.id, title=row.label, unit="points") for row, *_ in compared],
        [
            Row(label=one.name, cells=(
                fraction_cell(one.baseline, marked=own),
                *(Cell(value=of[k].points, **mark_fields(signs)) for _, of, signs in compared),
            ))
            for k, one in enumerate(compared[0][1])
        ],
        head="class", notes=tuple(("", f"{row.label}: {why}") for row, entries, why in found if not entries),
        baseline=base.label, appendix=True,
        caption=comparison.caption(
            f"{base.label} in %, the others in points from it", over, "no test is made of single classes"
        ),
    )  # fmt: skip
