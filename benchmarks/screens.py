"""The README's screenshots: `python -m benchmarks.screens RUNS_FOLDER OUT` draws screens of real runs as SVG.

Live and Examples show the newest finished run of CRDND; Compare lays it beside the newest of RSLAD; Studies shows what
the folder holds of the shipped ones.
"""

import asyncio
import re
import sys
import time
from pathlib import Path

from crdnd_tui.core import run_status
from crdnd_tui.core.session import Session
from crdnd_tui.tui.app import LabApp

SIZE = (120, 36)
FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)  # a picture in a README loads no fonts from elsewhere
STILL, PATIENCE = 1.0, 20.0  # seconds without a change, and at most


def newest(rows: list[run_status.Summary], method: str) -> run_status.Summary:
    """The newest finished run of a method; StopIteration when there is none."""
    return next(row for row in rows if row.state == "done" and row.status and row.status.method == method)


async def still(app: LabApp) -> str:
    """The picture when it does not change any more."""
    drawn, since, end = "", time.monotonic(), time.monotonic() + PATIENCE
    while time.monotonic() < min(since + STILL, end):
        await asyncio.sleep(0.1)
        now = FONT.sub("", app.export_screenshot(title="crdnd-tui")).replace("Fira Code", "DejaVu Sans Mono")
        if now != drawn:
            drawn, since = now, time.monotonic()
    return drawn


async def draw(runs: Path, out: Path) -> None:
    """All pictures into the folder `out`."""
    rows = run_status.runs(runs)
    student, rival = newest(rows, "crdnd"), newest(rows, "rslad")
    ended = student.status.heartbeat + 60.0 if student.status else time.time()
    app = LabApp(Session(runs=runs, data=runs, now=lambda: ended), run=student.id)
    async with app.run_test(size=SIZE):
        (out / "live.svg").write_text(await still(app), encoding="utf-8")
        app.open_run(student.id, "examples")
        (out / "examples.svg").write_text(await still(app), encoding="utf-8")
        app.compare_runs([student.id, rival.id])
        (out / "compare.svg").write_text(await still(app), encoding="utf-8")
        app.show("studies")
        (out / "studies.svg").write_text(await still(app), encoding="utf-8")
        app.show("new")
        (out / "new.svg").write_text(await still(app), encoding="utf-8")


if __name__ == "__main__":
    folder = Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(draw(Path(sys.argv[1]).resolve(), folder))
