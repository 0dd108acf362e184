"""What runs inside the pseudo-terminal: a bare app to compare with, one chart, a log, a folder; numbers go to a file.

python -m benchmarks.terminal_probe chart 100000 OUT
"""

import asyncio
import json
import random
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.drivers.linux_driver import LinuxDriver
from textual.widgets import Footer, Static

HEAVY = ("torch", "torchvision", "numpy")
ROUNDS = 25
_ESCAPES = re.compile(r"\x1b\[[0-9;:<=>?]*[ -/]*[@-~]")


class Bare(App[None]):
    """The least a Textual app can be that has a footer."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("q", "quit", "Quit")]

    def compose(self) -> ComposeResult:
        yield Static("a bare app")
        yield Footer(show_command_palette=False)


def chart(points: int) -> list[float]:
    """CPU seconds of each refresh of a chart of three series, to the last byte, when each got one point more."""
    from crdnd_tui.chart.series import PointSeries  # noqa: PLC0415
    from crdnd_tui.core.palette import DARK  # noqa: PLC0415  the bare app does not pay for it
    from crdnd_tui.tui.themes import themes  # noqa: PLC0415
    from crdnd_tui.tui.widgets.chart import Chart  # noqa: PLC0415
    from crdnd_tui.tui.widgets.chart_sheet import Line  # noqa: PLC0415

    source = random.Random(0)
    series = [PointSeries((k, source.gauss(level, 0.15)) for k in range(points)) for level in range(3)]
    lines = [
        Line(name=str(k), colour=DARK.series[k], series=one, band=True, smooth=True) for k, one in enumerate(series)
    ]
    spent: list[float] = []

    class One(App[None]):
        def compose(self) -> ComposeResult:
            for theme in themes():
                self.register_theme(theme)
            self.theme = "crdnd-dark"
            yield Chart("Loss")

        async def on_mount(self) -> None:
            self.run_worker(self.rounds())

        async def rounds(self) -> None:
            shown = self.query_one(Chart)
            for number in range(ROUNDS + 3):
                for one in series:
                    one.append(points + number, source.gauss(1, 0.15))
                done = asyncio.Event()
                began = time.process_time()
                shown.show(lines)
                shown.call_after_refresh(done.set)
                await done.wait()
                spent.append(time.process_time() - began)
                await asyncio.sleep(0.05)
            self.exit()

    One().run()
    return spent[3:]  # the first ones also build what stays


def opened(log: Path) -> list[float]:
    """CPU seconds from an event log on the disk to curves."""
    from crdnd_tui.core.run_reader import LogReader  # noqa: PLC0415
    from crdnd_tui.core.state import fold  # noqa: PLC0415
    from crdnd_tui.tui.monitor.run_curves import Curves  # noqa: PLC0415

    began = time.process_time()
    follower, state, more = LogReader(log), None, True
    while more:
        batch = follower.read()
        state, more = fold(batch.events, state), batch.more
    Curves().feed(state or fold([]))
    return [time.process_time() - began]


def scanned(runs: Path) -> list[float]:
    """CPU seconds to read the folder, and to read it again."""
    from crdnd_tui.core.scan import Scanner  # noqa: PLC0415

    scanner, spent = Scanner(runs), []
    for _ in range(2):
        began = time.process_time()
        for _scan in scanner.look(time.time()):
            pass
        spent.append(time.process_time() - began)
    return spent


def noting(out: Path, texts: list[str]) -> None:
    """From now on, the CPU time at which all these texts had been written to the terminal goes to a file."""
    write, said = LinuxDriver.write, [""]

    def watched(self: LinuxDriver, data: str) -> None:
        write(self, data)
        if not out.exists():
            said[0] += data
            if all(text in _ESCAPES.sub("", said[0]) for text in texts):
                spent = time.process_time()
                out.with_suffix(".new").write_text(json.dumps([spent]))
                out.with_suffix(".new").rename(out)

    LinuxDriver.write = watched  # type: ignore[method-assign]


def lab(arguments: list[str]) -> int:
    """The real program with these arguments; its exit code."""
    from crdnd_tui.tui.terminal import main  # noqa: PLC0415

    sys.argv = ["crdnd-tui", *arguments]
    try:
        main()
    except SystemExit as left:
        return int(left.code or 0)
    return 0


def main() -> None:
    """Which probe, with what, and where the numbers go."""
    what, out, *rest = sys.argv[1:]
    probes: dict[str, Callable[[], list[float]]] = {
        "chart": lambda: chart(int(rest[0])),
        "opened": lambda: opened(Path(rest[0])),
        "scanned": lambda: scanned(Path(rest[0])),
    }
    if what == "paint":  # texts, separated by |, then the arguments of crdnd-tui; without any it is the bare app
        noting(Path(out), rest[0].split("|"))
        if not rest[1:]:
            Bare().run()
            return
        raise SystemExit(lab(rest[1:]))
    if what == "modules":
        code = lab(rest)
        Path(out).write_text(json.dumps([name for name in HEAVY if name in sys.modules]))
        raise SystemExit(code)
    Path(out).write_text(json.dumps(probes[what]()))


if __name__ == "__main__":
    main()
