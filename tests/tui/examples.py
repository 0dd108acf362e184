"""Sittings at the Examples screen: press keys, and see."""

import inspect

from crdnd_tui.tui.app import LabApp
from crdnd_tui.tui.gallery.visit import Visit
from crdnd_tui.tui.widgets.confusion import Confusion, Spot
from tests.tui.pilot import drive, settle

RUN = "20261122-215714-crdnd-small_cnn-s0-ea68"
MADE = "20261122-000000-crdnd-small_cnn-s0-abcd"


def show(keys, runs, *, then=None, run=RUN, **how):
    """The screen of this run after these keys."""

    async def story(app: LabApp, pilot):
        app.open_run(run, "examples") if run else app.show("examples")
        await settle(pilot)
        for key in keys:
            await pilot.press(key)
            await settle(pilot)
        seen = then(app, app.screen) if then else words(app)
        return await seen if inspect.isawaitable(seen) else seen

    return drive(story, runs, **how)


def words(app):
    """All that can be read on the screen."""
    return "\n".join("".join(s.text for s in strip) for strip in app.screen._compositor.render_strips())


def said(app, _=None):
    """What stands in the corner."""
    return [note.message for note in app._notifications]


def walk(runs, steps, look, *, run=MADE, **how):
    """One sitting: after each key, what `look` sees."""
    return walks(runs, [(steps, look)], run=run, **how)[0]


def walks(runs, several, *, run=MADE, **how):
    """The same, several times over in one app, each from the first image."""

    async def story(app, pilot):
        app.open_run(run, "examples")
        await settle(pilot)
        return [await _one(app, pilot, steps, look) for steps, look in several]

    return drive(story, runs, **how)


async def _one(app, pilot, steps, look):
    await begin(app, pilot)
    seen = []
    for key in steps:
        await pilot.press(key)
        await settle(pilot)
        seen.append(look(app.screen))
    return seen


async def begin(app, pilot, run="", size=None):
    """The screen as when it was first shown, of this run."""
    screen = app.screen
    screen.visit, screen.mode, screen.kind, screen.spot = Visit(), "single", "adversarial", Spot()
    screen.judged_attack, screen.amplification = "", None
    screen.query_one(Confusion).overview = None
    app.clear_notifications()
    if run:
        app.open_run(run, "examples")
    else:
        screen.read(screen.shown.run, "")
    if size:
        await pilot.resize_terminal(*size)
    await settle(pilot)
    await settle(pilot)
