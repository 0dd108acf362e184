"""The reader of a growing log: cut anywhere, damaged anywhere, truncated under its feet."""

import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdnd_tui.core.run_reader import LogReader
from crdnd_tui.core.state import RunState, fold
from engine.spec.events import (
    MAX_LINE,
    AttackStarted,
    EpochDone,
    Evaluated,
    Event,
    RunFinished,
    RunStarted,
    StageStarted,
    StepDone,
    Validated,
    Warned,
    encode,
)

texts = st.text(max_size=20)
some_events = st.one_of(
    st.builds(StageStarted, stage=texts),
    st.builds(StepDone, step=st.integers(0, 99), epoch=st.just(1), loss=st.floats(0, 1), terms=st.just({}),
              learning_rate=st.just(0.1), images_per_second=st.just(1.0)),
    st.builds(Warned, code=texts, message=texts),
)  # fmt: skip


def step(n: int) -> StepDone:
    return StepDone(time=1.0, step=n, epoch=1, loss=1.0, terms={}, learning_rate=0.1, images_per_second=1.0)


def everything(reader: LogReader) -> list[Event]:
    events: list[Event] = []
    while True:
        batch = reader.read()
        events += batch.events
        if not batch.more:
            return events


@settings(max_examples=60, deadline=None)
@given(st.lists(some_events, max_size=8), st.lists(st.integers(0, 2000), max_size=6))
def test_wherever_the_stream_is_cut_each_event_arrives_once_and_in_order(events: list[Event], cuts: list[int]) -> None:
    stream = b"".join(map(encode, events))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "events.jsonl"
        reader, seen, at = LogReader(path), [], 0
        for cut in [*sorted(min(c, len(stream)) for c in cuts), len(stream)]:
            with path.open("ab") as log:
                log.write(stream[at:cut])
            at = cut
            seen += everything(reader)
    assert [type(event) for event in seen] == [type(event) for event in events]
    assert [e.step for e in seen if isinstance(e, StepDone)] == [e.step for e in events if isinstance(e, StepDone)]


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_raise_and_good_lines_survive_them(noise: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "events.jsonl"
        path.write_bytes(encode(step(1)) + noise + b"\n" + encode(step(2)))
        steps = [e.step for e in everything(LogReader(path)) if isinstance(e, StepDone)]
    assert steps[0] == 1 and steps[-1] == 2


@pytest.mark.parametrize(("change", "there"), [("cut back", 1), ("grown beyond our place again", 11), ("replaced", 2)])
def test_a_log_that_was_cut_back_is_read_again_from_its_start(tmp_path: Path, change: str, there: int) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(encode(step(n)) for n in range(5)))
    reader = LogReader(path)
    reader.read()
    if change == "replaced":
        (tmp_path / "new").write_bytes(encode(step(2)) + encode(step(3)))
        (tmp_path / "new").replace(path)
    else:
        os.truncate(path, len(encode(step(0))))
        with path.open("ab") as log:
            log.write(b"".join(encode(step(n)) for n in range(50, 49 + there)))
    batch = reader.read()
    assert batch.reset and len(batch.events) == there


def test_a_line_too_long_for_an_event_is_passed_over_and_counted_once(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(encode(step(1)) + b"x" * (2 * MAX_LINE))
    reader = LogReader(path)
    first = reader.read()
    with path.open("ab") as log:
        log.write(b"y" * (2 * MAX_LINE) + b"\n" + encode(step(2)))
    second = reader.read()
    assert (len(first.events), len(second.events), first.damaged + second.damaged) == (1, 1, 1)


def test_pipes_links_and_absent_files_are_no_logs(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    (tmp_path / "real").write_bytes(encode(step(1)))
    (tmp_path / "indirect").symlink_to(tmp_path / "real")
    for name in ("pipe", "link", "absent", "indirect"):
        began = time.monotonic()
        assert LogReader(tmp_path / name).read().events == []
        assert time.monotonic() - began < 5  # a pipe would block for ever


def test_strings_are_safe_to_show_as_soon_as_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(
        encode(Warned(code="a\x1b]0;x\x07", message="b\u202ec\x7f\x9b")) + b'{"event":"stage_started","stage":"\x7f"}\n'
    )
    warned, stage = LogReader(path).read().events
    assert isinstance(warned, Warned) and isinstance(stage, StageStarted)
    assert not set("\x1b\x07\x7f\x9b\u202e") & set(warned.code + warned.message + stage.stage)


def test_events_of_a_newer_engine_are_counted_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"event":"danced","v":9}\n{"event":\n' + encode(step(1)))
    batch = LogReader(path).read()
    assert (len(batch.events), batch.unknown, batch.damaged) == (1, 1, 1)


EVENTS: list[Event] = [
    RunStarted(run="r", name="", config_hash="", pid=1, host="h"),
    *[step(n) for n in range(4)],
    EpochDone(epoch=1, step=4, loss=1.0, terms={}, learning_rate=0.1, seconds=1.0),
    Warned(code="subset", message="some"),
    Validated(epoch=1, step=2, n=3, accuracy={"clean": 0.5}, by="clean", best=True, seconds=1.0),
    *[step(n) for n in range(4, 8)],
    AttackStarted(checkpoint="best", attack="fgsm"),
    Evaluated(checkpoint="best", attack="fgsm", accuracy=0.5, n=2, of=2, low=0.1, high=0.9, seconds=1.0),
    Evaluated(checkpoint="last", attack="fgsm", accuracy=1.0, n=2, of=2, low=0.3, high=1.0, seconds=1.0),
    Warned(code="few_images", message="few", checkpoint="best", attack="fgsm"),
    RunFinished(seconds=1.0),
]  # fmt: skip


def test_folding_in_parts_and_one_by_one_is_folding_at_once() -> None:
    at_once, one_by_one = fold(EVENTS), RunState()
    for cut, event in enumerate(EVENTS):
        assert fold(EVENTS[cut:], fold(EVENTS[:cut])) == at_once
        one_by_one = fold([event], one_by_one)
    assert one_by_one == at_once
    assert (at_once.phase, at_once.step, len(at_once.steps), at_once.attack) == ("finished", 7, 8, None)
    assert [sorted(row) for row in at_once.table.values()] == [["fgsm"], ["fgsm"]]
    assert [w.code for w in at_once.warnings] == ["subset", "few_images"]
    assert fold([]) == RunState()
