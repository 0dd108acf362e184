"""Ways around the New screen, for its tests."""

import asyncio
from unittest import mock

from textual.widgets import Static

from crdnd_tui.core import presets
from crdnd_tui.tui.form import form
from crdnd_tui.tui.screens.new import desk
from crdnd_tui.tui.widgets.tabs import TabLine
from tests.tui.pilot import drive

QUICK = presets.shipped()["quickstart"]


async def rest(pilot):
    """Until nothing is being read, asked or drawn."""
    await pilot.pause()
    for _ in range(400):
        await asyncio.sleep(0.01)
        if not [w for w in pilot.app.workers if not w.is_finished and w.group in ("resume", "look", "launch")]:
            break
    await pilot.pause()


def story(runs, steps, **flags):
    """The New screen, at rest; `steps(screen, pilot)` goes on."""

    async def go(app, pilot):
        await pilot.press("2")
        await rest(pilot)
        return await steps(app.screen, pilot)

    with mock.patch.object(desk, "PATIENCE", 0.01):
        return drive(go, runs, **flags)


async def to(screen, pilot, dotted):
    """The row of this key has the focus."""
    tab = form.tab_of(dotted)
    if screen.query_one(TabLine).front != tab:
        screen.query_one(TabLine).post_message(TabLine.Chosen(tab))
        await rest(pilot)
    pane = await screen.front()
    field = next(f for f in pane.fields if f.entry.dotted == dotted)
    field.control.focus()
    await pilot.pause()
    return field


async def row(screen, dotted):
    return next(f for f in (await screen.front()).fields if f.entry.dotted == dotted)


def words(screen, of):
    return screen.query_one(of, Static).render().plain
