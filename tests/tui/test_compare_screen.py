"""The Compare screen: every key, runs that grow, vanish or are damaged, and how it looks."""

import shutil
from pathlib import Path

import pytest

from crdnd_tui.tui.comparison_view import OVERVIEW, PAGES
from crdnd_tui.tui.screens.compare.screen import CompareScreen
from crdnd_tui.tui.widgets.chooser import Chooser
from crdnd_tui.tui.widgets.comparison_panels import ComparisonPanels
from crdnd_tui.tui.widgets.curve_board import CurveBoard
from tests.tui.compare import (
    CRDND,
    RSLAD,
    SEEDS,
    alive,
    compare,
    curves,
    ids,
    labels,
    press,
    read_again,
    said,
    text,
    title,
    told,
)
from tests.tui.pilot import drive, same_picture, settle


@pytest.fixture
def runs(original, tmp_path):
    return Path(shutil.copytree(original, tmp_path / "runs"))


def test_two_runs_and_every_key_that_changes_the_look(original):
    async def story(app, pilot):
        await same_picture(app, "compare-two-120x36")
        results = text(app, "results")
        assert results.splitlines()[0].startswith(
            " \u2713 rslad s0 leads crdnd s0: +7.9 ! under PGD-SAT, +10.4 under Auto"
        )
        assert "crdnd s0 base" in results and "55.3ab" in results
        assert "\u22129.7" in results  # AutoAttack minus PGD-SAT
        assert "AutoAttack finds far more adversarial images" in results
        assert curves(app) == [["crdnd s0", "rslad s0"]]
        assert "rslad s0 \u2212 crdnd s0" in title(app, "classes")
        await _measures(app, pilot)
        await _units(app, pilot)
        await _keys(app, pilot)
        await _classes(app, pilot)
        await _curves(app, pilot)
        await press(pilot, "g", "w")
        assert said(app)[-2].startswith("No two of these runs are seeds") and "at their best" in said(app)[-1]
        await press(pilot, "escape")
        assert app.screen.NAME == "Runs"

    told(story, original, (CRDND, RSLAD))


async def _measures(app, pilot):
    measures = app.screen._shown.measures
    seen = [app.screen._shown.measure.key]
    for _ in range(len(measures) - 1):
        await pilot.press("m")
        seen.append(app.screen._shown.measure.key)
    assert seen == [m.key for m in measures]
    assert {"selecting", "val:clean", "loss", "term:robust", "teacher_robust"} < set(seen)
    for key, moved in (("right", 1), ("left", -1), ("l", 1), ("h", -1), ("M", -1), ("m", 1), ("m", 1)):
        before = app.screen._shown.measure
        await pilot.press(key)
        places = [measures.index(m) for m in (before, app.screen._shown.measure)]
        assert (places[1] - places[0] - moved) % len(measures) == 0


async def _units(app, pilot):
    await press(pilot, "u")
    assert "+10.4" in text(app, "results") and "points more than base" in title(app, "results")
    await press(pilot, "b")
    assert "rslad s0 base" in text(app, "results") and "\u221210.4 " in text(app, "results")
    assert "This is the baseline" in text(app, "classes")
    await press(pilot, "u", "k", "b", "j")
    assert "\u221210.4 " not in text(app, "results") and "crdnd s0 base" in text(app, "results")


async def _keys(app, pilot):
    assert "only differences" in title(app, "config")
    assert "method.*" in text(app, "config") and "method.anchor" not in text(app, "config")
    await press(pilot, "f")
    assert "method.*" not in text(app, "config") and "method.anchor" in text(app, "config")
    await press(pilot, "f", "d")
    assert "data.name" in text(app, "config") and title(app, "config").startswith("Config: all 159 keys")
    await press(pilot, "d")
    assert "data.name" not in text(app, "config") and "of 159 keys" in title(app, "config")


async def _classes(app, pilot):
    assert "AutoAttack" in title(app, "classes") and "worst of crdnd s0" in text(app, "classes")
    attacks = app.screen._shown.attacks
    place = attacks.index("autoattack") + 1
    for attack in [*attacks[place:], *attacks[:place]]:
        await pilot.press("a")
        assert app.screen._shown.attack == attack


async def _curves(app, pilot):
    await press(pilot, "o")
    assert curves(app) == [["rslad s0", "crdnd s0"], ["crdnd s0", "rslad s0"]]
    await press(pilot, "o")
    assert curves(app) == [["crdnd s0", "rslad s0"]]
    await press(pilot, "space")
    assert curves(app) == [["crdnd s0"]] and "\u2504\u2504 rslad s0" in text(app, "results")
    await press(pilot, "space")
    assert curves(app) == [["crdnd s0", "rslad s0"]]


def test_seeds_are_one_row_until_g_and_tab_goes_round_panels_and_pages(original):
    async def story(app, pilot):
        assert labels(app) == ["crdnd (2)", "rslad (3)"]
        assert "\u00b11.3" in text(app, "results") and "0, 1, 2" in text(app, "config", 112)
        assert curves(app) == [["crdnd (2)", "rslad (3)"]]
        await press(pilot, "g")
        assert len(labels(app)) == 5
        await press(pilot, "g")
        assert labels(app) == ["crdnd (2)", "rslad (3)"]
        await _round(app, pilot)
        await pilot.resize_terminal(80, 24)
        await settle(pilot)
        await _round(app, pilot)
        await press(pilot, "shift+tab")
        assert app.screen._look.page == "curves"

    told(story, original, SEEDS)


async def _round(app, pilot):
    panels = app.screen.query_one(ComparisonPanels)
    for page in ("config", "classes", "tests", "gap", "ends", "tradeoff", "curves", "results"):
        await press(pilot, "tab")
        assert app.focused in panels.panel(page).walk_children(with_self=True)
        shown = [p for p in PAGES if panels.panel(p).is_on_screen and panels.panel(p).size.height]
        assert shown == ([page] if app.size.width < 100 or page not in OVERVIEW else list(OVERVIEW))


def test_runs_are_chosen_with_space_and_enter_and_removed_with_r(original):
    async def story(app, pilot):
        await press(pilot, "4")
        chooser = app.screen.query_one(Chooser)
        assert chooser.has_focus
        await press(pilot, "end", "space", "up", "up", "space")
        assert chooser.display and len(chooser._taken) == 2
        await press(pilot, "space")  # the cursor went on: left again
        await press(pilot, "k", "space", "pagedown", "pageup", "down", "up", "j", "home")
        chooser.take(())
        await press(pilot, *(["space"] * 10))
        assert len(chooser._taken) == 10
        await press(pilot, "enter")
        assert not chooser.display and len(labels(app)) < len(app.compared) == 10
        await press(pilot, "n")
        assert chooser.display and len(chooser._taken) == 10
        await press(pilot, "escape")
        assert not chooser.display and app.screen.NAME == "Compare"
        await compare(app, pilot, ids(original, CRDND, RSLAD, "natural"))
        for key, label in (("up", "crdnd s0"), ("down", "rslad s0"), ("down", "natural s0"), ("k", "rslad s0")):
            await pilot.press(key)
            assert app.screen._shown.row.label == label
        await press(pilot, "R")
        assert list(app.compared) == ids(original, CRDND, "natural") and "natural s0" in text(app, "results")
        await press(pilot, "enter")
        assert (app.current, app.screen.NAME) == (ids(original, "natural")[0], "Live")
        await press(pilot, "4", "R")
        assert app.screen.query_one(Chooser).display
        assert len(list(original.iterdir())) == 10  # nothing was deleted
        await press(pilot, "space", "enter")  # two again
        assert app.screen.query_one(Chooser).display == (len(app.compared) < 2)

    drive(story, original, size=(80, 24))


def test_an_empty_folder_says_what_to_do_and_an_unreadable_one_why(tmp_path):
    async def story(app, pilot):
        await press(pilot, "4")
        chooser = app.screen.query_one(Chooser)
        assert "No run has been started yet" in chooser.render().plain
        await press(pilot, "space", "down", "enter")
        assert "two runs or more" in said(app)[-1]
        (tmp_path / "runs").write_text("no folder")
        await read_again(pilot)
        assert "cannot be read: Not a directory" in chooser.render().plain
        await press(pilot, "escape")
        assert app.screen.NAME == "Runs"

    drive(story, tmp_path / "runs")


def test_runs_that_live_are_gone_or_damaged_are_rows_that_say_so(runs):
    (growing,), (damaged,) = ids(runs, RSLAD), ids(runs, "natural")
    rest = alive(runs, growing, 300)

    async def story(app, pilot):
        assert "nothing judged yet" in text(app, "results") and "PGD-SAT" not in text(app, "results").splitlines()[0]
        before = app.screen._shown
        await read_again(pilot)
        assert app.screen._shown is before  # nothing is drawn while nothing changes
        with (runs / growing / "events.jsonl").open("a") as log:
            log.writelines(rest)
        await read_again(pilot)
        assert "63.1" in text(app, "results")
        shutil.rmtree(runs / growing)
        (runs / damaged / "config.toml").unlink()
        (runs / damaged / "events.jsonl").write_bytes(b"\xff\x00{]\n")
        shutil.rmtree(runs / damaged / "evaluation")
        await read_again(pilot)
        await compare(app, pilot, [*ids(runs, CRDND), growing, damaged, "../../etc", "[red]x[/]\x1b[31m"])
        results = text(app, "results")
        assert "the folder is gone" in results and "damaged: config.toml is missing" in results
        assert results.count("no run has such an id") == 2
        assert "\x1b" not in results
        await press(pilot, "u", "g", "a", "d", "o", "b", "m")
        assert app.screen.NAME == "Compare"

    told(story, runs, (CRDND, RSLAD))


def test_every_key_works_when_only_reading_is_allowed_and_no_size_breaks_it(original):
    async def story(app, pilot):
        before = sorted((p, p.stat().st_mtime_ns) for p in original.rglob("*"))
        await press(pilot, "m", "M", "u", "b", "g", "d", "f", "w", "a", "o", "space", "up", "down", "tab", "R", "n")
        await press(pilot, "escape")
        for size, theme in (((40, 10), "light"), ((60, 15), "dark"), ((170, 20), "light")):
            await pilot.resize_terminal(*size)
            app.theme = f"crdnd-{theme}"
            await press(pilot, "tab", "tab", "tab", "u", "n", "escape")
            assert app.screen.query_one(CurveBoard) and isinstance(app.screen, CompareScreen)
        assert sorted((p, p.stat().st_mtime_ns) for p in original.rglob("*")) == before

    names = ("crdnd-small_cnn-s", "rslad-small_cnn-s", "natural")
    told(story, original, names, readonly=True, size=(180, 50))


def test_in_ascii_everything_is_ascii_and_the_light_theme_has_its_picture(original):
    async def story(app, pilot):
        strips = app.screen._compositor.render_strips()
        filters = app.get_line_filters()
        drawn = [filters[-1].apply(list(strip), app.screen.styles.background) for strip in strips]
        assert all(s.text.isascii() for line in drawn for s in line)

    told(story, original, (CRDND, RSLAD), ascii_only=True, size=(60, 15))

    async def light(app, pilot):
        await press(pilot, "u", "o")
        await same_picture(app, "compare-delta-light-120x36")

    told(light, original, (CRDND, RSLAD, "natural"), theme="crdnd-light")
