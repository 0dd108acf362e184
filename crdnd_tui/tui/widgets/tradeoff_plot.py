"""Clean against robust accuracy: one point for each row, in the row's colour, with what it stands for beside it."""

import textwrap
from collections.abc import Sequence

from rich.cells import cell_len

from crdnd_tui.chart.plot import AXIS, DOT, LABEL, NamedPoint, scatter
from crdnd_tui.core.format import percentage
from crdnd_tui.core.text import one_line, pad, plain
from crdnd_tui.tui.widgets.cells import Cells, Part, Row
from crdnd_tui.write.document import Figure, Series
from crdnd_tui.write.numbers import below, marks

_NAME = 30  # cells of a name
_BESIDE = 96  # cells from which the numbers stand beside the plot
_LEAST = (24, 6)  # cells of a plot that is worth drawing
_EMPTY = "Two rows with a clean and a robust accuracy make a trade-off; so far there are not two that may be compared."


class TradeoffPlot(Cells):
    """Up is robust, right is clean; the lines below or beside give the numbers, the most robust first."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, title="Trade-off")
        self._figure: Figure | None = None
        self._colours: Sequence[str] = ()

    def show(self, figure: Figure | None, colours: Sequence[str], conditions: str) -> None:
        """One colour for each row of the comparison, also for those that have no point."""
        self._figure, self._colours = figure, tuple(colours)
        self.name_it(f"Trade-off: {figure.title}" if figure else "Trade-off", conditions if figure else "")
        self.redraw()

    def take_focus(self) -> None:
        """The keys go here."""
        self.focus()

    def draw(self, width: int, height: int) -> Sequence[Row]:
        palette, figure = self.palette, self._figure
        if figure is None:
            return [[(line, palette.muted)] for line in textwrap.wrap(_EMPTY, max(8, width))]
        order = sorted(figure.series, key=lambda one: -one.y[0])
        legend = self._legend(order, figure)
        beside = width >= _BESIDE
        room = max(sum(cell_len(words) for words, _ in row) for row in legend)
        tall = height if beside else max(height - len(legend) - 1, 2 * height // 3)
        size = (width - room - 3 if beside else width, tall - 1)
        if size[0] < _LEAST[0] or size[1] < _LEAST[1]:
            return legend
        plot = [[(f"{figure.y}, up; {figure.x}, right", palette.muted)], *self._plot(order, size)]
        if not beside:
            return [*plot, [], *legend]
        made = []
        for y in range(max(len(plot), len(legend))):
            row: list[Part] = list(plot[y]) if y < len(plot) else []
            if y < len(legend):
                row.append((" " * (size[0] + 3 - sum(cell_len(words) for words, _ in row)), ""))
                row += legend[y]
            made.append(row)
        return made

    def _plot(self, order: Sequence[Series], size: tuple[int, int]) -> list[Row]:
        palette, longest = self.palette, min(_NAME, max(8, size[0] // 3))
        known = {
            **{f"row{k}": self._colours[one.colour] for k, one in enumerate(order)},
            AXIS: palette.border, LABEL: palette.muted, "": "",
        }  # fmt: skip
        named = [
            NamedPoint(
                name=_letter(k) if self.ascii_only else f"{one_line(one.label, longest)} {marks(one)}".rstrip(),
                key=f"row{k}", x=one.x[0], y=one.y[0],
                ends=(one.low[0], one.high[0]),
            )
            for k, one in enumerate(order)
        ]  # fmt: skip
        rows = scatter(named, size)
        return [[(plain(words) if self.ascii_only else words, known[key]) for words, key in row] for row in rows]

    def _legend(self, order: Sequence[Series], figure: Figure) -> list[Row]:
        """Mark, name, clean, robust with its interval."""
        palette, label = self.palette, min(_NAME, max(cell_len(one.label) for one in order))
        robust = one_line(figure.y.removesuffix(", %"), 14)
        wide, signs = max(5, cell_len(robust)), max(len(marks(one)) for one in order)
        rows: list[Row] = [[(f"  {pad('', label)}  clean  {robust.rjust(wide)}", palette.muted)]]
        for k, one in enumerate(order):
            mark = _letter(k) if self.ascii_only else DOT
            rows.append([
                (f"{mark} ", self._colours[one.colour]),
                (pad(one_line(one.label, label), label), palette.text),
                (f"  {percentage(one.x[0]):>5}  ", palette.muted if one.severity == "red" else palette.text),
                (" " * (wide - len(percentage(one.y[0]))), ""),
                (percentage(one.y[0]), f"strike {palette.muted}" if one.severity == "red" else f"bold {palette.text}"),
                (f" {marks(one):<{signs}}" if signs else "", palette.bad if one.severity == "red" else palette.warn),
                (f"  {percentage(one.low[0]):>4}\u2013{percentage(one.high[0]):<5}", palette.muted),
            ])  # fmt: skip
        room = max(24, sum(cell_len(words) for words, _ in rows[-1]))
        notes = [line for words in below(figure) for line in textwrap.wrap(words, room, subsequent_indent="  ")]
        return [*rows, *([(line, palette.muted)] for line in notes)]


def _letter(place: int) -> str:
    return "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"[place % 52]
