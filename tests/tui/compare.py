"""Sittings at the Compare screen: runs side by side, keys, and what the panels say."""

import json
import shutil

from crdnd_tui.tui.widgets.curve_board import CurveBoard
from crdnd_tui.tui.widgets.text_sheet import TextSheet
from tests.tui.forging import judge_otherwise
from tests.tui.pilot import NOW, drive, settle

CRDND, RSLAD = "crdnd-small_cnn-s0", "rslad-small_cnn-s0"
SEEDS = ("crdnd-small_cnn-s", "rslad-small_cnn-s0", "rslad-small_cnn-s1", "rslad-small_cnn-s2")


def ids(runs, *names):
    return [path.name for name in names for path in sorted(runs.iterdir()) if name in path.name]


async def read_again(pilot):
    """What the clock would do each second."""
    pilot.app.screen._tick()
    await settle(pilot)


async def compare(app, pilot, names):
    app.compare_runs(names)
    await pilot.pause()
    if app.screen.NAME == "Compare":
        app.screen._tick()
    await settle(pilot)


async def press(pilot, *keys):
    await pilot.press(*keys)
    await settle(pilot)


def text(app, sheet, width=0):
    """What a panel says, scrolled or not."""
    page = app.screen.query_one(f"#{sheet}", TextSheet).query_one("_Page")
    return "\n".join(line.plain for line in page.lines(width or page.size.width))


def title(app, panel):
    return str(app.screen.query_one(f"#{panel}").border_title)


def curves(app):
    return app.screen.query_one(CurveBoard).names


def labels(app):
    return [row.label for row in app.screen._shown.rows]


def said(app):
    """What stands in the corner."""
    return [note.message for note in app._notifications]


def told(story, runs, names, **flags):
    """A story about these runs laid side by side."""

    async def whole(app, pilot):
        await compare(app, pilot, ids(runs, *names))
        return await story(app, pilot)

    return drive(whole, runs, **flags)


def alive(runs, run, upto):
    """As if this run were at work elsewhere and had said so many lines."""
    folder = runs / run
    lines = (folder / "events.jsonl").read_text().splitlines(keepends=True)
    (folder / "events.jsonl").write_text("".join(lines[:upto]))
    shutil.rmtree(folder / "evaluation", ignore_errors=True)
    status = json.loads((folder / "status.json").read_text())
    status |= {"phase": "training", "host": "elsewhere", "heartbeat": NOW, "results": {}}
    (folder / "status.json").write_text(json.dumps(status))
    return lines[upto:]


def misled(runs):
    """As if PGD-SAT had found less of CRDND than it did: 80 per cent stand, AutoAttack stays as it was."""
    (run,) = ids(runs, CRDND)
    judge_otherwise(runs / run, "pgd_sat", 478)


def unlike(runs):
    """As if this run had been judged in a smaller ball."""
    (run,) = ids(runs, RSLAD)
    for path in (*(runs / run / name for name in ("config.toml", "events.jsonl")), *(runs / run).rglob("best/*.json")):
        path.write_text(path.read_text().replace("40/255", "8/255"))
