"""The evaluation of one small net, by one process or by ranks that share its batches."""

import json
from pathlib import Path

from engine.evaluate import autoattack
from engine.evaluate.evaluation import evaluate
from engine.runtime.distributed import Ranks
from engine.runtime.interrupt import Stopped
from engine.spec.attacks import CW2, FGSM, PGD, AutoAttack, ThreatModel
from engine.spec.base import Pixels
from engine.spec.events import Event
from engine.spec.rundir import RunDir
from engine.spec.training import Evaluation
from tests.engine.subjects import assemble, short_autoattack, subject, trained

EVALUATION = Evaluation(
    attacks=(
        FGSM(),
        PGD(steps=3, step_size=Pixels(0.04)),
        CW2(steps=4, search_steps=2, initial_constant=10.0, learning_rate=0.05),
        AutoAttack(),
    ),
    batch_size=8,
    gallery=5,
)
NEAR = ThreatModel(epsilon=Pixels(0.1))
IMAGES = 29  # four batches: the last round of two ranks is whole, that of three is not


def judge(ranks: Ranks, folder: Path, stop_after: int | None = None) -> tuple[list[str], str]:
    """The events and why it stopped, if it did; the last rank is stopped after so many forward passes of its own."""
    autoattack.assemble = short_autoattack
    said: list[Event] = []
    passes = 0

    def pause() -> None:
        nonlocal passes
        passes += 1
        if stop_after is not None and passes > stop_after and ranks.rank == ranks.world_size - 1:
            raise Stopped("SIGUSR1")

    who = subject(trained(robust=True), IMAGES, of=60, teacher=trained())._replace(ranks=ranks)
    try:
        evaluate(who, EVALUATION, NEAR, RunDir(folder), said.append, pause)
    except Stopped as stop:
        return [type(event).__name__ for event in said], stop.reason
    finally:
        autoattack.assemble = assemble
    return [type(event).__name__ for event in said], ""


def files(folder: Path) -> dict[str, object]:
    """What the evaluation left, less the seconds that it took."""
    found: dict[str, object] = {}
    for path in sorted((folder / "evaluation").rglob("*")):
        if path.suffix == ".json":
            found[path.name] = {key: value for key, value in json.loads(path.read_bytes()).items() if key != "seconds"}
        elif path.is_file():
            found[path.name] = path.read_bytes()
    return found


def hold(ranks: Ranks, folder: Path) -> dict[str, object]:
    """Stopped in the middle, gone on with; then all of it at once: what the ranks said in both."""
    stopped = judge(ranks, folder / "stopped", stop_after=14)
    ranks.barrier()
    return {"stopped": stopped, "again": judge(ranks, folder / "stopped"), "whole": judge(ranks, folder / "whole")}
