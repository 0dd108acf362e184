"""Named points between axes, at every size and in ASCII."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdnd_tui.chart.scatter import Point, scatter


def drawn(points, size=(40, 14), *, ascii_only=False):
    return ["".join(words for words, _ in row) for row in scatter(points, size, ascii_only=ascii_only)]


def place(lines, letter):
    (found,) = [(row, line.index(letter)) for row, line in enumerate(lines) if letter in line]
    return found


LOW, HIGH = Point(letter="a", x=80.0, y=40.0, ends=(38.0, 42.0)), Point(letter="b", x=90.0, y=60.0, ends=(59.0, 61.0))


def test_more_is_right_and_up():
    lines = drawn([LOW, HIGH])
    (row, column), (up, right) = place(lines, "a"), place(lines, "b")
    assert up < row and column < right


def test_a_bar_runs_through_its_point_as_far_as_its_ends():
    lines = drawn([LOW, HIGH])
    row, column = place(lines, "a")
    assert lines[row - 1][column] == lines[row + 1][column] == "\u2502"
    assert lines[row - 5][column] == " "


def test_points_at_one_place_are_a_star():
    lines = drawn([LOW, Point(letter="c", x=80.0, y=40.0, ends=(40.0, 40.0)), HIGH])
    assert sum(line.count("*") for line in lines) == 1
    assert not any(letter in "".join(lines) for letter in "ac")


def test_ascii_has_nothing_else():
    assert "".join(drawn([LOW, HIGH], ascii_only=True)).isascii()


PERCENT = st.floats(0, 100)


@given(st.lists(st.tuples(PERCENT, PERCENT, PERCENT), min_size=1, max_size=20), st.integers(16, 90), st.integers(6, 30))
def test_every_point_is_drawn_within_the_size(found, width, height):
    points = [
        Point(letter=letter, x=x, y=y, ends=(min(y, end), max(y, end)))
        for letter, (x, y, end) in zip("abcdefghijklmnopqrstuvwxyz", found, strict=False)
    ]
    rows = scatter(points, (width, height), ascii_only=False)
    assert len(rows) == height
    assert all(sum(len(words) for words, _ in row) <= width for row in rows)
    letters = {c for row in rows for words, key in row if key for c in words if c.isalpha()}
    assert len(letters) == len(points) or any("*" in words for row in rows for words, _ in row)
    assert all(key == words.strip("\u2502") or set(words) == {"\u2502"} for row in rows for words, key in row if key)


@pytest.mark.parametrize("y", [0.0, 50.0, 100.0])
def test_a_point_alone_has_room_around_it(y):
    lines = drawn([Point(letter="a", x=y, y=y, ends=(y, y))])
    row, column = place(lines, "a")
    assert 2 < row < 10 and 10 < column < 34
