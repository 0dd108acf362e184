"""The footer: as many keys as fit, in their order, and never without help and the way out."""

from pathlib import Path

import pytest

from crdnd_tui.tui.widgets.foot import LAST, Foot
from tests.tui.lab_runs import CRDND, RSLAD, ready
from tests.tui.pilot import drive, recorded, settle


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return recorded(tmp_path / "runs", CRDND, RSLAD)


async def shown(app, pilot, screen: str) -> Foot:
    """The footer of a screen, once what it is about was read."""
    if screen == "live":
        app.open_run(CRDND)
    elif screen == "compare":
        app.compare_runs([RSLAD, CRDND])
    else:
        app.show(screen)
    for _ in range(100):
        await settle(pilot)
        if any(item.action == "provenance" for item in app.screen.query_one(Foot)._items):
            return app.screen.query_one(Foot)
        await pilot.pause(0.05)
    raise AssertionError("its keys have not come")


def test_export_provenance_and_verify_are_seen_from_120_columns(runs: Path) -> None:
    async def story(app, pilot):
        await ready(app, pilot)
        for screen in ("runs", "live", "compare", "studies"):
            said = (await shown(app, pilot, screen)).render().plain.replace(" r Resume ", "").replace(" / Filter ", "")
            assert " e Export  i Provenance  V Verify  ? Help  q Quit" in said
            await pilot.press("question_mark")
            await settle(pilot)
            keys = {(row.keys, row.words.partition(":")[0]) for _, group in app.screen.groups() for row in group}
            assert keys >= {("e", "Export"), ("i", "Provenance"), ("V", "Verify")}
            await pilot.press("escape")

    drive(story, runs, size=(120, 40))


def test_keys_go_from_the_end_but_help_and_leaving_stay(runs: Path) -> None:
    async def story(app, pilot):
        await ready(app, pilot)
        foot = await shown(app, pilot, "runs")
        first = [item for item in foot._items if item.action not in LAST]
        counts = []
        for width in (1, 16, 17, 30, 50, 80, 95, 103, 104, 180):
            await pilot.resize_terminal(width, 30)
            await settle(pilot)
            said, many = foot.render().plain.rstrip(), len(foot._fitting()) - len(LAST)
            counts.append(many)
            assert [item.description for item in foot._fitting()] == [
                *(item.description for item in first[:many]), "Help", "Quit",
            ]  # fmt: skip
            assert said.endswith(" ? Help  q Quit")
            assert not many or len(said) <= width
            assert many == len(first) or len(said) + first[many].width > width  # one more would not fit
        assert counts == sorted(counts) and (counts[0], counts[-1]) == (0, len(first))

    drive(story, runs, size=(120, 30))


def test_a_click_presses_the_key_that_is_drawn_there(runs: Path) -> None:
    async def story(app, pilot):
        await ready(app, pilot)
        foot = await shown(app, pilot, "runs")
        await pilot.click(Foot, offset=(foot.render().plain.index("Help"), 0))
        await settle(pilot)
        return type(app.screen).__name__

    assert drive(story, runs, size=(60, 24)) == "HelpScreen"
