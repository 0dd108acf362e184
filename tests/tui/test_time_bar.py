"""The line that says where the time goes: whole where there is room, and shortened in its least telling words."""

import pytest
from rich.cells import cell_len

from crdnd_tui.core import fast_path
from crdnd_tui.core.fast_path import TrainingProfile
from crdnd_tui.core.palette import DARK, LIGHT
from crdnd_tui.tui.widgets.time_bar import ASCII, COLOURED, COLOURLESS, time_line

SWITCHES = {"teacher": "bfloat16", "inner": "bfloat16", "folded": "on", "paired": "on", "table": "lazy"}
SPENT = TrainingProfile(
    shares={"teacher": 0.25, "inner": 0.5, "outer": 0.246, "data": 0.004},
    words=fast_path.words(SWITCHES), short=fast_path.words(SWITCHES, short=True),
)  # fmt: skip
EXACT = TrainingProfile(shares={"inner": 0.75, "outer": 0.25}, words=("exact",), short=("exact",))

PART = TrainingProfile(shares={"inner": 0.25})


def line(width, spent=SPENT, marks=COLOURED):
    return time_line(spent, marks, DARK, width).plain


def test_all_of_it_where_there_is_room():
    parts = "teacher 25 %  inner maximisation 50 %  outer step 25 %  data <1 %"
    told = line(178)
    assert told.startswith(f"time {'━' * 48}  {parts}  ") and len(told) == 178
    assert told.endswith("  teacher, inner bfloat16 · table lazy · folded · paired")


def test_the_least_telling_words_go_first():
    assert line(118).endswith("outer 25 %  data <1 %   teacher, inner bf16 · table lazy · folded · paired")
    assert line(100).endswith("  teacher 25 inner 50 outer 25 data <1 %   teacher, inner bf16 · table lazy · folded +1")
    assert line(78) == f"time {'━' * 8}  teacher 25 inner 50 outer 25 data <1 %   teacher, inner bf16 +3"
    assert line(60) == f"time {'━' * 15}  teacher 25 inner 50 outer 25 data <1 %"
    assert line(46) == "teacher 25 inner 50 outer 25 data <1 %"
    assert line(30) == "teacher 25 inner 50 outer 25 …"


def test_before_the_first_step_there_are_switches_alone():
    begun = TrainingProfile(words=SPENT.words, short=SPENT.short)
    assert line(60, begun) == "teacher, inner bfloat16 · table lazy · folded · paired"
    assert line(40, begun) == "teacher, inner bf16 · table lazy +2"
    assert line(12, begun) == "teacher, in…"


@pytest.mark.parametrize("marks", [COLOURED, COLOURLESS, ASCII])
@pytest.mark.parametrize(
    "spent", [SPENT, EXACT, TrainingProfile(), TrainingProfile(words=SPENT.words, short=SPENT.short), PART]
)
def test_no_width_is_too_small_and_none_is_exceeded(spent, marks):
    for width in range(1, 200):
        told = line(width, spent, marks)
        assert cell_len(told) <= width
        assert told or spent == TrainingProfile()
        assert told.startswith("time ") or width < 70 or not spent.shares


def inks(spent, palette=DARK, width=178):
    """Colour and length of each part of the bar."""
    told = time_line(spent, COLOURED, palette, width)
    strokes = [span for span in told.spans if told.plain[span.start : span.end].strip("━─") == "" and span]
    return [(span.style, span.end - span.start) for span in strokes]


def test_what_the_bar_shows_is_what_stands_beside_it():
    blue, orange, green = DARK.series[:3]
    assert inks(SPENT) == [(orange, 12), (blue, 24), (green, 12)]  # of data there is less than a cell
    assert inks(PART) == [(blue, 12), (DARK.faint, 36)]
    assert inks(EXACT, LIGHT) == [(LIGHT.series[0], 36), (LIGHT.series[2], 12)]
    names = {s.style for s in time_line(SPENT, COLOURED, DARK, 178).spans if s.style in DARK.series}
    assert names == set(DARK.series[:4])


def test_without_colours_each_part_has_a_mark_of_its_own():
    parts = "{0} inner maximisation 75 %  {1} outer step 25 %"
    for marks, one, two in ((ASCII, "=", "+"), (COLOURLESS, "▓", "▒")):
        assert line(118, EXACT, marks).startswith(f"time {one * 36}{two * 12}  {parts.format(one, two)}  ")
    assert line(118, SPENT, ASCII).isascii() or "·" in line(118, SPENT, ASCII)


def test_a_word_of_a_file_is_no_markup():
    odd = fast_path.words({"table": "[red]x[/]", "[bold]": "on"})
    told = line(100, TrainingProfile(shares={"inner": 1.0}, words=odd, short=odd))
    assert told.endswith("table [red]x[/] · [bold] on")
