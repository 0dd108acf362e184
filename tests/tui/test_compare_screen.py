"""The Compare screen: every key, runs that grow, vanish or are damaged, and how it looks."""

import json
import shutil
from pathlib import Path

import pytest

from crdnd_tui.comparing.comparison_view import PAGES
from crdnd_tui.widgets.chooser import Chooser
from crdnd_tui.widgets.comparison_panels import ComparisonPanels
from crdnd_tui.widgets.curve_board import CurveBoard
from crdnd_tui.widgets.text_sheet import TextSheet
from tests.tui.pilot import NOW, drive, recorded, same_picture, settle

CRDND, RSLAD = "crdnd-small_cnn-s0", "rslad-small_cnn-s0"


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return recorded(tmp_path_factory.mktemp("compare") / "runs")


@pytest.fixture
def runs(original, tmp_path):
    return Path(shutil.copytree(original, tmp_path / "runs"))


def ids(runs, *names):
    return [path.name for name in names for path in sorted(runs.iterdir()) if name in path.name]


async def arrived(pilot):
    """Until what was read is drawn."""
    await settle(pilot)
    await pilot.pause(0.1)
    await settle(pilot)


async def read_again(pilot):
    """What the clock would do each second."""
    pilot.app.screen._tick()
    await arrived(pilot)


async def compare(app, pilot, names):
    app.compare_runs(names)
    await pilot.pause()
    if app.screen.NAME == "Compare":
        app.screen._tick()
    await arrived(pilot)


def text(app, sheet, width=0):
    """What a panel says, scrolled or not."""
    page = app.screen.query_one(f"#{sheet}", TextSheet).query_one("_Page")
    return "\n".join(line.plain for line in page.lines(width or page.size.width))


def title(app, panel):
    return str(app.screen.query_one(f"#{panel}").border_title)


def curves(app):
    return app.screen.query_one(CurveBoard).names


def told(story, runs, names, **flags):
    """A story about these runs laid side by side."""

    async def whole(app, pilot):
        await compare(app, pilot, ids(runs, *names))
        return await story(app, pilot)

    return drive(whole, runs, **flags)


def test_the_tables_lie_side_by_side_and_the_judgement_is_a_sentence(runs):
    async def story(app, pilot):
        said = text(app, "results")
        assert "crdnd s0 base" in said
        assert "55.3ab" in said
        assert "\u22129.7" in said  # AutoAttack minus PGD-SAT
        assert "rslad s0 leads under PGD-SAT and under AutoAttack" in said
        assert "AutoAttack finds far more adversarial images" in said
        assert curves(app) == [["crdnd s0", "rslad s0"]]
        assert "only differences" in title(app, "config")
        assert "rslad s0 \u2212 crdnd s0" in title(app, "classes")

    told(story, runs, (CRDND, RSLAD))


def test_the_measure_goes_round_with_m_and_with_arrows(runs):
    async def story(app, pilot):
        shown = app.screen._shown
        seen = [shown.measure.key]
        for _ in range(len(shown.measures) - 1):
            await pilot.press("m")
            seen.append(app.screen._shown.measure.key)
        assert seen == [m.key for m in shown.measures]
        assert "selecting" in seen and "loss" in seen and "term:robust" in seen and "teacher_robust" in seen
        for key, moved in (("right", 1), ("left", -1), ("l", 1), ("h", -1), ("M", -1)):
            before = app.screen._shown.measure
            await pilot.press(key)
            places = [shown.measures.index(m) for m in (before, app.screen._shown.measure)]
            assert (places[1] - places[0] - moved) % len(shown.measures) == 0

    told(story, runs, (CRDND, RSLAD))


def test_u_shows_points_more_than_the_baseline_and_b_sets_it(runs):
    async def story(app, pilot):
        await pilot.press("u")
        assert "+10.4" in text(app, "results")
        await pilot.press("b")
        await pilot.pause()
        assert "rslad s0 base" in text(app, "results")
        assert "\u221210.4" in text(app, "results")
        assert "This is the baseline" in text(app, "classes")
        await pilot.press("u")
        assert "\u221210.4" not in text(app, "results")

    told(story, runs, (CRDND, RSLAD))


def test_arrows_and_hjkl_move_the_cursor_and_enter_opens_the_run(runs):
    async def story(app, pilot):
        for key, label in (("up", "crdnd s0"), ("down", "rslad s0"), ("down", "natural s0"), ("k", "rslad s0")):
            await pilot.press(key)
            assert app.screen._shown.row.label == label
        await pilot.press("j", "j", "enter")
        assert app.current == ids(runs, "natural")[0]
        assert app.screen.NAME == "Live"

    told(story, runs, (CRDND, RSLAD, "natural"))


def test_g_makes_one_row_of_the_seeds_with_mean_and_deviation(runs):
    async def story(app, pilot):
        assert len(app.screen._shown.rows) == 5
        await pilot.press("g")
        assert [row.label for row in app.screen._shown.rows] == ["crdnd (2)", "rslad (3)"]
        said = text(app, "results")
        assert "\u00b11.3" in said
        assert curves(app) == [["crdnd (2)", "rslad (3)"]]
        assert "0, 1, 2" in text(app, "config", 112)
        await pilot.press("g")
        assert len(app.screen._shown.rows) == 5

    told(story, runs, ("crdnd-small_cnn-s", "rslad-small_cnn-s0", "rslad-small_cnn-s1", "rslad-small_cnn-s2"))


def test_d_shows_all_keys_and_only_those_that_differ(runs):
    async def story(app, pilot):
        assert "data.name" not in text(app, "config")
        await pilot.press("d")
        assert "data.name" in text(app, "config")
        assert title(app, "config").startswith("Config: all 159 keys")
        await pilot.press("d")
        assert "of 159 keys" in title(app, "config")

    told(story, runs, (CRDND, RSLAD))


def test_a_goes_round_the_attacks_for_the_classes(runs):
    async def story(app, pilot):
        assert "worst of L-inf" in title(app, "classes")
        attacks = app.screen._shown.attacks
        for attack in [*attacks[attacks.index("worst") + 1 :], *attacks[: attacks.index("worst") + 1]]:
            await pilot.press("a")
            assert app.screen._shown.attack == attack

    told(story, runs, (CRDND, RSLAD))


def test_o_draws_a_chart_for_each_run_with_the_others_behind(runs):
    async def story(app, pilot):
        await pilot.press("o")
        await arrived(pilot)
        assert curves(app) == [["rslad s0", "crdnd s0"], ["crdnd s0", "rslad s0"]]
        await pilot.press("o")
        await arrived(pilot)
        assert curves(app) == [["crdnd s0", "rslad s0"]]

    told(story, runs, (CRDND, RSLAD))


def test_space_hides_the_curve_of_the_run_under_the_cursor_and_shows_it_again(runs):
    async def story(app, pilot):
        await pilot.press("space")
        assert curves(app) == [["crdnd s0"]]
        assert "\u2504\u2504 rslad s0" in text(app, "results")
        await pilot.press("space")
        assert curves(app) == [["crdnd s0", "rslad s0"]]

    told(story, runs, (CRDND, RSLAD))


def test_w_shows_the_other_checkpoint_or_says_that_there_is_none(runs):
    (run,) = ids(runs, RSLAD)
    log = runs / run / "events.jsonl"
    judged = [line for line in log.read_text().splitlines() if '"evaluated"' in line]
    more = [line.replace('"checkpoint":"best"', '"checkpoint":"last"') for line in judged]
    log.write_text(log.read_text() + "\n".join(more) + "\n")

    async def story(app, pilot):
        await pilot.press("w")
        assert "last checkpoint" in title(app, "results")
        assert "rslad s0 is not comparable with crdnd s0: checkpoint last, not best" in text(app, "results")
        await pilot.press("w")
        assert "best checkpoint" in title(app, "results")
        await compare(app, pilot, ids(runs, CRDND, "natural"))
        await pilot.press("w")
        assert "best checkpoint" in title(app, "results")

    told(story, runs, (CRDND, RSLAD))


def test_r_removes_the_run_from_the_comparison_and_one_alone_asks_for_more(runs):
    async def story(app, pilot):
        await pilot.press("R")
        await arrived(pilot)
        assert list(app.compared) == ids(runs, CRDND, "natural")
        assert "natural s0" in text(app, "results")
        await pilot.press("R")
        await arrived(pilot)
        assert app.screen.query_one(Chooser).display
        assert len(list(runs.iterdir())) == 10  # nothing was deleted

    told(story, runs, (CRDND, RSLAD, "natural"))


def test_tab_goes_round_the_panels_and_pages_follow_in_a_narrow_terminal(runs):
    async def story(app, pilot):
        panels = app.screen.query_one(ComparisonPanels)
        for page in ("config", "classes", "curves", "results"):
            await pilot.press("tab")
            await pilot.pause()
            assert app.focused in panels.panel(page).walk_children(with_self=True)
            shown = [p for p in PAGES if panels.panel(p).display and panels.panel(p).size.height]
            assert shown == ([page] if app.size.width < 100 else list(PAGES))
        await pilot.press("shift+tab")
        await pilot.pause()
        assert app.screen._look.page == "curves"

    for size in ((80, 24), (120, 36)):
        told(story, runs, (CRDND, RSLAD), size=size)


def test_escape_goes_back_to_the_runs(runs):
    async def story(app, pilot):
        await pilot.press("escape")
        assert app.screen.NAME == "Runs"

    told(story, runs, (CRDND, RSLAD))


def test_without_runs_they_are_chosen_with_space_and_enter(runs):
    async def story(app, pilot):
        await pilot.press("4")
        await arrived(pilot)
        chooser = app.screen.query_one(Chooser)
        assert chooser.has_focus
        await pilot.press("enter")  # none is taken: says so, and stays
        assert chooser.display
        await pilot.press("end", "space", "k", "k", "space", "home", "pagedown", "pageup", "down", "up", "j", "space")
        assert len(chooser._taken) == 3
        await pilot.press("k", "j", "k")
        await pilot.press("space")  # left again
        await pilot.press("enter")
        await arrived(pilot)
        assert not chooser.display
        assert len(app.compared) >= 2
        await pilot.press("n")
        await arrived(pilot)
        assert chooser.display and len(chooser._taken) == len(app.compared)
        await pilot.press("escape")
        await arrived(pilot)
        assert not chooser.display
        assert app.screen.NAME == "Compare"

    drive(story, runs)


def test_no_more_than_eight_are_taken_and_nine_asked_for_become_eight(runs):
    async def story(app, pilot):
        await pilot.press("4")
        await arrived(pilot)
        await pilot.press(*(["space"] * 9))
        assert len(app.screen.query_one(Chooser)._taken) == 8
        await compare(app, pilot, ids(runs, "s"))
        assert len(app.screen._shown.rows) == 8

    drive(story, runs)


def test_an_empty_folder_says_what_to_do(tmp_path):
    async def story(app, pilot):
        await pilot.press("4")
        await arrived(pilot)
        assert "No run has been started yet" in app.screen.query_one(Chooser).render().plain
        await pilot.press("space", "down", "enter", "escape")
        assert app.screen.NAME == "Runs"

    drive(story, tmp_path / "runs")


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


def test_a_living_run_grows_on_the_screen_and_nothing_is_drawn_while_nothing_changes(runs):
    (run,) = ids(runs, RSLAD)
    rest = alive(runs, run, 300)

    async def story(app, pilot):
        assert "nothing judged yet" in text(app, "results")
        before = app.screen._shown
        await read_again(pilot)
        assert app.screen._shown is before
        with (runs / run / "events.jsonl").open("a") as log:
            log.writelines(rest)
        await read_again(pilot)
        assert "63.1" in text(app, "results")

    told(story, runs, (CRDND, RSLAD))


def test_runs_that_are_gone_damaged_or_of_hostile_names_are_rows_that_say_so(runs):
    (gone,) = ids(runs, RSLAD)
    (damaged,) = ids(runs, "natural")
    (runs / damaged / "config.toml").unlink()
    (runs / damaged / "events.jsonl").write_bytes(b"\xff\x00{]\n")
    shutil.rmtree(runs / damaged / "evaluation")

    async def story(app, pilot):
        shutil.rmtree(runs / gone)
        await read_again(pilot)
        await compare(app, pilot, [*ids(runs, CRDND), gone, damaged, "../../etc", "[red]x[/]\x1b[31m"])
        said = text(app, "results")
        assert "the folder is gone" in said
        assert "damaged: config.toml is missing" in said
        assert said.count("no run has such an id") == 2
        assert "\x1b" not in said
        await pilot.press("u", "g", "a", "d", "o", "b", "m")
        await arrived(pilot)

    told(story, runs, (CRDND, RSLAD))


def test_a_judged_run_without_training_is_a_row_with_results_and_no_curve(runs):
    (run,) = ids(runs, RSLAD)
    config = runs / run / "config.toml"
    config.write_text('kind = "evaluation"\n[data]\nname = "digits"\n[subject]\nrun = "x"\n')
    lines = (runs / run / "events.jsonl").read_text().splitlines(keepends=True)
    keep = ("run_started", "evaluation_started", "evaluated", "run_finished")
    (runs / run / "events.jsonl").write_text("".join(line for line in lines if any(f'"{k}"' in line for k in keep)))

    async def story(app, pilot):
        assert f"judged {run[-4:]}" in text(app, "results")
        assert curves(app) == [["crdnd s0"]]
        assert "63.1" in text(app, "results")

    told(story, runs, (CRDND, RSLAD))


def unlike(runs):
    """As if this run had been judged in a smaller ball."""
    (run,) = ids(runs, RSLAD)
    for name in ("config.toml", "events.jsonl"):
        path = runs / run / name
        path.write_text(path.read_text().replace("40/255", "8/255"))


def test_another_epsilon_is_a_badge_and_no_difference(runs):
    unlike(runs)

    async def story(app, pilot):
        await pilot.press("u")
        said = text(app, "results")
        assert "\u2260 rslad s0 is not comparable with crdnd s0: epsilon 8/255, not 40/255" in said
        assert "+10.4" not in said
        assert "Not comparable: epsilon 8/255" in text(app, "classes")

    told(story, runs, (CRDND, RSLAD))


def test_every_key_works_when_only_reading_is_allowed(runs):
    async def story(app, pilot):
        before = sorted((p, p.stat().st_mtime_ns) for p in runs.rglob("*"))
        await pilot.press("m", "M", "u", "b", "g", "d", "w", "a", "o", "space", "up", "down", "tab", "R", "n", "escape")
        await arrived(pilot)
        assert sorted((p, p.stat().st_mtime_ns) for p in runs.rglob("*")) == before

    told(story, runs, (CRDND, RSLAD, "natural"), readonly=True)


@pytest.mark.parametrize(
    ("size", "theme"), [((40, 10), "crdnd-ansi"), ((60, 15), "crdnd-contrast"), ((170, 20), "crdnd-ansi")]
)
def test_no_size_and_no_theme_breaks_it(runs, size, theme):
    async def story(app, pilot):
        for key in ("tab", "tab", "tab", "o", "g", "u", "n"):
            await pilot.press(key)
            await arrived(pilot)
        assert app.screen.query_one(CurveBoard)

    told(story, runs, ("small_cnn-s",), size=size, theme=theme, ascii_only=size[0] == 60)


@pytest.mark.parametrize(
    ("name", "names", "keys", "size", "theme"),
    [
        ("two-120x36", (CRDND, RSLAD), "", (120, 36), "crdnd-dark"),
        ("two-80x24", (CRDND, RSLAD), "", (80, 24), "crdnd-dark"),
        ("seeds-120x36", ("crdnd-small_cnn-s", "rslad-small_cnn-s0", "rslad-small_cnn-s1", "rslad-small_cnn-s2"),
         "g", (120, 36), "crdnd-dark"),
        ("many-180x50", ("crdnd-small_cnn-s", "rslad-small_cnn-s", "natural"), "", (180, 50), "crdnd-dark"),
        ("delta-light-120x36", (CRDND, RSLAD, "natural"), "uo", (120, 36), "crdnd-light"),
        ("unlike-120x36", (CRDND, "natural", RSLAD), "uj", (120, 36), "crdnd-dark"),
    ],
)  # fmt: skip
def test_pictures(runs, name, names, keys, size, theme):
    if name.startswith("unlike"):
        unlike(runs)

    async def story(app, pilot):
        await pilot.press(*keys)
        await arrived(pilot)
        await same_picture(app, f"compare-{name}")

    told(story, runs, names, size=size, theme=theme)


def test_picture_of_choosing(runs):
    async def story(app, pilot):
        await pilot.press("4")
        await arrived(pilot)
        await pilot.press("end", "space", "up", "up", "space")
        await arrived(pilot)
        await same_picture(app, "compare-choosing-80x24")

    drive(story, runs, size=(80, 24))
