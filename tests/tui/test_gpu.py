"""GPUs as NVML tells them: a made-up driver answers, or does not."""

import sys
from types import SimpleNamespace

import pytest

from crdnd_tui import gpu

GIB = 1 << 30


class FakeError(Exception):
    """What pynvml raises."""


class FakeNvml:
    """A driver with these cards: (name, used, total, busy); busy None is a slice that does not say."""

    NVMLError = FakeError

    def __init__(self, *cards, there=True):
        self.cards, self.there, self.asked = list(cards), there, 0

    def nvmlInit(self):  # noqa: N802  pynvml's name
        self.asked += 1
        self._answer()

    def _answer(self):
        if not self.there:
            raise FakeError("driver not loaded")

    def nvmlDeviceGetCount(self):  # noqa: N802  pynvml's name
        self._answer()
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802  pynvml's name
        self._answer()
        if self.cards[index] is None:
            raise FakeError("GPU is lost")
        return index

    def nvmlDeviceGetMemoryInfo(self, handle):  # noqa: N802  pynvml's name
        _, used, total, _ = self.cards[handle]
        return SimpleNamespace(used=used, total=total)

    def nvmlDeviceGetName(self, handle):  # noqa: N802  pynvml's name
        return self.cards[handle][0]

    def nvmlDeviceGetUUID(self, handle):  # noqa: N802  pynvml's name
        return f"GPU-{handle}"

    def nvmlDeviceGetUtilizationRates(self, handle):  # noqa: N802  pynvml's name
        busy = self.cards[handle][3]
        if busy is None:
            raise FakeError("not supported")
        return SimpleNamespace(gpu=busy)


@pytest.fixture
def driver(monkeypatch):
    def install(fake):
        monkeypatch.setattr(gpu, "_nvml", [])
        monkeypatch.setitem(sys.modules, "pynvml", fake)
        return fake

    return install


def test_without_a_driver_there_are_no_cards_and_it_is_asked_once(driver):
    fake = driver(FakeNvml(there=False))
    assert gpu.cards() == gpu.cards() == []
    assert fake.asked == 1


def test_one_card(driver):
    driver(FakeNvml(("NVIDIA H200", 10 * GIB, 141 * GIB, 97)))
    assert gpu.cards() == [gpu.Card(0, "H200", 10 * GIB, 141 * GIB, 97, "GPU-0")]


def test_a_slice_of_a_card_does_not_say_how_busy_it_is(driver):
    driver(FakeNvml(("NVIDIA A100 MIG 1g.5gb", GIB, 5 * GIB, None)))
    [card] = gpu.cards()
    assert (card.name, card.busy) == ("A100 MIG 1g.5gb", None)


def test_a_lost_card_is_left_out_and_the_others_keep_their_number(driver):
    driver(FakeNvml(None, ("NVIDIA H200", 0, GIB, 0)))
    assert [card.index for card in gpu.cards()] == [1]


def test_a_driver_that_dies_in_between_and_comes_back(driver):
    fake = driver(FakeNvml(("NVIDIA H200", 0, GIB, 3)))
    assert len(gpu.cards()) == 1
    fake.there = False
    assert gpu.cards() == []
    fake.there = True
    assert len(gpu.cards()) == 1


def test_names_that_old_drivers_give_as_bytes(driver):
    driver(FakeNvml((b"NVIDIA Tesla K80", 0, GIB, 1)))
    assert gpu.cards()[0].name == "Tesla K80"
