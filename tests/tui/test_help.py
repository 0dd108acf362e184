"""Help and palette are made from the bindings: what a screen binds is said, and nothing shadows a global key."""

import importlib
import pkgutil
from typing import ClassVar

import pytest
from textual.binding import Binding
from textual.screen import ModalScreen, Screen
from textual.widget import Widget

import crdnd_tui.tui.screens
import crdnd_tui.tui.widgets
from crdnd_tui.tui import app as app_module
from crdnd_tui.tui.app import SCREENS
from crdnd_tui.tui.help import HelpScreen, Keys
from crdnd_tui.tui.screen import LabScreen
from tests.tui.pilot import drive, recorded, same_picture, settle

GLOBAL = {*"1234567", "colon", "question_mark", "t", "q", "ctrl+q", "ctrl+p"}
RUN = "20261122-215714-crdnd-small_cnn-s0-ea68"


class Sorted(Widget, can_focus=True):
    """A panel with keys of its own."""

    BINDINGS: ClassVar = [
        Binding("up,k", "cursor(-1)", "Up"),
        Binding("down,j", "cursor(1)", "Down"),
        Binding("z", "zoom", "Maximise", tooltip="the panel in focus fills the screen; again to give the room back"),
        Binding("f2", "hidden", ""),
    ]


class Full(LabScreen):
    """As many keys as a screen may have."""

    NAME = "Runs"
    SAYS = "Every run folder, living ones first; lock, heartbeat and last event tell how each is."
    CHANGES = frozenset({"stop", "trash"})
    BINDINGS: ClassVar = [
        Binding("enter", "open", "Open", tooltip="the Live screen"),
        Binding("space", "select", "Select"),
        Binding("c", "compare", "Compare", tooltip="the selected runs"),
        Binding("n", "new", "New run"),
        Binding("r", "resume", "Resume", tooltip="goes on at its last checkpoint"),
        Binding("C", "clone", "Clone"),
        Binding("x", "stop", "Stop", tooltip="after its step; again to kill it"),
        Binding("s", "sort(1)", "Sort by the next column"),
        Binding("S", "sort(-1)", "Sort by the column before"),
        Binding("slash", "filter", "Filter", tooltip="words, or method:rslad state:done worst>0.4 not seed:3"),
        Binding("h,left", "fold", "Fold"),
        Binding("d", "trash", "Trash", tooltip="moves the folder away; nothing is deleted"),
    ]

    def body(self):
        panel = Sorted(classes="panel")
        panel.border_title = "Loss"
        yield panel


@pytest.fixture
def full(monkeypatch):
    monkeypatch.setitem(app_module.LabApp.MODES, "runs", Full)


def said(app) -> str:
    """The whole list in one column, however much of it is in sight."""
    return "\n".join(line.plain for line in app.screen.query_one(Keys).lines_in(90))


async def helped(app, pilot):
    await pilot.press("question_mark")
    await settle(pilot)
    assert isinstance(app.screen, HelpScreen)
    return said(app)


def test_all_that_a_screen_and_its_panels_bind_is_said(full, tmp_path):
    async def story(app, pilot):
        screen, words = app.screen, " ".join((await helped(app, pilot)).split())
        for binding in [*Full.BINDINGS, *Sorted.BINDINGS, *app.BINDINGS]:
            assert binding.description in words
            assert " ".join((binding.tooltip or "").split()) in words
        assert "In Loss" in words and "h \u2190 Fold" in words and Full.SAYS in words
        assert screen.NAME in str(app.screen.query_one(".dialog").border_title)

    drive(story, tmp_path, size=(110, 120))


def test_it_is_left_as_it_came_and_scrolls_where_it_does_not_fit(full, tmp_path):
    async def story(app, pilot):
        before = app.screen
        for key in ("escape", "question_mark", "q"):
            await helped(app, pilot)
            await pilot.press(key)
            assert app.screen is before
        await helped(app, pilot)
        box = app.screen.query_one("VerticalScroll")
        assert box.max_scroll_y == 0  # all is seen at once
        await pilot.resize_terminal(80, 24)
        assert box.max_scroll_y > 0
        await pilot.press("down", "j", "j", "k")
        assert box.scroll_y == 2
        await pilot.press("end")
        assert box.scroll_y == box.max_scroll_y
        await pilot.resize_terminal(60, 15)
        assert box.max_scroll_y > 10 and app.screen.query_one(".dialog").region.right <= 60

    drive(story, tmp_path, size=(120, 36))


def test_what_writes_is_said_to_be_off_while_only_reading(full, tmp_path):
    async def story(app, pilot):
        words = await helped(app, pilot)
        return words.count("read only: off")

    assert drive(story, tmp_path, size=(110, 120)) == 0
    assert drive(story, tmp_path, size=(110, 120), readonly=True) == 2


def test_the_palette_holds_every_action_of_the_screen(full, tmp_path):
    async def story(app, pilot):
        await pilot.pause()
        return [command.title for command in app.get_system_commands(app.screen)]

    titles = drive(story, tmp_path)
    assert {binding.description for binding in Full.BINDINGS} <= set(titles)
    assert {"Runs", "Queue", "Theme: light", "Help", "Quit"} <= set(titles)


def test_picture(full, tmp_path):
    async def story(app, pilot):
        await helped(app, pilot)
        await same_picture(app, "help-120x36")

    drive(story, tmp_path)


def kinds() -> list[type]:
    """Every screen and widget of ours."""
    for package in (crdnd_tui.tui.screens, crdnd_tui.tui.widgets):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    found, todo = [], [Screen, Widget]
    while todo:
        kind = todo.pop()
        todo += kind.__subclasses__()
        if kind.__module__.startswith("crdnd_tui."):
            found.append(kind)
    return sorted(set(found), key=lambda kind: kind.__qualname__)


def bindings(kind: type) -> list[Binding]:
    return list(Binding.make_bindings(vars(kind).get("BINDINGS", [])))


def test_no_screen_and_no_panel_takes_a_global_key():
    taken = {
        f"{kind.__name__} {binding.key}"
        for kind in kinds()
        if not issubclass(kind, ModalScreen)
        for binding in bindings(kind)
        if binding.key in GLOBAL
    }
    assert taken == set()


def test_every_key_says_what_it_does_and_few_are_in_the_footer():
    for kind in kinds():
        assert [binding.key for binding in bindings(kind) if not binding.description] == [], kind
        if issubclass(kind, LabScreen):
            shown = {binding.description for binding in bindings(kind) if binding.show}
            assert len(shown) <= 8, f"{kind.__name__}: {shown}"  # what fits into 120 columns, with Help and Quit


def test_help_and_palette_of_each_screen_are_whole(tmp_path):
    async def story(app, pilot):
        for name in SCREENS:
            app.show(name)
            await settle(pilot)
            screen = app.screen
            own = bindings(type(screen))
            palette = {command.title for command in app.get_system_commands(screen)}
            words = " ".join((await helped(app, pilot)).split())
            ours = [node for node in screen.query("*") if type(node).__module__.startswith("crdnd_tui.")]
            for binding in [*own, *(one for node in ours for one in bindings(type(node)))]:
                assert " ".join(binding.description.split()) in words, f"{name}: {binding.key} {binding.description}"
            named = [one for one in own if one.key != "escape"]  # Esc belongs to what has the focus
            possible = {one.description for one in named if screen.check_action(one.action.partition("(")[0], ())}
            assert possible <= palette, f"{name}: not in the palette: {possible - palette}"
            await pilot.press("escape")

    drive(story, recorded(tmp_path / "runs", "rslad-small_cnn-s0", RUN), size=(110, 200), run=RUN)
