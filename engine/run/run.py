"""A run: names of the config become data, networks and method; then training, then the final evaluation."""

from importlib import import_module
from typing import Any

import torch
from torch import nn

from engine.data.augment import Feed
from engine.data.splits import split_training
from engine.evaluate import surrogate
from engine.evaluate.context import EvaluationSubject
from engine.evaluate.evaluation import evaluate, subset
from engine.evaluate.outcomes import machines_apart
from engine.run.context import RunContext
from engine.run.fast_path import TeacherLogitsOpener, build_fast_path
from engine.runtime import provenance
from engine.runtime.rng import seed_for
from engine.spec.config import JudgeConfig, RunConfig
from engine.spec.errors import CheckpointError, DataError, TeacherError
from engine.spec.events import CheckpointSaved, EvaluationStarted, RunResumed, StageStarted, TrainingStarted, Warned
from engine.spec.files import free_bytes, read_table
from engine.spec.models import ModelSpec
from engine.teachers import load, weights
from engine.teachers.load import TeacherSource
from engine.train import checkpoint
from engine.train.loop import Hooks, Trainer
from engine.train.reporter import LOG_DAMAGED
from engine.train.selection import Selector, weights_facts
from engine.types import Dataset, Nets, Split, TrainingMethod

OWN_KEYS = ("config_hash", "events", "best", "data", "teacher")  # of a checkpoint, beside the trainer's
TRAINER_KEYS = ("student", "optimizer", "method", "method_optimizers", "epoch", "batch", "step", "ledger")
KEYS = frozenset((*OWN_KEYS, *TRAINER_KEYS))
DISK_CHECKPOINTS = 6  # two kept, one being written, best and last weights, and the evaluation


def train_and_evaluate(config: RunConfig, context: RunContext, *, begun: bool) -> None:
    """The whole run; where it has `begun`, from where its last checkpoint left it."""
    loaded = _resume(config, context) if begun else None
    dataset, data_hashes = context.load_data(config.data, screened=loaded is None, trains=True)
    training, validation, places = split_training(config.data, dataset)

    context.configure_model(config.student, dataset, config.training.batch_size, learns=True)
    here = _machine(context, goes_on=loaded is not None)
    torch.manual_seed(seed_for(config.seed, "student"))
    student = context.build(config.student, dataset)
    source, teacher = load_teacher(config, context, dataset)
    if loaded is None and source is not None and teacher is not None:
        _check_teacher(config, context, source, teacher, load.check_split(validation, dataset))
    nets = Nets(student, teacher, len(dataset.classes), context.device)
    fast = build_fast_path(config, context, nets, dataset, source)
    feed = Feed(training, config.data, context.device, context.format, config.training.batch_size, places)

    method: TrainingMethod = import_module(f"engine.methods.{config.method.name}").Method(config.method, fast.nets)
    facts = {"data": data_hashes["train"], "teacher": source.sha256 if source else ""}
    selector = Selector(config, student, validation, context.run, context.device, context.pause,
                        folded=context.machine.folds, ranks=context.ranks)  # fmt: skip
    trainer = Trainer(config, nets, method, feed, _hooks(config, context, selector, facts), fast)
    if loaded is not None:
        _restore(trainer, selector, loaded, facts)
    elif not trainer.steps_per_epoch:
        raise DataError(f"{len(feed)} training images are less than one batch of {feed.batch_size}")
    if not trainer.finished and source is not None:
        TeacherLogitsOpener(
            fast=fast, config=config, context=context, source=source, dataset=dataset, data_sha256=data_hashes["train"],
            feed=feed, resumed=loaded is not None,
        ).open_teacher_logits()  # fmt: skip
    if context.ranks.is_leader:
        switches = fast.plan.switches()
        if trainer.finished:
            switches = read_table(context.run.provenance).get("switches", {})
        here |= {
            "config_hash": config.config_hash,
            "group_hash": config.group_hash,
            "seed": config.seed,
            "data_sha256": data_hashes,
            "images": {"train": len(dataset.train.labels), "test": len(dataset.test.labels)},
            "notes": list(dataset.notes),
            "teacher": {"source": source.label, "sha256": source.sha256} if source else None,
            "switches": switches,
        }
        provenance.write(context.run.provenance, here)
    if not trainer.finished:
        _say_training(config, context, trainer, list(dataset.classes), new=loaded is None)
        trainer.run()
    fast.close()
    if context.ranks.is_leader:
        told = weights_facts(config, "last") | {"epoch": str(config.training.epochs)}
        weights.save(context.run.weights_of("last"), student, told)
    context.ranks.barrier()
    evaluate_checkpoints(config, context, dataset, data_hashes["test"], student, config.student, teacher)


def _check_teacher(
    config: RunConfig, context: RunContext, source: TeacherSource, teacher: nn.Module, images: Split
) -> None:
    """Measure the teacher on these images before the first step, and say what came out."""
    context.reporter.say(StageStarted(stage="check"))
    hook = teacher.register_forward_pre_hook(lambda _net, _x: context.pause())  # a large teacher takes its time
    event, warnings = context.ranks.on_leader(
        lambda: load.check(teacher, source, images, config.threat_model, context.device, config.seed, config.data)
    )
    hook.remove()
    context.reporter.say(event)
    for warning in warnings:
        context.reporter.say(warning)


def load_teacher(
    config: RunConfig, context: RunContext, dataset: Dataset
) -> tuple[TeacherSource | None, nn.Module | None]:
    """The frozen teacher, and where it came from."""
    if config.teacher is None:
        return None, None
    source = load.locate(
        config.teacher,
        runs=context.machine.runs_folder,
        data=context.machine.data_folder,
        dataset=config.data.name,
        sha256=str((read_table(context.run.provenance).get("teacher") or {}).get("sha256", "")),
    )
    load.check_classes(source, dataset.classes)
    teacher, notes = load.load(
        source, lambda spec: context.build(spec, dataset, context.layout_of(spec)), context.device
    )
    context.notes += [f"teacher: {note}" for note in notes]
    return source, teacher


def evaluate_checkpoints(
    config: RunConfig | JudgeConfig,
    context: RunContext,
    dataset: Dataset,
    test_sha256: str,
    net: nn.Module,
    model: ModelSpec,
    teacher: nn.Module | None,
) -> None:
    """Every attack on every checkpoint that the evaluation names, on the test split."""
    evaluation, runs = config.evaluation, context.machine.runs_folder
    indices = subset(dataset.test.labels, evaluation.images, evaluation.seed)
    of = len(dataset.test.labels)
    attacks = ["clean", *(attack.key for attack in evaluation.attacks), "worst"]
    context.reporter.say(StageStarted(stage="evaluation"))
    context.reporter.say(
        EvaluationStarted(checkpoints=list(evaluation.checkpoints), attacks=attacks, n=len(indices), of=of)
    )
    for name in evaluation.checkpoints:
        state, facts = weights.load(context.run.weights_of(name))
        weights.fit(net, state, where=str(context.run.weights_of(name)))
        subject = EvaluationSubject(
            net=net,
            teacher=teacher,
            checkpoint=name,
            images=Split(dataset.test.images[indices], dataset.test.labels[indices]),
            classes=dataset.classes,
            of=of,
            indices=indices,
            data_sha256=test_sha256,
            weights_sha256=facts["digest"],
            device=context.device,
            ranks=context.ranks,
            surrogate=lambda: surrogate.find(
                config, model, context.run, runs, context.ranks, lambda spec: context.build(spec, dataset)
            ),
        )
        said, folded = context.reporter.say, context.machine.folds
        evaluate(subject, evaluation, config.threat_model, context.run, said, context.pause, folded=folded)


def evaluate_only(config: JudgeConfig, context: RunContext) -> None:
    """`crdnd evaluate`: evaluate weights from elsewhere."""
    dataset, data_hashes = context.load_data(config.data, screened=True, trains=False)
    source = load.locate(
        config.subject, runs=context.machine.runs_folder, data=context.machine.data_folder, dataset=config.data.name
    )
    load.check_classes(source, dataset.classes)
    context.configure_model(source.model, dataset, config.evaluation.batch_size)
    net, notes = load.load(source, lambda spec: context.build(spec, dataset), context.device)
    facts = provenance.collect(context.device) | {
        "layout": context.layout,
        "data_sha256": data_hashes,
        "subject_sha256": source.sha256,
        "notes": [*notes, *dataset.notes],
    }
    if context.ranks.is_leader:
        provenance.write(context.run.provenance, facts)
        said_of_it = {"source": source.label, "source_sha256": source.sha256}
        for name in config.evaluation.checkpoints:
            weights.save(context.run.weights_of(name), net.net, said_of_it)
    context.ranks.barrier()
    evaluate_checkpoints(config, context, dataset, data_hashes["test"], net.net, source.model, None)


def _hooks(config: RunConfig, context: RunContext, selector: Selector, facts: dict[str, str]) -> Hooks:
    def save(state: dict[str, Any]) -> None:
        if not context.ranks.is_leader:  # every rank has the same state
            return
        context.reporter.sync()
        own = {"events": list(context.reporter.position), "best": selector.state_dict()}
        whole = state | facts | {"config_hash": config.config_hash} | own
        assert set(whole) == KEYS
        path = checkpoint.save(context.run.checkpoints, whole)
        _say_saved(context, path.name, whole)

    say, beat, wanted_stop = context.reporter.say, context.reporter.beat, context.wanted_stop
    every = context.machine.checkpoint_seconds
    return Hooks(say=say, wanted_stop=wanted_stop, validate=selector.validate, save=save, beat=beat, save_every=every)


def _say_saved(context: RunContext, file: str, state: dict[str, Any]) -> None:
    """The checkpoint is on disk: said after it is, and said again by an engine that resumes from it."""
    size = (context.run.checkpoints / file).stat().st_size
    context.reporter.say(CheckpointSaved(step=state["step"], epoch=state["epoch"] - 1, file=file, bytes=size))


def _resume(config: RunConfig, context: RunContext) -> checkpoint.LoadedCheckpoint:
    """The newest whole checkpoint; the log is cut back to where it was written. What was lost is said."""
    loaded = checkpoint.load(context.run.checkpoints, KEYS, config.config_hash)
    context.ranks.barrier()  # nobody saves, and so removes, while another still reads
    reporter, (size, seq) = context.reporter, loaded.state["events"]
    discarded = reporter.cut_back(size, seq)
    lost = size - reporter.position[0]
    _say_saved(context, loaded.file, loaded.state)
    own, step = reporter.status, loaded.state["step"]
    reporter.say(RunResumed(step=step, discarded=discarded, checkpoint=loaded.file, pid=own.pid, host=own.host))
    if lost:
        reporter.say(Warned(code="events_lost", message=f"{lost} bytes of the log of events are gone"))
    if reporter.damage:
        reporter.say(Warned(code=LOG_DAMAGED, message=reporter.damage))
    for name in loaded.damaged:
        message = f"{name} is damaged; the one before it, {loaded.file}, is used"
        reporter.say(Warned(code="checkpoint_damaged", message=message))
    return loaded


def _restore(trainer: Trainer, selector: Selector, loaded: checkpoint.LoadedCheckpoint, facts: dict[str, str]) -> None:
    for name, kind in (("data", DataError), ("teacher", TeacherError)):
        then = loaded.state[name]
        if then != facts[name]:
            raise kind(f"the {name} is not what this run began with (sha256 {then[:12]}, now {facts[name][:12]})")
    try:
        trainer.load_state_dict(loaded.state)
        selector.load_state_dict(loaded.state["best"])
    except (KeyError, ValueError, RuntimeError, TypeError, AttributeError) as error:
        raise CheckpointError(f"does not fit: {error}", where=loaded.file) from error


def _machine(context: RunContext, *, goes_on: bool) -> dict[str, Any]:
    """Facts of code and machine. A note tells why a run that goes on equals an unbroken one to rounding only."""
    here = provenance.collect(context.device) | {"layout": context.layout}
    then = read_table(context.run.provenance)
    apart = machines_apart(then, here)
    if then.get("layout", here["layout"]) != here["layout"]:
        apart.append(f"layout {then['layout']} -> {here['layout']}")
    if "gpu" in here:
        apart.append("on a GPU kernels are chosen by timing them")
    if goes_on and apart:
        context.notes.append(f"goes on to rounding, not bit for bit: {', '.join(apart)}")
    return here


def _say_training(config: RunConfig, context: RunContext, trainer: Trainer, classes: list[str], *, new: bool) -> None:
    """Say what begins, or goes on: an engine that resumes may run on another device, with other shortcuts.

    Of a new run, save the first checkpoint, and warn of a subset of the data and of a disk that may become full.
    """
    say = context.reporter.say
    say(StageStarted(stage="training"))
    say(
        TrainingStarted(
            epochs=config.training.epochs,
            steps_per_epoch=trainer.steps_per_epoch,
            images=len(trainer.feed),
            classes=classes,
            device=str(context.device),
            student_parameters=sum(p.numel() for p in trainer.nets.student.parameters()),
            notes=[*context.notes, "images on the device" if trainer.feed.resident else "images in host memory"],
            switches=trainer.fast.plan.switches(),
        )
    )
    if not new:
        return
    if config.data.train_images:
        say(Warned(code="train_subset", message=f"trained on {len(trainer.feed)} images only, not on the whole split"))
    trainer.hooks.save(trainer.state_dict())
    size = max((path.stat().st_size for path in context.run.checkpoints.glob("*.pt")), default=0)
    wanted, free = DISK_CHECKPOINTS * size, free_bytes(context.run.path)
    if free is not None and free < wanted:
        say(Warned(code="disk_low", message=f"{free >> 20} MiB are free; the run may need {wanted >> 20} MiB"))
