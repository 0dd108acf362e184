"""Shares of time by a clock that the test turns."""

import pytest
import torch

from engine.fast import clock
from engine.fast.clock import GRAPH, StepClock

CPU, GPU = torch.device("cpu"), torch.device("cuda")


class Hand:
    """The time."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Event(torch.cuda.Event):
    """Put into a stream whose time is the hand's."""

    hand: Hand
    made = 0

    def record(self, stream=None) -> None:
        Event.made += 1
        self.at = Event.hand.now

    def synchronize(self) -> None:
        """All is done."""

    def elapsed_time(self, end_event) -> float:
        return 1000 * (end_event.at - self.at)


@pytest.fixture
def hand(monkeypatch: pytest.MonkeyPatch) -> Hand:
    Event.hand, Event.made = Hand(), 0
    monkeypatch.setattr(clock.time, "perf_counter", Event.hand)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    return Event.hand


def step(watch: StepClock, hand: Hand) -> None:
    """1 of data, 2 of the teacher, 4 of the inner maximisation, 3 of the outer one around them."""
    with watch.part("data"):
        hand.now += 1
    with watch.part("outer"):
        hand.now += 1
        with watch.part("teacher"):
            hand.now += 2
        with watch.part("inner"):
            hand.now += 4
        hand.now += 2
    hand.now += 100  # between two steps: in no part
    watch.step_ended()


def test_a_part_within_another_is_taken_off_it_and_the_shares_add_up_to_one(hand: Hand):
    watch = StepClock(CPU)
    for _ in range(3):
        step(watch, hand)
    shares = watch.shares()
    assert shares == pytest.approx({"data": 0.1, "teacher": 0.2, "inner": 0.4, "outer": 0.3})
    assert sum(shares.values()) == pytest.approx(1.0)


def test_where_nothing_was_measured_nothing_is_said(hand: Hand):
    watch = StepClock(CPU)
    assert watch.shares() == {}
    step(watch, hand)
    assert watch.shares() != {}
    assert watch.shares() == {}


def test_an_error_inside_a_part_closes_it(hand: Hand):
    watch = StepClock(CPU)
    with pytest.raises(ZeroDivisionError), watch.part("outer"), watch.part("inner"):
        hand.now += 1
        raise ZeroDivisionError
    hand.now += 50
    step(watch, hand)
    assert watch.shares() == pytest.approx({"data": 1 / 11, "teacher": 2 / 11, "inner": 5 / 11, "outer": 3 / 11})


def test_a_gpu_is_asked_about_one_step_of_each_report_and_not_about_the_first(hand: Hand):
    watch = StepClock(GPU)
    step(watch, hand)
    assert watch.shares() == {} and Event.made == 0
    for _ in range(5):
        step(watch, hand)
    assert Event.made == 2 + 6
    assert watch.shares() == pytest.approx({"data": 0.1, "teacher": 0.2, "inner": 0.4, "outer": 0.3})


def test_nothing_is_put_into_a_stream_that_is_captured(hand: Hand, monkeypatch: pytest.MonkeyPatch):
    watch = StepClock(GPU)
    watch.shares()
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    step(watch, hand)
    assert Event.made == 0 and watch.shares() == {}


@pytest.mark.parametrize("device", [CPU, GPU], ids=str)
def test_a_replayed_step_is_split_as_the_last_step_that_was_looked_into(hand: Hand, device: torch.device):
    watch = StepClock(device)
    watch.shares()
    step(watch, hand)
    watch.shares()
    with watch.part("data"):
        hand.now += 1
    with watch.part(GRAPH):
        hand.now += 9
    watch.step_ended()
    assert watch.shares() == pytest.approx({"data": 0.1, "teacher": 0.2, "inner": 0.4, "outer": 0.3})
