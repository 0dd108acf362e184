"""The panels of Live show the numbers they are handed, in any size, and obey no word of a file."""

import asyncio

import pytest
from textual.app import App

from crdnd_tui.core import per_class
from crdnd_tui.core.per_class import AcmMatrix, ClassAccuracies, ClassHistory, PerClass
from crdnd_tui.core.state import RunState, fold
from crdnd_tui.tui.monitor.log_lines import LogLine
from crdnd_tui.tui.themes import themes
from crdnd_tui.tui.widgets.class_bars import ClassBars
from crdnd_tui.tui.widgets.fate import Fate, Reason
from crdnd_tui.tui.widgets.heat_map import HeatMap
from crdnd_tui.tui.widgets.log_tail import LogTail
from crdnd_tui.tui.widgets.matrix import MatrixMap
from crdnd_tui.tui.widgets.robustness import Judged, Robustness
from crdnd_tui.tui.widgets.status_line import Notice, PageBar, Standing, StatusLine
from engine.spec.events import (
    AttackProgressed,
    AttackStarted,
    EpochDone,
    Evaluated,
    EvaluationStarted,
    TrainingStarted,
    Validated,
)


def epoch(number, **fields):
    return EpochDone(epoch=number, step=number, loss=1.0, terms={}, learning_rate=0.1, seconds=1.0, **fields)


def trained(*epochs, classes=("cat", "dog")):
    begun = TrainingStarted(
        epochs=4, steps_per_epoch=1, images=2, classes=list(classes), device="cpu", student_parameters=1
    )
    return fold([begun, *epochs])


def drawn(widget, width, height, then=lambda widget: None, theme="crdnd-dark"):
    """The lines of a widget of this size, and the words on its border."""

    class Stage(App[None]):
        CSS = "Screen > * { width: 100%; height: 100%; border: none; padding: 0; }"

        def on_load(self):
            for ours in themes():
                self.register_theme(ours)
            self.theme = theme

        def compose(self):
            yield widget

    async def go():
        async with Stage().run_test(size=(width, height)) as pilot:
            then(widget)
            await pilot.pause()
            lines = []
            for y in range(height):
                strip = widget.render_line(y) if y < widget.size.height else None
                assert strip is None or all(segment.style is not None for segment in strip)
                assert strip is None or strip.cell_length == widget.size.width
                lines.append(strip.text.rstrip() if strip else "")
            return lines, str(widget.border_title or ""), str(widget.border_subtitle or "")

    return asyncio.run(go())


TWO = PerClass(
    epoch=3,
    names=("cat", "dog"),
    clean=ClassAccuracies(
        teacher=(1.0, 0.5), teacher_change=(0.0, 0.1), student=(0.25, 0.5), student_change=(0.0, 0.0)
    ),
    adversarial=ClassAccuracies(
        teacher=(0.9, 0.4), teacher_change=(-0.019, 0.0), student=(0.2, 0.1), student_change=(0.0, 0.0)
    ),
)


def test_bars_stand_on_one_scale_with_numbers_and_changes():
    widget = ClassBars(id="bars")
    lines, title, subtitle = drawn(widget, 42, 3, lambda w: w.show(TWO, "clean"))
    assert lines[0].startswith("cat ") and lines[0].endswith("100.0        25.0")
    assert lines[0].count("\u2580") == 4 * lines[1].count("\u2580") / 2  # the teacher's 100 and 50
    assert "\u25b210.0" in lines[1] and lines[1].endswith(" 50.0")
    assert "clean x" in title and "teacher" in subtitle and "epoch 2" in subtitle


def test_clean_and_adversarial_stand_side_by_side_where_there_is_room():
    lines, title, _ = drawn(ClassBars(id="bars"), 100, 3, lambda w: w.show(TWO, "adversarial"))
    assert "100.0" in lines[0] and " 90.0" in lines[0] and "\u25bc 1.9" in lines[0] and "|" in title


def test_a_hundred_classes_show_the_least_known_first_and_scroll():
    many = tuple(k / 100 for k in range(100, 0, -1))
    known = PerClass(
        epoch=1,
        names=tuple(f"n{k}" for k in range(100)),
        clean=ClassAccuracies(teacher=many),
        adversarial=ClassAccuracies(),
    )

    def far(widget):
        widget.show(known, "clean")
        widget.render_line(0)
        widget.action_move(3)

    lines, _, subtitle = drawn(ClassBars(id="bars"), 50, 5, far)
    assert lines[0].startswith("n96") and "100 classes, least known first" in subtitle


def test_without_a_teacher_the_student_stands_alone():
    state = trained(epoch(1, student_clean=[0.5, 0.25]), epoch(2, student_clean=[0.6, 0.25]))
    lines, title, _ = drawn(ClassBars(id="bars"), 50, 3, lambda w: w.show(per_class.latest(state), "adversarial"))
    assert title == "Student per class on clean x" and "60.0 \u25b210.0" in lines[0] and lines[1].split()[-1] == "25.0"


def test_validations_tell_of_classes_where_epochs_do_not():
    told = Validated(epoch=2, step=2, n=2, accuracy={"clean": 1.0}, by="pgd", best=True, seconds=0,
                     per_class={"clean": [1.0, 0.5], "pgd": [0.5, 0.0]})  # fmt: skip
    known = per_class.latest(fold([told]))
    assert known is not None and known.adversarial.student == (0.5, 0.0) and known.names == ("0", "1")
    assert per_class.latest(RunState()) is None


HISTORY = ClassHistory(
    who="teacher", images="clean", epochs=(1, 2), total=4, names=("cat", "dog"), rows=((0.5, 1.0), (0.75, None))
)


def test_a_heat_map_is_as_long_as_the_run_and_says_the_value_under_its_cursor():
    lines, title, subtitle = drawn(HeatMap(id="map"), 4 + 40, 4, lambda w: w.show(HISTORY, "clean"))
    assert lines[0].count("\u2588") == 20 and lines[0].count("\u00b7") == 20  # two of four epochs
    assert lines[1].count("\u2588") == 10
    assert "Teacher on clean x" in title and subtitle.startswith("cat, epoch 2: 100.0") and "50 to 100 %" in subtitle

    def moved(widget):
        widget.show(HISTORY, "clean")
        widget.action_epoch(-1)
        widget.action_move(1)

    assert drawn(HeatMap(id="map"), 44, 4, moved)[2].startswith("dog, epoch 1: 75.0")


def test_more_classes_than_rows_share_cells():
    rows = tuple((k / 10, 1 - k / 10) for k in range(10))
    known = ClassHistory(who="student", images="clean", epochs=(1, 2), total=2, names=tuple("abcdefghij"), rows=rows)
    lines, _, _ = drawn(HeatMap(id="map"), 30, 6, lambda w: w.show(known, "clean"))
    assert sum("\u2580" in line for line in lines) == 5 and [line[0] for line in lines[:5]] == list(
        "acegj"
    )  # j is the worst: the cursor is there


@pytest.mark.parametrize("theme", ["crdnd-dark", "crdnd-light"])
def test_the_matrix_shows_its_entries_and_the_one_under_the_cursor(theme):
    known = AcmMatrix(images="clean", epoch=3, names=("cat", "dog"), rows=((0.99, 0.125), (0.01, 0.875)))
    lines, title, subtitle = drawn(MatrixMap(id="m"), 30, 4, lambda w: w.show(known, "clean"), theme)
    assert "99.0" in lines[1] and "12.5" in lines[1] and "87.5" in lines[2]
    assert "M1" in title and "epoch 3" in title and subtitle == "row cat, column cat: 99.00 %"

    def moved(widget):
        widget.show(known, "clean")
        widget.action_column(1)

    assert drawn(MatrixMap(id="m"), 30, 4, moved)[2] == "row cat, column dog: 12.50 %"


@pytest.mark.parametrize("size", [(1, 1), (5, 2), (12, 3), (200, 60)])
def test_no_size_is_too_small(size):
    many = tuple(tuple(1 / (1 + abs(i - j)) for j in range(100)) for i in range(100))
    names = tuple(f"class{k}" for k in range(100))
    drawn(
        MatrixMap(id="m"), *size, lambda w: w.show(AcmMatrix(images="clean", epoch=1, names=names, rows=many), "clean")
    )
    known = ClassHistory(
        who="teacher", images="clean", epochs=(1,), total=1, names=names, rows=tuple((0.5,) for _ in names)
    )
    drawn(HeatMap(id="h"), *size, lambda w: w.show(known, "clean"))
    drawn(ClassBars(id="b"), *size, lambda w: w.show(TWO, "clean"))
    drawn(Robustness(id="r"), *size, lambda w: w.show(Judged(state=judged())))
    drawn(Fate(id="f"), *size, lambda w: w.show(Reason(role="bad", why="x " * 200, log=("y" * 500,) * 15)))
    drawn(LogTail(id="l"), *size, lambda w: w.show((LogLine("", "z" * 500, "plain"),)))
    for empty in (
        ClassBars(id="b"),
        HeatMap(id="h"),
        MatrixMap(id="m"),
        Robustness(id="r"),
        LogTail(id="l"),
        Fate(id="f"),
    ):
        drawn(empty, *size)


def cell(attack, accuracy, **spec):
    return Evaluated(
        checkpoint="best", attack=attack, accuracy=accuracy, n=100, of=100, low=0.1, high=0.9, seconds=1.0,
        spec={"name": attack, "epsilon": "8/255", **spec},
    )  # fmt: skip


def judged(*more):
    suite = ["clean", "pgd_sat", "cw_2", "autoattack", "worst"]
    begun = EvaluationStarted(checkpoints=["best"], attacks=suite, n=100, of=100)
    return fold([begun, cell("clean", 0.9), cell("pgd_sat", 0.5), cell("cw_2", 0.7, radius=0.5), *more])


def test_the_table_shows_progress_inside_autoattack():
    at = AttackProgressed(
        checkpoint="best", attack="autoattack", part="apgd-t", done=20, total=80, robust=0.45, time=90.0
    )
    state = judged(AttackStarted(checkpoint="best", attack="autoattack", time=60.0), at)
    now = Judged(state=state, living=True, now=100.0)
    lines, _, subtitle = drawn(Robustness(id="r"), 76, 20, lambda w: w.show(now))
    row = next(k for k, line in enumerate(lines) if line.startswith("AutoAttack"))
    assert lines[row + 1].startswith("\u25b8 APGD-T") and "20/80  45.0 % still standing  40 s" in lines[row + 1]
    assert "\u2713 APGD-CE" in lines[row + 2] and "\u25cc Square" in lines[row + 2]
    assert subtitle.startswith("3 of 5 judged")


def test_what_lies_beyond_the_ball_stands_below_a_rule():
    lines, _, _ = drawn(Robustness(id="r"), 76, 20, lambda w: w.show(Judged(state=judged(cell("worst", 0.4)))))
    worst = next(k for k, line in enumerate(lines) if line.startswith("worst of L-inf"))
    assert set(lines[worst + 1]) == {"\u2500"} and lines[worst + 2].startswith("CW-2, L2 0.5")


def test_before_the_first_cell_the_suite_is_told():
    lines, _, _ = drawn(
        Robustness(id="r"),
        60,
        5,
        lambda w: w.show(Judged(state=RunState(), suite=("clean", "autoattack"), living=True)),
    )
    assert "judged after training" in lines[0] and lines[1] == "\u25cc clean  \u25cc AutoAttack"


def test_the_log_follows_its_end_until_it_is_scrolled_back():
    def told(many):
        return tuple(LogLine("12:00:00", f"line {k}", "plain") for k in range(many))

    def back(widget):
        widget.show(told(50))
        widget.render_line(0)
        widget.action_move(-10)
        widget.show(told(60))

    assert drawn(LogTail(id="l"), 60, 5, lambda w: w.show(told(50)))[0][-1].endswith("line 49")
    assert drawn(LogTail(id="l"), 60, 5, back)[0][0].endswith("line 35")


def test_words_of_a_file_are_shown_and_not_obeyed():
    evil = "[bold red]x[/] [link=http://e]y[/link]"
    lines, _, _ = drawn(LogTail(id="l"), 80, 3, lambda w: w.show((LogLine("12:00:00", evil, "plain"),)))
    assert evil in lines[0]
    known = PerClass(
        epoch=1, names=("[b]evil", "dog"), clean=ClassAccuracies(teacher=(0.5, 0.6)), adversarial=ClassAccuracies()
    )
    assert drawn(ClassBars(id="b"), 50, 3, lambda w: w.show(known, "clean"))[0][0].startswith("[b]evil")
    known = ClassHistory(who="teacher", images="clean", epochs=(1,), total=1, names=("[b]evil",), rows=((0.5,),))
    assert "[b]evil" in drawn(HeatMap(id="h"), 60, 3, lambda w: w.show(known, "clean"))[2].replace("\\", "")


def rendered(widget, width, then):
    async def go():
        class Stage(App[None]):
            def compose(self):
                yield widget

        async with Stage().run_test(size=(width, 5)) as pilot:
            then(widget)
            await pilot.pause()
            return widget.render().plain if widget.display else ""

    return asyncio.run(go())


def test_the_status_line_keeps_what_matters():
    standing = Standing(
        state="running", sign="\u25cf", role="good",
        head="RSLAD",
        facts=["WRN-34-10 \u2192 ResNet-18", "CIFAR-10", "L\u221e 8/255", "seed 0"],
        right=("cuda", "pid 7", "last event 2 s ago"), meter="epoch 38/100", share=0.386,
        after=(("1:08:12 left (1:05:00 to 1:20:00)", True), ("5,102 images/s", False)),
    )  # fmt: skip
    wide = rendered(StatusLine(id="s"), 140, lambda w: w.show(standing))
    assert "\u25cf running  RSLAD" in wide and "pid 7" in wide and "(1:05:00 to 1:20:00)" in wide and "39 %" in wide
    middle = rendered(StatusLine(id="s"), 80, lambda w: w.show(standing))
    assert "pid 7" not in middle and "last event 2 s ago" in middle and "CIFAR-10" in middle
    narrow = rendered(StatusLine(id="s"), 50, lambda w: w.show(standing))
    assert "1:08:12 left" in narrow and "1:05:00" not in narrow
    assert all(len(line) <= 46 for line in rendered(StatusLine(id="s"), 48, lambda w: w.show(standing)).splitlines())


def test_a_notice_is_there_only_while_something_is_up():
    said = rendered(Notice(id="n"), 60, lambda w: w.say("[b]asked to stop", "warn"))
    assert said == "[b]asked to stop"
    assert rendered(Notice(id="n"), 60, lambda w: w.say("")) == ""


def test_the_page_bar_counts_where_names_do_not_fit():
    pages = ("loss", "accuracy", "pace", "bars", "map", "matrix", "table", "log")
    assert "7 of 8" in rendered(PageBar(id="p"), 40, lambda w: w.show(pages, "table"))
    assert "Curves" in rendered(PageBar(id="p"), 80, lambda w: w.show(("curves", "acm"), "acm"))
