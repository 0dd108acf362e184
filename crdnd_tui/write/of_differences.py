"""Each row's difference to the baseline under each attack, with its interval and its test; or why there is none."""

from collections.abc import Sequence
from dataclasses import replace

from crdnd_tui.compare.comparison import Row
from crdnd_tui.compare.contrast import Contrast
from crdnd_tui.core import marks
from crdnd_tui.core.marks import Marked
from crdnd_tui.write import document
from crdnd_tui.write.document import Cell, Column, Table
from crdnd_tui.write.laid import Laid, ids

TESTS = {
    "paired": "McNemar",
    "seeds": "sign flip",
    "welch": "permutation",
    "unpaired": "none, unpaired",
}
_SAID = {
    "paired": "exact McNemar test and Agresti-Min interval, on the same images; b : c are those right in the row "
    "alone and in the baseline alone",
    "seeds": "over seeds that both have: t interval and exact sign-flip test, whose smallest possible p is shown; p of "
    "the t test beside it is indicative with so few seeds; apart: pairs of networks that differ the same way, by "
    "McNemar's test on their images with Holm's correction",
    "welch": "over seeds that differ: Welch's t interval and exact permutation test",
    "unpaired": "Newcombe interval where the outcomes of each image are not at hand",
}
_COLUMNS = (
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


def differences(laid: Laid, attacks: Sequence[str] = ()) -> Table:
    """One line for each attack and row; columns that no line fills are left out."""
    shown = [row for row in laid.others if not whole_refusal(laid, row)]
    lines = [
        (laid.title(attack) if row is shown[0] else "", row, laid.contrasts[row.id, attack])
        for attack in attacks or laid.attacks
        for row in shown
    ]
    cells = [_marked(_cells(contrast), laid, row, contrast) for _, row, contrast in lines]
    used = [any(row[k] != Cell() for row in cells) for k in range(len(_COLUMNS))]
    kinds = [kind for kind in TESTS if any(contrast.kind == kind for _, _, contrast in lines)]
    rows = [
        document.Row(
            label=row.label, runs=ids(row), group=group, rule=bool(group) and place > 0,
            cells=tuple(cell for cell, wanted in zip(found, used, strict=True) if wanted),
        )
        for place, ((group, row, _), found) in enumerate(zip(lines, cells, strict=True))
    ]  # fmt: skip
    table = Table(
        key="differences", title=f"Differences to {laid.base.label} in points", head="run", rows=tuple(rows),
        columns=tuple(column for column, wanted in zip(_COLUMNS, used, strict=True) if wanted),
        caption=_caption(laid, kinds), notes=(*_refused(laid), *_notes(lines)), baseline=laid.base.label,
    )  # fmt: skip
    return laid.noted(table)


def compact(laid: Laid, attacks: Sequence[str]) -> Table:
    """The same for a terminal: what the test was of beside its name, and the least possible p in a note."""
    whole = differences(laid, attacks)
    places = {column.key: place for place, column in enumerate(whole.columns)}
    kept = [key for key in ("difference", "test", "p", "adjusted", "t_p", "apart") if key in places]

    def counted(row: document.Row) -> Cell:
        found = {key: row.cells[place].value for key, place in places.items()}
        detail = f", {found['b']:.0f} : {found['c']:.0f}" if found.get("b") is not None else ""
        detail = f", {found['pairs']:.0f} seeds" if found.get("pairs") is not None else detail
        cell = row.cells[places["test"]]
        return replace(cell, text=f"{cell.text}{detail}") if cell.text else cell

    rows = tuple(
        replace(row, cells=tuple(counted(row) if key == "test" else row.cells[places[key]] for key in kept))
        for row in whole.rows
    )
    floors = {(c.pairs, c.smallest) for c in laid.contrasts.values() if c.smallest is not None}
    notes = [
        (
            "",
            f"The {f'sign-flip test of {pairs} seeds' if pairs else 'permutation test'} cannot go below p = "
            f"{least:.3g}.",
        )
        for pairs, least in floors
    ]
    columns = tuple(whole.columns[places[key]] for key in kept)
    return replace(whole, columns=columns, rows=rows, notes=(*whole.notes, *sorted(notes)))


def _cells(contrast: Contrast) -> tuple[Cell, ...]:
    if contrast.kind == "refused":
        return (Cell(text=contrast.why, barred=True), *[Cell()] * (len(_COLUMNS) - 1))
    if contrast.difference is None:
        return (Cell(),) * len(_COLUMNS)
    paired = contrast.kind == "paired"
    return (
        _difference(contrast),
        Cell(text=TESTS.get(contrast.kind, contrast.kind)),
        Cell(value=float(contrast.only_row)) if paired else Cell(),
        Cell(value=float(contrast.only_baseline)) if paired else Cell(),
        Cell(value=float(contrast.n)) if contrast.n else Cell(),
        Cell(value=float(contrast.pairs)) if contrast.kind == "seeds" else Cell(),
        Cell() if contrast.apart is None else Cell(value=float(contrast.apart)),
        _p(contrast.p),
        _p(contrast.adjusted, significant=contrast.significant),
        _p(contrast.smallest),
        _p(contrast.t_p if contrast.kind in ("seeds", "welch") else None),
    )


def _marked(cells: tuple[Cell, ...], laid: Laid, row: Row, contrast: Contrast) -> tuple[Cell, ...]:
    """The difference and its p with the marks of both rows' figures: a test is no better than what it tests."""
    found = marked(laid, row, contrast.attack)
    return tuple(
        replace(cell, marks=found.letters, severity=found.severity)
        if column.unit in ("points", "p") and column.key != "smallest" and cell.value is not None
        else cell
        for cell, column in zip(cells, _COLUMNS, strict=True)
    )


def marked(laid: Laid, row: Row, attack: str) -> Marked:
    """Of the row's difference to the baseline."""
    return marks.joined(laid.marked(one, attack) for one in (row, laid.base))


def _difference(contrast: Contrast) -> Cell:
    low, high = (None if end is None else 100 * end for end in (contrast.low, contrast.high))
    return Cell(
        value=100 * (contrast.difference or 0.0), low=low, high=high, n=contrast.n, significant=contrast.significant
    )


def _p(value: float | None, *, significant: bool = False) -> Cell:
    return Cell() if value is None else Cell(value=value, significant=significant)


def _caption(laid: Laid, kinds: Sequence[str]) -> str:
    said = [f"Row minus {laid.base.label}", *(_SAID[kind] for kind in kinds)]
    families = {contrast.family for contrast in laid.contrasts.values() if contrast.adjusted is not None}
    if families:
        most = max(families)
        said.append(
            "one comparison under each attack, so Holm's correction changes nothing" if most == 1
            else f"Holm's correction over the {most} comparisons under one attack"
        )  # fmt: skip
    return laid.caption(*said)


def whole_refusal(laid: Laid, row: Row) -> str:
    """Why a row has no difference at all; empty when it has one."""
    found = [laid.contrasts[row.id, attack] for attack in laid.attacks]
    if any(contrast.difference is not None for contrast in found):
        return ""
    barred = dict.fromkeys(contrast.why for contrast in found if contrast.kind == "refused")
    why = laid.grid.badges.get(row.id) or "; ".join(barred)
    if why:
        return f"not comparable: {why}"
    empty = (laid.grid.empty.get(one.id, "") for one in (row, laid.base))
    return next(filter(None, empty), "no attack that both have been through")


def _refused(laid: Laid) -> list[tuple[str, str]]:
    return [("", f"{row.label}: {why}.") for row in laid.others if (why := whole_refusal(laid, row))]


def _notes(lines: Sequence[tuple[str, Row, Contrast]]) -> list[tuple[str, str]]:
    """Why a weaker test than the best had to do."""
    weaker: dict[str, list[str]] = {}
    for _, row, contrast in lines:
        if contrast.kind != "refused" and contrast.why:
            labels = weaker.setdefault(contrast.why, [])
            labels += [row.label] if row.label not in labels else []
    return [("", f"{', '.join(labels)}: {why}.") for why, labels in weaker.items()]
