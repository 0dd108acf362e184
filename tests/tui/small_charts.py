"""A small app with charts in it, and falling losses to draw."""

import asyncio
import math

from textual.app import App
from textual.containers import Grid

from crdnd_tui.chart.series import PointSeries
from crdnd_tui.core.palette import DARK
from crdnd_tui.tui.themes import themes
from crdnd_tui.tui.widgets.chart import Chart
from crdnd_tui.tui.widgets.chart_sheet import Line

CSS = """
Grid { grid-size: 2 2; height: 1fr; }
Grid.one { grid-size: 1 1; }
.panel { border: round $line; border-title-color: $foreground; border-title-style: bold;
         border-subtitle-color: $muted; background: $background; padding: 0 1; }
.panel:focus { border: round $accent; }
"""


def wave(n, height, floor, phase, noise=0.3):
    """A falling loss with a noise that is the same everywhere."""
    return PointSeries(
        (k, height * math.exp(-5 * k / n) + floor * (1 + noise * math.sin(k * 12.9898 + phase) * math.sin(k * 78.233)))
        for k in range(1, n + 1)
    )


class Small(App[None]):
    CSS = CSS

    def __init__(self, charts, theme="crdnd-dark"):
        super().__init__()
        for ours in themes():
            self.register_theme(ours)
        self.theme, self.charts, self.moves = theme, charts, []

    def compose(self):
        with Grid(classes="one" if len(self.charts) == 1 else ""):
            yield from self.charts

    def on_chart_moved(self, message):
        self.moves.append(message.x)


def drive(story, *charts, size=(80, 24), theme="crdnd-dark"):
    async def go():
        app = Small(charts or [Chart("Loss", id="loss")], theme)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await story(app, pilot, app.query(Chart).first())

    asyncio.run(go())


def three(palette=DARK, n=2_000):
    parts = (("total", 2.1, 0.6), ("robust", 1.4, 0.4), ("clean", 0.6, 0.2))
    return [
        Line(name=name, colour=palette.series[k], series=wave(n, a, b, k), band=True, smooth=True)
        for k, (name, a, b) in enumerate(parts)
    ]


def text_of(chart):
    return "\n".join("".join(segment.text for segment in chart.render_line(y)) for y in range(chart.size.height))
