"""Two judgements side by side: equal machines must agree, others may differ a little, and what differs is named."""

import msgspec
import pytest

from engine.rejudged import compare, differing
from engine.spec.outcomes import Outcome, pack, summarise
from engine.verdict import FAILS, HOLDS


def outcome(bits: list[bool], **changes: object) -> Outcome:
    truth = [0] * len(bits)
    predicted = [0 if bit else 1 for bit in bits]
    figures = summarise(truth, predicted, bits, 2)
    made = Outcome(checkpoint="best", attack="pgd", spec={}, accuracy=figures.accuracy, n=len(bits), of=len(bits),
                   low=0.0, high=1.0, per_class=figures.per_class, counts=figures.counts, confusion=figures.confusion,
                   robust=pack(bits), predicted=predicted, indices_sha256="", data_sha256="", weights_sha256="",
                   seconds=0.0, device="cpu", versions={"torch": "2.11.0"})  # fmt: skip
    return msgspec.structs.replace(made, **changes)


@pytest.mark.parametrize(("turned", "verdict", "word"), [(4, HOLDS, "within"), (5, FAILS, "outside of")])
def test_another_library_explains_a_few_images_and_no_more(turned, verdict, word):
    stored = outcome([True] * 200)
    found = outcome([False] * turned + [True] * (200 - turned), versions={"torch": "2.15.0"})
    finding = compare(stored, found, [])
    assert finding.verdict == verdict
    accuracy = f"100.00 -> {100 - turned / 2:.2f} %"
    told = f"{turned} of 200 images differ, accuracy {accuracy}, {word} what the difference explains"
    assert finding.words == f"{told}; now torch 2.11.0 -> 2.15.0"


def test_on_an_equal_machine_one_image_is_too_much_and_a_swap_of_two_is_seen():
    assert compare(outcome([True] * 200), outcome([False] + [True] * 199), []).verdict == FAILS
    swapped = compare(outcome([True, False] * 50), outcome([False, True] + [True, False] * 49), [])
    assert swapped.words == "2 of 100 images differ, accuracy 50.00 -> 50.00 %, on an equal device with equal libraries"


def test_what_differs_between_two_machines_is_named():
    then = {"python": "3.11.7", "threads": 1, "device": "cpu", "packages": {"torch": "2.11.0", "pydantic": "2.1"}}
    now = {"python": "3.11.7", "threads": 2, "device": "cuda:0", "packages": {"torch": "2.15.0", "pydantic": "2.2"}}
    assert differing(then, now) == ["threads 1 -> 2", "device cpu -> cuda:0", "torch 2.11.0 -> 2.15.0"]
    assert differing({}, now) == []
