"""How a number is worded, by hand and by law."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdnd_tui.core import format
from crdnd_tui.write import numbers
from crdnd_tui.write.document import Cell, Column, Row, Table, Unit
from tests.documents.small import TABLE


@pytest.mark.parametrize(
    ("cell", "unit", "said"),
    [
        (Cell(value=51.06, n=9_999), "percent", "51.1"),
        (Cell(value=51.06, n=10_000), "percent", "51.06"),
        (Cell(value=51.06, std=0.249, low=48.0, high=54.2, n=1000), "percent", "51.1 \u00b1 0.2 [48.0, 54.2]"),
        (Cell(value=51.06, std=0.249, n=10_000), "percent", "51.06 \u00b1 0.25"),
        (Cell(value=100.0), "percent", "100.0"),
        (Cell(value=0.7), "points", "+0.7"),
        (Cell(value=-0.7), "points", "\u22120.7"),
        (Cell(value=-0.04), "points", "0.0"),
        (Cell(value=0.04), "points", "0.0"),
        (Cell(value=0.04, n=10_000), "points", "+0.04"),
        (Cell(value=0.74, low=-0.4, high=1.08), "points", "+0.7 [\u22120.4, +1.1]"),
        (Cell(value=0.74, std=0.31), "points", "+0.7 \u00b1 0.3"),
        (Cell(value=0.25), "p", "0.250"),
        (Cell(value=0.0625), "p", "0.0625"),
        (Cell(value=0.001), "p", "0.00100"),
        (Cell(value=0.000999), "p", "< 0.001"),
        (Cell(value=0.0), "p", "< 0.001"),
        (Cell(value=1.0), "p", "1.00"),
        (Cell(value=1234567.0), "count", "1,234,567"),
        (Cell(value=2.5), "count", "2.5"),
        (Cell(value=75.0), "seconds", "1:15"),
        (Cell(value=0.1), "words", "0.1"),
        (Cell(), "percent", "\u2013"),
        (Cell(value=math.nan), "percent", "\u2013"),
        (Cell(value=math.inf, text="overflow"), "percent", "overflow"),
        (Cell(text="not run yet"), "points", "not run yet"),
        (Cell(value=51.0, barred=True, text="epsilon differs"), "percent", "not comparable"),
        (Cell(value=51.0, std=math.nan, low=1.0, high=math.inf), "percent", "51.0"),
    ],
)
def test_a_cell_in_words(cell: Cell, unit: Unit, said: str) -> None:
    assert numbers.cell_text(cell, unit).text == said


@given(st.floats(0, 1))
def test_a_p_value_never_reads_as_nothing_and_has_three_digits(p: float) -> None:
    said = format.p_value(p)
    if p < 0.001:
        assert said == "< 0.001"
    else:
        assert float(said) == pytest.approx(p, rel=0.006) and float(said) > 0
        assert len(said.replace(".", "").lstrip("0")) == 3


@given(st.floats(-1e6, 1e6), st.sampled_from([0, 500, 10_000]))
def test_points_say_what_they_round_to_and_only_zero_has_no_sign(value: float, n: int) -> None:
    said = format.points(value, n)
    back = float(said.replace("\u2212", "-"))
    assert abs(back - value) <= (0.0051 if n == 10_000 else 0.051)
    assert (said[0] in "+\u2212") == (back != 0)


@given(st.floats(allow_nan=True, allow_infinity=True), st.sampled_from(["percent", "points", "count", "seconds"]))
def test_any_number_is_worded_in_few_letters(value: float, unit: Unit) -> None:
    assert 0 < len(numbers.cell_text(Cell(value=value), unit).text) < 32


def table(*runs: int, std: float | None = 0.1) -> Table:
    rows = tuple(Row(label="m", cells=(Cell(value=50.0, std=std, runs=count),)) for count in runs)
    return Table(key="t", title="t", head="h", columns=(Column(key="c", title="c"),), rows=rows)


def test_seeds_are_counted_once_where_they_are_the_same_and_in_each_cell_where_not() -> None:
    assert [line[0].text for line in numbers.cell_texts(table(3, 3))] == ["50.0 \u00b1 0.1"] * 2
    assert numbers.legend(table(3, 3), best="Bold") == ["Mean \u00b1 sample standard deviation over 3 seeds."]
    assert [line[0].text for line in numbers.cell_texts(table(3, 2))] == ["50.0 \u00b1 0.1 (3)", "50.0 \u00b1 0.1 (2)"]
    assert "In parentheses: the number of seeds." in numbers.legend(table(3, 2), best="Bold")


def test_a_published_number_is_not_counted_as_one_seed() -> None:
    assert numbers.seed_counts(TABLE) == {3}
    assert "(" not in "".join(said.text for line in numbers.cell_texts(TABLE) for said in line if said.is_number)


def test_the_legend_says_what_each_sign_means_and_no_other() -> None:
    said = " ".join(numbers.legend(TABLE, best="Bold"))
    for words in ("over 3 seeds", "95\u00a0% interval", "Bold: the best", "\u2020 differs from RSLAD"):
        assert words in said
    assert numbers.legend(table(1, std=None), best="Bold") == []


def test_a_refusal_names_row_columns_and_reason() -> None:
    assert numbers.refusal_notes(TABLE) == ["ARD, AutoAttack: not comparable: epsilon 0.031 & 8/255"]


def test_the_baseline_is_called_so() -> None:
    assert [numbers.row_label(row, TABLE) for row in TABLE.rows][:2] == ["RSLAD (baseline)", "CRDND_1"]


def test_a_row_without_a_cell_for_each_column_is_refused() -> None:
    wrong = Table(key="t", title="t", head="h", columns=TABLE.columns, rows=(Row(label="x", cells=(Cell(),)),))
    with pytest.raises(ValueError, match=re.escape("zip()")):
        numbers.cell_texts(wrong)
