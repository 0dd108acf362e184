"""The loop: which steps there are, what is said after them, and a run cut anywhere that ends as the unbroken one."""

import io
from importlib import import_module

import msgspec
import pytest
import torch

from engine.data.augment import Feed
from engine.runtime.interrupt import Stopped
from engine.spec.base import Pixels
from engine.spec.config import RunConfig, RunTeacher
from engine.spec.data import Npz
from engine.spec.events import EpochDone, StepDone, Validated
from engine.spec.methods import CRDND, IAD, RSLAD, TRADES, Natural
from engine.spec.models import SmallCNN
from engine.spec.training import Inner, MultiStep, Training
from engine.train.loop import Hooks, Trainer
from engine.types import Loss, Nets, Split, TrainingMethod
from tests.engine.method_bench import CLASSES, SPECS, Net

IMAGES = 22
ALL_METHODS = [
    *(spec() for spec in SPECS),
    IAD(begin=1),
    CRDND(off_diagonal="learned"),
    CRDND(recall="running", target="relational"),
    CRDND(recall="global", inner="margin", anchor="teacher"),
]
VOLATILE = ("time", "seconds", "images_per_second", "shares")


class Journal:
    """Keeps what the loop says and saves; asks it to stop once a number of steps is done."""

    def __init__(self, stop_at: int = -1) -> None:
        self.events, self.saved, self.stop_at, self.trainer = [], [], stop_at, None
        self.stop_in_validation = False

    def hooks(self) -> Hooks:
        return Hooks(say=self.events.append, wanted_stop=self.wanted, validate=self.validate, save=self.save)

    def wanted(self) -> str:
        return "test" if self.trainer.step == self.stop_at else ""

    def validate(self, epoch: int, step: int) -> Validated | None:
        if self.stop_in_validation and epoch == 1:
            raise Stopped("test")
        return Validated(epoch=epoch, step=step, n=1, accuracy={}, by="clean", best=True, seconds=0.0)

    def save(self, state) -> None:
        disk = io.BytesIO()
        torch.save(state, disk)
        self.saved.append(disk)

    def state(self):
        self.saved[-1].seek(0)
        return torch.load(self.saved[-1], weights_only=True)

    def facts(self, kind=object) -> list[dict]:
        found = [msgspec.structs.asdict(event) for event in self.events if isinstance(event, kind)]
        return [{key: value for key, value in fact.items() if key not in VOLATILE} for fact in found]


def config(method, **training) -> RunConfig:
    given = {"epochs": 2, "batch_size": 6, "learning_rate": 0.05, "schedule": MultiStep(milestones=(1,))} | training
    return RunConfig(
        seed=3,
        data=Npz(path="-", crop_padding=1),
        student=SmallCNN(),
        method=method,
        teacher=RunTeacher(run="-") if method.needs_teacher else None,
        inner=Inner(steps=2, step_size=Pixels(0.02)),
        training=Training(**given),
    )


def trainer(given: RunConfig, journal: Journal, count: int = IMAGES, method: TrainingMethod | None = None) -> Trainer:
    draws = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (count, 2, 3, 3), generator=draws, dtype=torch.uint8)
    split = Split(images, torch.arange(count) % CLASSES)
    cpu = torch.device("cpu")
    student = Net(0)
    teacher = Net(100).eval().requires_grad_(False) if given.method.needs_teacher else None
    nets = Nets(student, teacher, CLASSES, cpu)
    made = method or import_module(f"engine.methods.{given.method.name}").Method(given.method, nets)
    feed = Feed(split, given.data, cpu, torch.contiguous_format, given.training.batch_size)
    journal.trainer = Trainer(given, nets, made, feed, journal.hooks())
    return journal.trainer


def same(a: object, b: object) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a if k != "seconds")
    if isinstance(a, list | tuple):
        return isinstance(b, list | tuple) and len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def label(method) -> str:
    changed = {key: value for key, value in method.model_dump(exclude_defaults=True).items() if key != "name"}
    return " ".join([method.name, *map(str, changed.values())])


@pytest.mark.parametrize("method", ALL_METHODS, ids=label)
def test_a_run_cut_after_any_step_ends_as_the_unbroken_one(method):
    given, whole = config(method), Journal()
    trainer(given, whole).run()
    for stop_at in (1, 3, 4, 6, 8):  # of 4 steps in each of 2 epochs
        first, second = Journal(stop_at), Journal()
        with pytest.raises(Stopped):
            trainer(given, first).run()
        resumed = trainer(given, second)
        resumed.load_state_dict(first.state())
        assert resumed.step == stop_at
        resumed.run()
        assert first.facts() + second.facts() == whole.facts()
        assert same(second.state(), whole.state())


def test_a_run_cut_in_validation_validates_again_and_ends_as_the_unbroken_one():
    given, whole, first, second = config(TRADES()), Journal(), Journal(), Journal()
    trainer(given, whole).run()
    first.stop_in_validation = True
    with pytest.raises(Stopped):
        trainer(given, first).run()
    resumed = trainer(given, second)
    resumed.load_state_dict(first.state())
    resumed.run()
    assert first.facts() + second.facts() == whole.facts()
    assert same(second.state(), whole.state())


def test_the_same_seed_gives_the_same_run_and_another_seed_another():
    runs = []
    for seed in (3, 3, 4):
        journal = Journal()
        trainer(config(RSLAD()).model_copy(update={"seed": seed}), journal).run()
        runs.append(journal)
    assert same(runs[0].state(), runs[1].state())
    assert not same(runs[0].state()["student"], runs[2].state()["student"])


@pytest.mark.parametrize(
    ("count", "drop_last", "steps"),
    [(24, False, 4), (24, True, 4), (22, False, 4), (22, True, 3), (19, False, 3), (20, False, 4), (5, True, 0)],
)
def test_an_epoch_has_a_step_for_each_batch_but_for_a_last_batch_of_one_image(count, drop_last, steps):
    journal = Journal()
    made = trainer(config(Natural(), drop_last=drop_last, epochs=1), journal, count)
    assert made.steps_per_epoch == steps
    if steps:
        made.run()
        assert [event.step for event in journal.events if isinstance(event, StepDone)] == list(range(1, steps + 1))
        assert made.step == steps
        assert made.finished


def test_every_image_is_seen_once_per_epoch():
    seen = []

    class Watching(TrainingMethod):
        def loss(self, x, y, maximise) -> Loss:
            seen.extend(y.tolist())
            return Loss(student.linear(x.flatten(1)).square().mean(), {})

    journal = Journal()
    made = trainer(config(Natural(), epochs=1), journal, method=Watching())
    student = made.nets.student
    made.run()
    assert sorted(seen) == sorted(i % CLASSES for i in range(IMAGES))


def test_the_rate_of_the_schedule_is_applied_and_said():
    """Every gradient is 1 and there is no momentum: a step of 0.05 four times, then of 0.005 four times."""

    class Sum(TrainingMethod):
        def loss(self, x, y, maximise) -> Loss:
            return Loss(student.linear.weight.sum(), {})

    journal = Journal()
    made = trainer(config(Natural(), momentum=0.0, weight_decay=0.0), journal, method=Sum())
    student = made.nets.student
    before = student.linear.weight.detach().clone()
    made.run()
    assert torch.allclose(before - student.linear.weight, torch.full_like(before, 4 * 0.05 + 4 * 0.005), atol=1e-6)
    assert [fact["learning_rate"] for fact in journal.facts(EpochDone)] == pytest.approx([0.05, 0.005])


def test_a_checkpoint_is_saved_within_an_epoch_when_its_time_has_come():
    journal, now = Journal(), [0.0]
    made = trainer(config(Natural(), epochs=1), journal)

    def clock() -> float:
        now[0] += 1.0
        return now[0]

    made.hooks.clock, made.hooks.save_every = clock, 3.0
    made.run()
    saved = [torch.load(io.BytesIO(disk.getvalue()), weights_only=True) for disk in journal.saved]
    assert len(saved) > 1
    assert all(state["batch"] < made.steps_per_epoch for state in saved)
    assert (saved[-1]["epoch"], saved[-1]["batch"], saved[-1]["step"]) == (2, 0, 4)


def test_the_events_of_an_epoch_stand_in_the_order_steps_epoch_validation():
    journal = Journal()
    trainer(config(Natural(), epochs=1), journal).run()
    assert [type(event).__name__ for event in journal.events] == ["StepDone"] * 4 + ["EpochDone", "Validated"]
