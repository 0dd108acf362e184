"""Tables in a terminal: to the letter where there is room, and nothing lost where there is none."""

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from crdnd_tui.core.text import display
from crdnd_tui.write import tables
from crdnd_tui.write.document import Cell, Column, Origin, Row, Table
from crdnd_tui.write.numbers import cell_texts
from tests.documents.small import COLUMNS, DOCUMENT, TABLE, nasty, tabled

ROOMY = """\
  Results
  method                 AutoAttack         difference        p  note
  ────────────────────────────────────────────────────────────────────────────
  CIFAR-10
  RSLAD (baseline)  51.2  ± 0.3         –                     –  best of [a|b]
  CRDND_1           51.9  ± 0.2*† a  −0.7 [−1.5, +0.2]  < 0.001  =1+1
    paper           49.88               –                     –  –
  ────────────────────────────────────────────────────────────────────────────
  ARD                   ≠               –                 0.250  50 %

  n = 1,000, L-inf
  ≠ ARD, AutoAttack: not comparable: epsilon 0.031 & 8/255
  a Believe AutoAttack.
"""  # noqa: RUF001  a true minus
NARROW = """\
  Results
  method        AutoAttack    difference
  ──────────────────────────────────────
  CIFAR-10
  RSLAD          51.2                  –
  (baseline)     ± 0.3
  CRDND_1        51.9 *† a          −0.7
                 ± 0.2      [−1.5, +0.2]
    paper        49.88                 –
  ──────────────────────────────────────
  ARD                ≠                 –

  method              p  note
"""  # noqa: RUF001  a true minus


def shown(lines: list[Text]) -> str:
    return "\n".join(line.plain for line in lines) + "\n"


@pytest.mark.parametrize(("width", "said"), [(100, ROOMY), (40, NARROW)])
def test_the_table_to_the_letter(width: int, said: str) -> None:
    assert shown(tables.table_lines(TABLE, width)).startswith(said)


@pytest.mark.parametrize("width", [40, 47, 64, 80, 100, 120, 200])
def test_no_number_is_lost_and_no_line_too_long_at_any_width(width: int) -> None:
    lines = tables.document_lines(DOCUMENT, width)
    assert max(cell_len(line.plain) for line in lines) <= width
    found = re.sub(r"\s+", "", shown(lines))
    for line in cell_texts(TABLE):
        for words in line:
            for part in (words.number, words.std, words.interval) if words.is_number else ():
                assert part.replace(" ", "") in found


@pytest.mark.parametrize("width", range(60, 100))
def test_a_long_name_of_a_group_takes_no_room_from_numbers(width: int) -> None:
    number = Cell(value=-5.7, low=-8.2, high=-3.1, n=1000, marks="ab", significant=True)
    cells = (number, Cell(text="McNemar, 58 : 11"), Cell(value=0.0001, marks="ab"), Cell(value=0.0002, marks="ab"))
    columns = (
        Column(key="d", title="difference", unit="points"), Column(key="t", title="test", unit="words"),
        Column(key="p", title="p", unit="p"), Column(key="h", title="p (Holm)", unit="p"),
    )  # fmt: skip
    rows_of_it = (Row(label="rslad s0", group="worst of L-inf", cells=cells), Row(label="crdnd s0", cells=cells))
    said = shown(tables.table_lines(replace(TABLE, columns=columns, rows=rows_of_it, notes=(), caption=""), width))
    assert said.count("< 0.001 ab") == 4 and "(Holm)" in said and said.count("McNemar") == 2


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_numbers_of_a_column_stand_on_their_point(width: int) -> None:
    values = (0.5, 12.25, 100.0, 7.125)
    rows_of_it = tuple(Row(label=f"row {index}", cells=(Cell(value=v, n=10_000),)) for index, v in enumerate(values))
    table = replace(TABLE, columns=COLUMNS[:1], rows=rows_of_it, notes=(), caption="")
    places = {line.plain.index(".") for line in tables.table_lines(table, width) if line.plain.startswith("  row ")}
    assert len(places) == 1


def test_in_a_narrow_terminal_attacks_become_rows_before_anything_goes_below_its_number() -> None:
    cells = (Cell(value=51.2, std=0.3, low=48.1, high=54.3, n=1000, best=True),) * 4
    wide = replace(TABLE, columns=tuple(replace(COLUMNS[0], title=f"A{place}") for place in range(4)),
                   rows=(Row(label="RSLAD", cells=cells),), notes=(), baseline="", caption="")  # fmt: skip
    at = {width: shown(tables.table_lines(wide, width)) for width in (140, 80, 40)}
    beside = {width: len(re.findall(r"51\.2 ± 0\.3\* \[48\.1, 54\.3]", said)) for width, said in at.items()}
    assert beside == {140: 4, 80: 4, 40: 4}
    assert [len(re.findall("^  A[0-3] ", said, re.MULTILINE)) for said in at.values()] == [0, 4, 4]
    assert "best of its column" in at[140].replace("\n ", "") and "best of its row" in at[80].replace("\n ", "")


def test_intervals_go_below_before_columns_do_and_labels_are_repeated() -> None:
    wide = replace(TABLE, columns=tuple(replace(COLUMNS[0], title=f"A{place}") for place in range(4)),
                   rows=(Row(label="RSLAD", cells=(Cell(value=51.2, std=0.3, low=48.1, high=54.3, n=1000),) * 4,
                             group="digits"),), notes=(), baseline="", caption="")  # fmt: skip

    def about(width: int) -> tuple[int, int, int]:
        """Lines with a label, with numbers and intervals side by side, and with intervals."""
        said = shown(tables.table_lines(wide, width)).split("Mean")[0]
        return said.count("RSLAD"), len(re.findall(r"0\.3 +\[", said)), len([x for x in said.splitlines() if "[" in x])

    assert [about(width) for width in (140, 80, 40)] == [(1, 4, 1), (1, 0, 1), (2, 0, 2)]


def test_the_best_is_bold_and_starred_spreads_are_quiet_and_marks_stand_out() -> None:
    line = next(
        line
        for line in tables.table_lines(TABLE, 100, style=tables.TableStyle(muted="italic"))
        if "CRDND_1" in line.plain
    )
    styles = {line.plain[span.start : span.end]: str(span.style) for span in line.spans}
    assert styles["51.9"] == "bold" and styles[" \u00b1 0.2"] == "italic" and styles["*\u2020 a"] == "yellow"
    assert styles[" [\u22121.5, +0.2]"] == "italic"


def test_quiet_rows_are_muted_throughout() -> None:
    line = next(line for line in tables.table_lines(TABLE, 100) if "paper" in line.plain)
    assert {str(span.style) for span in line.spans if line.plain[span.start : span.end].strip()} == {"dim"}


def test_a_row_that_says_one_thing_says_it_once() -> None:
    row = Row(label="IAD", cells=(Cell(text="not run yet"),) * 4)
    said = shown(tables.table_lines(replace(TABLE, rows=(row,)), 100))
    assert said.count("not run yet") == 1


def test_long_words_go_on_below_themselves_whole() -> None:
    path = "teachers/cifar10/wide_resnet_34_10/" + "x" * 50
    row = Row(label="teachers.robust.path.of.the.weights", cells=(Cell(text=path),))
    table = Table(key="c", title="", head="key", columns=(Column(key="a", title="run-a", unit="words"),), rows=(row,))
    lines = tables.table_lines(table, 40)
    column = lines[0].plain.index("run-a")
    assert "".join(line.plain[column:].strip() for line in lines[2:]) == path
    assert "".join(line.plain[:column].strip() for line in lines[2:]) == row.label


def test_the_document_names_what_bears_it() -> None:
    said = shown(tables.document_lines(DOCUMENT, 120))
    for words in ("Two methods", "CRDND leads.", "! One run failed.", "RSLAD s0", "cccccccc  failed",
                  "crdnd 0.1.0, 1970-01-02 00:00 UTC"):  # fmt: skip
        assert words in said


@pytest.mark.parametrize(("width", "left"), [(48, "run"), (100, "run label config state weights")])
def test_an_id_is_never_broken_so_that_it_can_be_copied(width: int, left: str) -> None:
    run = "20310203-040506-crdnd-small_cnn-s0-abcd"
    facts = (("student weights", "sha256 " + "ef" * 6),)
    origin = Origin(run=run, label="a label of some length", state="done", config_hash="cd" * 32, facts=facts)
    lines = [line.plain for line in tables.run_lines((origin,), width)]
    assert lines[1].split() == left.split() and lines[2].startswith(f"  {run}")
    assert ("efefefef" in lines[2]) == (width == 100) and max(map(cell_len, lines)) <= width


def test_letters_stand_apart_from_words_and_numbers() -> None:
    row = Row(label="ARD", cells=(Cell(text="0 of 3", marks="a"), Cell(value=51.0, marks="b")))
    columns = (Column(key="runs", title="runs", unit="words"), Column(key="c", title="clean"))
    said = shown(tables.table_lines(Table(key="t", title="", head="method", columns=columns, rows=(row,)), 60))
    assert "0 of 3 a" in said and "51.0 b" in said


@settings(max_examples=60, deadline=None)
@given(st.lists(nasty, min_size=1, max_size=4), st.integers(40, 130))
def test_no_words_steer_the_terminal_or_leave_their_window(words: list[str], width: int) -> None:
    for line in tables.document_lines(tabled(words), width):
        assert display(line.plain) == line.plain and "\n" not in line.plain and "\t" not in line.plain
        assert cell_len(line.plain) <= width
