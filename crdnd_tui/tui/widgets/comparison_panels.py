"""The panels of a comparison: curves, results, keys, classes, and a page for each kind of finding.

They are handed what is shown, and each is drawn anew only when something that it shows has changed.
"""

from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Container, Horizontal
from textual.content import Content

from crdnd_tui.compare import config, curves
from crdnd_tui.compare.rows import ComparisonRow, class_differences
from crdnd_tui.core.attack_names import attack_title
from crdnd_tui.core.palette import Palette, assign
from crdnd_tui.tui.comparison_view import OVERVIEW, PAGES, ComparisonView
from crdnd_tui.tui.widgets import contrast_columns, differences, finding_sheets, result_grid
from crdnd_tui.tui.widgets.chart_sheet import Line
from crdnd_tui.tui.widgets.curve_board import CurveBoard
from crdnd_tui.tui.widgets.page_bar import PageBar
from crdnd_tui.tui.widgets.text_sheet import RowSheet, TextSheet
from crdnd_tui.tui.widgets.tradeoff_plot import TradeoffPlot
from crdnd_tui.write.comparison_summary import ComparisonSummary

_BANDS = 2  # curves that keep their raw band; more would hide one another
_SPREADS = 3  # the same for deviations over seeds; of more curves only that under the cursor has one
_LOW = 20  # lines of a terminal below which every row counts


class ComparisonPanels(Container):
    """Those of the overview at once where there is room, else one page after the other under a bar that names them."""

    DEFAULT_CSS: ClassVar[str] = "ComparisonPanels { height: 1fr; }"

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._curve_cache = curves.CurveCache()
        self._drawn: dict[str, Hashable] = {}  # page -> what it was drawn from

    def compose(self) -> ComposeResult:
        yield PageBar(PAGES, id="pages")
        yield CurveBoard(id="curves")
        yield RowSheet(id="results", classes="panel")
        with Horizontal(id="lower"):
            yield TextSheet(id="config", classes="panel")
            yield TextSheet(id="classes", classes="panel")
        yield TextSheet(id="tests", classes="panel")
        yield TextSheet(id="gap", classes="panel")
        yield TextSheet(id="ends", classes="panel")
        yield TradeoffPlot(id="tradeoff")

    def wait(self) -> None:
        """Until the runs are read."""
        self._drawn.clear()
        for page in ("results", "tests", "gap", "ends"):
            self.query_one(f"#{page}", TextSheet).show(lambda _width: [Text("Reading the runs ...", style="dim")])

    def draw(self, shown: ComparisonView, found: ComparisonSummary, palette: Palette) -> None:
        """What has changed since the last time."""
        colours = assign(palette, [row.id for row in shown.rows])
        self.turn(shown.look.page)
        self._curves(shown, found, palette, colours)
        self._results(shown, found, palette, colours)
        self._config(shown, found, palette, colours)
        self._per_class(shown, found, palette)
        self._tables(shown, found, palette, colours)

    def turn(self, page: str) -> None:
        """Which page is in front where there is room for one only, or for the overview."""
        for name in PAGES:
            self.set_class(name == page, f"-{name}")
        self.set_class(page not in OVERVIEW, "-alone")
        self.query_one(PageBar).show(page)

    def panel(self, page: str) -> TextSheet | CurveBoard | TradeoffPlot:
        """What a page shows."""
        if page == "curves":
            return self.query_one(CurveBoard)
        if page == "tradeoff":
            return self.query_one(TradeoffPlot)
        return self.query_one(f"#{page}", TextSheet)

    def reveal(self) -> None:
        """The row under the cursor, where not all rows are in sight."""
        self.query_one("#results", RowSheet).reveal(result_grid.CURSOR)

    def _is_new(self, page: str, *what: Hashable) -> bool:
        """Whether a page was drawn from something else."""
        if self._drawn.get(page) == what:
            return False
        self._drawn[page] = what
        return True

    def _curves(
        self, shown: ComparisonView, found: ComparisonSummary, palette: Palette, colours: dict[str, str]
    ) -> None:
        measure, lines, without = shown.measure, [], []
        by = next((v.by for run in shown.runs for v in run.state.validations[-1:]), "")
        attack = by if measure.key == curves.SELECTING else measure.key.partition("val:")[2]
        seen = [row for row in shown.rows if row.id not in shown.hidden]
        for row in seen:
            curve = self._curve_cache.curve(row, measure)
            if not len(curve.series):
                without.append(row.label)
                continue
            told = found.comparison.marked(row, attacks=[attack], checkpoint="").signs if attack else ""
            spreads = len(seen) <= _SPREADS or row.id == shown.row.id
            lines.append(
                Line(
                    name=row.label, colour=colours[row.id], series=curve.series,
                    band=measure.smooth and len(shown.rows) <= _BANDS, smooth=measure.smooth,
                    spread=curve.band if spreads else None,
                    value=f"{curve.last} {told}".rstrip(),
                )
            )  # fmt: skip
        board = self.query_one(CurveBoard)
        title = _title(shown, lines, without)
        board.show(title, lines, percent=measure.percent, apart=shown.look.apart, quiet=palette.faint)

    def _results(
        self, shown: ComparisonView, found: ComparisonSummary, palette: Palette, colours: dict[str, str]
    ) -> None:
        look, attack = shown.look, shown.attack
        if not self._is_new("results", found, palette, shown.row.id, attack, look.deltas, shown.hidden):
            return
        view = result_grid.View(
            colours=colours, cursor=shown.row.id, attack=attack, deltas=look.deltas, hidden=shown.hidden
        )
        sheet = self.query_one("#results", TextSheet)
        sheet.show(lambda width: result_grid.lines(found, view, palette, width, low=self.app.size.height < _LOW))
        unit = "points more than base" if look.deltas else "% right"
        mean = "mean" if look.deltas else "mean \u00b1 std"
        over = f", {mean} over (n) seeds" if _grouped(shown.rows) else ""
        cut = f" \u00b7 {look.left_out} more left out" if look.left_out else ""
        sheet.border_title = Content(f"Results: {look.checkpoint} checkpoint, {unit}{over}{cut}")
        foot = (contrast_columns.floor(found, attack), shown.conditions)
        sheet.border_subtitle = Content(" \u00b7 ".join(words for words in foot if words))

    def _config(
        self, shown: ComparisonView, found: ComparisonSummary, palette: Palette, colours: dict[str, str]
    ) -> None:
        look = shown.look
        if not self._is_new("config", found, palette, look.all_keys, look.unfolded):
            return
        known = config.config_keys(shown.rows)
        differ = [key for key in known if key.differs]
        keys = known if look.all_keys else differ
        folded = keys if look.unfolded else config.fold_keys(keys)
        sheet = self.query_one("#config", TextSheet)
        sheet.show(lambda width: differences.key_lines(folded, shown.rows, colours, palette, width))
        only = f"Config: only differences ({len(differ)} of {len(known)} keys)"
        whole = f"Config: all {len(known)} keys, {len(differ)} differ"
        sheet.border_title = Content(whole if look.all_keys else only)
        sheet.border_subtitle = "f unfolds .*" if len(folded) < len(keys) else "f folds" if look.unfolded else ""

    def _per_class(self, shown: ComparisonView, found: ComparisonSummary, palette: Palette) -> None:
        row, base, attack = shown.row, shown.base, shown.attack
        if not self._is_new("classes", found, palette, row.id, attack):
            return
        known, why = class_differences(row, base, attack)
        both = (row, base) if row.id != base.id else (row,)
        named = [(one.label, found.comparison.worst_class(one, attack)) for one in both]
        marked = found.comparison.marked(*both, attacks=[attack])
        sheet = self.query_one("#classes", TextSheet)

        def made(width: int) -> list[Text]:
            worst = differences.worst_lines(named, palette, width)
            room = sheet.size.height - len(worst)
            return [*worst, *differences.class_lines(known, why, palette, width, room, marked)]

        sheet.show(made)
        whose = f": {row.label} \u2212 {base.label}" if row.id != base.id else ""
        sheet.border_title = Content(f"Classes, {attack_title(attack)}{whose}")
        sheet.border_subtitle = "points" if known else ""

    def _tables(
        self, shown: ComparisonView, found: ComparisonSummary, palette: Palette, colours: dict[str, str]
    ) -> None:
        attack, comparison = shown.attack, found.comparison

        def sheet(page: str, title: str, made: Callable[[int], Sequence[Text]]) -> None:
            one = self.query_one(f"#{page}", TextSheet)
            one.show(lru_cache(maxsize=2)(made))  # with and without a scrollbar
            one.border_title, one.border_subtitle = Content(title), Content(shown.conditions)

        if self._is_new("tests", found, palette, attack):
            title = f"Tests: differences to {comparison.base.label} in points"
            sheet("tests", title, lambda width: finding_sheets.tests(found, attack, colours, palette, width))
        if not self._is_new("tables", found, palette):
            return
        gap, ends, figure = found.masking, found.overfitting, found.tradeoff
        sheet(
            "gap", f"Gap: {gap.title if gap else 'between attacks'}",
            lambda width: finding_sheets.gap(found, colours, palette, width),
        )  # fmt: skip
        sheet(
            "ends", ends.title if ends else "Robust overfitting: best against last",
            lambda width: finding_sheets.ends(found, colours, palette, width),
        )  # fmt: skip
        bars = comparison.bare(figure.caption) if figure else ""
        self.query_one(TradeoffPlot).show(figure, [colours[row.id] for row in comparison.rows], bars)


def _grouped(rows: Sequence[ComparisonRow]) -> bool:
    return any(row.draws > 1 for row in rows)


def _title(shown: ComparisonView, lines: Sequence[Line], without: Sequence[str]) -> str:
    """The measure, what bands are, which measure it is, and of whom there is none."""
    measure = shown.measure
    title = measure.title
    if _grouped(shown.rows):
        title += ", mean \u00b1 std of seeds" if any(line.spread for line in lines) else ", mean of seeds"
    title += "" if shown.look.apart else f" \u00b7 m {shown.measures.index(measure) + 1} of {len(shown.measures)}"
    return title + (f" \u00b7 none of {', '.join(without)}" if lines and without else "")
