"""Figures as SVG, PNG and PDF: the same bytes each time, marks in them, words that cannot break out."""

import io
import math
import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from crdnd_tui.core import palette
from crdnd_tui.core.text import one_line
from crdnd_tui.write import figures
from crdnd_tui.write.document import Bar, Figure, Origin, Series
from crdnd_tui.write.figures import render
from tests.exporting.figures import HOSTILE, every_kind

NS = "{http://www.w3.org/2000/svg}"
ORIGINS = (Origin(run="20300101-crdnd-s0", label="crdnd", state="done", config_hash="abcdef"),)
LINES = every_kind()[0]
NAN = math.nan


def parsed(figure: Figure, **how) -> ET.Element:
    return ET.fromstring(render(figure, "svg", **how))


def texts(root: ET.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{NS}text")]


@pytest.mark.parametrize("kind", figures.KINDS)
def test_the_same_figure_gives_the_same_bytes_with_its_runs_and_no_date(kind):
    content = render(LINES, kind, origins=ORIGINS)
    render(every_kind()[1], kind)
    assert content == render(LINES, kind, origins=ORIGINS)
    assert b"run 20300101-crdnd-s0 config abcdef" in content
    assert not re.search(rb"CreationDate|dc:date|20[23]\d-\d\d-\d\d", content)
    assert content.startswith({"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF-"}[kind])


def test_a_png_has_the_colours_of_okabe_and_ito():
    with Image.open(io.BytesIO(render(LINES, "png", origins=ORIGINS))) as opened:
        assert opened.size[0] == 1440
        assert set(opened.text) == {"Title", "Description", "Software"} and opened.text["Software"] == "crdnd"
        colours = {colour for _, colour in opened.convert("RGB").getcolors(1 << 20)}
    assert (0x00, 0x72, 0xB2) in colours


def test_the_settings_of_others_change_nothing_and_are_not_changed():
    import matplotlib as mpl

    plain = render(LINES, "svg")
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        assert render(LINES, "svg") == plain
        assert (mpl.rcParams["font.size"], mpl.rcParams["axes.facecolor"]) == (30, "red")


@pytest.mark.parametrize("figure", every_kind(HOSTILE), ids=lambda figure: figure.key)
def test_words_from_files_stay_text_and_are_no_mathematics(figure):
    origin = Origin(run=HOSTILE, label=HOSTILE, state="done", config_hash=HOSTILE)
    content = render(figure, "svg", origins=[origin])
    root = ET.fromstring(content)
    tags = {element.tag.removeprefix(NS) for element in root.iter() if element.tag.startswith(NS)}
    assert tags <= {
        "svg",
        "metadata",
        "title",
        "defs",
        "style",
        "g",
        "path",
        "text",
        "use",
        "clipPath",
        "rect",
        "image",
    }
    assert not [key for element in root.iter() for key in element.attrib if key.startswith("on")]
    assert any(said.startswith("</text></svg>") and "$\\frac{1}$" in said for said in texts(root))
    if figure.key == "bars":
        assert all(render(figure, kind) for kind in ("png", "pdf"))


@pytest.mark.parametrize(("figure", "dark"), [(LINES, True), (every_kind()[2], False), (every_kind()[3], True)])
def test_a_bare_figure_has_no_title_and_no_ground_and_takes_the_colours_of_the_page(figure, dark):
    theme = palette.DARK if dark else palette.LIGHT
    bare, whole = parsed(figure, palette=theme, bare=True), parsed(figure)
    assert "Title" not in texts(bare) and "Title" in texts(whole)
    assert theme.muted in ET.tostring(bare, encoding="unicode")
    grounds = [next(root.iter(f"{NS}path")).get("style") for root in (bare, whole)]
    assert grounds == ["fill: none", "fill: #ffffff"]


@pytest.mark.parametrize("kind", ["lines", "scatter", "bars", "matrix"])
def test_a_figure_without_data_says_so(kind):
    assert figures.EMPTY in texts(parsed(Figure(key="k", title="T", kind=kind)))


def test_a_gap_cuts_the_curve_and_a_lone_point_is_a_dot():
    def of(y: tuple[float, ...]) -> tuple[list[int], int]:
        series = Series(label="a", x=tuple(map(float, range(len(y)))), y=y)
        root = parsed(Figure(key="k", title="T", kind="lines", series=(series,)))
        colour = palette.LIGHT.series[0]
        paths = [p for p in root.iter(f"{NS}path") if f"stroke: {colour}; stroke-width: 1.4" in p.get("style", "")]
        dots = [u for u in root.iter(f"{NS}use") if f"fill: {colour}" in u.get("style", "")]
        return [p.get("d", "").count("M") for p in paths], len(dots)

    assert of((1.0, 2.0, NAN, 4.0, 5.0)) == ([2, 1], 0)  # the last one is in the legend
    assert of((1.0, 2.0, NAN, 4.0))[1] == 1


@pytest.mark.parametrize("kind", ["lines", "scatter"])
def test_every_series_is_named_and_rounds_of_the_colours_differ_in_their_shape(kind):
    series = tuple(Series(label=f"_{k}", x=(1.0, 2.0), y=(40.0 + k, 41.0), colour=k) for k in (0, 8))
    root = parsed(Figure(key="k", title="T", kind=kind, series=series))
    assert {"\u200b_0", "\u200b_8"} <= set(texts(root))
    colour = palette.LIGHT.series[0]
    shapes = {e.get("style") + e.get("{http://www.w3.org/1999/xlink}href", "") for e in root.iter()
              if colour in e.get("style", "") and e.tag in (f"{NS}use", f"{NS}path")}  # fmt: skip
    assert len(shapes) > 1


def test_marks_strikes_and_their_sentences_stand_in_a_figure():
    notes = (("a", "Believe the worst case."),)
    bars = (
        Bar(label="RSLAD", value=60.0, low=55.0, high=65.0, marks="a", severity="red"),
        Bar(label="ARD", value=50.0),
    )
    root = parsed(Figure(key="k", title="T", kind="bars", bars=bars, notes=notes))
    said = texts(root)
    assert {"60.0 !!a", "50.0", "a Believe the worst case."} <= set(said)
    assert any("not believed" in words for words in said)
    light, ground = palette.LIGHT.series[0], palette.LIGHT.background
    styles = [path.get("style", "") for path in root.iter(f"{NS}path")]
    assert sum(f"fill: {ground}; stroke: {light}" in style for style in styles) == 1  # hollow
    strikes = [
        p for p in root.iter(f"{NS}path") if f"stroke: {palette.LIGHT.text}; stroke-width: 0.7" in p.get("style", "")
    ]
    assert len(strikes) == 1
    point = Series(label="RSLAD", x=(80.0,), y=(45.0,), marks="a", severity="red")
    for kind in ("lines", "scatter"):
        assert "RSLAD !!a" in texts(parsed(Figure(key="k", title="T", kind=kind, series=(point,), notes=notes)))
    matrix = Figure(key="k", title="T", kind="matrix", matrix=((1.0,),), marks="a", severity="red", notes=notes)
    assert "T !!a" in texts(parsed(matrix))


def test_neighbouring_bars_of_one_name_bear_it_once():
    bars = tuple(Bar(label=name, value=5, colour=k) for name in ("cat", "dog") for k in (0, 1))
    names = (Series(label="_acm", x=(), y=()), Series(label="AutoAttack", x=(), y=(), colour=1))
    said = " ".join(texts(parsed(Figure(key="k", title="T", kind="bars", bars=bars, series=names))))
    assert [said.count(word) for word in ("cat", "dog", "_acm", "AutoAttack")] == [1, 1, 1, 1]


def test_numbers_of_bars():
    assert [figures.value_words(v) for v in (1.5, -4.0, 0.0, 0.012, -2e7)] == [
        "1.5", "\N{MINUS SIGN}4.0", "0.0", "0.012", "\N{MINUS SIGN}2e+07"]  # fmt: skip
    assert figures.value_words(0.01, [20.0]) == "0.0"


@pytest.mark.parametrize(
    ("value", "largest", "whole", "words"),
    [(0, 10, True, ""), (10, 10, True, "10"), (0.25, 1, False, ".25"), (0.001, 1, False, ""),
     (-3.0, 3, True, "\N{MINUS SIGN}3"), (-0.5, 1, False, "\N{MINUS SIGN}.50"), (12.34, 13, False, "12.3"),
     (NAN, 1, False, "?")],
)  # fmt: skip
def test_cells_are_worded_by_the_matrix_they_stand_in(value, largest, whole, words):
    assert figures.cell_words(value, largest, whole=whole) == words


def test_a_large_matrix_has_no_numbers_in_it_and_stays_small():
    cells = tuple(tuple(9.0 if r == c else 0.0 for c in range(100)) for r in range(100))
    content = render(Figure(key="k", title="T", kind="matrix", matrix=cells, labels=tuple(map(str, range(100)))), "svg")
    assert texts(ET.fromstring(content)).count("9") <= 1 and len(content) < 100_000


ANY = st.floats(allow_nan=True, allow_infinity=True)


@settings(max_examples=8, deadline=None)
@given(
    st.lists(st.tuples(ANY, ANY, ANY, ANY), min_size=1, max_size=5),
    st.sampled_from(["lines", "scatter", "bars", "matrix"]),
)
def test_whatever_the_numbers_are_the_picture_has_none_that_are_not_finite(rows, kind):
    x, y, low, high = zip(*rows, strict=True)
    series = () if kind == "bars" else (Series(label="a", x=x, y=y, low=low, high=high),)
    bars = tuple(Bar(label="a", value=v, low=a, high=b) for v, a, b in zip(y, low, high, strict=True))
    figure = Figure(
        key="k", title="T", kind=kind, series=series, bars=bars if kind == "bars" else (), x="x", y="y",
        matrix=tuple(y for _ in y) if kind == "matrix" else (), labels=tuple("a" for _ in y),
    )  # fmt: skip
    content = render(figure, "svg")
    for element in ET.fromstring(content).iter():
        assert not any(re.search(r"\b(nan|inf)\b", value) for value in element.attrib.values())
    assert len(content) < 80_000


def test_long_words_are_shortened_and_fit_the_figure():
    said = "w" * 300
    root = parsed(Figure(key="k", title=said, kind="bars", bars=(Bar(label=said, value=1.0),)))
    assert one_line(said, 30) in texts(root) and said not in texts(root)
