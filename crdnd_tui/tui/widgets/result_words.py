"""What is said above and below the robustness tables: the judgement, and why numbers are missing or stand alone."""

from rich.text import Text

from crdnd_tui.compare.comparison import Comparison
from crdnd_tui.compare.order import OrderVerdict
from crdnd_tui.core.marks import DISBELIEVED
from crdnd_tui.core.palette import Palette
from crdnd_tui.core.text import wrapped
from crdnd_tui.tui.widgets.result_plan import UNLIKE, Plan, title


def judgement(verdict: OrderVerdict, palette: Palette, width: int) -> list[Text]:
    """Its sign and colour say whether a lead stands; its words say which."""
    if not verdict.text:
        return []
    kind = verdict.kind
    sign, colour = {"holds": ("\u2713", palette.good), "lost": ("\u2717", palette.bad)}.get(kind, ("~", palette.warn))
    tone = f"bold {palette.bad}" if kind == "lost" else f"bold {palette.text}"
    made = wrapped(f"{sign} {verdict.text}", width, tone, indent=" ", hang="   ")
    made[0].stylize(f"bold {colour}", 0, 3)
    return made


def notes(grid: Comparison, plan: Plan, palette: Palette, width: int) -> list[Text]:
    """Why rows or cells are not comparable or empty, then letters and what is not shown."""
    made: list[Text] = []
    names = {row.id: row.label for row in grid.rows}
    for row, why in grid.badges.items():
        words = f"{UNLIKE} {names[row]} is not comparable with {grid.base.label}: {why}"
        made += wrapped(words, width, palette.warn, indent=" ", hang="   ")
    cells = dict.fromkeys((row, why) for (row, _), why in grid.reasons.items() if row not in grid.badges)
    for row, why in cells:
        made += wrapped(f"{UNLIKE} {names[row]}: {why}", width, palette.warn, indent=" ", hang="   ")
    for row, why in grid.empty.items():
        made += wrapped(f"{names[row]}: {why}", width, palette.muted, indent=" ", hang="   ")
    for letter, sentence in grid.notes:
        note = wrapped(f"{letter} {sentence}".lstrip(), width, palette.muted, indent=" ", hang="   ")
        note[0].stylize(palette.warn, 1, 1 + len(letter))
        made += note
    if any(cell.is_struck for cell in grid.cells.values()):
        struck = wrapped(DISBELIEVED, width, palette.muted, indent=" ", hang="   ")
        struck[0].stylize(palette.bad, 1, 3)
        made += struck
    if plan.dropped:
        words = f"not shown for want of room: {', '.join(title(column) for column in plan.dropped)}"
        made += wrapped(words, width, palette.muted, indent=" ", hang="   ")
    return made
