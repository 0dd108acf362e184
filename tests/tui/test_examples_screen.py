"""The Examples screen: every key, every empty state, and how it looks."""

import random

import pytest

from crdnd_tui.dialogs.pick import Pick
from crdnd_tui.widgets.confusion import Confusion
from crdnd_tui.widgets.sheet import Sheet, grid
from crdnd_tui.widgets.specimen import SpecimenPanel
from tests.tui import shelves
from tests.tui.examples import MADE, RUN, said, show, walk, words
from tests.tui.pilot import SIZES, drive, recorded, same_picture, settle


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return recorded(tmp_path_factory.mktemp("examples") / "runs", "crdnd-small_cnn-s0", "rslad-small_cnn-s0", "pgd_at")


@pytest.fixture
def small(tmp_path):
    """Four images of 2 x 2 pixels, two attacks, records of both."""
    folder = shelves.run(tmp_path / "runs")
    best = folder / "evaluation" / "best"
    suite = {
        "fgsm": [shelves.example(i, i, (i + 1) % 4 if i else 0, place=i) for i in range(4)],
        "pgd_sat": [shelves.example(i, i, (i + 1) % 4, place=i) for i in range(4)],
    }
    shelves.hang(best, suite)
    labels = [0, 1, 2, 3, 3]
    shelves.judge(best, "clean", labels, labels)
    shelves.judge(best, "fgsm", labels, [0, 2, 3, 0, 3])
    shelves.judge(best, "pgd_sat", labels, [1, 2, 3, 0, 0])
    return tmp_path / "runs"


def test_keys_that_walk(small):
    keys = ["right", "l", "left", "h", "down", "j", "up", "k", "end", "right", "home", "left"]
    assert walk(small, keys, lambda s: s.visit.index) == [1, 2, 1, 0, 1, 2, 1, 0, 3, 3, 0, 0]


def test_keys_of_attacks_keep_the_image(small):
    seen = walk(small, ["right", "a", "a", "A"], lambda s: (s.visit.attack, s.visit.index))
    assert seen == [("pgd_sat", 1), ("fgsm", 1), ("pgd_sat", 1), ("fgsm", 1)]


def test_keys_of_filters(small):
    seen = walk(small, ["a", "F", "F", "F", "c", "c"], lambda s: (s.visit.filter, s.visit.label, s.visit.index))
    expected = [("all", None, 0), ("flips", None, 1), ("standing", None, 0), ("all", None, 0), ("all", 0, 0)]
    assert seen == [*expected, ("all", 1, 1)]


def test_keys_of_modes(small):
    keys = ["g", "right", "enter", "g", "escape", "g", "g", "m", "a", "m", "m", "escape"]
    seen = walk(small, keys, lambda s: s.mode)
    modes = ["sheet", "sheet", "single", "sheet", "single", "sheet", "single", "matrix", "matrix", "single"]
    assert seen == [*modes, "matrix", "single"]


def test_a_cell_opens_its_examples(small):
    keys = ["m", "down", "right", "right", "enter", "escape", "escape"]
    seen = walk(small, keys, lambda s: (s.mode, s.visit.index, s.visit.cell is not None))
    assert seen[4:] == [("single", 1, True), ("matrix", 1, False), ("single", 1, False)]
    assert show(["escape"], small, then=lambda app, _: app.current_mode, run=MADE) == "runs"


def test_keys_do_the_same_when_only_reading_is_allowed(small):
    seen = walk(small, ["right", "a", "F", "g"], lambda s: (s.mode, s.visit.attack), readonly=True)
    assert seen[-1] == ("sheet", "fgsm")


def test_amplification_goes_up_down_and_back_to_fit(runs):
    keys = ["plus", "equals_sign", "0", "minus", "minus", "minus", *(["plus"] * 13)]
    seen = walk(runs, keys, lambda s: s.query_one(SpecimenPanel).specimen.k, run=RUN)
    assert seen == [4, 6, 3, 2, 1, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 64, 64]  # 40/255 fits 3 times


def test_where_two_pictures_fit_v_puts_the_difference_in_the_place_of_x(tmp_path):
    folder = shelves.run(tmp_path / "runs")
    numbers = [random.Random(k).random() for k in range(2 * 3 * 32 * 32)]
    one = shelves.example(4, 0, 1, size=4 * 3 * 32 * 32)
    shelves.hang(folder / "evaluation" / "best", {"pgd_sat": [one]}, shape=(3, 32, 32), values=numbers)
    shown = show([], tmp_path / "runs", run=MADE, size=(80, 24))
    assert "clean x" in shown and "\u03b4 \u00d7" not in shown
    swapped = show(["v"], tmp_path / "runs", run=MADE, size=(80, 24))
    assert "clean x" not in swapped and "\u03b4 \u00d7" in swapped
    assert "clean x" in show([], tmp_path / "runs", run=MADE, size=(120, 36))


def test_keys_of_the_matrix(small):
    seen = walk(small, ["m", "d", "d", "d", "z", "z"], lambda s: (s.kind, s.query_one(Confusion).whole))
    assert [kind for kind, _ in seen[:4]] == ["adversarial", "difference", "clean", "adversarial"]
    assert [whole for _, whole in seen] == [False, False, False, False, True, False]


def test_a_cell_without_examples_says_how_many_images_there_were(small):
    shown = show(["m", "down", "down", "down", "enter"], small, run=MADE)  # ship read as cat: 2, of which 1 is kept
    assert "cell: ship \u2192 cat, adversarial" in shown
    none = show(["m", "right", "right", "enter"], small, run=MADE, then=said)
    assert none == [
        "0 test images of cat are read as deer, under PGD-SAT; the gallery keeps 4 seeded images, none of these."
    ]


def test_b_shows_the_other_checkpoint_or_says_that_there_is_none(small):
    assert show(["b"], small, run=MADE, then=said) == ["only best has been judged"]
    last = small / MADE / "evaluation" / "last"
    shelves.hang(last, {"fgsm": [shelves.example(9, 2, 2)]})
    shelves.judge(last, "clean", [2], [2])
    seen = walk(small, ["b", "b"], lambda s: (s.shown.checkpoint, s.visit.attack, s.visit.index))
    assert seen == [("last", "fgsm", 9), ("best", "pgd_sat", 0)]


def test_o_chooses_another_run(small):
    newer = "20261123-000000-rslad-small_cnn-s1-beef"
    best = shelves.run(small, newer) / "evaluation" / "best"
    shelves.hang(best, {"fgsm": [shelves.example(9, 2, 2)]})

    async def story(app, pilot):
        app.show("examples")
        await settle(pilot)
        seen = [app.screen.shown.run]  # none is in front: the newest
        for keys in (["o", "escape"], ["o", "j", "enter"], ["o", "k", "escape"], ["o", "up", "enter"]):
            for key in keys:
                await pilot.press(key)
                await settle(pilot)
                assert isinstance(app.screen, Pick) == (key not in ("escape", "enter"))
            seen.append(app.screen.shown.run)
        return [*seen, app.current]

    assert drive(story, small) == [newer, newer, MADE, MADE, newer, newer]


def test_what_is_said_of_the_image(runs):
    shown = show([], runs)
    for part in ("1 of 20", "filter: all", "PGD-SAT", "epsilon 40/255", "clean x", "\u03b4 \u00d7 3", "adversarial x'"):
        assert part in shown
    for part in ("fooled", "9 \u2192 3", "test image 53", "L-inf 40.0/255 = 1.00 epsilon", "KL(T(x') || S(x'))"):
        assert part in shown


def test_no_run_at_all(tmp_path):
    assert "No run keeps adversarial examples yet" in show([], tmp_path / "runs", run="")


def test_a_run_that_keeps_none_says_so_and_still_has_its_matrix(runs):
    teacher = "20261122-215715-pgd_at-small_resnet-s0-d1fb"
    assert "gallery = 0" in show([], runs, run=teacher)
    assert "read as" in show(["m"], runs, run=teacher)
    (words_said,) = show(["m", "enter"], runs, run=teacher, then=said)
    assert words_said.endswith("this run keeps no examples.")


def test_a_run_that_was_not_judged(tmp_path):
    shelves.run(tmp_path / "runs")
    shown = show(["g", "m", "a", "F", "c", "plus", "right", "enter", "b"], tmp_path / "runs", run=MADE)
    assert "Not judged yet" in shown


@pytest.mark.parametrize("name", ["../..", "nowhere", "20261122-nothing"])
def test_a_run_that_is_not_there(tmp_path, name):
    assert "run" in show([], tmp_path / "runs", run=name)


def test_damage_is_told(small):
    best = small / MADE / "evaluation" / "best"
    (best / "pgd_sat.f32").write_bytes(b"short")
    assert "pgd_sat.f32 is damaged" in show([], small, run=MADE)
    assert "pgd_sat.f32 is damaged" in show(["g"], small, run=MADE)
    (best / "gallery.json").write_bytes(b"{")
    assert "gallery.json is damaged" in show([], small, run=MADE)
    (best / "pgd_sat.json").write_bytes(b"{")
    assert "pgd_sat.json is damaged" in show(["m", "A"], small, run=MADE) or "FGSM" in show(["m"], small, run=MADE)


def test_a_filter_that_lets_nothing_through_says_which_key_helps(small):
    assert "no standing under PGD-SAT: F lets others through" in show(["F", "F"], small, run=MADE)
    assert "F lets others through" in show(["F", "F", "g"], small, run=MADE)


def test_a_gallery_that_grows_is_read_again(small):
    async def story(app, pilot):
        app.open_run(MADE, "examples")
        await settle(pilot)
        screen = app.screen
        suite = {name: [shelves.example(5, 1, 2)] for name in ("fgsm", "pgd_sat", "cw_inf")}
        shelves.hang(small / MADE / "evaluation" / "best", suite)
        screen.look_again()
        await settle(pilot)
        await settle(pilot)
        return list(screen.visit.examples), screen.visit.index

    assert drive(story, small) == (["fgsm", "pgd_sat", "cw_inf"], 5)


def test_names_with_escapes_and_markup_are_shown_not_obeyed(tmp_path):
    folder = shelves.run(tmp_path / "runs")
    best = folder / "evaluation" / "best"
    shelves.hang(best, {"[b]x\x1b[2J": [shelves.example(1, 0, 1)]}, names=("[red]a", "\x1b]0;b\x07", "c", "d"))
    shown = show([], tmp_path / "runs", run=MADE)
    assert "[red]a" in shown and "\x1b" not in shown


@pytest.mark.parametrize("size", [(40, 10), (60, 12), (80, 20), (99, 40), (250, 80)])
def test_any_size_has_something_to_show(small, size):
    seen = walk(small, ["right", "g", "m", "z"], lambda s: words(s.app), size=size)
    assert all("dog" in shown for shown in seen[:3])


@pytest.mark.parametrize("how", [{"ascii_only": True}, {"theme": "crdnd-ansi"}, {"theme": "crdnd-contrast"}])
def test_every_terminal_has_its_pictures(small, how):
    seen = walk(small, ["right", "g", "m", "d", "z"], lambda s: words(s.app), **how)
    assert all("\u2580" not in shown for shown in seen[:2]) == (how != {"theme": "crdnd-contrast"})


def test_without_colour_pictures_are_characters(small, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    shown = show([], small, run=MADE)
    assert "\u2580" not in shown and "fooled" in shown


def test_a_new_theme_and_a_new_size_are_drawn_at_once(small):
    async def story(app, pilot):
        app.open_run(MADE, "examples")
        await settle(pilot)
        await pilot.press("t")
        await pilot.resize_terminal(60, 20)
        await settle(pilot)
        small_screen = words(app)
        await pilot.resize_terminal(130, 50)
        await settle(pilot)
        return small_screen, words(app)

    before, after = drive(story, small)
    assert "student S(x), S(x')" not in before and "student S(x), S(x')" in after


def test_a_hundred_classes_scroll_and_have_an_overview(tmp_path):
    folder = shelves.run(tmp_path / "runs")
    best = folder / "evaluation" / "best"
    labels = [k // 5 for k in range(500)]
    shelves.judge(best, "clean", labels, labels, 100)
    shelves.judge(best, "fgsm", labels, [(k * 7) % 100 for k in labels], 100)
    assert show(["m"], tmp_path / "runs", run=MADE, then=lambda _, s: s.query_one(Confusion).whole) is True

    async def far(app, pilot):
        app.open_run(MADE, "examples")
        await settle(pilot)
        await pilot.press("m", "z", *(["down"] * 60), *(["right"] * 20))
        await settle(pilot)
        return words(app)

    assert "60 read as 20: 5 of 5 = 100.0 %" in drive(far, tmp_path / "runs")
    assert "classes" in show(["m"], tmp_path / "runs", run=MADE, size=(80, 24))


def test_a_sheet_holds_as_many_as_fit():
    made = grid((3, 32, 32), 16, 116, 32)
    assert (made.scale.columns(32), made.across, made.down) == (16, 6, 3)
    assert grid((1, 8, 8), 256, 40, 8).across * grid((1, 8, 8), 256, 40, 8).down >= 2
    assert Sheet(id="sheet").across == 1


@pytest.mark.parametrize(
    ("name", "keys", "size", "theme"),
    [
        ("examples-80x24", [], "80x24", "crdnd-dark"),
        ("examples-120x36", [], "120x36", "crdnd-dark"),
        ("examples-120x36-light", ["right", "F"], "120x36", "crdnd-light"),
        ("examples-180x50", ["right"], "180x50", "crdnd-dark"),
        ("examples-sheet-120x36", ["g", "right"], "120x36", "crdnd-dark"),
        ("examples-matrix-120x36", ["m", "d", "down", "right"], "120x36", "crdnd-dark"),
        ("examples-matrix-120x36-light", ["m"], "120x36", "crdnd-light"),
    ],
)
def test_pictures(runs, name, keys, size, theme):
    async def look(app, screen):
        await same_picture(app, name)
        return True

    assert show(keys, runs, then=look, size=SIZES[size], theme=theme)
