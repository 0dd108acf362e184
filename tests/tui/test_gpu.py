"""GPUs as NVML tells them: a made-up driver answers, or does not."""

import sys

import pytest

from crdnd_tui.core import gpu
from tests.tui.fake_nvml import GIB, FakeNvml


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
    assert fake.asked == 1 and gpu.why_none()


@pytest.mark.parametrize(
    ("card", "name", "busy"),
    [
        (("NVIDIA H200", 10 * GIB, 141 * GIB, 97), "H200", 97),
        (("NVIDIA A100 MIG 1g.5gb", 10 * GIB, 141 * GIB, None), "A100 MIG 1g.5gb", None),  # a slice does not say
        ((b"NVIDIA Tesla K80", 10 * GIB, 141 * GIB, 1), "Tesla K80", 1),  # of an old driver
    ],
)
def test_one_card(driver, card, name, busy):
    driver(FakeNvml(card))
    assert gpu.cards() == [gpu.Card(0, name, 10 * GIB, 141 * GIB, busy, "GPU-0")]


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


def test_cuda_counts_the_cards_that_are_visible_and_names_them_anew(driver, monkeypatch):
    driver(FakeNvml(*(("NVIDIA H200", k * GIB, 141 * GIB, 0) for k in range(4))))
    for said, numbers in (
        (None, [0, 1, 2, 3]),
        ("2,0", [2, 0]),
        ("GPU-3, 1", [3, 1]),
        ("1,-1,2", [1]),  # CUDA stops at what it does not understand
        ("", []),
        ("MIG-7", [None]),  # a slice is no card
    ):
        if said is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", said)
        assert [card and card.index for card in gpu.visible()] == numbers
