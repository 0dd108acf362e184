"""Two judgements side by side: equal machines must agree, others may differ a little, and what differs is named."""

import msgspec
import pytest

from engine.evaluate.outcomes import FAILS, HOLDS, UNKNOWN, compare_outcomes, machines_apart
from engine.spec.outcomes import Outcome, pack, summarise


def outcome(bits: list[bool], **changes: object) -> Outcome:
    truth = [0] * len(bits)
    predicted = [0 if bit else 1 for bit in bits]
    figures = summarise(truth, predicted, bits, 2)
    made = Outcome(checkpoint="best", attack="pgd", spec={}, accuracy=figures.accuracy, n=len(bits), of=len(bits),
                   low=0.0, high=1.0, per_class=figures.per_class, counts=figures.counts, confusion=figures.confusion,
                   robust=pack(bits), predicted=predicted, indices_sha256="", data_sha256="", weights_sha256="",
                   seconds=0.0, device="cpu", versions={"torch": "2.11.0"})  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def on_another_library(n: int, lost: int, won: int):
    """Of n images half are right; so many are not any more, and so many are now."""
    half = n // 2
    bits = [False] * lost + [True] * (half - lost) + [True] * won + [False] * (n - half - won)
    stored = outcome([True] * half + [False] * (n - half))
    return compare_outcomes(stored, outcome(bits, versions={"torch": "2.15.0"}), [])


@pytest.mark.parametrize(
    ("n", "lost", "won", "verdict"),
    [
        (10_000, 25, 25, HOLDS),  # 0.5 % turn, accuracy stays
        (10_000, 26, 25, UNKNOWN),
        (10_000, 30, 10, HOLDS),  # accuracy changes by 0.2 points
        (10_000, 31, 10, UNKNOWN),
        (10_000, 10, 31, UNKNOWN),
        (200, 1, 1, HOLDS),  # few images: two may turn, one may be lost
        (200, 1, 0, HOLDS),
        (200, 2, 0, UNKNOWN),
        (200, 2, 1, UNKNOWN),
    ],
)
def test_another_library_explains_a_few_images_and_of_more_nothing_can_be_said(n, lost, won, verdict):
    finding = on_another_library(n, lost, won)
    assert finding.verdict == verdict
    accuracy = f"50.00 -> {50 + 100 * (won - lost) / n:.2f} %"
    said = "within what" if verdict == HOLDS else "more than"
    told = f"{lost + won} of {n:,} images differ, accuracy {accuracy}, {said} the difference explains"
    assert finding.words == f"{told}; now torch 2.11.0 -> 2.15.0"


def test_the_two_points_that_a_published_comparison_is_about_are_not_explained():
    assert on_another_library(10_000, 0, 203).verdict == UNKNOWN


@pytest.mark.parametrize("versions", [{"torch": "2.11.0"}, {"torch": "2.15.0"}])
def test_another_attack_is_no_repetition_on_any_machine(versions):
    stored = outcome([True] * 20, spec={"name": "pgd", "steps": 20, "package": "pyautoattack 0.2"})
    weaker = outcome([True] * 20, spec={"name": "pgd", "steps": 1, "package": "pyautoattack 0.3"}, versions=versions)
    finding = compare_outcomes(stored, weaker, [])
    assert finding.verdict == FAILS
    assert finding.words.startswith("the attack is not the one that was stored: steps 20 -> 1")
    packaged = msgspec.structs.replace(stored, spec=stored.spec | {"package": "pyautoattack 0.3"})
    assert compare_outcomes(stored, packaged, []).verdict == HOLDS


def test_on_an_equal_machine_one_image_is_too_much_and_a_swap_of_two_is_seen():
    assert compare_outcomes(outcome([True] * 200), outcome([False] + [True] * 199), []).verdict == FAILS
    swapped = compare_outcomes(outcome([True, False] * 50), outcome([False, True] + [True, False] * 49), [])
    assert swapped.words == "2 of 100 images differ, accuracy 50.00 -> 50.00 %, on an equal device with equal libraries"


def test_what_differs_between_two_machines_is_named():
    then = {"python": "3.11.7", "threads": 1, "device": "cpu", "packages": {"torch": "2.11.0", "pydantic": "2.1"}}
    now = {"python": "3.11.7", "threads": 2, "device": "cuda:0", "packages": {"torch": "2.15.0", "pydantic": "2.2"}}
    assert machines_apart(then, now) == ["threads 1 -> 2", "device cpu -> cuda:0", "torch 2.11.0 -> 2.15.0"]
    assert machines_apart({}, now) == []
