"""How the Queue screen looks, in any size. Engines and workers are no processes here."""

from pathlib import Path

from crdnd_tui.tui.widgets.queue_list import QueueList
from tests.tui.busy_queue import busy_queue, keys, still_machine, text, told  # noqa: F401  two are fixtures
from tests.tui.pilot import drive, same_picture, settle


def test_any_size_while_it_changes(busy: Path) -> None:
    async def story(app, pilot):
        await pilot.press("6")
        for size in ((40, 10), (20, 5), (1, 1), (60, 14), (100, 20), (250, 70), (40, 10)):
            await pilot.resize_terminal(*size)
            await pilot.press("down", "down", "up")
            await settle(pilot)
        return text(app)

    assert "\u2016" in drive(story, busy)  # held, told even in the smallest


def test_picture(busy: Path) -> None:
    drive(keys(then=lambda app: same_picture(app, "queue-busy-120x36")), busy)


def test_an_empty_queue_says_what_to_do_in_any_size(tmp_path: Path) -> None:
    async def story(app, pilot):
        await pilot.press("6")
        await settle(pilot)
        seen = [text(app)]
        await pilot.resize_terminal(40, 10)
        await settle(pilot)
        return [*seen, text(app)]

    for words in drive(story, tmp_path / "none"):
        lines = [" ".join(line.strip("\u2502 ").split()) for line in words.splitlines()]
        assert "1 Runs, what there is already" in lines
        keys_named = [line for line in lines if line.startswith("2 New run, then f6")]
        assert keys_named and keys_named[0].endswith(("queues it", "to the queue"))


def test_lists_have_the_focus_and_the_empty_screen_none(busy: Path, tmp_path: Path) -> None:
    assert drive(keys(then=lambda app: app.focused.id), busy) == "waiting"
    assert drive(keys(then=lambda app: app.focused), tmp_path / "none") is None
    assert {of.id for of in drive(keys(then=lambda app: list(app.screen.query(QueueList))), busy)} == {
        "devices",
        "waiting",
        "ended",
    }
