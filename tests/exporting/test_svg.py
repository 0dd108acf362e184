"""Figures as SVG: coordinates by hand, labels that do not lie upon each other, words that cannot break out."""

import itertools
import math
import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdnd_tui.core import palette
from crdnd_tui.write import svg, svg_axes, svg_curves, svg_ink, svg_matrix
from crdnd_tui.write.document import Bar, Figure, Origin, Series
from tests.exporting.figures import HOSTILE, every_kind

NS = "{http://www.w3.org/2000/svg}"
NAN = math.nan


def parsed(figure: Figure, **how) -> ET.Element:
    return ET.fromstring(svg.figure(figure, **how))


def texts(root: ET.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{NS}text")]


def lines(*series: Series) -> Figure:
    return Figure(key="k", title="T", kind="lines", series=series)


def test_two_points_lie_where_the_axes_say():
    box = svg_axes.Frame(left=100, top=20, right=300, bottom=220, x=(0, 10), y=(0, 50))
    assert (box.across(0), box.across(10), box.across(2.5)) == (100, 300, 150)
    assert (box.down(0), box.down(50), box.down(10)) == (220, 20, 180)


def test_a_curve_of_two_points_runs_from_corner_to_corner():
    root = parsed(lines(Series(label="", x=(1, 3), y=(0, 100))))
    (curve,) = root.iter(f"{NS}polyline")
    first, last = [tuple(map(float, point.split(","))) for point in curve.get("points", "").split()]
    zero, hundred = (next(t for t in root.iter(f"{NS}text") if t.text == words) for words in ("0", "100"))
    # ticks stand 8 pixels left of the axis and 4 below their line
    assert first == (float(zero.get("x")) + 8, float(zero.get("y")) - 4)
    assert last[1] == float(hundred.get("y")) - 4
    one, three = (next(t for t in root.iter(f"{NS}text") if t.text == words) for words in ("1", "3"))
    assert (first[0], last[0]) == (float(one.get("x")), float(three.get("x")))


def test_a_gap_cuts_the_curve_and_the_band():
    y = (1.0, 2.0, NAN, 4.0, 5.0)
    root = parsed(lines(Series(label="a", x=(1, 2, 3, 4, 5), y=y, low=y, high=y)))
    assert [len(c.get("points", "").split()) for c in root.iter(f"{NS}polyline")] == [2, 2]
    (band,) = [p.get("d", "") for p in root.iter(f"{NS}path")]
    assert band.count("M") == band.count("Z") == 2
    assert "nan" not in svg.figure(lines(Series(label="a", x=(1, 2), y=(NAN, NAN))))


def test_a_single_point_between_gaps_is_a_dot():
    root = parsed(lines(Series(label="a", x=(1, 2, 3), y=(NAN, 2.0, NAN))))
    assert len(list(root.iter(f"{NS}circle"))) == 1
    assert not list(root.iter(f"{NS}polyline"))


@pytest.mark.parametrize("wanted", [[5.0], [10, 10, 10], [1, 2, 99], [0, 100, 50, 50, 50, 50], [30, 20, 10]])
def test_labels_keep_their_distance_their_order_and_the_frame(wanted):
    places = svg_axes.spread(wanted, 15, 0, 100)
    assert all(0 <= place <= 100 for place in places)
    order = sorted(range(len(wanted)), key=lambda k: wanted[k])
    assert all(places[b] - places[a] >= 15 - 1e-9 for a, b in itertools.pairwise(order))


def test_labels_that_have_room_stay_where_they_are():
    assert svg_axes.spread([10, 40, 90], 15, 0, 100) == [10, 40, 90]
    assert svg_axes.spread([50, 50], 20, 0, 100) == [40, 60]  # both give way by the same


def test_more_labels_than_there_is_room_for_share_it():
    assert svg_axes.spread([5.0] * 11, 15, 0, 100) == pytest.approx(range(0, 101, 10))


def test_labels_of_points_lie_upon_no_other_label_and_no_point():
    series = tuple(Series(label=f"method {k}", x=(50 + k % 3,), y=(40 + k // 3 * 0.5,), colour=k) for k in range(9))
    root = parsed(Figure(key="k", title="T", kind="scatter", series=series))
    labels = [t for t in root.iter(f"{NS}text") if (t.text or "").startswith("method")]
    boxes = []
    for label in labels:
        x, y = float(label.get("x")), float(label.get("y"))
        boxes.append((x, y - 11, x + svg_ink.width_of(label.text, svg_curves.LABEL), y + 4))
    dots = [(float(c.get("cx")), float(c.get("cy"))) for c in root.iter(f"{NS}circle")]
    assert len(labels) == 9
    for k, (left, top, right, bottom) in enumerate(boxes):
        assert not any(left < x < right and top < y < bottom for x, y in dots)
        for other in boxes[k + 1 :]:
            assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top


def test_bars_below_zero_end_at_the_zero_line():
    root = parsed(Figure(key="k", title="T", kind="bars", bars=(Bar(label="a", value=-2), Bar(label="b", value=4))))
    low, high = [r for r in root.iter(f"{NS}rect") if r.get("fill") == palette.LIGHT.series[0]]
    start, wide = float(low.get("x")), float(low.get("width"))
    assert start + wide == pytest.approx(float(high.get("x")), abs=0.02)
    assert float(high.get("width")) == pytest.approx(2 * wide, abs=0.02)
    assert "\N{MINUS SIGN}2.0" in texts(root)


def test_neighbouring_bars_of_one_name_bear_it_once():
    bars = tuple(Bar(label=name, value=5, colour=k) for name in ("cat", "dog") for k in (0, 1))
    names = (Series(label="clean", x=(), y=()), Series(label="AutoAttack", x=(), y=(), colour=1))
    said = texts(parsed(Figure(key="k", title="T", kind="bars", bars=bars, series=names)))
    assert [said.count(word) for word in ("cat", "dog", "clean", "AutoAttack")] == [1, 1, 1, 1]


def test_a_matrix_writes_its_numbers_where_they_fit_and_leaves_nothing_empty():
    few = Figure(key="k", title="T", kind="matrix", matrix=((7, 0), (1, 12)), labels=("a", "b"))
    root = parsed(few)
    assert {"7", "1", "12"} <= set(texts(root))
    many = Figure(
        key="k", title="T", kind="matrix", labels=tuple(map(str, range(100))),
        matrix=tuple(tuple(9.0 if r == c else 0.0 for c in range(100)) for r in range(100)),
    )  # fmt: skip
    root = parsed(many)
    cells = [r for r in root.iter(f"{NS}rect") if float(r.get("width")) == float(r.get("height"))]
    assert len(cells) == 100 + 1  # the diagonal, and the edge around all
    assert texts(root).count("9") <= 3  # names of two axes and the scale, no cell


@pytest.mark.parametrize(
    ("rows", "value", "words"),
    [(((3, 10), (0, 0)), 0, ""), (((3, 10), (0, 0)), 10, "10"), (((0.25, 1.0),), 0.25, ".25"),
     (((0.001, 1.0),), 0.001, ""), (((-3.0, 1.0),), -3.0, "\N{MINUS SIGN}3"), (((12.34, 1.0),), 12.34, "12.3"),
     (((NAN, 1.0),), NAN, "?")],
)  # fmt: skip
def test_cells_are_worded_by_the_matrix_they_stand_in(rows, value, words):
    assert svg_matrix.Cells(rows).words(value) == words


def test_more_is_darker_on_paper_and_lighter_in_the_dark():
    def light(colour: str) -> float:
        return sum(int(colour[i : i + 2], 16) for i in (1, 3, 5))

    paper, night = svg_ink.resolved(palette.LIGHT), svg_ink.resolved(palette.DARK)
    assert light(paper.shade(0)[0]) > light(paper.shade(0.5)[0]) > light(paper.shade(1)[0])
    assert light(night.shade(0)[0]) < light(night.shade(0.5)[0]) < light(night.shade(1)[0])
    assert paper.sign(0)[0] == palette.LIGHT.panel
    assert (paper.sign(-1)[0], paper.sign(1)[0]) == (palette.LIGHT.below, palette.LIGHT.above)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("figure", every_kind(), ids=lambda figure: figure.key)
def test_every_kind_is_a_picture_of_finite_numbers_within_its_size(figure, dark):
    made = svg.figure(figure, dark=dark, origins=[Origin(run="r-1", label="l", state="done", config_hash="abc")])
    root = ET.fromstring(made)
    wide, tall = float(root.get("width")), float(root.get("height"))
    assert (wide, made) == (720, svg.figure(figure, dark=dark, origins=[
        Origin(run="r-1", label="l", state="done", config_hash="abc")]))  # fmt: skip
    for element in root.iter():
        for key in ("x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width", "height"):
            value = float(element.get(key, 0))
            assert math.isfinite(value)
            assert -1 <= value <= max(wide, tall)
    assert root.find(f"{NS}metadata").text == "crdnd; run r-1 config abc"
    assert "var(" not in made


@pytest.mark.parametrize("figure", every_kind(HOSTILE), ids=lambda figure: figure.key)
def test_words_from_files_cannot_break_out(figure):
    origin = Origin(run=HOSTILE, label=HOSTILE, state="done", config_hash=HOSTILE)
    root = ET.fromstring(svg.figure(figure, origins=[origin]))
    tags = {element.tag.removeprefix(NS) for element in root.iter()}
    assert tags <= {"svg", "title", "desc", "metadata", "rect", "g", "text", "line", "polyline", "path", "circle"}
    assert not [key for element in root.iter() for key in element.attrib if key.startswith("on")]
    ET.fromstring(svg.inline(figure))


def test_a_figure_without_data_says_so():
    for kind in ("lines", "scatter", "bars", "matrix"):
        assert "nothing was measured" in texts(parsed(Figure(key="k", title="T", kind=kind)))


def test_inline_figures_take_their_colours_from_the_page():
    for figure in every_kind():
        made = svg.inline(figure)
        assert "var(--" in made
        assert "#" not in made


ANY = st.floats(allow_nan=True, allow_infinity=True)


@given(
    st.lists(st.tuples(ANY, ANY, ANY, ANY), min_size=1, max_size=6),
    st.sampled_from(["lines", "scatter", "bars", "matrix"]),
)
def test_whatever_the_numbers_are_the_picture_has_none_that_are_not_finite(rows, kind):
    x, y, low, high = zip(*rows, strict=True)
    series = (Series(label="a", x=x, y=y, low=low, high=high),)
    bars = tuple(Bar(label="a", value=v, low=a, high=b) for v, a, b in zip(y, low, high, strict=True))
    figure = Figure(
        key="k", title="T", kind=kind, series=() if kind == "bars" else series, bars=bars, x="x", y="y",
        matrix=tuple(y for _ in y), labels=tuple("a" for _ in y),
    )  # fmt: skip
    content = svg.figure(figure)
    for element in ET.fromstring(content).iter():
        for key, value in element.attrib.items():
            if key not in ("fill", "aria-label"):
                assert not re.search(r"\b(nan|inf)\b", value)
    assert len(content) < 20_000
