"""What the mouse selects is lit, and copied as it is read: on every screen, and of a panel whose lines were lost."""

import pytest
from textual.geometry import Offset
from textual.selection import Selection
from textual.widgets import Static

from crdnd_tui.tui.widgets.fate import Fate, Reason
from crdnd_tui.tui.widgets.selectable import SelectableLines, SelectableText
from crdnd_tui.tui.widgets.status_line import Notice
from tests.tui.lab_runs import CRDND, RSLAD
from tests.tui.pilot import drive, recorded, settle


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return recorded(tmp_path_factory.mktemp("selected") / "runs")


async def drag(pilot, start, end):
    await pilot.mouse_down(offset=start)
    await pilot.hover(offset=end)
    await pilot.mouse_up(offset=end)
    await pilot.pause()


def test_ctrl_c_copies_what_is_read_on_every_screen(runs):
    async def story(app, pilot):
        app.current, app.compared = CRDND, (CRDND, RSLAD)
        found = {}
        for screen in ("runs", "new", "live", "compare", "examples", "queue", "studies"):
            app.show(screen)
            await settle(pilot)
            kinds = SelectableLines | SelectableText | Static
            panels = [one for one in app.screen._compositor.visible_widgets if isinstance(one, kinds)]
            regions = [app.screen.find_widget(one).visible_region for one in panels if one.allow_select]
            x, y, width, height = max(regions, key=lambda region: region.area)
            await drag(pilot, (x + 2, y + 1), (x + width - 3, y + height - 2))
            strips = app.screen._compositor.render_strips(app.screen.size)
            read = "\n".join("".join(segment.text for segment in line) for line in strips)
            await pilot.press("ctrl+c")
            await pilot.pause()
            found[screen] = app.clipboard.split(), read
            app.screen.clear_selection()
        return found, app.is_running

    found, is_running = drive(story, runs)
    assert is_running
    for screen, (words, read) in found.items():
        assert words, screen
        assert [word for word in words if word not in read] == [], screen


def test_part_of_a_panel_is_lit_and_copied_to_the_character(runs):
    async def story(app, pilot):
        panel = Fate(id="why")
        await app.screen.mount(panel)
        panel.styles.layer, panel.styles.width, panel.styles.height = "_toastrack", 40, 8
        panel.show(Reason(why="killed while it trained", command="crdnd resume abc"))
        await settle(pilot)
        plain = [panel.render_line(y) for y in range(3)]
        selection = Selection.from_offsets(Offset(7, 0), Offset(14, 2))
        app.screen.selections = {panel: selection}
        lit = [panel.render_line(y) for y in range(3)]
        changed = [
            [i for i, (a, b) in enumerate(zip(_cells(one), _cells(two), strict=True)) if a != b]
            for one, two in zip(plain, lit, strict=True)
        ]
        return app.screen.get_selected_text(), changed

    copied, changed = drive(story, runs)
    assert copied == "while it trained\n\n$ crdnd resume"
    assert changed[0] == list(range(7, 36))
    assert changed[2] == list(range(14))


def _cells(strip):
    return [(character, part.style.color, part.style.bgcolor) for part in strip for character in part.text]


def test_a_selection_of_lines_that_are_gone_copies_nothing_and_crashes_nothing(runs):
    async def story(app, pilot):
        panel, notice = Fate(id="why"), Notice(id="said")
        await app.screen.mount(panel, notice)
        await settle(pilot)
        gone = Selection(Offset(3, 50), Offset(9, 60))
        app.screen.selections = {panel: gone, notice: gone}
        await pilot.press("ctrl+c")
        return app.screen.get_selected_text(), app.is_running

    assert drive(story, runs) == ("", True)
