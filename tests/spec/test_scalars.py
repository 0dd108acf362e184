"""Radii: written as papers write them, shown as they were written, and never a surprise."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from engine.spec.base import Pixels


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("8/255", 8 / 255),
        ("0/255", 0.0),
        ("255/255", 1.0),
        ("1/2", 0.5),
        ("0.031", 0.031),
        ("1", 1.0),
        (0.031, 0.031),
        (0, 0.0),
        ("1e-05", 1e-5),
        (8 / 255, 8 / 255),
    ],
)
def test_a_radius_is_the_number_that_is_written(written: object, value: float) -> None:
    assert float(Pixels.parse(written)) == value


@pytest.mark.parametrize(
    "written",
    [
        *(True, None, [8], {}, -0.1, 1.01, 2, float("nan"), float("inf"), 2**63),
        *("", "8", "8/255 ", "1e999", "8/0", "-1/255", "nan", "inf", "8/255/1", "0x8", "8,5", "1_0/255"),
        *("1e99999999", "1" * 50, "\u0668/255"),
    ],
    ids=lambda written: ascii(written)[:20] if not isinstance(written, int) else "int",
)
def test_what_is_no_radius_is_a_value_error(written: object) -> None:
    with pytest.raises(ValueError, match=r"is no radius; write '8/255' or 0\.031|lies outside the image range"):
        Pixels.parse(written)


def test_eight_grey_levels_are_suggested_to_who_writes_grey_levels() -> None:
    with pytest.raises(ValueError, match=r"8 lies outside the image range \[0, 1\]; 8 grey levels are '8/255'"):
        Pixels.parse(8)


def test_radii_are_shown_in_grey_levels_where_they_are_whole_ones() -> None:
    assert [str(Pixels(value)) for value in (8 / 255, 0.0, 1.0, 0.031)] == ["8/255", "0/255", "255/255", "0.031"]
    assert repr(Pixels(2 / 255)) == "Pixels('2/255')"


@settings(max_examples=200, deadline=None)
@given(st.floats(0.0, 1.0))
def test_what_is_shown_reads_back_as_the_same_number(value: float) -> None:
    assert float(Pixels.parse(str(Pixels(value)))) == pytest.approx(value, abs=1e-11, rel=1e-15)


def test_json_holds_what_is_shown() -> None:
    adapter = TypeAdapter(Pixels)
    assert adapter.dump_json(adapter.validate_python("8/255")) == b'"8/255"'
    pattern = adapter.json_schema()["anyOf"][0]["pattern"]
    assert pattern.startswith("^(") and pattern.endswith(")$")
