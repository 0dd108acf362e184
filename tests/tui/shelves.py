"""Galleries and records of judged runs, small and made up, for tests."""

import hashlib
import random
import struct
from pathlib import Path
from typing import Any

from engine.spec import gallery, outcomes
from engine.spec.gallery import Example, ExampleSet, Gallery
from engine.spec.outcomes import Outcome, pack, summarise

NAMES = ("cat", "dog", "deer", "ship")


def example(
    index: int, label: int, after: int, *, before: int | None = None, place: int = 0, size: int = 16, k: int = 4
):
    """Read as `before` (right, unless said) and, under attack, as `after`."""
    before = label if before is None else before

    def row(answer: int, sure: float) -> list[float | None]:
        return [sure if c == answer else (1 - sure) / (k - 1) for c in range(k)]

    return Example(
        index=index, label=label, clean_offset=2 * place * size, adversarial_offset=(2 * place + 1) * size,
        predicted_clean=before, predicted_adversarial=after, fooled=after != label,
        student_clean=row(before, 0.91), student_adversarial=row(after, 0.7),
        teacher_clean=row(label, 0.97), teacher_adversarial=row(label, 0.55),
    )  # fmt: skip


def hang(
    folder: Path, suite: dict[str, list[Example]], *, shape: tuple[int, int, int] = (1, 2, 2), names: Any = NAMES,
    values: list[float] | None = None,
):  # fmt: skip
    """A gallery in `evaluation/<checkpoint>`; every attack has the same pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    shelves = {}
    for attack, examples in suite.items():
        count = 2 * len(examples) * shape[0] * shape[1] * shape[2]
        numbers = values or [round(random.Random(i).random(), 3) for i in range(count)]
        content = struct.pack(f"<{len(numbers)}f", *numbers)
        (folder / f"{attack}.f32").write_bytes(content)
        shelves[attack] = ExampleSet(
            file=f"{attack}.f32", sha256=hashlib.sha256(content).hexdigest(), examples=examples
        )
    index = Gallery(shape=shape, classes=list(names), weights_sha256="w", indices_sha256="i", attacks=shelves)
    (folder / "gallery.json").write_bytes(gallery.encode(index))


def judge(folder: Path, attack: str, labels: list[int], predicted: list[int], classes: int = 4, **spec: Any) -> Outcome:
    """A record of these predictions."""
    robust = [label == guess for label, guess in zip(labels, predicted, strict=True)]
    made = summarise(labels, predicted, robust, classes)
    record = Outcome(
        checkpoint=folder.name, attack=attack, spec={"name": attack, "epsilon": "8/255"} | spec,
        n=len(labels), of=len(labels), robust=pack(robust), **made._asdict(),
        predicted=predicted, indices_sha256="i", data_sha256="d", weights_sha256="w", seconds=1.0, device="cpu",
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{attack}.json").write_bytes(outcomes.encode(record))
    return record


def run(runs: Path, name: str = "20261122-000000-crdnd-small_cnn-s0-abcd", *, kept: int = 20) -> Path:
    """A run folder with a config and nothing else."""
    folder = runs / name
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(f'[threat_model]\nepsilon = "8/255"\n[evaluation]\ngallery = {kept}\n')
    return folder
