"""The event log: what was said is read back; what is unknown or damaged is counted, never raised."""

import contextlib
import json
from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.spec.events import (
    KINDS,
    MAX_LINE,
    VERSION,
    Event,
    StepDone,
    Warned,
    decode,
    encode,
)

STEP = StepDone(
    seq=4, time=1.5, step=7, epoch=1, loss=0.25, terms={"clean": 0.5}, learning_rate=0.1, images_per_second=9.0
)


def sample(kind: type) -> object:
    """An event of this kind; what has no default is filled by its type."""

    def fitting(of: object) -> object:
        for value in ("x", 3, 0.5, True, ["a"], {"a": 0.5}):
            with contextlib.suppress(msgspec.ValidationError):
                return msgspec.convert(value, of)
        raise AssertionError(f"nothing fits {of}")

    return kind(**{field.name: fitting(field.type) for field in msgspec.structs.fields(kind) if field.required})


@pytest.mark.parametrize("kind", get_args(Event), ids=lambda kind: kind.__name__)
def test_every_kind_is_read_back_as_it_was_said(kind: type) -> None:
    event = sample(kind)
    line = encode(event)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert decode([line]) == ([event], 0, 0)
    said = json.loads(line)
    assert said["event"] == kind.__struct_config__.tag and said["v"] == VERSION


def test_tags_are_past_tense_names_and_all_different() -> None:
    assert len(KINDS) == len(get_args(Event)) == 21
    assert all(tag.replace("_", "").isalpha() and tag.islower() for tag in KINDS)


def test_a_line_is_what_another_program_expects() -> None:
    assert json.loads(encode(STEP)) == {
        "event": "step_done",
        "v": 1,
        "seq": 4,
        "time": 1.5,
        "step": 7,
        "epoch": 1,
        "loss": 0.25,
        "terms": {"clean": 0.5},
        "learning_rate": 0.1,
        "images_per_second": 9.0,
        "shares": {},
    }


def test_numbers_that_are_not_finite_are_null_in_the_log() -> None:
    broken = msgspec.structs.replace(STEP, loss=float("nan"), terms={"clean": float("inf")})
    assert b'"loss":null' in encode(broken)
    (read,), unknown, damaged = decode([encode(broken)])
    assert isinstance(read, StepDone)
    assert (read.loss, read.terms, unknown, damaged) == (None, {"clean": None}, 0, 0)


def test_kinds_of_a_newer_engine_are_passed_over_and_counted() -> None:
    newer = b'{"event":"moon_landed","v":9,"who":{"deep":[1]}}\n'
    assert decode([newer, encode(STEP), newer]) == ([STEP], 2, 0)


def test_keys_of_a_newer_engine_are_passed_over() -> None:
    assert decode([encode(STEP)[:-2] + b',"altitude":3}\n']) == ([STEP], 0, 0)


@pytest.mark.parametrize(
    "line",
    [
        b"\n{",
        b"nonsense",
        b"\x00\xff",
        b"[]",
        b"3",
        b'{"event":3}',
        b'{"event":"step_done"}',
        b'{"event":"step_done","step":"seven"}',
        b'{"step":7}',
        encode(STEP)[:-9],
        b"[" * 5000,
        b'{"event":"moon_landed","x":"' + b"y" * MAX_LINE + b'"}',
    ],
    ids=lambda line: line[:20].hex(),
)
def test_damaged_lines_are_counted_and_never_raised(line: bytes) -> None:
    assert decode([line, encode(STEP)]) == ([STEP], 0, 1)


def test_empty_lines_are_nothing() -> None:
    assert decode([b"", b"\n", b"  \n"]) == ([], 0, 0)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=5))
def test_any_bytes_at_all_are_events_unknown_or_damaged(lines: list[bytes]) -> None:
    found = decode(lines)
    assert len(found.events) + found.unknown + found.damaged == sum(1 for line in lines if line.strip())


def test_text_from_outside_stays_text() -> None:
    hostile = Warned(code="x", message='\x1b[31m{"event":"run_failed"}\n[/red]')
    line = encode(hostile)
    assert b"\x1b" not in line and line.count(b"\n") == 1
    assert decode([line]).events == [hostile]


@pytest.mark.parametrize(
    "wild",
    [
        b'{"event":"training_started","epochs":4611686018427387904,"steps_per_epoch":1,"images":1,"classes":[],'
        b'"device":"cpu","student_parameters":1}',
        b'{"event":"epoch_done","epoch":1,"step":1,"loss":1,"terms":{},"learning_rate":1,"seconds":1,'
        b'"teacher_clean":[1e308]}',
        b'{"event":"step_done","step":-1,"epoch":1,"loss":1,"terms":{},"learning_rate":1,"images_per_second":1}',
        b'{"event":"run_finished","seconds":-1e308}',
        b'{"event":"run_finished","seconds":1,"time":1e300}',
    ],
)
def test_numbers_that_no_run_can_have_are_damage(wild):
    assert decode([wild]) == ([], 0, 1)
