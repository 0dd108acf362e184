"""Records of attacks: intervals and tests known by hand, bits, the worst case, damage; two evaluations side by side.

Equal machines must agree, others may differ a little, and what differs is named.
"""

import math
from pathlib import Path

import msgspec
import pytest

from engine.evaluate import outcomes
from engine.evaluate.context import RecordIdentity
from engine.evaluate.outcomes import FAILS, HOLDS, UNKNOWN, compare_outcomes, machines_apart
from engine.spec.outcomes import Outcome, decode, encode, pack, unpack, worst_case
from engine.spec.statistics import mcnemar_p, wilson
from tests.engine.subjects import outcome

LABELS = [0, 0, 1, 1, 2, 2]


def record_of(attack: str, predicted: list[int]) -> Outcome:
    return outcome(LABELS, predicted, attack, of=10, spec={"name": attack, "norm": "linf", "epsilon": "8/255"})


def test_wilson_at_values_known_by_hand() -> None:
    z2 = 1.959963984540054**2
    assert wilson(0, 100) == pytest.approx((0.0, z2 / (100 + z2)))
    assert round(wilson(0, 100).high, 4) == 0.0370
    assert wilson(100, 100).low == pytest.approx(100 / (100 + z2)) and wilson(100, 100).high == 1.0
    assert wilson(50, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match="no share"):
        wilson(3, 2)


def test_mcnemar_is_a_coin_thrown_over_the_discordant_pairs() -> None:
    assert mcnemar_p(6, 0) == 2 / 64
    assert mcnemar_p(1, 1) == mcnemar_p(0, 0) == 1.0
    b, c = 800, 700  # 2^1500 is no float
    normal = math.erfc((b - c - 1) / math.sqrt(b + c) / math.sqrt(2))
    assert mcnemar_p(b, c) == pytest.approx(normal, rel=0.02)


def test_bits_are_big_endian_and_come_back() -> None:
    assert pack([True, False, False, False, False, False, False, True, True]) == "8180"
    for n in (0, 1, 7, 8, 9, 100):
        bits = [i % 3 == 0 for i in range(n)]
        assert unpack(pack(bits), n) == bits
    with pytest.raises(ValueError, match="padding"):
        unpack("8181", 9)
    with pytest.raises(ValueError, match="do not hold"):
        unpack("81", 9)


def test_the_worst_case_is_what_survives_every_attack() -> None:
    clean = record_of("clean", [0, 0, 1, 1, 2, 0])
    first = record_of("a", [1, 0, 1, 1, 2, 0])
    second = record_of("b", [2, 0, 1, 2, 2, 1])
    worst = worst_case([clean, first, second], LABELS)
    assert unpack(worst.robust, 6) == [False, True, True, False, True, False]
    assert worst.accuracy == 0.5 and worst.predicted == [1, 0, 1, 2, 2, 0]
    assert worst.per_class == [0.5, 0.5, 0.5] and worst.confusion == [[1, 1, 0], [0, 1, 1], [1, 0, 1]]
    assert worst.spec["attacks"] == ["clean", "a", "b"] and worst.seconds == 4.5
    assert decode(encode(worst)) == worst
    other = msgspec.structs.replace(second, weights_sha256="v")
    with pytest.raises(ValueError, match="different"):
        worst_case([clean, other], LABELS)


def test_an_image_without_a_finite_answer_has_no_column() -> None:
    record = record_of("a", [-1, 0, 1, 1, 2, 2])
    assert record.confusion == [[1, 0, 0], [0, 2, 0], [0, 0, 2]] and record.accuracy == 5 / 6
    assert decode(encode(record)) == record


def test_a_record_is_read_only_when_it_agrees_and_is_of_the_same_attack(tmp_path: Path) -> None:
    record, path = record_of("a", [1, 0, 1, 1, 2, 0]), tmp_path / "deep" / "a.json"
    identity = RecordIdentity(10, "i", "d", "w")
    outcomes.write(path, record)
    assert outcomes.read(path, record.spec, identity) == record
    assert outcomes.read(path, {**record.spec, "epsilon": "4/255"}, identity) is None
    assert outcomes.read(path, record.spec, identity._replace(weights_sha256="v")) is None
    assert outcomes.read(tmp_path / "none.json", record.spec, identity) is None
    good = encode(record)
    for wrong in (
        good.replace(b'"accuracy":0.6', b'"accuracy":0.7'),
        good.replace(b'"robust":"', b'"robust":"0'),
        good.replace(b'"counts":[2', b'"counts":[3'),
        good[:-30],
        b"[" * 100_000,
        b"",
    ):
        assert wrong != good
        path.write_bytes(wrong)
        assert outcomes.read(path, record.spec, identity) is None


def judged(bits: list[bool], **changes: object) -> Outcome:
    changes = {"spec": {}, "versions": {"torch": "2.11.0"}} | changes
    return outcome([0] * len(bits), [0 if bit else 1 for bit in bits], **changes)


def on_another_library(n: int, lost: int, won: int):
    """Of n images half are right; so many are not any more, and so many are now."""
    half = n // 2
    bits = [False] * lost + [True] * (half - lost) + [True] * won + [False] * (n - half - won)
    stored = judged([True] * half + [False] * (n - half))
    return compare_outcomes(stored, judged(bits, versions={"torch": "2.15.0"}), [])


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
    stored = judged([True] * 20, spec={"name": "pgd", "steps": 20, "package": "pyautoattack 0.2"})
    weaker = judged([True] * 20, spec={"name": "pgd", "steps": 1, "package": "pyautoattack 0.3"}, versions=versions)
    finding = compare_outcomes(stored, weaker, [])
    assert finding.verdict == FAILS
    assert finding.words.startswith("the attack is not the one that was stored: steps 20 -> 1")
    packaged = msgspec.structs.replace(stored, spec=stored.spec | {"package": "pyautoattack 0.3"})
    assert compare_outcomes(stored, packaged, []).verdict == HOLDS


def test_on_an_equal_machine_one_image_is_too_much_and_a_swap_of_two_is_seen():
    assert compare_outcomes(judged([True] * 200), judged([False] + [True] * 199), []).verdict == FAILS
    swapped = compare_outcomes(judged([True, False] * 50), judged([False, True] + [True, False] * 49), [])
    assert swapped.words == "2 of 100 images differ, accuracy 50.00 -> 50.00 %, on an equal device with equal libraries"


def test_what_differs_between_two_machines_is_named():
    then = {"python": "3.11.7", "threads": 1, "device": "cpu", "packages": {"torch": "2.11.0", "pydantic": "2.1"}}
    now = {"python": "3.11.7", "threads": 2, "device": "cuda:0", "packages": {"torch": "2.15.0", "pydantic": "2.2"}}
    assert machines_apart(then, now) == ["threads 1 -> 2", "device cpu -> cuda:0", "torch 2.11.0 -> 2.15.0"]
    assert machines_apart({}, now) == []
