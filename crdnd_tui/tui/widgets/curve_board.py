"""Curves of several runs: all in one chart, or a chart for each with the others faint behind it, on the same axes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from textual.containers import Container
from textual.events import Resize

from crdnd_tui.core.format import position
from crdnd_tui.tui.widgets.chart import Chart
from crdnd_tui.tui.widgets.chart_sheet import Line
from crdnd_tui.tui.widgets.legend import legend

_LEAST = 38  # cells of a small chart
_BORDERS = 4  # cells of a panel's edge that carry no words


class _Compared(Chart):
    """Keeps how it was looked at when it makes way for another measure."""

    def follow(self, other: Chart) -> None:
        """The same stretch of x, crosshair and smoothing as this one's; logarithmic y belongs to a measure."""
        if isinstance(other, _Compared):
            self._sheet.window.chosen = other._sheet.window.chosen
            self.log_x, self.smoothing, self.cursor = other.log_x, other.smoothing, other.cursor


class _Alone(_Compared):
    """One curve before the others. Only it is in the legend: those behind it have charts of their own."""

    def _entitle(self) -> None:
        super()._entitle()
        if self.is_attached:
            at = "" if self.cursor is None else f"{self._sheet.x_label} {position(self.cursor)}"
            own = self._sheet.entries(self._how())[-1:]
            self.border_subtitle = legend(own, at, self.palette, self.outer_size.width - _BORDERS)


class CurveBoard(Container):
    """Charts are made anew for another measure or other runs; while runs grow, they are only fed."""

    DEFAULT_CSS = "CurveBoard { layout: grid; grid-gutter: 0; height: 1fr; }"

    def __init__(self, **names: Any) -> None:  # noqa: ANN401  id and classes
        super().__init__(**names)
        self._key: object = None
        self._charts: list[_Compared] = []
        self.names: list[list[str]] = []  # of the curves in each chart

    def show(self, title: str, lines: Sequence[Line], *, percent: bool, apart: bool, quiet: str) -> None:
        """These curves; `quiet` is the colour of what stands behind."""
        names = [line.name for line in lines]
        titles = [f"{name}: {title}" for name in names] if apart and names else [title]
        key = (titles, percent, apart)
        if key != self._key:
            self._key = key
            self._rebuild(titles, percent, _Alone if apart and lines else _Compared)
        self.names = []
        for place, chart in enumerate(self._charts):
            others = [line for k, line in enumerate(lines) if k != place]
            behind = [replace(line, colour=quiet, band=False, spread=None) for line in others]
            mine = [*behind, lines[place]] if apart and lines else list(lines)  # the last is drawn above the others
            self.names.append([line.name for line in mine])
            chart.show(mine)

    def take_focus(self) -> None:
        """To the first chart."""
        if self._charts:
            self._charts[0].focus()

    def _rebuild(self, titles: Sequence[str], percent: bool, kind: type[_Compared]) -> None:
        focused = any(chart.has_focus for chart in self._charts)
        before = self._charts
        for chart in before:
            chart.remove()
        self._charts = [kind(words, percent=percent, empty="no run has this yet") for words in titles]
        self.mount_all(self._charts)
        for place, chart in enumerate(self._charts if before else ()):
            chart.follow(before[min(place, len(before) - 1)])
        self._arrange()
        if focused:
            self._charts[0].focus()

    def on_resize(self, event: Resize) -> None:
        """As many charts side by side as stay readable."""
        self._arrange()

    def _arrange(self) -> None:
        count, width = max(1, len(self._charts)), self.size.width or 80
        rows = -(-count // max(1, min(count, width // _LEAST)))
        self.styles.grid_size_columns = -(-count // rows)
        self.styles.grid_size_rows = rows
