"""Panels of Live that are quiet, whole, and legible without colours."""

from rich.cells import cell_len
from textual.content import Content

from crdnd_tui.chart.series import PointSeries
from crdnd_tui.core import per_class
from crdnd_tui.core.per_class import AcmMatrix
from crdnd_tui.tui.monitor.log_lines import LogLine
from crdnd_tui.tui.widgets.chart import Chart
from crdnd_tui.tui.widgets.chart_sheet import Line
from crdnd_tui.tui.widgets.class_bars import ClassBars
from crdnd_tui.tui.widgets.log_tail import LogTail, folded
from crdnd_tui.tui.widgets.matrix import MatrixMap
from tests.tui.test_live_widgets import TWO, drawn, epoch, trained


def log_of(*words):
    return tuple(LogLine("02:13:16", line, "event") for line in words)


LONG = "epoch 20/40  loss 3.483  clean 95.3  PGD 45.3  CW-inf 46.0  best"


def test_a_short_log_ends_its_lines_between_two_words_and_a_tall_one_folds_them():
    def drawn_log(width, height):
        return drawn(LogTail(id="log"), width, height, lambda w: w.show(log_of(LONG)))[0]

    assert drawn_log(80, 3)[0] == f"02:13:16 {LONG}"
    assert drawn_log(70, 3)[0].endswith("CW-inf 46.0 best")  # closer, and whole
    assert drawn_log(50, 3)[0] == "02:13:16 epoch 20/40  loss 3.483  clean 95.3 \u2026"
    assert drawn_log(50, 14)[:2] == [
        "02:13:16 epoch 20/40  loss 3.483  clean 95.3",
        "         PGD 45.3  CW-inf 46.0  best",
    ]


def test_lines_are_folded_by_cells_and_lose_no_letter():
    for words in (LONG, "x" * 90, "\u65e5\u672c" * 30, "    File " + "a/" * 40):
        pieces = folded(words, 21)
        assert all(cell_len(piece) <= 21 for piece in pieces)
        assert "".join(pieces).replace(" ", "") == words.replace(" ", "")
    assert folded("    indented", 40) == ["    indented"]


def test_only_the_diagonal_of_the_matrix_has_a_ground_and_the_rest_is_told_by_brightness():
    rows = ((0.9, 0.02, 0.08), (0.05, 0.8, 0.08), (0.05, 0.02, 0.9))
    widget, seen = MatrixMap(id="matrix"), []

    def note(one):
        one.show(AcmMatrix(images="clean", epoch=3, names=("a", "b", "c"), rows=rows), "clean")
        seen.append(one.draw(40, 5))

    drawn(widget, 40, 5, note)
    looks = [[look for _, look in row[1:]] for row in seen[0][1:4]]
    assert all((" on #" in look) == (i == j) for i, row in enumerate(looks) for j, look in enumerate(row))
    assert looks[1][0] != looks[1][2] and looks[0][2] == looks[1][2]


def test_two_bars_are_told_apart_by_letters_alone():
    widget = ClassBars(id="bars")

    class Letters(ClassBars):
        ascii_only = True

    lines, _, subtitle = drawn(Letters(id="bars"), 42, 3, lambda w: w.show(TWO, "clean"))
    assert "#" in lines[0] and "=" in lines[0] and "= teacher" in subtitle and "." in lines[1]
    assert widget.border_title == "Accuracy per class"


def test_long_names_of_classes_keep_their_beginning_and_their_end():
    state = trained(epoch(1, student_clean=[0.5, 0.25]), classes=("aquarium_fish_12", "aquarium_fish_34"))
    lines, _, _ = drawn(ClassBars(id="bars"), 50, 3, lambda w: w.show(per_class.latest(state), "clean"))
    assert [line.split()[0][-3:] for line in lines[:2]] == ["_12", "_34"]


def test_a_legend_leaves_a_number_out_rather_than_cut_it():
    lines = [Line(name=f"line{k}", colour="#ffffff", series=PointSeries([(0, 1.0), (1, 2.0)])) for k in range(3)]

    def crossed(widget):
        widget.show(lines)
        widget.action_cross(-1)

    for width in (24, 31, 37, 38, 39, 40, 41, 57):
        chart = Chart("Loss", id="loss")
        drawn(chart, width, 9, crossed)
        said = Content.from_markup(chart.border_subtitle).plain
        assert len(said) <= width - 6 and (said.endswith("2.000") or "+" in said or not said)
