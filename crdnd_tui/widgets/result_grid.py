"""The robustness tables of several runs as lines of text: rows are runs, columns attacks, on the decimal point.

A column that finds no room is named below the table, never silently left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rich.text import Text

from crdnd_tui import report
from crdnd_tui.comparing.comparison import DROP, Grid, Row, Value, delta
from crdnd_tui.palette import Palette
from crdnd_tui.text import one_line, pad, percent

UNLIKE = "\u2260"
CURSOR = "\u25b8"  # begins the row under the cursor
_LABELS = ((100, 22), (56, 16), (0, 14))  # cells of a label at most, from so many cells of the panel on
_ROOMY = 150  # cells from which intervals find a line of their own
_TIGHT: Mapping[str, tuple[str, str]] = {
    "pgd_sat": ("PGD", "SAT"), "pgd_trades": ("PGD", "TRADES"), "cw_inf": ("CW", "inf"),
    "pgd_rescaled": ("PGD", "resc."), "autoattack": ("Auto", "Attack"), report.WORST: ("worst", "L-inf"),
    DROP: ("AA \u2212", "SAT"),
}  # fmt: skip
_LEAST = (
    "fgsm",
    "pgd_trades",
    "pgd_rescaled",
    "cw_2",
    "cw_inf",
    DROP,
    "pgd_sat",
    report.WORST,
)  # first to go where there is no room


@dataclass(frozen=True, kw_only=True)
class View:
    """How the user looks at the table."""

    colours: Mapping[str, str]  # row id -> colour
    cursor: str = ""
    deltas: bool = False
    hidden: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class _Plan:
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
    return "AA \u2212 PGD-SAT" if column == DROP else report.title(column)


def lines(grid: Grid, view: View, palette: Palette, width: int) -> list[Text]:
    """The judgement, which no table may push out of sight; head, rows, and what must be said of them."""
    plan = _plan(grid, view, width)
    made = [*_verdict(grid, palette, width), *_heads(grid, plan, palette)]
    for row in grid.rows:
        made += _row(grid, view, palette, plan, row, width)
    return [*made, *_said(grid, plan, palette, width)]


def _plan(grid: Grid, view: View, width: int) -> _Plan:
    """The roomiest that fits: full titles with spreads, then tight titles, then fewer columns."""
    longest = next(label for least, label in _LABELS if width >= least or not least)
    label = min(longest, max((len(_label(grid, row)) for row in grid.rows), default=8))
    columns = [*grid.columns, *grid.apart]
    plan = _sized(grid, columns, label, tight=True, inline=False)
    for tight, inline in ((False, True), (True, True), (False, False), (True, False)):
        plan = _spaced(grid, view, _sized(grid, columns, label, tight=tight, inline=inline and not view.deltas), width)
        if _used(plan) <= width:
            return plan
    for gone in (*_LEAST, *reversed(columns)):
        if gone in columns and len(columns) > 1:
            columns.remove(gone)
        plan = _spaced(grid, view, _sized(grid, columns, label, tight=True, inline=False), width)
        if _used(plan) <= width:
            break
    return plan


def _spaced(grid: Grid, view: View, plan: _Plan, width: int) -> _Plan:
    """With spreads on a line of their own: deviations always, intervals where there is much room."""
    cells = {key: cell for key, cell in grid.values.items() if key[1] in plan.columns and key[1] != DROP}
    deviates = any(cell.std is not None or _seeds(cell) for cell in cells.values())
    if plan.inline or view.deltas or not (deviates or width >= _ROOMY):
        return plan
    under = {key: _below(cell, intervals=width >= _ROOMY) for key, cell in cells.items()}
    digits = {
        column: max(least, *(len(word) for (_, c), word in under.items() if c == column), 0)
        for column, least in plan.digits.items()
    }
    widths = {column: room + digits[column] - plan.digits[column] for column, room in plan.widths.items()}
    return replace(plan, under=under, widths=widths, digits=digits)


def _sized(grid: Grid, columns: Sequence[str], label: int, *, tight: bool, inline: bool) -> _Plan:
    heads = {c: _TIGHT.get(c, ("", title(c))) if tight else ("", title(c)) for c in columns}
    widths: dict[str, int] = {}
    digits: dict[str, int] = {}
    letters: dict[str, int] = {}
    for column in columns:
        cells = [v for (_, c), v in grid.values.items() if c == column]
        least = 6 if any(cell.n >= 10_000 for cell in cells) else 5
        digits[column] = max(least, *(len(part) for part in heads[column]))
        unlike = any(c == column for _, c in grid.reasons)
        letters[column] = max([len(cell.letters) for cell in cells] + [int(unlike)], default=0)
        spread = max((len(_spread(cell)) for cell in cells), default=0) if inline and column != DROP else 0
        widths[column] = digits[column] + letters[column] + spread
    kept = set(columns)
    return _Plan(
        label=label, columns=tuple(columns), widths=widths, digits=digits, letters=letters, inline=inline, under={},
        heads=heads, dropped=tuple(c for c in (*grid.columns, *grid.apart) if c not in kept),
    )  # fmt: skip


def _used(plan: _Plan) -> int:
    return 5 + plan.label + sum(width + 2 for width in plan.widths.values())


def _seeds(cell: Value) -> str:
    """How many, where they are fewer than the row has."""
    return f" ({cell.runs})" if cell.runs < cell.of else ""


def _spread(cell: Value) -> str:
    if cell.std is not None:
        return f" \u00b1{100 * cell.std:.1f}{_seeds(cell)}"
    if cell.high > cell.low:
        return f" [{percent(cell.low, cell.n)}, {percent(cell.high, cell.n)}]{_seeds(cell)}"
    return _seeds(cell)


def _below(cell: Value, *, intervals: bool) -> str:
    if cell.std is not None:
        return _spread(cell).strip()
    span = f"{percent(cell.low, cell.n)}\u2013{percent(cell.high, cell.n)}" if intervals else ""
    return f"{span}{_seeds(cell)}".strip()


def _tails(grid: Grid, row: Row) -> list[str]:
    """After the label: that it is the baseline, that it cannot be compared, that a run has not ended well."""
    base = " base" if row.id == grid.baseline else ""
    signs = "".join(dict.fromkeys(side.sign for side in row.sides if side.word != "done"))
    return [base, f" {UNLIKE}" if row.id in grid.badges else "", f" {signs}" if signs else ""]


def _label(grid: Grid, row: Row) -> str:
    return row.label + "".join(_tails(grid, row))


def _heads(grid: Grid, plan: _Plan, palette: Palette) -> list[Text]:
    """One line of titles, or two where they are tight."""
    made = []
    for part in (0, 1):
        if not any(head[part] for head in plan.heads.values()):
            continue
        line = Text(" " * (5 + plan.label), style=palette.muted)
        for column in plan.columns:
            word = plan.heads[column][part]
            body = pad(word.rjust(plan.digits[column]), plan.widths[column])
            line.append("  " + body, palette.muted if column in grid.apart else palette.text)
        made.append(line)
    return made


def _row(grid: Grid, view: View, palette: Palette, plan: _Plan, row: Row, width: int) -> list[Text]:
    here, hidden = row.id == view.cursor, row.id in view.hidden
    line = Text(CURSOR if here else " ", style=palette.accent)
    line.append(
        " \u2504\u2504 " if hidden else " \u2501\u2501 ", palette.faint if hidden else view.colours.get(row.id, "")
    )
    tails = _tails(grid, row)
    name = one_line(row.label, plan.label - sum(map(len, tails)))
    line.append(name, f"bold {palette.text}" if here else palette.text)
    for tail, style in zip(tails, (palette.muted, palette.warn, palette.muted), strict=True):
        line.append(tail, style)
    line.append(" " * max(0, plan.label - len(name) - sum(map(len, tails))))
    for column in plan.columns:
        line.append("  ")
        line.append_text(_cell(grid, view, palette, plan, row, column))
    made = [line]
    if any(plan.under.get((row.id, column)) for column in plan.columns):
        under = Text(" " * (5 + plan.label))
        for column in plan.columns:
            word = plan.under.get((row.id, column), "")
            under.append("  " + pad(word.rjust(plan.digits[column]), plan.widths[column]), palette.muted)
        made.append(under)
    for part in made:
        part.truncate(width, pad=True)
        if here:
            part.stylize(f"on {palette.selection}")
            part.stylize(palette.text if palette.ansi else "", 4)  # its quiet ink is the colour of the selection
    return made


def _cell(grid: Grid, view: View, palette: Palette, plan: _Plan, row: Row, column: str) -> Text:
    """A number or a signed difference, its marks, its spread."""
    cell, digits, room = grid.values.get((row.id, column)), plan.digits[column], plan.widths[column]
    if cell is None:
        barred = (row.id, column) in grid.reasons and column != DROP
        return Text(pad((UNLIKE if barred else "\u2013").rjust(digits), room), palette.muted)
    unlike = (row.id, column) in grid.reasons or (column == DROP and row.id in grid.badges)
    text, style = percent(cell.mean, cell.n), palette.text
    if column == DROP:
        text = signed(100 * cell.mean)
    if view.deltas and row.id != grid.baseline:
        points = delta(grid, row.id, column)
        text = UNLIKE if points is None and unlike else "\u2013" if points is None else signed(points)
        style = palette.muted if points is None else tone(palette, points)
    elif unlike or column in grid.apart or column == DROP:
        style = palette.muted
    if (row.id, column) in grid.best:
        style = f"bold {style}"
    made = Text(text.rjust(digits), style)
    marks = cell.letters + (UNLIKE if unlike and text != UNLIKE and row.id not in grid.badges else "")
    made.append(marks.ljust(plan.letters[column]), palette.warn)
    if plan.inline and column != DROP:
        made.append(_spread(cell), palette.muted)
    made.append(" " * (room - len(made.plain)))
    return made


def signed(points: float) -> str:
    """`+1.2`, with a true minus; what rounds to nothing has no sign."""
    text = f"{points:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "\u2212")


def tone(palette: Palette, points: float) -> str:
    """Blue below zero, orange above, plain at zero."""
    shown = round(points, 1)
    return palette.above if shown > 0 else palette.below if shown < 0 else palette.text


def _verdict(grid: Grid, palette: Palette, width: int) -> list[Text]:
    """Its sign and colour say whether a lead stands; its words say which."""
    if not grid.verdict.words:
        return []
    kind = grid.verdict.kind
    sign, colour = {"holds": ("\u2713", palette.good), "lost": ("\u2717", palette.bad)}.get(kind, ("~", palette.warn))
    tone = f"bold {palette.bad}" if kind == "lost" else f"bold {palette.text}"
    made = report.wrapped(f"{sign} {grid.verdict.words}", width, tone, indent=" ", hang="   ")
    made[0].stylize(f"bold {colour}", 0, 3)
    return made


def _said(grid: Grid, plan: _Plan, palette: Palette, width: int) -> list[Text]:
    """Why rows or cells are not comparable or empty, then letters and what is not shown."""
    made: list[Text] = []
    names = {row.id: row.label for row in grid.rows}
    for row, why in grid.badges.items():
        words = f"{UNLIKE} {names[row]} is not comparable with {names[grid.baseline]}: {why}"
        made += report.wrapped(words, width, palette.warn, indent=" ", hang="   ")
    cells = dict.fromkeys((row, why) for (row, _), why in grid.reasons.items() if row not in grid.badges)
    for row, why in cells:
        made += report.wrapped(f"{UNLIKE} {names[row]}: {why}", width, palette.warn, indent=" ", hang="   ")
    for row, why in grid.empty.items():
        made += report.wrapped(f"{names[row]}: {why}", width, palette.muted, indent=" ", hang="   ")
    for letter, sentence in grid.notes:
        note = report.wrapped(f"{letter} {sentence}", width, palette.muted, indent=" ", hang="   ")
        note[0].stylize(palette.warn, 1, 2)
        made += note
    if plan.dropped:
        words = f"not shown for want of room: {', '.join(title(column) for column in plan.dropped)}"
        made += report.wrapped(words, width, palette.muted, indent=" ", hang="   ")
    return made
