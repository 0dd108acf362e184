"""The README's picture: the live view in the middle of a run's training, then its table, drawn from its event log.

python -m benchmarks.picture RUN_DIR benchmarks/results/quickstart.svg
"""

import argparse
import io
import re
from pathlib import Path

from rich.console import Console
from rich.text import Text

from crdnd_tui import live, report, results
from crdnd_tui.commands.run import describe
from crdnd_tui.follow import Follower
from crdnd_tui.state import fold
from engine.spec import toml
from engine.spec.events import Event, StepDone
from engine.spec.rundir import RunDir

WIDTH = 100
FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)  # a picture in a README loads no fonts from elsewhere


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--share", type=float, default=0.6, help="of the training, at which the live view is drawn")
    asked = parser.parse_args()
    run = RunDir(asked.run)
    events = read(run)
    middle = int(asked.share * fold(events).total_steps)
    cut = next(i for i, event in enumerate(events) if isinstance(event, StepDone) and event.step >= middle) + 1
    title = describe(toml.read(run.config))
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.assemble(("$ ", "bold green"), ("crdnd run presets/quickstart.toml", "bold")))
    for line in live.frame(fold(events[:cut]), title, WIDTH, 40):
        console.print(line)
    console.print(Text("\n  \u22ee\n", "dim"))
    console.print(Text(f"  {title}\n", "bold"))
    for line in report.table(results.load(run), WIDTH):
        console.print(line)
    svg = FONT.sub("", console.export_svg(title="crdnd")).replace("Fira Code", "DejaVu Sans Mono")
    asked.picture.write_text(svg, encoding="utf-8")


def read(run: RunDir) -> list[Event]:
    """The whole event log."""
    follower, events = Follower(run.events), []
    while batch := follower.read():
        events += batch.events
        if not batch.more:
            break
    return events


if __name__ == "__main__":
    main()
