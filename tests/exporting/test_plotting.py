"""PNG and PDF by matplotlib: real files, the same bytes each time, sources in their metadata."""

import io
import math
import sys

import pytest

from crdnd_tui.write import plotting, svg
from crdnd_tui.write.document import Bar, Figure, Origin, Series
from engine.spec.errors import CrdndError
from tests.exporting.figures import HOSTILE, every_kind

ORIGINS = (Origin(run="20300101-crdnd-s0", label="crdnd", state="done", config_hash="abcdef"),)
LINES = every_kind()[0]


def test_svg_needs_no_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert plotting.render(LINES, "svg", origins=ORIGINS).decode() == svg.figure(LINES, origins=ORIGINS)


@pytest.mark.parametrize("kind", ["png", "pdf"])
def test_a_missing_package_is_said_with_what_brings_it(monkeypatch, kind):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(CrdndError) as caught:
        plotting.render(LINES, kind)
    assert "pip install 'crdnd-tui[plots]'" in caught.value.hint


def test_png_is_an_image_that_names_its_runs_and_no_program():
    image = pytest.importorskip("PIL.Image")
    content = plotting.render(LINES, "png", origins=ORIGINS)
    with image.open(io.BytesIO(content)) as opened:
        assert opened.size[0] == 1440
        assert opened.text == {
            "Title": "Title", "Description": "run 20300101-crdnd-s0 config abcdef", "Software": "crdnd",
        }  # fmt: skip
        colours = {colour for _, colour in opened.convert("RGB").getcolors(1 << 20)}
    assert (0x00, 0x72, 0xB2) in colours  # Okabe and Ito's blue


def test_pdf_names_its_runs_and_no_date():
    content = plotting.render(LINES, "pdf", origins=ORIGINS)
    assert content == plotting.render(LINES, "pdf", origins=ORIGINS)
    assert content.startswith(b"%PDF-")
    assert b"run 20300101-crdnd-s0 config abcdef" in content
    assert b"CreationDate" not in content


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("figure", every_kind(HOSTILE), ids=lambda figure: figure.key)
def test_dollars_are_no_mathematics_and_the_same_figure_gives_the_same_bytes(figure):
    assert plotting.render(figure, "png") == plotting.render(figure, "png")


@pytest.mark.parametrize("kind", ["lines", "scatter", "bars", "matrix"])
def test_a_figure_without_data_is_a_picture_that_says_so(kind):
    content = plotting.render(Figure(key="k", title="T", kind=kind), "png")
    assert content.startswith(b"\x89PNG")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ["lines", "scatter", "bars", "matrix"])
def test_numbers_that_are_none_are_left_out(kind):
    y = (math.inf, math.nan, -math.inf, 1.0)
    figure = Figure(
        key="k", title="T", kind=kind, matrix=tuple(y for _ in y), labels=("a", "b", "c", "d"),
        series=() if kind == "bars" else (Series(label="a", x=(1, 2, 3, 4), y=y, low=y, high=y),),
        bars=tuple(Bar(label="a", value=value, low=value, high=1.0) for value in y),
    )  # fmt: skip
    assert plotting.render(figure, "png").startswith(b"\x89PNG")


def test_the_settings_of_others_change_nothing_and_are_not_changed():
    matplotlib = pytest.importorskip("matplotlib")
    plain = plotting.render(LINES, "png")
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        assert plotting.render(LINES, "png") == plain
        assert (matplotlib.rcParams["font.size"], matplotlib.rcParams["axes.facecolor"]) == (30, "red")


def test_a_label_that_begins_with_an_underscore_is_shown():
    hidden = Figure(key="k", title="T", kind="lines", series=(Series(label="_acm", x=(1, 2), y=(1, 2)),))
    named = Figure(key="k", title="T", kind="lines", series=(Series(label=" ", x=(1, 2), y=(1, 2)),))
    assert len(plotting.render(hidden, "png")) > len(plotting.render(named, "png")) + 200
