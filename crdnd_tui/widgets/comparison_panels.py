"""The four panels of a comparison: curves, results, keys, classes. They are handed what is shown."""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Container, Horizontal
from textual.content import Content
from textual.widgets import Static

from crdnd_tui import report
from crdnd_tui.comparing import comparison_config, comparison_curves
from crdnd_tui.comparing.comparison_view import PAGES, Shown
from crdnd_tui.palette import Palette, assign
from crdnd_tui.widgets import differences, result_grid
from crdnd_tui.widgets.chart import Line
from crdnd_tui.widgets.curve_board import CurveBoard
from crdnd_tui.widgets.text_sheet import RowSheet, TextSheet

_BANDS = 2  # curves that keep their raw band; more would hide one another


class ComparisonPanels(Container):
    """All at once where there is room, else one page after the other under a bar that names them."""

    DEFAULT_CSS: ClassVar[str] = "ComparisonPanels { height: 1fr; }"

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._growing = comparison_curves.Growing()

    def compose(self) -> ComposeResult:
        yield Static(id="pages", markup=False)
        yield CurveBoard(id="curves")
        yield RowSheet(id="results", classes="panel")
        with Horizontal(id="lower"):
            yield TextSheet(id="config", classes="panel")
            yield TextSheet(id="classes", classes="panel")

    def on_mount(self) -> None:
        """Until the runs are read."""
        self.query_one("#results", TextSheet).show(lambda _width: [Text("Reading the runs ...", style="dim")])

    def draw(self, shown: Shown, palette: Palette) -> None:
        """Everything anew."""
        colours = assign(palette, [side.id for side in shown.sides])
        self.turn(shown.look.page, palette)
        self._curves(shown, palette, colours)
        self._results(shown, palette, colours)
        self._config(shown, palette, colours)
        self._per_class(shown, palette)

    def turn(self, page: str, palette: Palette) -> None:
        """Which page is in front where there is room for one only."""
        text = Text(" ")
        for name in PAGES:
            here = name == page
            text.append(f" {name.title()} ", f"bold underline {palette.accent}" if here else palette.muted)
            text.append(" ")
            self.set_class(here, f"-{name}")
        text.append("  tab next", palette.muted)
        self.query_one("#pages", Static).update(text)

    def panel(self, page: str) -> TextSheet | CurveBoard:
        """What a page shows."""
        if page == "curves":
            return self.query_one(CurveBoard)
        return self.query_one(f"#{page}", TextSheet)

    def reveal(self) -> None:
        """The row under the cursor, where not all rows are in sight."""
        self.query_one("#results", RowSheet).reveal(result_grid.CURSOR)

    def _curves(self, shown: Shown, palette: Palette, colours: dict[str, str]) -> None:
        measure, lines, without = shown.measure, [], []
        for row in shown.rows:
            curve = self._growing.of(row, measure.key)
            if row.id in shown.hidden:
                continue
            if not curve.points:
                without.append(row.label)
                continue
            lines.append(
                Line(
                    name=row.label, colour=colours[row.id], series=curve.series,
                    band=measure.smooth and len(shown.rows) <= _BANDS, smooth=measure.smooth,
                    value=comparison_curves.last(row, measure.key, curve.points, percent=measure.percent),
                )
            )  # fmt: skip
        title = measure.title + (", mean of seeds" if any(len(row.sides) > 1 for row in shown.rows) else "")
        title += "" if shown.look.apart else f" \u00b7 {shown.measures.index(measure) + 1} of {len(shown.measures)}"
        title += f" \u00b7 none of {', '.join(without)}" if lines and without else ""
        board = self.query_one(CurveBoard)
        board.show(title, lines, percent=measure.percent, apart=shown.look.apart, quiet=palette.faint)

    def _results(self, shown: Shown, palette: Palette, colours: dict[str, str]) -> None:
        look, grid = shown.look, shown.grid
        view = result_grid.View(colours=colours, cursor=shown.row.id, deltas=look.deltas, hidden=shown.hidden)
        sheet = self.query_one("#results", TextSheet)
        sheet.show(lambda width: result_grid.lines(grid, view, palette, width))
        unit = "points more than base" if look.deltas else "% right"
        mean = "mean" if look.deltas else "mean \u00b1 std"
        over = f", {mean} over (n) seeds" if any(len(row.sides) > 1 for row in shown.rows) else ""
        sheet.border_title = Content(f"Results: {look.checkpoint} checkpoint, {unit}{over}")
        sheet.border_subtitle = Content(shown.conditions)

    def _config(self, shown: Shown, palette: Palette, colours: dict[str, str]) -> None:
        known, look = comparison_config.of_rows(shown.rows), shown.look
        differ = [key for key in known if key.differs]
        keys = known if look.all_keys else differ
        folded = keys if look.unfolded else comparison_config.folded(keys)
        sheet = self.query_one("#config", TextSheet)
        sheet.show(lambda width: differences.key_lines(folded, shown.rows, colours, palette, width))
        only = f"only differences ({len(differ)} of {len(known)} keys)"
        sheet.border_title = f"Config: {f'all {len(known)} keys, {len(differ)} differ' if look.all_keys else only}"
        sheet.border_subtitle = "f unfolds .*" if len(folded) < len(keys) else "f folds" if look.unfolded else ""

    def _per_class(self, shown: Shown, palette: Palette) -> None:
        row, base, attack = shown.row, shown.base, shown.attack
        known, why = comparison_config.classes(row, base, shown.look.checkpoint, attack)
        sheet = self.query_one("#classes", TextSheet)
        sheet.show(lambda width: differences.class_lines(known, why, palette, width, sheet.size.height))
        whose = f": {row.label} \u2212 {base.label}" if row.id != base.id else ""
        sheet.border_title = Content(f"Classes, {report.title(attack)}{whose}")
        sheet.border_subtitle = "points"
