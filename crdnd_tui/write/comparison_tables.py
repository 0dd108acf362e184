"""The tables of a comparison: results, differences with their tests, keys of config that differ."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from crdnd_tui.compare import config
from crdnd_tui.compare.comparison import Comparison
from crdnd_tui.compare.rows import ComparisonRow, disputed
from crdnd_tui.compare.significance import Contrast
from crdnd_tui.core.attack_names import WORST
from crdnd_tui.core.format import count
from crdnd_tui.core.marks import UNMARKED, Marked, Note
from crdnd_tui.write.document import Cell, Column, Row, Table, Unit, mark_fields
from engine.spec.statistics import wilson

TESTS = {"paired": "McNemar", "seeds": "sign flip", "welch": "permutation", "unpaired": "none, unpaired"}
_TEST_CAPTIONS = {
    "paired": "exact McNemar test and Agresti-Min interval, on the same images; b : c are those right in the row "
    "alone and in the baseline alone",
    "seeds": "over seeds that both have: t interval and exact sign-flip test, whose smallest possible p is shown; p of "
    "the t test beside it is indicative with so few seeds; apart: pairs of networks that differ the same way, by "
    "McNemar's test on their images with Holm's correction",
    "welch": "over seeds that differ: Welch's t interval and exact permutation test",
    "unpaired": "Newcombe interval where the outcomes of each image are not at hand",
}
_DIFFERENCE_COLUMNS: dict[str, tuple[str, Unit]] = {
    "difference": ("difference", "points"), "test": ("test", "words"), "b": ("b", "count"), "c": ("c", "count"),
    "n": ("n", "count"), "pairs": ("pairs", "count"), "apart": ("apart", "count"), "p": ("p", "p"),
    "adjusted": ("p (Holm)", "p"), "smallest": ("least p", "p"), "t_p": ("p of t", "p"),
}  # fmt: skip


def percent_of(fraction: float | None) -> float | None:
    return None if fraction is None else 100 * fraction


def fraction_cell(
    value: float, *, std: float | None = None, low: float | None = None, high: float | None = None,
    marked: Marked = UNMARKED, **more: Any,  # noqa: ANN401  other fields of Cell
) -> Cell:  # fmt: skip
    """A fraction with what bears it, in per cent or points."""
    return Cell(
        value=100 * value, std=percent_of(std), low=percent_of(low), high=percent_of(high),
        **mark_fields(marked), **more,
    )  # fmt: skip


def count_cell(value: int | None) -> Cell:
    return Cell(value=None if value is None else float(value))


def table_row(row: ComparisonRow, *cells: Cell, group: str = "", rule: bool = False) -> Row:
    return Row(label=row.label, runs=row.ids, cells=cells, group=group, rule=rule)


def noted_table(
    comparison: Comparison, key: str, title: str, columns: Sequence[Column], rows: Sequence[Row], *,
    head: str = "run", notes: Sequence[Note] = (), **more: Any,  # noqa: ANN401  other fields of Table
) -> Table:  # fmt: skip
    """With the sentences on the marks of its cells before its other notes."""
    letters = "".join(cell.marks for row in rows for cell in row.cells)
    told = (*comparison.footnotes.notes(letters), *notes)
    return Table(key=key, title=title, head=head, columns=tuple(columns), rows=tuple(rows), notes=told, **more)


def results_table(comparison: Comparison) -> Table:
    """Per cent right, with the Wilson interval of one run or the deviation over seeds."""
    attacks, conditions = comparison.attacks, comparison.conditions
    caption, widest = "", max((cell.n for cell in comparison.cells.values()), default=0)
    if comparison.is_grouped and widest and conditions:
        low, high = wilson(widest // 2, widest)  # the sampling error is another one than the deviation
        caption = (
            f"Besides, the choice of {count(widest)} images carries an error of {50 * (high - low):.1f} points at 50 %"
        )
    return Table(
        key="results", title="Accuracy in %", head="run", baseline=comparison.base.label if comparison.others else "",
        columns=tuple(Column(key=attack, title=comparison.title(attack)) for attack in attacks),
        rows=tuple(table_row(row, *(_result_cell(comparison, row, a) for a in attacks)) for row in comparison.rows),
        caption=comparison.caption(caption) if conditions else "",
        notes=(*comparison.notes, *_result_notes(comparison)),
    )  # fmt: skip


def _result_cell(comparison: Comparison, row: ComparisonRow, attack: str) -> Cell:
    if why := comparison.reasons.get((row.id, attack)):
        return Cell(text=why, barred=True)
    cell, contrast = comparison.cells.get((row.id, attack)), comparison.contrasts.get((row.id, attack))
    if cell is None:
        is_disputed = any(attack in disputed(run) for run in row.runs)
        return Cell(text="does not agree", severity="red") if is_disputed else Cell()
    low, high = (cell.low, cell.high) if cell.runs == 1 else (None, None)
    return fraction_cell(
        cell.mean, std=cell.std, low=low, high=high, n=cell.n, runs=cell.runs, marked=cell.marked,
        best=(row.id, attack) in comparison.tied, significant=contrast is not None and contrast.is_significant,
    )  # fmt: skip


def _result_notes(comparison: Comparison) -> list[tuple[str, str]]:
    """What has no number and why; cells of fewer seeds than their row has; how rows are told apart."""
    said = [f"{row.label}: {comparison.empty[row.id]}." for row in comparison.rows if row.id in comparison.empty]
    for row in comparison.rows:
        cells = {a: cell for a in comparison.attacks if (cell := comparison.cells.get((row.id, a)))}
        short = [
            f"{comparison.title(a)} {c.runs} of {row.evaluated}" for a, c in cells.items() if c.runs < row.evaluated
        ]
        said += [f"{row.label}: seeds with a number: {', '.join(short)}."] if short else []
        again = f"{row.label}: a seed that ran more than once counts once, by the mean of its runs."
        said += [again] if row.draws < len(row.runs) else []
    if comparison.apart and WORST in comparison.attacks:
        beyond = ", ".join(map(comparison.title, comparison.apart))
        said.append(f"{beyond}: another threat model, left out of the worst case.")
    if comparison.tied:
        alone = any(len(row.runs) == 1 for row in comparison.rows)
        tests = ["McNemar's test"] * alone + ["t tests over seeds"] * comparison.is_grouped
        said.append(f"Told apart by {' or '.join(tests)}, p below 0.05 after Holm's correction.")
    return [("", words) for words in said]


def differences_table(comparison: Comparison, attacks: Sequence[str] = ()) -> Table:
    """Each row's difference to the baseline under each attack, with its interval and test; or why there is none.

    Columns that no line fills are left out.
    """
    refused = {row.id: why for row in comparison.others if (why := comparison.whole_refusal(row))}
    shown = [row for row in comparison.others if row.id not in refused]
    lines = [(a, row, comparison.contrasts[row.id, a]) for a in attacks or comparison.attacks for row in shown]
    cells = [_difference_cells(contrast, comparison.difference_marked(row, a)) for a, row, contrast in lines]
    used = [key for key in _DIFFERENCE_COLUMNS if any(line.get(key, Cell()) != Cell() for line in cells)]
    rows = []
    for place, ((attack, row, _), found) in enumerate(zip(lines, cells, strict=True)):
        group = comparison.title(attack) if row is shown[0] else ""
        kept = (found.get(key, Cell()) for key in used)
        rows.append(table_row(row, *kept, group=group, rule=bool(group) and place > 0))
    weaker: dict[str, dict[str, None]] = {}  # why a weaker test than the best had to do -> labels
    for _, row, contrast in lines:
        if contrast.kind != "refused" and contrast.why:
            weaker.setdefault(contrast.why, {})[row.label] = None
    notes = [f"{row.label}: {refused[row.id]}." for row in comparison.others if row.id in refused]
    notes += [f"{', '.join(labels)}: {why}." for why, labels in weaker.items()]
    said = [f"Row minus {comparison.base.label}"]
    said += [words for kind, words in _TEST_CAPTIONS.items() if any(one.kind == kind for _, _, one in lines)]
    families = [one.family for one in comparison.contrasts.values() if one.adjusted is not None]
    if families:
        said.append(
            "one comparison under each attack, so Holm's correction changes nothing" if max(families) == 1
            else f"Holm's correction over the {max(families)} comparisons under one attack"
        )  # fmt: skip
    columns = [Column(key=key, title=_DIFFERENCE_COLUMNS[key][0], unit=_DIFFERENCE_COLUMNS[key][1]) for key in used]
    return noted_table(
        comparison, "differences", f"Differences to {comparison.base.label} in points", columns, rows,
        caption=comparison.caption(*said), notes=[("", words) for words in notes], baseline=comparison.base.label,
    )  # fmt: skip


def _difference_cells(one: Contrast, marked: Marked) -> dict[str, Cell]:
    """The difference and its p with the marks of both rows' figures: a test is no better than what it tests."""
    if one.difference is None:
        return {"difference": Cell(text=one.why, barred=True)} if one.kind == "refused" else {}
    sure, by_seed = one.is_significant, one.kind in ("seeds", "welch")
    ps = {"p": one.p, "adjusted": one.adjusted, "t_p": one.t_p if by_seed else None}
    counts = {"n": one.n or None, "pairs": one.pairs if one.kind == "seeds" else None, "apart": one.apart}
    counts |= {"b": one.only_row, "c": one.only_baseline} if one.kind == "paired" else {}
    return {
        "difference": fraction_cell(
            one.difference, low=one.low, high=one.high, n=one.n, significant=sure, marked=marked
        ),
        "test": Cell(text=TESTS[one.kind]),
        "smallest": Cell(value=one.smallest),
        **{key: count_cell(value) for key, value in counts.items()},
        **{
            key: Cell(value=p, significant=sure and key == "adjusted", **mark_fields(marked))
            for key, p in ps.items()
            if p is not None
        },
    }


def compact_differences(comparison: Comparison, attacks: Sequence[str]) -> Table:
    """The same for a terminal: what the test was of beside its name, and the least possible p in a note."""
    whole = differences_table(comparison, attacks)
    places = {column.key: place for place, column in enumerate(whole.columns)}
    kept = [key for key in ("difference", "test", "p", "adjusted", "t_p", "apart") if key in places]

    def counted(row: Row) -> Row:
        cells = {key: row.cells[place] for key, place in places.items()}
        value = {key: cell.value for key, cell in cells.items()}
        detail = f", {value['b']:.0f} : {value['c']:.0f}" if value.get("b") is not None else ""
        detail = f", {value['pairs']:.0f} seeds" if value.get("pairs") is not None else detail
        if "test" in cells and cells["test"].text:
            cells["test"] = replace(cells["test"], text=cells["test"].text + detail)
        return replace(row, cells=tuple(cells[key] for key in kept))

    floors = sorted({(c.pairs, c.smallest) for c in comparison.contrasts.values() if c.smallest is not None})
    tests = [(f"sign-flip test of {pairs} seeds" if pairs else "permutation test", least) for pairs, least in floors]
    notes = sorted(("", f"The {test} cannot go below p = {least:.3g}.") for test, least in tests)
    return replace(
        whole, columns=tuple(whole.columns[places[key]] for key in kept), rows=tuple(map(counted, whole.rows)),
        notes=(*whole.notes, *notes),
    )  # fmt: skip


def config_table(comparison: Comparison) -> Table:
    """One line for each key that differs; keys of one table that the same runs lack are one line."""
    known = config.config_keys(comparison.rows)
    differing = [key for key in known if key.differs]
    keys = config.fold_keys(differing)
    return noted_table(
        comparison, "config", "Config, only what differs",
        [Column(key=row.id, title=row.label, unit="words") for row in comparison.rows],
        [Row(label=key.path, cells=tuple(Cell(text=value) for value in key.values)) for key in keys],
        head="key", baseline=comparison.base.label, appendix=True,
        caption=f"{len(differing)} of {len(known)} keys differ.",
    )  # fmt: skip
