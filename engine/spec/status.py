"""status.json: where a run stands, replaced atomically. All that a list of runs has to read."""

import time
from typing import Literal

import msgspec
from msgspec import Struct

from engine.spec.events import Count, Fraction, Moment, Rate, Seconds

Phase = Literal["starting", "teacher", "training", "evaluation", "done", "stopped", "failed"]


class Status(Struct, frozen=True, kw_only=True):
    """A snapshot; `heartbeat` says when the engine last lived."""

    run: str
    phase: Phase
    reason: str = ""  # why it stopped or failed
    name: str = ""
    method: str = ""
    student: str = ""
    teacher: str = ""
    data: str = ""
    seed: int = 0
    config_hash: str = ""
    group_hash: str = ""
    epsilon: str = ""
    epoch: Count = 0  # finished epochs
    epochs: Count = 0
    step: Count = 0
    total_steps: Count = 0
    images_per_second: Rate = 0.0
    seconds_per_step: Seconds = 0.0
    eta_seconds: Rate | None = None  # of the training
    loss: float | None = None
    best_epoch: Count = 0
    validation: dict[str, Fraction] = {}
    results: dict[str, dict[str, Fraction]] = {}  # checkpoint -> attack -> accuracy, fractions
    results_n: Count = 0
    warnings: Count = 0
    marks: list[tuple[str, str, str]] = []  # code, checkpoint and attack of each warning, each once
    probed: dict[str, tuple[int, int]] = {}  # checkpoint -> checks that were made, and that there are
    attack: str = ""  # being run now: "best autoattack apgd-ce 120/597"
    pid: Count = 0
    host: str = ""
    created: Moment = 0.0  # unix seconds
    heartbeat: Moment = msgspec.field(default_factory=time.time)
    events_bytes: Count = 0


def encode(status: Status) -> bytes:
    return msgspec.json.encode(status)


def decode(content: bytes) -> Status:
    """ValueError (msgspec's errors are) when the content is no status."""
    return msgspec.json.decode(content, type=Status)
