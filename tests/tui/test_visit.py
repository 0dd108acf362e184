"""Walking through a gallery."""

from dataclasses import replace

from crdnd_tui.tui.gallery.visit import Cell, Visit
from tests.tui.shelves import example

SUITE = {
    "fgsm": [example(3, 0, 0), example(5, 1, 2), example(8, 1, 1)],
    "pgd_sat": [example(3, 0, 1), example(5, 1, 2), example(8, 1, 1)],
}
VISIT = Visit(examples=SUITE, attack="pgd_sat", index=3)


def test_steps_stop_at_both_ends():
    assert VISIT.step(1).index == 5
    assert VISIT.step(99).index == 8
    assert VISIT.step(-1).index == 3


def test_the_image_stays_when_the_attack_changes():
    other = replace(VISIT, index=5).turn(1)
    assert (other.attack, other.index, other.place) == ("fgsm", 5, 2)
    assert other.turn(-1).attack == "pgd_sat"


def test_filters_go_round():
    flips = VISIT.filtered()
    assert (flips.filter, [e.index for e in flips.rows]) == ("flips", [3, 5])
    standing = flips.filtered()
    assert (standing.filter, [e.index for e in standing.rows], standing.index) == ("standing", [8], 8)
    assert standing.filtered().filter == "all"


def test_an_image_that_the_filter_passes_over_stays_until_one_walks_on():
    other = VISIT.filtered().turn(1)  # image 3 stands under FGSM
    assert (other.place, other.current.index) == (0, 3)
    assert other.step(1).index == 5


def test_classes_go_round_those_that_have_examples():
    first = VISIT.classed()
    assert (first.label, [e.index for e in first.rows]) == (0, [3])
    assert first.classed().label == 1
    assert first.classed().classed().label is None


def test_a_cell_chooses_by_prediction():
    cell = replace(VISIT, cell=Cell(clean=False, true=1, predicted=2))
    assert [e.index for e in cell.rows] == [5]
    clean = replace(VISIT, cell=Cell(clean=True, true=1, predicted=1))
    assert [e.index for e in clean.rows] == [5, 8]


def test_nothing_anywhere_is_no_error():
    empty = Visit()
    assert (empty.step(1), empty.turn(1), empty.classed().label, empty.current) == (empty, empty, None, None)
