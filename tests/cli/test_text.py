"""Nothing that a file says can steer a terminal."""

import contextlib
import io
import time
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from crdnd_tui.core import format, text
from crdnd_tui.core.palette import named
from crdnd_tui.tui.runs import columns, query
from crdnd_tui.tui.widgets import log_tail, toml_view
from crdnd_tui.write import escape
from engine.spec import toml_text
from engine.spec.errors import CrdndError


@given(st.text())
def test_no_character_that_could_steer_a_terminal_survives(words: str) -> None:
    for character in text.display(words):
        assert character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cs")
        assert not "\u202a" <= character <= "\u202e"
        assert not "\u200b" <= character <= "\u200f"
        assert not "\u2066" <= character <= "\u2069"


@given(st.text(), st.integers(8, 60))
def test_one_line_is_one_line_and_fits(words: str, width: int) -> None:
    line = text.one_line(words, width)
    assert "\n" not in line
    assert cell_len(line) <= width


@pytest.mark.parametrize("mark", ["\x1b[2J", "\x9b31m", "\r", "\x7f", "\u202e", "\u200b", "\ud800", "\ufeff"])
def test_each_kind_of_steering_leaves_a_visible_mark(mark: str) -> None:
    assert text.display(f"a{mark}b").startswith("a\ufffd")


def test_marks_do_not_pile_up_on_a_character() -> None:
    assert len(text.display("e" + "\u0301" * 500)) == 1 + text.MAX_COMBINING


def test_a_text_is_not_longer_than_allowed() -> None:
    assert len(text.display("x" * 10**6)) == text.MAX_TEXT


def test_a_long_name_keeps_its_beginning_and_its_end() -> None:
    short = text.one_line("20261122-192530-crdnd-mobilenet_v2-s0-aae2", 30)
    assert short.startswith("20261122") and short.endswith("s0-aae2")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "\u2013"), (0, "0 s"), (59.4, "59 s"), (61, "1:01"), (3725, "1:02:05"), (180_000, "2 d 02:00")],
)
def test_durations(seconds: float | None, shown: str) -> None:
    assert format.duration(seconds) == shown


def test_percentages_have_the_decimals_that_their_images_can_carry() -> None:
    assert (format.percent(0.51064, 10_000), format.percent(0.51064, 9_999), format.percent(None)) == (
        "51.06",
        "51.1",
        "\u2013",
    )


def test_sizes_are_binary() -> None:
    assert [format.size(n) for n in (0, 999, 1024, 1536, 5 << 30)] == ["0 B", "999 B", "1.0 KiB", "1.5 KiB", "5.0 GiB"]


@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.5, 0.999, 1.0, None])
def test_a_bar_has_its_width(fraction: float | None) -> None:
    assert len(text.bar(fraction, 10)) == 10 and len(text.plain(text.bar(fraction, 10))) == 10
    assert text.bar(1.0, 4) == "\u2588" * 4 and text.plain(text.bar(0.5, 4)) == "##  "


@given(st.text())
def test_plain_is_ascii(words: str) -> None:
    assert text.plain(words).isascii()


@pytest.mark.parametrize(
    ("encoding", "arrives"),
    [("utf-8", "caf\u00e9 \u2260 \u00b1\u2026"), ("latin-1", "caf\u00e9 # \u00b1~"), ("ascii", "cafe # ~~")],
)
def test_what_an_encoding_lacks_arrives_in_ascii_cell_for_cell(encoding: str, arrives: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    text.open_streams(stream)
    Console(file=stream, width=40).print("caf\u00e9 \u2260 \u00b1\u2026", end="")
    stream.flush()
    assert stream.buffer.getvalue().decode(encoding) == arrives  # type: ignore[attr-defined]


WIDE = ["x", "\u754c", "e\u0301", "\u1100\u1161", "\U0001f468", "\u0301", "a b"]


@given(st.text(), st.integers(0, 30))
def test_the_end_of_a_text_fits_and_is_its_end(words: str, width: int) -> None:
    end = text.last_cells(words, width)
    assert words.endswith(end) and cell_len(end) <= width


@given(st.text(), st.integers(1, 30))
def test_the_first_line_of_a_text_is_its_beginning_and_never_nothing(words: str, width: int) -> None:
    first = text.first_line(words, width)
    assert words.startswith(first) and bool(first) == bool(words)
    assert cell_len(first) <= max(width, 2)


LONG: dict[str, Callable[[str], object]] = {
    "one_line": lambda words: text.one_line(words, 60),
    "middle": lambda words: columns.middle(words, 60, 20),
    "folded": lambda words: log_tail.folded(words, 8),
    "wrapped": lambda words: text.wrapped(words, 20),
    "markdown": escape.markdown_line,
    "latex": escape.latex_prose,
    "slug": escape.slug,
    "preset": toml_text.lines_of,
    "query": query.parse,
    "coloured": lambda words: toml_view._coloured(words, named("crdnd-dark")),
}
UNITS = [*WIDE, " ", "\t ", ".", "a.", "= ", "{", ", a", '"', "'", "\\", "[", "#", "-s1", "(("]


@pytest.mark.parametrize("name", sorted(LONG))
def test_long_texts_take_no_quadratic_time(name: str) -> None:
    """Of 8,000 characters, twice as long as `display` lets a text be; each is measured a bounded number of times."""
    slow = {}
    for unit in UNITS:
        began = time.process_time()
        with contextlib.suppress(CrdndError, ValueError):
            LONG[name](unit * (8000 // len(unit)))
        took = time.process_time() - began
        if took > 0.25:  # seconds; seen: 0.04 at most, and 0.65 where each end of a text is measured
            slow[unit] = round(took, 2)
    assert slow == {}


@pytest.mark.parametrize("unit", WIDE)
def test_no_line_is_wider_than_asked_for_and_nothing_is_lost(unit: str) -> None:
    words = unit * 200
    made = log_tail.folded(words, 10)
    assert all(cell_len(line) <= 10 for line in made)
    assert "".join(made).replace(" ", "") == words.replace(" ", "")
    assert all(line.cell_len <= 20 for line in text.wrapped(words, 20))
