"""Pages of the Compare screen: tests, gap, best against last, trade-off; and what it leaves alone."""

import shutil
from pathlib import Path

import pytest

from crdnd_tui.tui.screens.compare import actions
from crdnd_tui.tui.widgets.comparison_panels import ComparisonPanels
from crdnd_tui.tui.widgets.curve_board import CurveBoard
from crdnd_tui.tui.widgets.page_bar import PageBar
from crdnd_tui.tui.widgets.text_sheet import TextSheet
from crdnd_tui.tui.widgets.tradeoff_plot import TradeoffPlot
from tests.tui.compare import (
    CRDND,
    RSLAD,
    SEEDS,
    alive,
    ids,
    labels,
    press,
    read_again,
    said,
    text,
    title,
    told,
)
from tests.tui.pilot import settle


@pytest.fixture
def runs(original, tmp_path):
    return Path(shutil.copytree(original, tmp_path / "runs"))


def shown(app):
    """The pages on the screen."""
    pages = ("curves", "results", "config", "classes", "tests", "gap", "ends", "tradeoff")
    panels = app.screen.query_one(ComparisonPanels)
    return [page for page in pages if panels.panel(page).is_on_screen and panels.panel(page).size.height]


def test_every_page_has_a_key_and_v_goes_round(original):
    async def story(app, pilot):
        for key, page in (("T", "tests"), ("G", "gap"), ("L", "ends"), ("P", "tradeoff")):
            await press(pilot, key)
            assert shown(app) == [page] and app.screen._look.page == page
        await press(pilot, "v")
        assert shown(app) == ["curves", "results", "config", "classes"]
        for page in ("tests", "gap", "ends", "tradeoff"):
            await press(pilot, "v")
            assert shown(app) == [page]
        await pilot.click(PageBar, offset=(2, 0))
        await settle(pilot)
        assert app.screen._look.page == "curves"
        await pilot.resize_terminal(180, 50)
        await press(pilot, "G")
        assert shown(app) == ["gap", "ends"]

    told(story, original, (CRDND, RSLAD))


def groups(app) -> list[str]:
    """Attacks above the rows of the tests."""
    lines = text(app, "tests").splitlines()
    ruled = next(k for k, line in enumerate(lines) if "\u2500\u2500" in line)
    titles = {app.screen._found.comparison.title(attack) for attack in app.screen._found.comparison.attacks}
    return [line.strip() for line in lines[ruled + 1 :] if line.strip() in titles]


def test_tests_say_more_than_the_results_and_follow_the_attack(original):
    async def story(app, pilot):
        results = text(app, "results")
        assert "+10.4  [+7.6, +13.1]  < 0.001\u2020" in results
        assert "b = 69 images right in rslad s0 alone, c = 7 in the baseline alone" in " ".join(results.split())
        await press(pilot, "T")
        assert groups(app)[0] == "AutoAttack" and "McNemar" in text(app, "tests")
        await press(pilot, "a")
        attack = app.screen._shown.attack
        assert attack != "autoattack" and groups(app)[0] == app.screen._found.comparison.title(attack)
        await press(pilot, "b")  # the row under the cursor is the baseline now
        assert "differences to rslad s0" in title(app, "tests") and "\u221210.4" in text(app, "tests")

    told(story, original, (CRDND, RSLAD))


def test_gap_ends_and_tradeoff_of_real_runs(original):
    async def story(app, pilot):
        await press(pilot, "P")
        assert shown(app) == ["tradeoff"]
        await pilot.resize_terminal(80, 24)
        await press(pilot, "G")
        assert "minus" in text(app, "gap") and "[" in text(app, "gap")
        await press(pilot, "L")
        assert "best" in text(app, "ends") and "validation" in text(app, "ends")

    told(story, original, (*SEEDS, "natural"), theme="crdnd-light")


def test_in_ascii_points_are_the_letters_of_the_legend(original):
    async def story(app, pilot):
        await press(pilot, "P")
        plot = app.screen.query_one(TradeoffPlot)
        lines = ["".join(words for words, _ in row) for row in plot.draw(*plot.size)]
        assert any(line.startswith("a rslad s0") for line in lines)
        assert all(line.isascii() or "\u2013" in line for line in lines)
        assert sum("a" in line.partition("|")[2] for line in lines) >= 1

    told(story, original, (CRDND, RSLAD), ascii_only=True, size=(80, 24))


def test_too_many_rows_stay_grouped(original, monkeypatch):
    monkeypatch.setattr(actions, "_MOST", 4)

    async def story(app, pilot):
        await press(pilot, "g")
        assert labels(app) == ["crdnd (2)", "rslad (3)"]
        assert said(app)[-1].startswith("5 rows are more than can be told apart (4)")
        await press(pilot, "R")
        assert labels(app) == ["crdnd s0", "crdnd s1"] or labels(app) == ["crdnd (2)"]

    told(story, original, SEEDS)


def test_zoom_crosshair_and_smoothing_stay_when_the_measure_changes(original):
    async def story(app, pilot):
        board = app.screen.query_one(CurveBoard)
        board.take_focus()
        await press(pilot, "plus", "s", "comma")
        chart = board.children[0]
        kept = (chart._sheet.window.chosen, chart.smoothing, chart.cursor)
        assert None not in kept
        await press(pilot, "m", "m")
        assert board.children[0] is not chart and board.children[0].has_focus
        assert (board.children[0]._sheet.window.chosen, board.children[0].smoothing, board.children[0].cursor) == kept

    told(story, original, (CRDND, RSLAD))


def test_while_a_run_trains_only_its_curve_is_drawn_anew(runs):
    (growing,) = ids(runs, RSLAD)
    rest = alive(runs, growing, 300)
    steps = [line for line in rest if '"step_done"' in line][:5]

    async def story(app, pilot):
        before, drawn = app.screen._shown, []
        for sheet in app.screen.query(TextSheet):
            sheet.show = lambda build, sheet=sheet: drawn.append(sheet.id)
        with (runs / growing / "events.jsonl").open("a") as log:
            log.writelines(steps)
        await read_again(pilot)
        assert app.screen._shown is not before and steps
        assert drawn == []
        await press(pilot, "up")
        assert set(drawn) == {"results", "classes"}

    told(story, runs, (CRDND, RSLAD))
