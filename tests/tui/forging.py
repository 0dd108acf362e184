"""Runs whose figures are others, in every file that tells them: nothing disagrees."""

import json
from pathlib import Path
from typing import Any

import msgspec

from engine.spec.outcomes import Outcome, decode, encode, pack, unpack
from engine.spec.statistics import wilson


def judge_otherwise(run: Path, attack: str, right: int, checkpoint: str = "best") -> None:
    """So many images stand under an attack, in its record and in the log: more than before, and right when clean."""
    path = run / "evaluation" / checkpoint / f"{attack}.json"
    record, clean = decode(path.read_bytes()), decode((path.parent / "clean.json").read_bytes())
    bits, before = unpack(record.robust, record.n), unpack(clean.robust, clean.n)
    predicted, matrix = list(record.predicted), [list(row) for row in record.confusion]
    turned = [i for i in range(record.n) if before[i] and not bits[i]][: right - sum(bits)]
    for i in turned:
        label, guess = clean.predicted[i], predicted[i]
        matrix[label][guess] -= 1
        matrix[label][label] += 1
        bits[i], predicted[i] = True, label
    low, high = wilson(right, record.n)
    figures = {
        "accuracy": right / record.n, "low": low, "high": high,
        "per_class": [row[c] / n if n else 0.0 for c, (row, n) in enumerate(zip(matrix, record.counts, strict=True))],
    }  # fmt: skip
    path.write_bytes(
        encode(msgspec.structs.replace(record, robust=pack(bits), predicted=predicted, confusion=matrix, **figures))
    )
    tell_otherwise(run, attack, checkpoint, **figures)


def tell_otherwise(run: Path, attack: str, checkpoint: str = "best", **figures: object) -> None:
    """The log alone says so."""
    log, lines = run / "events.jsonl", []
    for line in log.read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "evaluated" and (event["checkpoint"], event["attack"]) == (checkpoint, attack):
            event |= figures
        lines.append(json.dumps(event, separators=(",", ":")))
    log.write_text("\n".join(lines) + "\n")


def record(attack: str, right: int, n: int = 10, checkpoint: str = "best", **more: Any) -> bytes:
    """The file of a result: so many of n images of one class are right, the first ones."""
    low, high = wilson(right, n)
    whole = Outcome(
        checkpoint=checkpoint, attack=attack, spec={"name": attack}, accuracy=right / n, n=n, of=n, low=low, high=high,
        per_class=[right / n], counts=[n], confusion=[[right]], robust=pack([i < right for i in range(n)]),
        predicted=[0 if i < right else -1 for i in range(n)], indices_sha256="i", data_sha256="d", weights_sha256="w",
        seconds=1.0, device="cpu",
    )  # fmt: skip
    return encode(msgspec.structs.replace(whole, **more))
