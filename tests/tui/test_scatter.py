"""The plot of named points: places, names that keep apart, and any size."""

from hypothesis import given
from hypothesis import strategies as st

from crdnd_tui.chart.plot import DOT, NamedPoint, scatter


def point(name, x, y, reach=1.0):
    return NamedPoint(name=name, key=name, x=x, y=y, ends=(y - reach, y + reach))


def drawn(*shown, size=(60, 20)):
    rows = scatter(shown, size)
    return ["".join(words for words, _ in row) for row in rows], rows


def places(lines):
    return [(row, column) for row, line in enumerate(lines) for column, c in enumerate(line) if c == DOT]


def test_more_is_right_and_up_and_names_stand_beside_their_points():
    lines, _ = drawn(point("low", 80, 40), point("high", 90, 60))
    (up, right), (down, left) = places(lines)
    assert up < down and left < right
    assert "high \u25cf" in lines[up] or "\u25cf high" in lines[up]
    assert "\u25cf low" in lines[down]


def test_each_dot_and_name_has_the_key_of_its_point():
    _, rows = drawn(point("low", 80, 40), point("high", 90, 60))
    assert {key for row in rows for words, key in row if "low" in words} == {"low"}
    assert {key for row in rows for words, key in row if DOT in words} == {"low", "high"}


def test_a_bar_reaches_from_end_to_end():
    tall, _ = drawn(point("a", 50, 50, reach=20), point("b", 60, 50, reach=1))
    column = next(at for _, at in places(tall) if at < 40)
    braille = [row for row, line in enumerate(tall) if len(line) > column and 0x2800 < ord(line[column]) < 0x2900]
    assert len(braille) > 10  # 40 of about 50 points of the axis, on 18 rows


def test_names_never_lie_on_one_another_nor_on_a_point():
    crowd = [point(f"name{k}", 50 + 0.01 * k, 50 + 0.01 * k, reach=0.1) for k in range(9)]
    lines, _ = drawn(point("corner", 0, 0), *crowd)
    text = "\n".join(lines)
    assert {text.count(f"name{k}") for k in range(9)} == {0, 1}


@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100), st.floats(0, 40)), min_size=1, max_size=9),
    st.integers(16, 90),
    st.integers(5, 40),
)
def test_any_points_fit_any_size(found, width, height):
    lines, _ = drawn(*(point(f"p{k}", x, y, reach) for k, (x, y, reach) in enumerate(found)), size=(width, height))
    assert len(lines) == height
    assert {len(line) for line in lines} == {width}
