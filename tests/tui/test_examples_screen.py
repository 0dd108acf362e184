"""The Examples screen: every key, every empty state, and how it looks."""

import random

import pytest

from crdnd_tui.tui.dialogs.pick import Pick
from crdnd_tui.tui.widgets.confusion import Confusion
from crdnd_tui.tui.widgets.sheet import Sheet, grid
from crdnd_tui.tui.widgets.specimen import SpecimenPanel
from tests.tui import shelves
from tests.tui.examples import MADE, RUN, begin, said, show, walk, walks, words
from tests.tui.pilot import drive, recorded, same_picture, settle

TEACHER = "20261122-215715-pgd_at-small_resnet-s0-d1fb"  # keeps no examples


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


def test_every_key_of_pictures_sheet_and_matrix(small):
    shown = [
        ("right l left h down j up k end right home left", lambda s: s.visit.index),
        ("right a a A", lambda s: (s.visit.attack, s.visit.index)),
        ("a F F F c c", lambda s: (s.visit.filter, s.visit.label, s.visit.index)),
        ("g right enter g escape g g m a m m escape", lambda s: s.mode),
        ("m down right right enter escape escape", lambda s: (s.mode, s.visit.index, s.visit.cell is not None)),
        ("m d d d z z", lambda s: (s.kind, s.query_one(Confusion).whole)),
        ("m down down down enter", lambda s: words(s.app)),
        ("m right right enter", lambda s: said(s.app)),
        ("b", lambda s: said(s.app)),
        ("F F g", lambda s: words(s.app)),
    ]
    seen = walks(small, [(keys.split(), look) for keys, look in shown])
    assert seen[0] == [1, 2, 1, 0, 1, 2, 1, 0, 3, 3, 0, 0]
    assert seen[1] == [("pgd_sat", 1), ("fgsm", 1), ("pgd_sat", 1), ("fgsm", 1)]
    filtered = [("all", None, 0), ("flips", None, 1), ("standing", None, 0), ("all", None, 0), ("all", 0, 0)]
    assert seen[2] == [*filtered, ("all", 1, 1)]
    modes = ["sheet", "sheet", "single", "sheet", "single", "sheet", "single", "matrix", "matrix", "single"]
    assert seen[3] == [*modes, "matrix", "single"]
    assert seen[4][4:] == [("single", 1, True), ("matrix", 1, False), ("single", 1, False)]
    assert [kind for kind, _ in seen[5][:4]] == ["adversarial", "difference", "clean", "adversarial"]
    assert [whole for _, whole in seen[5]] == [False, False, False, False, True, False]
    assert "cell: ship \u2192 cat, adversarial" in seen[6][-1]  # ship read as cat: 2, of which 1 is kept
    none = "0 test images of cat are read as deer, under PGD-SAT; the gallery keeps 4 seeded images, none of these."
    assert seen[7][-1] == [none]
    assert seen[8] == [["only best has been judged"]]
    assert all("no standing under PGD-SAT: F lets others through" in shown for shown in seen[9][1:])


def test_keys_do_the_same_when_only_reading_is_allowed_and_escape_leaves(small):
    seen = walk(small, ["right", "a", "F", "g"], lambda s: (s.mode, s.visit.attack), readonly=True)
    assert seen[-1] == ("sheet", "fgsm")
    assert show(["escape"], small, then=lambda app, _: app.current_mode, run=MADE) == "runs"


def test_b_shows_the_other_checkpoint_and_a_gallery_that_grows_is_read_again(small):
    last = small / MADE / "evaluation" / "last"
    shelves.hang(last, {"fgsm": [shelves.example(9, 2, 2)]})
    shelves.judge(last, "clean", [2], [2])

    async def story(app, pilot):
        app.open_run(MADE, "examples")
        await settle(pilot)
        screen, seen = app.screen, []
        for _ in "bb":
            await pilot.press("b")
            await settle(pilot)
            seen.append((screen.shown.checkpoint, screen.visit.attack, screen.visit.index))
        suite = {name: [shelves.example(5, 1, 2)] for name in ("fgsm", "pgd_sat", "cw_inf")}
        shelves.hang(small / MADE / "evaluation" / "best", suite)
        screen.look_again()
        await settle(pilot)
        await settle(pilot)
        return [*seen, list(screen.visit.examples), screen.visit.index]

    seen = [("last", "fgsm", 9), ("best", "pgd_sat", 0), ["fgsm", "pgd_sat", "cw_inf"], 5]
    assert drive(story, small) == seen


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


def test_a_recorded_run_in_words_and_pictures(runs):
    async def story(app, pilot):
        app.open_run(RUN, "examples")
        await settle(pilot)
        await same_picture(app, "examples-120x36")
        shown = words(app)
        for part in ("1 of 20", "filter: all", "PGD-SAT", "epsilon 40/255", "clean x", "\u03b4 \u00d7 3, grey is 0"):
            assert part in shown
        for part in ("fooled", "9 \u2192 3", "test image 53", "L-inf 40.0/255 = 1.00 epsilon", "KL(T(x') || S(x'))"):
            assert part in shown
        keys = ["plus", "equals_sign", "0", "minus", "minus", "minus", *(["plus"] * 13), "0"]
        amplified = []
        for key in keys:
            await pilot.press(key)
            amplified.append(app.screen.query_one(SpecimenPanel).specimen.k)
        assert amplified == [4, 6, 3, 2, 1, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 64, 64, 3]  # 40/255 fits 3 times
        await _sized(app, pilot, (80, 24), "")
        assert "L-inf 1.00 epsilon" in words(app) and "crdnd-small_cnn-s0 \u00b7 best" in words(app)
        await _sized(app, pilot, (80, 24), "m")
        assert "crdnd-small_cnn-s0 \u00b7 best" in words(app) and "enter: 1 of them" in words(app)
        await begin(app, pilot, TEACHER)
        assert "gallery = 0" in words(app) and "F Filter" not in words(app) and "m Matrix" in words(app)
        await pilot.press("m", "enter")
        await settle(pilot)
        assert "read as" in words(app) and said(app)[-1].endswith("this run keeps no examples.")

    drive(story, runs)


async def _sized(app, pilot, size, keys):
    await begin(app, pilot, size=size)
    for key in keys.split():
        await pilot.press(key)
        await settle(pilot)


def test_an_empty_folder_and_runs_that_are_not_there_or_not_judged(tmp_path):
    async def story(app, pilot):
        app.show("examples")
        await settle(pilot)
        assert "No run keeps adversarial examples yet" in words(app) and "a Attack" not in words(app)
        shelves.run(tmp_path / "runs")
        for name in ("../..", "nowhere", "20261122-nothing", MADE):
            await begin(app, pilot, name)
            assert "run" in words(app)
        await pilot.press("g", "m", "a", "F", "c", "plus", "right", "enter", "b")
        await settle(pilot)
        assert "Not judged yet" in words(app)

    drive(story, tmp_path / "runs")


def test_damage_is_told(small):
    best = small / MADE / "evaluation" / "best"
    (best / "pgd_sat.f32").write_bytes(b"short")

    async def story(app, pilot):
        app.open_run(MADE, "examples")
        await settle(pilot)
        assert "pgd_sat.f32 is damaged" in words(app)
        await pilot.press("g")
        assert "pgd_sat.f32 is damaged" in words(app)
        (best / "gallery.json").write_bytes(b"{")
        (best / "pgd_sat.json").write_bytes(b"{")
        await begin(app, pilot)
        assert "gallery.json is damaged" in words(app)
        await pilot.press("m")
        await settle(pilot)
        assert "FGSM" in words(app)  # the first whose record is whole

    drive(story, small)


def test_other_shapes_many_classes_and_names_with_escapes(tmp_path):
    coloured, many, hostile = (f"20261122-00000{k}-crdnd-small_cnn-s0-abcd" for k in range(3))
    numbers = [random.Random(k).random() for k in range(2 * 3 * 32 * 32)]
    one = shelves.example(4, 0, 1, size=4 * 3 * 32 * 32)
    best = {name: shelves.run(tmp_path / "runs", name) / "evaluation" / "best" for name in (coloured, many, hostile)}
    shelves.hang(best[coloured], {"pgd_sat": [one]}, shape=(3, 32, 32), values=numbers)
    labels = [k // 5 for k in range(500)]
    shelves.judge(best[many], "clean", labels, labels, 100)
    shelves.judge(best[many], "fgsm", labels, [(k * 7) % 100 for k in labels], 100)
    names = ("[red]a", "\x1b]0;b\x07", "c", "d")
    shelves.hang(best[hostile], {"[b]x\x1b[2J": [shelves.example(1, 0, 1)]}, names=names)

    async def story(app, pilot):
        app.open_run(coloured, "examples")
        await settle(pilot)
        assert "clean x" in words(app) and "\u03b4 \u00d7" not in words(app)
        await pilot.press("v")  # where two pictures fit, the difference in the place of x
        assert "clean x" not in words(app) and "\u03b4 \u00d7" in words(app)
        await begin(app, pilot, hostile)
        assert "[red]a" in words(app) and "\x1b" not in words(app)
        await begin(app, pilot, many, size=(120, 36))
        await pilot.press("m")
        await settle(pilot)
        assert app.screen.query_one(Confusion).whole
        await pilot.press("z", "end", *(["left"] * 6))
        await settle(pilot)
        assert "99 read as 93: 5 of 5 = 100.0 %" in words(app)
        await pilot.press("home")
        await settle(pilot)
        assert "0 read as 0: 5 of 5 = 100.0 %" in words(app)
        await begin(app, pilot, coloured)
        assert "clean x" in words(app) and "\u03b4 \u00d7" in words(app)

    drive(story, tmp_path / "runs", size=(80, 24))


def test_any_size_and_theme_has_something_to_show(small):
    async def story(app, pilot):
        app.open_run(MADE, "examples")
        await settle(pilot)
        for size in ((40, 10), (60, 12), (80, 20), (99, 40), (130, 50), (250, 80)):
            await begin(app, pilot, size=size)
            for key in ("right", "g", "m"):
                await pilot.press(key)
                await settle(pilot)
                assert "dog" in words(app)
            await pilot.press("z")
            await settle(pilot)
        await begin(app, pilot, size=(60, 20))
        assert "student S(x), S(x')" not in words(app)
        await begin(app, pilot, size=(130, 50))
        assert "student S(x), S(x')" in words(app)
        app.theme = "crdnd-light"
        await settle(pilot)
        assert "\u2580" in words(app)

    drive(story, small)


def test_without_colour_and_in_ascii_pictures_are_characters(small, monkeypatch):
    seen = walk(small, ["right", "g", "m", "d", "z"], lambda s: words(s.app), ascii_only=True)
    assert all("\u2580" not in shown for shown in seen[:2])
    monkeypatch.setenv("NO_COLOR", "1")
    shown = show([], small, run=MADE)
    assert "\u2580" not in shown and "fooled" in shown and "blank is 0" in shown


def test_a_sheet_holds_as_many_as_fit():
    made = grid((3, 32, 32), 16, 116, 32)
    assert (made.scale.columns(32), made.across, made.down) == (16, 6, 3)
    assert grid((1, 8, 8), 256, 40, 8).across * grid((1, 8, 8), 256, 40, 8).down >= 2
    assert Sheet(id="sheet").across == 1
