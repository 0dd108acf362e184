"""Which columns of the robustness tables there is room for, how wide each is, and where spreads stand.

A column that finds no room is named below the table, never silently left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from crdnd_tui.compare.comparison import DROP, Comparison
from crdnd_tui.compare.order import CE, SUITE
from crdnd_tui.compare.rows import ComparisonRow, RobustnessCell
from crdnd_tui.core.attack_names import WORST, attack_title
from crdnd_tui.core.format import percent

UNLIKE = "\u2260"
_LABELS = ((100, 22), (56, 16), (0, 14))  # cells of a label at most, from so many cells of the panel on
_ROOMY = 112  # cells from which intervals find a line of their own
_FEW = 4  # rows at most that may take two lines each
_KEPT = 4  # columns at least that intervals of single runs must leave to stand beside their numbers
_TIGHT: Mapping[str, tuple[str, str]] = {
    "pgd_sat": ("PGD", "SAT"), "pgd_trades": ("PGD", "TRADES"), "cw_inf": ("CW", "inf"),
    "pgd_rescaled": ("PGD", "resc."), "autoattack": ("Auto", "Attack"), WORST: ("worst", "L-inf"),
    DROP: ("AA \u2212", "SAT"),
}  # fmt: skip
_LEAST = (
    "fgsm",
    "pgd_trades",
    "pgd_rescaled",
    "cw_2",
    "cw_inf",
    DROP,
)  # first to go where there is no room


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Which columns there is room for, how wide each is, and where spreads stand."""

    label: int
    columns: tuple[str, ...]
    widths: Mapping[str, int]
    digits: Mapping[str, int]
    letters: Mapping[str, int]
    inline: bool  # intervals or deviations beside the number
    under: Mapping[tuple[str, str], str]  # what stands on a line of its own below a cell
    heads: Mapping[str, tuple[str, str]]
    dropped: tuple[str, ...]


def title(column: str) -> str:
    """What a column is called."""
    return "AA \u2212 PGD-SAT" if column == DROP else attack_title(column)


def plan(grid: Comparison, width: int, *, deltas: bool = False, attack: str = "") -> Plan:
    """The roomiest that fits: full titles with spreads, then tight titles, then fewer columns, that of `attack` last.

    Where there are many rows, deviations stay beside their numbers, be there one column left.
    """
    label = _label_width(grid, width)
    columns = [*grid.columns, *grid.apart]
    for tight, inline in ((False, True), (True, True), (False, False), (True, False)):
        beside = inline and not deltas
        made = _spaced(grid, _sized(grid, columns, label, tight=tight, inline=beside), width, deltas=deltas)
        if _used(made) <= width and not (made.under and len(grid.rows) > _FEW):
            return made
    if len(grid.rows) > _FEW and not deltas:
        made = _thinned(grid, columns, label, attack, width, inline=True)
        deviates = any(cell.std is not None for cell in grid.cells.values())
        if _used(made) <= width and (deviates or len(made.columns) >= _KEPT):
            return made
    return _thinned(grid, columns, label, attack, width, deltas=deltas)


def _label_width(grid: Comparison, width: int) -> int:
    longest = next(label for least, label in _LABELS if width >= least or not least)
    return min(longest, max((len(label_of(grid, row)) for row in grid.rows), default=8))


def _thinned(
    grid: Comparison, columns: Sequence[str], label: int, attack: str, width: int, *, inline: bool = False,
    deltas: bool = False,
) -> Plan:  # fmt: skip
    """As many columns as fit, at least one."""
    kept = list(columns)
    last = (WORST, CE) if SUITE in columns else (CE, WORST)  # the worst case is as good as AutoAttack
    order = [column for column in (*_LEAST, *last, *reversed(columns)) if column != attack]
    made = _spaced(grid, _sized(grid, kept, label, tight=True, inline=inline), width, deltas=deltas)
    for gone in order:
        if _used(made) <= width:
            break
        if gone in kept and len(kept) > 1:
            kept.remove(gone)
            made = _spaced(grid, _sized(grid, kept, label, tight=True, inline=inline), width, deltas=deltas)
    return made


def _spaced(grid: Comparison, sized: Plan, width: int, *, deltas: bool) -> Plan:
    """With spreads on a line of their own: deviations always, intervals where there is much room."""
    cells = {key: cell for key, cell in grid.cells.items() if key[1] in sized.columns and key[1] != DROP}
    deviates = any(cell.std is not None or _seeds(cell) for cell in cells.values())
    if sized.inline or deltas or not (deviates or width >= _ROOMY):
        return sized
    under = {key: _below(cell, intervals=width >= _ROOMY) for key, cell in cells.items()}
    digits = {
        column: max(least, *(len(word) for (_, c), word in under.items() if c == column), 0)
        for column, least in sized.digits.items()
    }
    widths = {column: room + digits[column] - sized.digits[column] for column, room in sized.widths.items()}
    return replace(sized, under=under, widths=widths, digits=digits)


def _sized(grid: Comparison, columns: Sequence[str], label: int, *, tight: bool, inline: bool) -> Plan:
    heads = {c: _TIGHT.get(c, ("", title(c))) if tight else ("", title(c)) for c in columns}
    widths: dict[str, int] = {}
    digits: dict[str, int] = {}
    letters: dict[str, int] = {}
    for column in columns:
        cells = [v for (_, c), v in grid.cells.items() if c == column]
        least = 6 if any(cell.n >= 10_000 for cell in cells) else 5
        digits[column] = max(least, *(len(part) for part in heads[column]))
        unlike = any(c == column for _, c in grid.reasons)
        letters[column] = max([len(cell.marked.signs) for cell in cells] + [int(unlike)], default=0)
        beside = max((len(spread(cell)) for cell in cells), default=0) if inline and column != DROP else 0
        widths[column] = digits[column] + letters[column] + beside
    kept = set(columns)
    return Plan(
        label=label, columns=tuple(columns), widths=widths, digits=digits, letters=letters, inline=inline, under={},
        heads=heads, dropped=tuple(c for c in (*grid.columns, *grid.apart) if c not in kept),
    )  # fmt: skip


def _used(made: Plan) -> int:
    return 5 + made.label + sum(width + 2 for width in made.widths.values())


def _seeds(cell: RobustnessCell) -> str:
    """How many, where they are fewer than the row has."""
    return f" ({cell.runs})" if cell.runs < cell.of else ""


def spread(cell: RobustnessCell) -> str:
    """Beside a number: the deviation over seeds, or the interval of one run."""
    if cell.std is not None:
        return f" \u00b1{100 * cell.std:.1f}{_seeds(cell)}"
    if cell.high > cell.low:
        return f" [{percent(cell.low, cell.n)}, {percent(cell.high, cell.n)}]{_seeds(cell)}"
    return _seeds(cell)


def _below(cell: RobustnessCell, *, intervals: bool) -> str:
    if cell.std is not None:
        return spread(cell).strip()
    span = f"{percent(cell.low, cell.n)}\u2013{percent(cell.high, cell.n)}" if intervals else ""
    return f"{span}{_seeds(cell)}".strip()


def tails(grid: Comparison, row: ComparisonRow) -> list[str]:
    """After the label: that it is the baseline, that it cannot be compared, that a run has not ended well."""
    base = " base" if row.id == grid.base.id else ""
    signs = "".join(dict.fromkeys(run.sign for run in row.runs if run.status != "done"))
    return [base, f" {UNLIKE}" if row.id in grid.badges else "", f" {signs}" if signs else ""]


def label_of(grid: Comparison, row: ComparisonRow) -> str:
    """With what follows it."""
    return row.label + "".join(tails(grid, row))
