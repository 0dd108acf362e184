"""What a run will cost, from its config alone: passes through the networks, FLOPs, memory, disk.

Counts are of what this engine does, not of the public codes, which repeat some passes. One multiply-accumulate is 2
FLOPs; only convolutions and linear layers count. What is not known before the data or the teacher are read is None.
"""

from dataclasses import dataclass, replace
from math import ceil, prod

from engine.spec import marks
from engine.spec.attacks import CW2, FGSM, PGD, Ascent, AttackSpec, AutoAttack, PGDRescaled, ThreatModel
from engine.spec.config import CheckpointTeacher, PresetTeacher, RobustBenchTeacher, RunConfig
from engine.spec.cost import ModelCost, Shape, model_cost
from engine.spec.data import FACTS, DataFacts
from engine.spec.methods import ARD, CRDND, IAD, PGDAT, RSLAD, TRADES, MethodSpec, Natural
from engine.spec.models import ModelSpec
from engine.spec.robustbench import models
from engine.spec.training import Evaluation

FLOAT = 4  # bytes
EVENT = 220  # bytes of one line of events.jsonl
REPORTS_PER_EPOCH = 100  # step_done events, as engine.train.loop says them
DIGITS = 20  # bytes of one number in JSON
OUTCOME = 3  # bytes of one image in an attack's record: the class it is taken for, and one bit
SURVIVING = 0.5  # assumed share of images that no part of AutoAttack fools; they are nearly its whole cost
AUTOATTACK_SURVIVOR = 9_720  # forwards: APGD-CE 202, APGD-T 1818, FAB-T 2700, Square 5000


@dataclass(frozen=True, kw_only=True)
class Passes:
    """Of one training step, each over the whole batch."""

    student_forward: int
    input_backward: int  # to the pixels alone; costs about one forward
    full_backward: int  # to the weights, too; costs about two forwards
    teacher_forward: int = 0

    @property
    def student_equivalents(self) -> int:
        """The student's passes, in forwards."""
        return self.student_forward + self.input_backward + 2 * self.full_backward


def passes_per_step(method: MethodSpec, steps: int, introspects: bool = True) -> Passes:
    """With an inner maximisation of so many steps; `introspects` is False in IAD's first epochs."""
    match method:
        case Natural():
            return Passes(student_forward=1, input_backward=0, full_backward=1)
        case PGDAT():
            return _passes(steps, views=1)
        case TRADES():  # p(x) of the attack is one forward more: it is taken in the attack's batch-norm mode
            return _passes(steps, views=2, targets=1)
        case ARD():
            return _passes(steps, views=1 if method.alpha == 1 else 2, teacher=1)
        case IAD():
            return _passes(steps, views=2, teacher=2) if introspects else _passes(steps, views=1, teacher=1)
        case RSLAD():
            return _passes(steps, views=2, teacher=1)
        case CRDND():
            return _passes(steps, views=2, teacher=2)


def _passes(steps: int, views: int, targets: int = 0, teacher: int = 0) -> Passes:
    """`views`: which of x and x' the student learns from; `targets`: its forwards without gradient."""
    return Passes(
        student_forward=steps + views + targets, input_backward=steps, full_backward=views, teacher_forward=teacher
    )


def attack_forwards(attack: AttackSpec) -> int:
    """Forwards per image, an input backward counted as one, the closing judgement included.

    An upper bound, far above what protocol `worst` needs; but for AutoAttack, which leaves an image when it is fooled,
    and where `SURVIVING` is an assumption.
    """
    match attack:
        case FGSM():
            return 3
        case CW2():
            return 2 * attack.search_steps * attack.steps + 1
        case AutoAttack():
            return round(SURVIVING * AUTOATTACK_SURVIVOR) + 1
        case PGDRescaled():
            return attack.climbs * attack.restarts * (2 * attack.steps + 1)
        case _:
            return attack.restarts * (2 * attack.steps + 1)


def check_forwards(evaluation: Evaluation, threat_model: ThreatModel, images: int) -> tuple[int, int]:
    """Of all checks of one checkpoint with so many images: forwards of the student or its twin, and of the teacher.

    An estimate: `SURVIVING` of the images are climbed again where rescaled PGD is compared with restarts, which honest
    models seldom need.
    """
    if not evaluation.suspect:
        return 0, 0
    looked, climbed, far = (min(some, images) for some in (marks.LOOK, marks.CLIMB, marks.FAR))
    climbs = [attack for attack in evaluation.attacks if attack.module == "pgd" and isinstance(attack, Ascent)]
    steps = climbs[0].steps if climbs else PGD().steps
    sweep = len(marks.radii(float(threat_model.epsilon))) - 1
    own = 3 * looked + 3 * climbed  # logits twice, the last third again; gradients of two losses
    own += min(marks.PLANTED, images) * (2 * marks.PLANTED_STEPS + 4)
    own += far * (sweep * (2 * marks.SWEEP_STEPS + 1) + 2 * marks.FAR_STEPS + 1)
    own += climbed * (marks.DRAWS + (2 * marks.LONGER * steps + 1 if climbs else 0))
    own += far * 2 + far * 2 * steps  # what teacher and twin give is looked at; the twin is climbed on
    rescaled = [attack for attack in evaluation.attacks if isinstance(attack, PGDRescaled)]
    if climbs:
        own += round(SURVIVING * images * sum(attack_forwards(attack) for attack in rescaled))
    return own, far * 2 * steps


@dataclass(frozen=True, kw_only=True)
class AttackCost:
    """Of one attack of the evaluation, over all checkpoints that are judged."""

    attack: str
    forwards: int  # per image, an input backward counted as one
    images: int
    flops: int


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes in float32 beside what PyTorch itself takes."""

    weights: int
    gradients: int
    momentum: int
    activations: int  # of all forwards whose graphs wait for the backward pass of one step
    teacher: int | None  # weights; None when its architecture is not known
    data: int  # uint8 images and int64 labels of the training split
    evaluation: int  # weights and activations of one attack step at the evaluation's batch size

    @property
    def training(self) -> int:
        """While training; without the teacher where that is not known."""
        return self.weights + self.gradients + self.momentum + self.activations + (self.teacher or 0) + self.data

    @property
    def peak(self) -> int:
        """The larger of training and evaluation, which do not overlap."""
        return max(self.training, self.evaluation)


@dataclass(frozen=True, kw_only=True)
class Disk:
    """Bytes of the run folder."""

    checkpoints: int  # the newest and the one before it: weights and momentum
    weights: int  # best and last
    events: int
    results: int  # outcomes of every image, and the gallery's pixels

    @property
    def total(self) -> int:
        """Of the whole folder."""
        return self.checkpoints + self.weights + self.events + self.results


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Of one run, without that of its teacher's training."""

    passes: Passes  # of one step; IAD's first epochs take fewer
    student: ModelCost | None = None
    teacher: ModelCost | None = None
    needs_teacher: bool
    images: int | None = None  # seen per epoch
    steps: int | None = None  # of the whole run
    flops_per_image: int | None = None  # of one training step
    training_flops: int | None = None
    validation_flops: int | None = None
    evaluation: tuple[AttackCost, ...] = ()
    checks: AttackCost | None = None  # of the evaluation's figures; None where none are made
    evaluation_flops: int | None = None  # with its checks
    memory: Memory | None = None
    disk: Disk | None = None

    @property
    def flops(self) -> int | None:
        """Of training, validation and evaluation together."""
        parts = (self.training_flops, self.validation_flops, self.evaluation_flops)
        known = [part for part in parts if part is not None]
        return sum(known) if len(known) == len(parts) else None


def estimate(
    config: RunConfig,
    image: Shape | None = None,
    classes: int | None = None,
    train_images: int | None = None,
    *,
    test_images: int | None = None,
    teacher_model: ModelSpec | None = None,
) -> Estimate:
    """The cost of `config`. What is left None is taken from `FACTS`, or stays unknown.

    `train_images` is the official training split, from which the validation images are still to be held out.
    `teacher_model` is needed only where neither the config nor our table of RobustBench ids says it: saved runs.
    """
    if facts := FACTS.get(config.data.name):
        image, classes = image or facts.image, classes or facts.classes
        train_images, test_images = train_images or facts.train, test_images or facts.test
    passes = passes_per_step(config.method, config.inner.steps)
    known = Estimate(passes=passes, needs_teacher=config.method.needs_teacher)
    if image is None or classes is None:
        return known
    student = model_cost(config.student, classes, image)
    model = teacher_model or _teacher_model(config)
    teacher = model_cost(model, classes, image) if config.method.needs_teacher and model is not None else None
    known = replace(known, student=student, teacher=teacher, flops_per_image=_flops(passes, student, teacher))
    if train_images is None or test_images is None:
        return known
    facts = DataFacts(image=image, classes=classes, train=train_images, test=test_images)
    return _counted(known, config, facts, student)


def _counted(part: Estimate, config: RunConfig, facts: DataFacts, student: ModelCost) -> Estimate:
    """The rest, once the sizes of the splits are known."""
    images, steps_per_epoch = _epoch(config, facts.train)
    validations = ceil(config.training.epochs / config.selection.every)  # the last epoch is always validated
    per_image = 1 + sum(attack_forwards(attack) for attack in config.selection.attacks)
    validation = 2 * student.macs * per_image * config.data.validation * validations
    judged = min(config.evaluation.images or facts.test, facts.test)
    evaluation, checks = _evaluation(config, judged, student), _checks(config, judged, student, part.teacher)
    return replace(
        part,
        images=images,
        steps=steps_per_epoch * config.training.epochs,
        training_flops=_training_flops(config, images, student, part.teacher),
        validation_flops=validation,
        evaluation=evaluation,
        checks=checks,
        evaluation_flops=sum(row.flops for row in evaluation) + (checks.flops if checks else 0),
        memory=_memory(config, facts, student, part.teacher),
        disk=_disk(config, facts, judged, student),
    )


def _teacher_model(config: RunConfig) -> ModelSpec | None:
    """The teacher's architecture, where the config holds it."""
    match config.teacher:
        case CheckpointTeacher():
            return config.teacher.model
        case RobustBenchTeacher():
            entry = models().get((config.data.name, config.teacher.robustbench))
            return entry.model if entry is not None else None
        case PresetTeacher() if config.teacher.config is not None:
            return config.teacher.config.student
        case _:
            return None


def _flops(passes: Passes, student: ModelCost, teacher: ModelCost | None) -> int | None:
    """Per image of one step; None when a teacher is asked whose cost is not known."""
    if passes.teacher_forward and teacher is None:
        return None
    asked = passes.teacher_forward * teacher.macs if teacher is not None else 0
    return 2 * (passes.student_equivalents * student.macs + asked)


def _epoch(config: RunConfig, train_images: int) -> tuple[int, int]:
    """Images and steps of one epoch."""
    rest = max(train_images - config.data.validation, 0)
    images = min(config.data.train_images or rest, rest)
    batch = config.training.batch_size
    if config.training.drop_last:
        return images // batch * batch, images // batch
    return images, ceil(images / batch)


def _training_flops(config: RunConfig, images: int, student: ModelCost, teacher: ModelCost | None) -> int | None:
    method, epochs = config.method, config.training.epochs
    early = min(method.begin, epochs) if isinstance(method, IAD) else 0
    later = _flops(passes_per_step(method, config.inner.steps), student, teacher)
    before = _flops(passes_per_step(method, config.inner.steps, introspects=False), student, teacher)
    if later is None or before is None:
        return None
    return images * (early * before + (epochs - early) * later)


def _evaluation(config: RunConfig, judged: int, student: ModelCost) -> tuple[AttackCost, ...]:
    images = judged * len(config.evaluation.checkpoints)

    def cost(attack: AttackSpec) -> AttackCost:
        forwards = attack_forwards(attack)
        flops = 2 * student.macs * forwards * images
        return AttackCost(attack=attack.key, forwards=forwards, images=images, flops=flops)

    clean = AttackCost(attack="clean", forwards=1, images=images, flops=2 * student.macs * images)
    return (clean, *(cost(attack) for attack in config.evaluation.attacks))


def _checks(config: RunConfig, judged: int, student: ModelCost, teacher: ModelCost | None) -> AttackCost | None:
    """Of all checkpoints; the teacher counts where it is known."""
    own, asked = check_forwards(config.evaluation, config.threat_model, judged)
    if not own:
        return None
    checkpoints = len(config.evaluation.checkpoints)
    flops = 2 * checkpoints * (own * student.macs + (asked * teacher.macs if teacher else 0))
    return AttackCost(attack="checks", forwards=ceil(own / judged), images=judged * checkpoints, flops=flops)


def _memory(config: RunConfig, facts: DataFacts, student: ModelCost, teacher: ModelCost | None) -> Memory:
    weights = FLOAT * student.parameters
    graph = FLOAT * student.activation_floats  # of one image
    graphs = passes_per_step(config.method, config.inner.steps).full_backward
    return Memory(
        weights=weights,
        gradients=weights,
        momentum=weights if config.training.momentum else 0,
        activations=graphs * graph * config.training.batch_size,
        teacher=(None if teacher is None else FLOAT * teacher.parameters) if config.method.needs_teacher else 0,
        data=facts.train * (prod(facts.image) + 8),
        evaluation=weights + graph * config.evaluation.batch_size,
    )


def _disk(config: RunConfig, facts: DataFacts, judged: int, student: ModelCost) -> Disk:
    weights, epochs = FLOAT * student.parameters, config.training.epochs
    _, steps = _epoch(config, facts.train)
    reports = ceil(steps / max(1, steps // REPORTS_PER_EPOCH))
    has_matrices = isinstance(config.method, CRDND) and config.method.compensate
    matrices = 2 * DIGITS * facts.classes**2 if has_matrices else 0  # M1 and M2 in each epoch_done
    validations = ceil(epochs / config.selection.every)
    records = len(config.evaluation.checkpoints) * (1 + len(config.evaluation.attacks))
    # Pixels of the clean and the adversarial image, and what student and teacher say of both.
    example = 2 * FLOAT * prod(facts.image) + 4 * DIGITS * facts.classes
    return Disk(
        checkpoints=2 * weights * (2 if config.training.momentum else 1),
        weights=2 * weights,
        events=EVENT * ((reports + 2) * epochs + validations + records) + matrices * epochs,
        results=records * (OUTCOME * (judged + facts.classes**2) + config.evaluation.gallery * example),
    )
