"""The tables of a comparison: results, differences with their tests, keys of config that differ."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypedDict

from crdnd_tui.compare import config
from crdnd_tui.compare.comparison import Comparison
from crdnd_tui.compare.rows import ComparisonRow, disputed
from crdnd_tui.compare.significance import Contrast
from crdnd_tui.core.attack_names import WORST
from crdnd_tui.core.format import count
from crdnd_tui.core.marks import Marked
from crdnd_tui.write.document import Cell, Column, Row, Table
from engine.spec.marks import Severity
from engine.spec.outcomes import wilson

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
_DIFFERENCE_COLUMNS = (
    Column(key="difference", title="difference", unit="points"),
    Column(key="test", title="test", unit="words"),
    Column(key="b", title="b", unit="count"),
    Column(key="c", title="c", unit="count"),
    Column(key="n", title="n", unit="count"),
    Column(key="pairs", title="pairs", unit="count"),
    Column(key="apart", title="apart", unit="count"),
    Column(key="p", title="p", unit="p"),
    Column(key="adjusted", title="p (Holm)", unit="p"),
    Column(key="smallest", title="least p", unit="p"),
    Column(key="t_p", title="p of t", unit="p"),
)


class MarkFields(TypedDict):
    """What a figure's marks make of a cell, bar or series."""

    marks: str
    severity: Severity | None


def mark_fields(found: Marked) -> MarkFields:
    """Keyword arguments of `Cell`, `Bar`, `Series` and `Figure`."""
    return {"marks": found.letters, "severity": found.severity}


def percent_of(fraction: float | None) -> float | None:
    """In per cent, or points."""
    return None if fraction is None else 100 * fraction


def noted(comparison: Comparison, table: Table) -> Table:
    """With the sentences on the marks of its cells before its other notes."""
    letters = "".join(cell.marks for row in table.rows for cell in row.cells)
    return replace(table, notes=(*comparison.footnotes.notes(letters), *table.notes))


def results_table(comparison: Comparison) -> Table:
    """Per cent right, with the Wilson interval of one run or the deviation over seeds."""
    caption, widest = "", max((comparison.images(r, a) for r in comparison.rows for a in comparison.attacks), default=0)
    if comparison.is_grouped and widest and comparison.conditions:
        low, high = wilson(widest // 2, widest)  # the sampling error is another one than the deviation
        caption = (
            f"Besides, the choice of {count(widest)} images carries an error of {50 * (high - low):.1f} points at 50 %"
        )
    return Table(
        key="results", title="Accuracy in %", head="run", baseline=comparison.base.label if comparison.others else "",
        columns=tuple(Column(key=attack, title=comparison.title(attack)) for attack in comparison.attacks),
        rows=tuple(
            Row(
                label=row.label, runs=row.ids,
                cells=tuple(_result_cell(comparison, row, attack) for attack in comparison.attacks),
            )
            for row in comparison.rows
        ),
        caption=comparison.caption(caption) if comparison.conditions else "",
        notes=(*comparison.notes, *_result_notes(comparison)),
    )  # fmt: skip


def _result_cell(comparison: Comparison, row: ComparisonRow, attack: str) -> Cell:
    if why := comparison.reasons.get((row.id, attack)):
        return Cell(text=why, barred=True)
    cell, contrast = comparison.cells.get((row.id, attack)), comparison.contrast(row.id, attack)
    if cell is None:
        is_disputed = any(attack in disputed(run) for run in row.runs)
        return Cell(text="does not agree", severity="red") if is_disputed else Cell()
    low, high = (percent_of(end) if cell.runs == 1 else None for end in (cell.low, cell.high))
    return Cell(
        value=100 * cell.mean, std=percent_of(cell.std), low=low, high=high, n=comparison.images(row, attack),
        runs=cell.runs, best=(row.id, attack) in comparison.tied,
        significant=contrast is not None and contrast.is_significant, **mark_fields(cell.marked),
    )  # fmt: skip


def _result_notes(comparison: Comparison) -> list[tuple[str, str]]:
    """What has no number and why; cells of fewer seeds than their row has; how rows are told apart."""
    said = [f"{row.label}: {comparison.empty[row.id]}." for row in comparison.rows if row.id in comparison.empty]
    for row in comparison.rows:
        cells = {a: cell for a in comparison.attacks if (cell := comparison.cells.get((row.id, a)))}
        short = [f"{comparison.title(a)} {c.runs} of {row.judged}" for a, c in cells.items() if c.runs < row.judged]
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
    shown = [row for row in comparison.others if not comparison.whole_refusal(row)]
    lines = [
        (attack, row, comparison.contrasts[row.id, attack]) for attack in attacks or comparison.attacks for row in shown
    ]
    cells = [_difference_cells(comparison, row, contrast) for _, row, contrast in lines]
    used = [any(line[k] != Cell() for line in cells) for k in range(len(_DIFFERENCE_COLUMNS))]
    rows = []
    for place, ((attack, row, _), found) in enumerate(zip(lines, cells, strict=True)):
        group = comparison.title(attack) if row is shown[0] else ""
        kept = tuple(cell for cell, wanted in zip(found, used, strict=True) if wanted)
        rows.append(Row(label=row.label, runs=row.ids, group=group, rule=bool(group) and place > 0, cells=kept))
    refused = [f"{row.label}: {why}." for row in comparison.others if (why := comparison.whole_refusal(row))]
    weaker: dict[str, dict[str, None]] = {}  # why a weaker test than the best had to do -> labels
    for _, row, contrast in lines:
        if contrast.kind != "refused" and contrast.why:
            weaker.setdefault(contrast.why, {})[row.label] = None
    refused += [f"{', '.join(labels)}: {why}." for why, labels in weaker.items()]
    kinds = [kind for kind in TESTS if any(contrast.kind == kind for _, _, contrast in lines)]
    return noted(comparison, Table(
        key="differences", title=f"Differences to {comparison.base.label} in points", head="run", rows=tuple(rows),
        columns=tuple(column for column, wanted in zip(_DIFFERENCE_COLUMNS, used, strict=True) if wanted),
        caption=_differences_caption(comparison, kinds), notes=tuple(("", words) for words in refused),
        baseline=comparison.base.label,
    ))  # fmt: skip


def _difference_cells(comparison: Comparison, row: ComparisonRow, contrast: Contrast) -> tuple[Cell, ...]:
    """The difference and its p with the marks of both rows' figures: a test is no better than what it tests."""
    empty = tuple(Cell() for _ in _DIFFERENCE_COLUMNS)
    if contrast.difference is None:
        return (Cell(text=contrast.why, barred=True), *empty[1:]) if contrast.kind == "refused" else empty
    signs = mark_fields(comparison.difference_marked(row, contrast.attack))
    is_paired, by_seed = contrast.kind == "paired", contrast.kind in ("seeds", "welch")
    found = {
        "difference": Cell(
            value=100 * contrast.difference, low=percent_of(contrast.low), high=percent_of(contrast.high), n=contrast.n,
            significant=contrast.is_significant, **signs,
        ),
        "test": Cell(text=TESTS[contrast.kind]),
        "b": count_cell(contrast.only_row if is_paired else None),
        "c": count_cell(contrast.only_baseline if is_paired else None),
        "n": count_cell(contrast.n or None),
        "pairs": count_cell(contrast.pairs if contrast.kind == "seeds" else None),
        "apart": count_cell(contrast.apart),
        "p": _p_cell(contrast.p, signs),
        "adjusted": replace(_p_cell(contrast.adjusted, signs), significant=contrast.is_significant),
        "smallest": Cell(value=contrast.smallest),
        "t_p": _p_cell(contrast.t_p if by_seed else None, signs),
    }  # fmt: skip
    return tuple(found[column.key] for column in _DIFFERENCE_COLUMNS)


def count_cell(value: int | None) -> Cell:
    return Cell(value=None if value is None else float(value))


def _p_cell(value: float | None, signs: MarkFields) -> Cell:
    return Cell() if value is None else Cell(value=value, **signs)


def _differences_caption(comparison: Comparison, kinds: Sequence[str]) -> str:
    said = [f"Row minus {comparison.base.label}", *(_TEST_CAPTIONS[kind] for kind in kinds)]
    families = [one.family for one in comparison.contrasts.values() if one.adjusted is not None]
    if families:
        said.append(
            "one comparison under each attack, so Holm's correction changes nothing" if max(families) == 1
            else f"Holm's correction over the {max(families)} comparisons under one attack"
        )  # fmt: skip
    return comparison.caption(*said)


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
    return Table(
        key="config", title="Config, only what differs", head="key", baseline=comparison.base.label, appendix=True,
        columns=tuple(Column(key=row.id, title=row.label, unit="words") for row in comparison.rows),
        rows=tuple(
            Row(label=key.path, cells=tuple(Cell(text=value) for value in key.values))
            for key in config.fold_keys(differing)
        ),
        caption=f"{len(differing)} of {len(known)} keys differ.",
    )  # fmt: skip
