"""A small table of teacher logits for tests: its key, views, and a process of its own that writes."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from engine.data.augment import Draws
from engine.fast.teacher_logits import TeacherLogits, open_table
from engine.spec.teacher_logits import TableKey

ROOT = Path(__file__).parent.parent.parent
ROOMY = 1 << 30
KEY = TableKey(
    teacher_sha256="a" * 64, model='{"name":"small_cnn"}', data_sha256="b" * 64, images=16, classes=3, padding=1,
    flip=True, image=(2, 5, 4), precision="float32", folded=False, layout="contiguous", device="cpu", torch="2.15",
    rows=16,
)  # fmt: skip


def key(**changes) -> TableKey:
    return replace(KEY, **changes)


def opened(folder: Path, **changes) -> TeacherLogits:
    return open_table(folder, key(**changes), ROOMY)[0]


def every(table: TeacherLogits) -> Draws:
    """All views, in order, and the last one again where it fills up its chunk."""
    parts = zip(*(table.views_of(chunk) for chunk in range(table.key.chunks)), strict=True)
    return Draws(*(torch.cat(part) for part in parts))


def all_of(table: TeacherLogits) -> np.ndarray:
    """The numbers of all chunks."""
    return np.arange(table.key.chunks)


def missing(table: TeacherLogits) -> int:
    """How many chunks."""
    return len(table.absent(all_of(table)))


def random_logits(key: TableKey, chunk: int) -> torch.Tensor:
    """Of one chunk."""
    return torch.randn(key.rows, key.classes, generator=torch.Generator().manual_seed(chunk))


def scribbled(table: TeacherLogits) -> TeacherLogits:
    """The table, with random logits everywhere."""
    for chunk in range(table.key.chunks):
        table.write(chunk, random_logits(table.key, chunk))
    return table


def process(program: str, *words: str) -> "subprocess.Popen[str]":
    """An interpreter of its own that runs this program; it has said `open`, and waits for a line."""
    made = subprocess.Popen([sys.executable, "-c", program, *words], cwd=ROOT, text=True, stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    assert made.stdout is not None and made.stdout.readline() == "open\n"
    return made
