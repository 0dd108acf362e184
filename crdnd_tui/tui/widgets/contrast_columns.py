"""Columns of tests beside the robustness table, and what the test of one row was made of, in words.

Difference to the baseline, its 95 % interval, p after Holm's correction with a dagger below 0.05: as much as fits.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from rich.text import Text

from crdnd_tui.compare.rows import ComparisonRow
from crdnd_tui.compare.significance import Contrast
from crdnd_tui.compare.stats import LEVEL
from crdnd_tui.core import marks
from crdnd_tui.core.format import MISSING, p_value, percent, points
from crdnd_tui.core.marks import DISBELIEVED
from crdnd_tui.core.palette import Palette
from crdnd_tui.write.comparison_summary import ComparisonSummary
from crdnd_tui.write.comparison_tables import TESTS
from crdnd_tui.write.numbers import DAGGER

UNLIKE = "\u2260"
_GAP = 2
_HEADS = ("diff.", "95 % interval", "p (Holm)")
_P, _INTERVAL, _DIFFERENCE = 2, 1, 0


@dataclass(frozen=True, kw_only=True)
class Block:
    """The columns for one width, all cells filled; no column where there is no room for any."""

    title: str
    columns: tuple[int, ...]  # of _HEADS
    widths: tuple[int, ...]
    cells: Mapping[str, tuple[str, ...]]  # row id -> all three cells
    styles: Mapping[str, tuple[str, ...]]

    @property
    def width(self) -> int:
        """Cells, with the gap before each column."""
        return sum(self.widths[k] + _GAP for k in self.columns)

    def heads(self, palette: Palette) -> tuple[Text, Text]:
        """The attack above, what the columns are below."""
        low = Text()
        for k in self.columns:
            low.append(" " * _GAP + _HEADS[k].rjust(self.widths[k]), palette.text)
        title = self.title if len(self.title) <= self.width - _GAP else self.title.partition(" \u2212 ")[0]
        return Text(title[: max(0, self.width - _GAP)].rjust(self.width), palette.muted), low

    def row(self, row: str) -> Text:
        """The cells of one row."""
        made = Text()
        for k in self.columns:
            made.append(" " * _GAP + self.cells[row][k].rjust(self.widths[k]), self.styles[row][k])
        return made


def block(found: ComparisonSummary, attack: str, palette: Palette, width: int) -> Block | None:
    """At most `width` cells of it: p goes last, the interval first. None where nothing is tested or nothing fits."""
    comparison = found.comparison
    if len(comparison.rows) < 2 or not any((row.id, attack) in comparison.cells for row in comparison.rows):
        return None
    cells, styles = {}, {}
    signs = {row.id: comparison.difference_marked(row, attack).signs for row in comparison.others}
    room = max(
        (len(sign) for row, sign in signs.items() if comparison.contrasts[row, attack].difference is not None),
        default=0,
    )
    for row in comparison.rows:
        one = found.comparison.contrasts.get((row.id, attack))
        cells[row.id], styles[row.id] = _cells(one, signs.get(row.id, "").ljust(room)), _styles(one, palette)
    widths = tuple(max(len(_HEADS[k]), *(len(line[k]) for line in cells.values())) for k in range(3))
    title = f"{comparison.title(attack)} \u2212 {comparison.base.label}"
    tried = ((_DIFFERENCE, _INTERVAL, _P), (_DIFFERENCE, _P), (_P,))
    made = (Block(title=title, columns=kept, widths=widths, cells=cells, styles=styles) for kept in tried)
    return next((one for one in made if one.width <= width), None)


def _cells(one: Contrast | None, signs: str) -> tuple[str, str, str]:
    if one is None:
        return "base", "", ""
    if one.kind == "refused":
        return UNLIKE, "", ""
    if one.difference is None:
        return MISSING, "", ""
    difference = points(100 * one.difference, one.n)
    interval = MISSING
    if one.low is not None and one.high is not None:
        interval = f"[{points(100 * one.low, one.n)}, {points(100 * one.high, one.n)}]"
    p = MISSING if one.adjusted is None else p_value(one.adjusted)
    return f"{difference}{signs}", interval, f"{p}{DAGGER if one.is_significant else ' '}"


def _styles(one: Contrast | None, palette: Palette) -> tuple[str, str, str]:
    if one is None or one.difference is None:
        return (palette.muted,) * 3
    if one.is_struck:
        return (f"strike {palette.muted}",) * 3
    strong = f"bold {palette.text}" if one.is_significant else palette.text
    return strong, palette.muted, strong


def floor(found: ComparisonSummary, attack: str) -> str:
    """How small p can be at all, where tests are exact over seeds: `sign flip, 3 seeds: p >= 0.25`."""
    tested = (found.comparison.contrasts.get((row.id, attack)) for row in found.comparison.others)
    least = sorted({(one.pairs, one.smallest) for one in tested if one is not None and one.smallest is not None})
    return "; ".join(
        f"{f'sign flip, {pairs} seeds' if pairs else 'permutation'}: p \u2265 {p:.3g}" for pairs, p in least
    )


def legend(found: ComparisonSummary, attack: str) -> str:
    """What dagger and bold mean here; empty where there is neither."""
    comparison, said = found.comparison, []
    tested = [found.comparison.contrasts.get((row.id, attack)) for row in comparison.others]
    families = [one.family for one in tested if one is not None and one.adjusted is not None]
    if marks.explained([comparison.order.text, *found.sentences]):
        said.append(marks.LEGEND["amber"])
    if any(one is not None and one.is_struck and one.difference is not None for one in tested):
        said.append(DISBELIEVED.rstrip("."))
    if any(one is not None and one.is_significant for one in tested):
        over = f" over {max(families)} comparisons" if max(families) > 1 else ""
        said.append(f"{DAGGER} p below {LEVEL:g} after Holm's correction{over}")
    if comparison.tied:
        said.append("bold: the best, and what cannot be told from it")
    return "; ".join(said)


def detail(found: ComparisonSummary, row: ComparisonRow, attack: str) -> str:
    """A run's accuracy with its interval; and of its test McNemar's b, c and n, or the seeds and both their tests."""
    one, own = found.comparison.contrasts.get((row.id, attack)), _own(found, row, attack)
    if one is None or one.kind == "refused":
        return own
    if one.difference is None:
        return "; ".join(words for words in (own, one.why if one.kind == "missing" else "") if words)
    said = [own] if own else [f"{row.label}, {found.comparison.title(attack)}"]
    if one.kind == "paired":
        counts = f"b = {one.only_row} images right in {row.label} alone, c = {one.only_baseline} in the baseline alone"
        said.append(f"McNemar: {counts}, n = {one.n:,}, {_p(one.p)}")
    elif one.kind == "seeds":
        exact = f" by sign flip, where {one.smallest:.3g} is the smallest possible" if one.smallest is not None else ""
        said.append(f"{one.pairs} pairs of seeds: {_p(one.p)}{exact}; {_p(one.t_p)} by t test, indicative")
    elif one.p is not None:
        least = f", where {one.smallest:.3g} is the smallest possible" if one.smallest is not None else ""
        said.append(f"{_p(one.p)} by {TESTS[one.kind]}{least}; {_p(one.t_p)} by Welch's t test, indicative")
    return "; ".join([*said, one.why] if one.why else said)


def _own(found: ComparisonSummary, row: ComparisonRow, attack: str) -> str:
    """One run's accuracy with its Wilson interval; deviations over seeds stand in the table."""
    value = found.comparison.cells.get((row.id, attack))
    if value is None or value.runs > 1 or not value.n:
        return ""
    number, low, high = (percent(end, value.n) for end in (value.mean, value.low, value.high))
    signs = f" {value.marked.signs}" if value.marked.signs else ""
    return f"{row.label}, {found.comparison.title(attack)}: {number} %{signs} [{low}, {high}] of {value.n:,}"


def _p(value: float | None) -> str:
    words = MISSING if value is None else p_value(value)
    return f"p {words}" if words.startswith("<") else f"p = {words}"
