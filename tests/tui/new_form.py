"""Ways around the New screen, for its tests."""

from unittest import mock

from textual.widgets import Static, Tabs

from crdnd_tui.core import presets
from crdnd_tui.tui.form import form
from crdnd_tui.tui.screens import new
from tests.tui.pilot import drive, settle

QUICK = presets.shipped()["quickstart"]


def story(runs, steps, **flags):
    """The New screen, at rest; `steps(screen, pilot)` goes on."""

    async def go(app, pilot):
        await pilot.press("2")
        await settle(pilot)
        return await steps(app.screen, pilot)

    with mock.patch.object(new, "PATIENCE", 0.01):
        return drive(go, runs, **flags)


async def to(screen, pilot, dotted):
    """The cursor is on the row of this key, and the fields have the focus."""
    screen.query_one(Tabs).active = form.tab_of(dotted).lower()
    await settle(pilot)
    screen.form.focus_fields()
    row(screen, dotted)
    screen.form.fields.reach(next(e.key for e in screen.form.fields.entries if e.dotted == dotted))
    await pilot.pause()


def row(screen, dotted):
    """What the row says: its text, with its message below it."""
    fields = screen.form.fields
    place = next(place for place, entry in enumerate(fields.entries) if entry.dotted == dotted)
    return fields.options[place].prompt.plain


def words(screen, of):
    return screen.query_one(of, Static).render().plain
