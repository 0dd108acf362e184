"""Records of attacks: intervals and tests known by hand, bits, the worst case, and damage that is noticed."""

import math
from pathlib import Path

import msgspec
import pytest

from engine.evaluate import outcomes
from engine.evaluate.context import Identity
from engine.spec.outcomes import Outcome, decode, encode, mcnemar_p, pack, summarise, unpack, wilson, worst_case

LABELS = [0, 0, 1, 1, 2, 2]


def outcome(attack: str, predicted: list[int]) -> Outcome:
    robust = [guess == label for guess, label in zip(predicted, LABELS, strict=True)]
    figures = summarise(LABELS, predicted, robust, 3)
    return Outcome(
        checkpoint="best",
        attack=attack,
        spec={"name": attack, "norm": "linf", "epsilon": "8/255"},
        accuracy=figures.accuracy,
        n=6,
        of=10,
        low=figures.interval.low,
        high=figures.interval.high,
        per_class=figures.per_class,
        counts=figures.counts,
        confusion=figures.confusion,
        robust=pack(robust),
        predicted=predicted,
        indices_sha256="i",
        data_sha256="d",
        weights_sha256="w",
        seconds=1.5,
        device="cpu",
    )


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
    clean = outcome("clean", [0, 0, 1, 1, 2, 0])
    first = outcome("a", [1, 0, 1, 1, 2, 0])
    second = outcome("b", [2, 0, 1, 2, 2, 1])
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
    record = outcome("a", [-1, 0, 1, 1, 2, 2])
    assert record.confusion == [[1, 0, 0], [0, 2, 0], [0, 0, 2]] and record.accuracy == 5 / 6
    assert decode(encode(record)) == record


def test_a_record_is_read_only_when_it_agrees_and_is_of_the_same_attack(tmp_path: Path) -> None:
    record, path = outcome("a", [1, 0, 1, 1, 2, 0]), tmp_path / "deep" / "a.json"
    identity = Identity(10, "i", "d", "w")
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
