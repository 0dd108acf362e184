"""CSV, read back with the csv module and with pandas; no cell of it is a formula."""

import csv
import io
import math
import random
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdnd_tui.write import data
from crdnd_tui.write.document import Bar, Cell, Document, Figure, Series
from crdnd_tui.write.escape import clean, spreadsheet
from tests.documents.small import DOCUMENT, PIECES, TABLE, nasty, tabled

GOLDEN = f'''\
"group","method","AutoAttack","AutoAttack std","AutoAttack severity","AutoAttack believed",\
"AutoAttack marks","difference","difference low","difference high","p","note","run_ids","config_hashes"
"CIFAR-10","RSLAD (baseline)",51.24,0.31,"","true","","","","","","best of [a|b]","r1","{"aa" * 32}"
"CIFAR-10","CRDND_1",51.9,0.25,"","true","Believe AutoAttack.",-0.66,-1.5,0.2,4e-07,\
"'=1+1","r2 r3","{"bb" * 32} {"cc" * 32}"
"CIFAR-10","CRDND_1: paper",49.88,"","","true","","","","","","","",""
"CIFAR-10","ARD","not comparable: epsilon 0.031 & 8/255","","","","","","","",0.25,"50 %","",""
'''


def read(source: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(source), strict=True))


def is_formula(field: str) -> bool:
    """As spreadsheets and their importers take it: blanks, invisible letters and quotes before it do not count."""
    ignored = ("Zs", "Zl", "Zp", "Cc", "Cf", "Mn", "Me")
    begins = next((c for c in field if unicodedata.category(c) not in ignored and c != '"'), "")
    if unicodedata.normalize("NFKC", begins)[:1] not in tuple("=+-@|%\u2212"):
        return False
    try:
        return not math.isfinite(float(field))
    except ValueError:
        return True


def test_the_wide_table_to_the_letter() -> None:
    assert data.csv_table(TABLE, DOCUMENT) == GOLDEN


def test_the_long_table_has_a_line_for_each_cell_with_its_runs() -> None:
    lines = read(data.csv_cells(DOCUMENT))
    assert len(lines) == len(TABLE.rows) * len(TABLE.columns)
    line = lines[4]
    assert (line["table"], line["group"], line["row"], line["column"]) == (
        "results",
        "CIFAR-10",
        "CRDND_1",
        "autoattack",
    )
    assert (float(line["value"]), float(line["std"]), line["n"], line["runs"]) == (51.9, 0.25, "1000", "3")
    assert (line["best"], line["significant"], line["barred"], line["notes"]) == ("true", "true", "false", "a")
    assert (line["run_ids"], line["config_hashes"]) == ("r2 r3", "bb" * 32 + " " + "cc" * 32)
    assert lines[12]["barred"] == "true" and lines[12]["text"] == "epsilon 0.031 & 8/255"


def test_pandas_reads_it_in_one_go() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_csv(io.StringIO(data.csv_cells(DOCUMENT)))
    assert [str(frame[name].dtype) for name in ("value", "low", "best", "runs")] == [
        "float64",
        "float64",
        "bool",
        "int64",
    ]
    difference = frame[(frame.row == "CRDND_1") & (frame.column == "gap")]
    assert difference.value.item() == -0.66


def test_curves_bear_the_run_of_their_label_and_gaps_are_empty() -> None:
    lines = read(data.csv_figures(DOCUMENT))
    assert [(line["series"], line["x"], line["y"], line["run_ids"]) for line in lines] == [
        ("RSLAD s0", "1.0", "0.5", "r1"), ("RSLAD s0", "2.0", "", "r1")]  # fmt: skip


def test_bars_and_cells_say_what_they_are_and_bear_their_own_runs() -> None:
    bars = (Bar(label="RSLAD (2)", value=1.5, low=1.0, high=2.0, series="PGD-SAT", runs=("r2", "r1")),
            Bar(label="RSLAD (2)", value=0.5, series="AutoAttack", runs=("r3",)))  # fmt: skip
    band = Series(label="RSLAD (2)", x=(1.0,), y=(2.0,), runs=("r1", "r2"))
    figures = (
        Figure(key="attacks", title="", kind="bars", bars=bars),
        Figure(key="band", title="", kind="lines", series=(band,)),
        Figure(key="confusion", title="", kind="matrix", matrix=((7.0,),), labels=("cat",), runs=("r3",)),
    )
    lines = read(data.csv_figures(replace(DOCUMENT, figures=figures)))
    assert [(line["series"], line["x"], line["y"], line["low"], line["run_ids"]) for line in lines] == [
        ("PGD-SAT", "RSLAD (2)", "1.5", "1.0", "r2 r1"), ("AutoAttack", "RSLAD (2)", "0.5", "", "r3"),
        ("RSLAD (2)", "1.0", "2.0", "", "r1 r2"), ("cat", "cat", "7.0", "", "r3")]  # fmt: skip
    assert lines[0]["config_hashes"] == "bb" * 32 + " " + "aa" * 32


def test_a_table_whose_rows_have_no_runs_of_their_own_names_all_of_them() -> None:
    table = replace(TABLE, rows=tuple(replace(row, runs=(), group="") for row in TABLE.rows))
    lines = read(data.csv_table(table, DOCUMENT))
    assert {line["run_ids"] for line in lines} == {"r1 r2 r3"} and "group" not in lines[0]


def test_a_run_without_a_known_config_keeps_its_place() -> None:
    assert read(data.csv_cells(Document(title="", tables=(TABLE,))))[4]["config_hashes"] == "unknown unknown"


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_numbers_stay_numbers_to_the_last_bit(value: float) -> None:
    row = replace(TABLE.rows[0], cells=(Cell(value=value),) * 4)
    said = read(data.csv_cells(replace(DOCUMENT, tables=(replace(TABLE, rows=(row,)),))))[0]["value"]
    assert said == "" if not math.isfinite(value) else float(said) == value


@pytest.mark.parametrize("piece", [*PIECES, "=1", "+1", "-1+2", "@a", "\t=1", "\r=1", " =1", '"=1', "'=1", "\u200b=1",
                                   "\uff1d1", "\ufe621", "\uff0d1", "\uff201", "\u22121+1", "|a", "%a"])  # fmt: skip
def test_no_piece_is_a_formula_and_plain_words_are_left_alone(piece: str) -> None:
    assert not is_formula(spreadsheet(piece))
    assert spreadsheet(piece) in (clean(piece), "'" + clean(piece))
    assert spreadsheet(f"a{piece}") == clean(f"a{piece}")


@settings(max_examples=200, deadline=None)
@given(nasty)
def test_no_words_are_a_formula(said: str) -> None:
    assert not is_formula(spreadsheet(said))


def test_none_of_five_thousand_names_is_a_formula() -> None:
    draw = random.Random(0)
    names = [
        "".join(draw.choices([*PIECES, chr(draw.randrange(1, 0x3000))], k=draw.randint(1, 6))) for _ in range(5000)
    ]
    assert sum(map(is_formula, names)) > 500
    assert not any(is_formula(spreadsheet(name)) for name in names)


@settings(max_examples=40, deadline=None)
@given(st.lists(nasty, min_size=1, max_size=4))
def test_no_words_break_lines_or_make_formulas_in_a_file(said: list[str]) -> None:
    document = tabled(said)
    for source in (data.csv_cells(document), data.csv_table(document.tables[0], document)):
        lines = list(csv.reader(io.StringIO(source, newline=""), strict=True))
        assert len(lines) == len(source.splitlines()) and len({len(line) for line in lines}) == 1
        assert not any(is_formula(field) for line in lines for field in line)
