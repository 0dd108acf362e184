"""What a run will cost, from its config alone: passes through the networks, FLOPs, memory, disk.

Counts are of what this engine does, not of the public codes, which repeat some passes. One multiply-accumulate is 2
FLOPs; only convolutions and linear layers count. What is not known before the data or the teacher are read is None.
"""

from dataclasses import dataclass
from math import ceil, prod

from engine.spec import marks
from engine.spec.attacks import CW2, FGSM, PGD, Ascent, AttackSpec, AutoAttack, PGDRescaled
from engine.spec.config import CheckpointTeacher, PresetTeacher, RobustBenchTeacher, RunConfig
from engine.spec.cost import ModelCost, model_cost
from engine.spec.data import FACTS, DataFacts
from engine.spec.methods import ARD, CRDND, IAD, PGDAT, RSLAD, TRADES, MethodSpec, Natural
from engine.spec.models import ModelSpec
from engine.spec.robustbench import models

FLOAT = 4  # bytes
EVENT = 220  # bytes of one line of events.jsonl
REPORTS_PER_EPOCH = 100  # step_done events, at most twice as many
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
    views, targets, teacher = 1, 0, 0  # of x and x', those it learns from; forwards without gradient; the teacher's
    match method:
        case Natural():
            steps = 0
        case PGDAT():
            pass
        case TRADES():  # p(x) of the attack is one forward more: it is taken in the attack's batch-norm mode
            views, targets = 2, 1
        case ARD():
            views, teacher = 1 if method.alpha == 1 else 2, 1
        case IAD():
            views, teacher = (2, 2) if introspects else (1, 1)
        case RSLAD():
            views, teacher = 2, 1
        case CRDND():
            views, teacher = 2, 2
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
        return self.checkpoints + self.weights + self.events + self.results


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Of one run, without that of its teacher's training. Of a data set that is not in `FACTS` only `passes`."""

    passes: Passes  # of one step; IAD's first epochs take fewer
    student: ModelCost | None = None
    teacher: ModelCost | None = None  # None, too, for a saved run, whose model the config does not tell
    needs_teacher: bool
    images: int | None = None  # seen per epoch
    steps: int | None = None  # of the whole run
    flops_per_image: int | None = None  # of one training step; None, as the next, without the teacher's cost
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
        if self.training_flops is None or self.validation_flops is None or self.evaluation_flops is None:
            return None
        return self.training_flops + self.validation_flops + self.evaluation_flops


def estimate(config: RunConfig) -> Estimate:
    passes, facts = passes_per_step(config.method, config.inner.steps), FACTS.get(config.data.name)
    if facts is None:
        return Estimate(passes=passes, needs_teacher=config.method.needs_teacher)
    student, model = model_cost(config.student, facts.classes, facts.image), _teacher_model(config)
    teacher = model_cost(model, facts.classes, facts.image) if model is not None else None
    images, steps = _epoch(config, facts.train)
    epochs, validations = config.training.epochs, _validations(config)
    judged = min(config.evaluation.images or facts.test, facts.test)

    def step_flops(passes: Passes) -> int | None:
        """Per image; None when a teacher is asked whose cost is not known."""
        if passes.teacher_forward and teacher is None:
            return None
        return 2 * (
            passes.student_equivalents * student.macs + passes.teacher_forward * (teacher.macs if teacher else 0)
        )

    each, training = step_flops(passes), None
    early = min(config.method.begin, epochs) if isinstance(config.method, IAD) else 0
    before = step_flops(passes_per_step(config.method, config.inner.steps, introspects=False))
    if each is not None and before is not None:
        training = images * (early * before + (epochs - early) * each)
    validation = 1 + sum(attack_forwards(attack) for attack in config.selection.attacks)
    forwards = {"clean": 1, **{attack.key: attack_forwards(attack) for attack in config.evaluation.attacks}}
    shown = judged * len(config.evaluation.checkpoints)
    evaluation = tuple(
        AttackCost(attack=attack, forwards=count, images=shown, flops=2 * student.macs * count * shown)
        for attack, count in forwards.items()
    )
    checks = _checks(config, judged, student, teacher) if config.evaluation.suspect else None
    return Estimate(
        passes=passes,
        needs_teacher=config.method.needs_teacher,
        student=student,
        teacher=teacher,
        images=images,
        steps=steps * epochs,
        flops_per_image=each,
        training_flops=training,
        validation_flops=2 * student.macs * validation * config.data.validation * validations,
        evaluation=evaluation,
        checks=checks,
        evaluation_flops=sum(row.flops for row in evaluation) + (checks.flops if checks else 0),
        memory=_memory(config, facts, passes.full_backward, student, teacher),
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


def _epoch(config: RunConfig, train_images: int) -> tuple[int, int]:
    """Images and steps of one epoch; `train_images` still holds the validation images."""
    rest = max(train_images - config.data.validation, 0)
    images = min(config.data.train_images or rest, rest)
    steps = config.training.steps_per_epoch(images)
    return min(images, steps * config.training.batch_size), steps


def _validations(config: RunConfig) -> int:
    return ceil(config.training.epochs / config.selection.every)  # the last epoch is always validated


def _checks(config: RunConfig, judged: int, student: ModelCost, teacher: ModelCost | None) -> AttackCost:
    """All checks of all checkpoints; the teacher counts where it is known.

    An estimate: `SURVIVING` of the images are climbed again where rescaled PGD is compared with restarts, which honest
    models seldom need.
    """
    attacks, checkpoints = config.evaluation.attacks, len(config.evaluation.checkpoints)
    looked, climbed, far = (min(some, judged) for some in (marks.LOOK, marks.CLIMB, marks.FAR))
    climbs = [attack for attack in attacks if attack.module == "pgd" and isinstance(attack, Ascent)]
    steps = climbs[0].steps if climbs else PGD().steps
    sweep = len(marks.radii(float(config.threat_model.epsilon))) - 1
    own = 3 * looked + 3 * climbed  # logits twice, the last third again; gradients of two losses
    own += min(marks.PLANTED, judged) * (2 * marks.PLANTED_STEPS + 4)
    own += far * (sweep * (2 * marks.SWEEP_STEPS + 1) + 2 * marks.FAR_STEPS + 1)
    own += climbed * (marks.DRAWS + (2 * marks.LONGER * steps + 1 if climbs else 0))
    own += far * 2 + far * 2 * steps  # what teacher and twin give is looked at; the twin is climbed on
    if climbs:
        rescaled = sum(attack_forwards(attack) for attack in attacks if isinstance(attack, PGDRescaled))
        own += round(SURVIVING * judged * rescaled)
    asked = far * 2 * steps * teacher.macs if teacher else 0
    flops = 2 * checkpoints * (own * student.macs + asked)
    return AttackCost(attack="checks", forwards=ceil(own / judged), images=judged * checkpoints, flops=flops)


def _memory(config: RunConfig, facts: DataFacts, graphs: int, student: ModelCost, teacher: ModelCost | None) -> Memory:
    """`graphs` wait for the backward pass of one step."""
    weights = FLOAT * student.parameters
    graph = FLOAT * student.activation_floats  # of one image
    unknown = None if config.method.needs_teacher else 0
    return Memory(
        weights=weights,
        gradients=weights,
        momentum=weights if config.training.momentum else 0,
        activations=graphs * graph * config.training.batch_size,
        teacher=FLOAT * teacher.parameters if teacher else unknown,
        data=facts.train * (prod(facts.image) + 8),
        evaluation=weights + graph * config.evaluation.batch_size,
    )


def _disk(config: RunConfig, facts: DataFacts, judged: int, student: ModelCost) -> Disk:
    weights, epochs = FLOAT * student.parameters, config.training.epochs
    _, steps = _epoch(config, facts.train)
    reports = ceil(steps / max(1, steps // REPORTS_PER_EPOCH))
    has_matrices = isinstance(config.method, CRDND) and config.method.compensate
    matrices = 2 * DIGITS * facts.classes**2 if has_matrices else 0  # M1 and M2 in each epoch_done
    records = len(config.evaluation.checkpoints) * (1 + len(config.evaluation.attacks))
    # pixels of the clean and the adversarial image, and what student and teacher say of both
    example = 2 * FLOAT * prod(facts.image) + 4 * DIGITS * facts.classes
    return Disk(
        checkpoints=2 * weights * (2 if config.training.momentum else 1),
        weights=2 * weights,
        events=EVENT * ((reports + 2) * epochs + _validations(config) + records) + matrices * epochs,
        results=records * (OUTCOME * (judged + facts.classes**2) + config.evaluation.gallery * example),
    )
