"""What a run will cost, from its config alone: passes, FLOPs, memory, disk.

One multiply-accumulate is 2 FLOPs; only convolutions and linear layers count. What is not known before the data or the
teacher are read is None, never a guess.
"""

from dataclasses import replace
from math import ceil, prod

from engine.spec.attacks import AttackSpec
from engine.spec.budget import AttackCost, Disk, Estimate, Memory
from engine.spec.config import CheckpointTeacher, PresetTeacher, RobustBenchTeacher, RunConfig
from engine.spec.cost import ModelCost, Shape, model_cost
from engine.spec.data import FACTS, DataFacts
from engine.spec.methods import CRDND, IAD
from engine.spec.models import ModelSpec
from engine.spec.passes import SURVIVING, Passes, attack_forwards, passes_per_step, suspicion_forwards
from engine.spec.robustbench import models
from engine.spec.units import UNKNOWN, bytes_text, flops_text

FLOAT = 4  # bytes
EVENT = 220  # bytes of one line of events.jsonl
REPORTS_PER_EPOCH = 100  # step_done events, as engine.train.loop says them
DIGITS = 20  # bytes of one number in JSON
OUTCOME = 3  # bytes of one image in an attack's record: the class it is taken for, and one bit


def estimate(
    config: RunConfig,
    image: Shape | None = None,
    classes: int | None = None,
    train_images: int | None = None,
    *,
    test_images: int | None = None,
    teacher_model: ModelSpec | None = None,
) -> Estimate:
    """The cost of `config`. What is left None is taken from the catalog, or stays unknown.

    `train_images` is the official training split, from which the validation images are still to be held out.
    `teacher_model` is needed only where neither the config nor our table of RobustBench ids says it: saved runs.
    """
    known = FACTS.get(config.data.name)
    if known is not None:
        image, classes = image or known.image, classes or known.classes
        train_images, test_images = train_images or known.train, test_images or known.test
    passes = passes_per_step(config.method, config.inner.steps)
    blank = Estimate(
        passes=passes,
        student=None,
        teacher=None,
        needs_teacher=config.method.needs_teacher,
        images=None,
        steps=None,
        flops_per_image=None,
        training_flops=None,
        validation_flops=None,
        evaluation=(),
        checks=None,
        evaluation_flops=None,
        memory=None,
        disk=None,
    )
    if image is None or classes is None:
        return blank
    student = model_cost(config.student, classes, image)
    model = teacher_model or _teacher_model(config)
    teacher = model_cost(model, classes, image) if config.method.needs_teacher and model is not None else None
    blank = replace(blank, student=student, teacher=teacher, flops_per_image=_flops(passes, student, teacher))
    if train_images is None or test_images is None:
        return blank
    facts = DataFacts(image=image, classes=classes, train=train_images, test=test_images)
    return _counted(blank, config, facts, student)


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
    own, asked = suspicion_forwards(config.evaluation, config.threat_model, judged)
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


def lines(estimate: Estimate) -> list[str]:
    """Headed blocks of `name  value` rows; every value carries its unit."""
    blocks = {
        "passes per step": _pass_rows(estimate),
        "model": _model_rows(estimate),
        "FLOPs": _flop_rows(estimate),
        f"evaluation (assuming {SURVIVING:.0%} of the images survive AutoAttack)": _attack_rows(estimate),
        "memory (float32, without the workspaces of libraries)": _memory_rows(estimate),
        "disk": _disk_rows(estimate),
    }
    width = max(len(name) for rows in blocks.values() for name, _ in rows)
    text: list[str] = []
    for head, rows in blocks.items():
        text += [head, *(f"  {name:<{width}}  {value}" for name, value in rows)]
    return text


def _count(value: int | None, unit: str) -> str:
    return UNKNOWN if value is None else f"{value:,} {unit}"


def _pass_rows(estimate: Estimate) -> list[tuple[str, str]]:
    passes = estimate.passes
    return [
        ("student forward", f"{passes.student_forward} passes"),
        ("student input backward", f"{passes.input_backward} passes"),
        ("student full backward", f"{passes.full_backward} passes"),
        ("teacher forward", f"{passes.teacher_forward} passes"),
    ]


def _model_rows(estimate: Estimate) -> list[tuple[str, str]]:
    rows = [("student", _model(estimate.student))]
    return [*rows, ("teacher", _model(estimate.teacher))] if estimate.needs_teacher else rows


def _model(cost: ModelCost | None) -> str:
    if cost is None:
        return UNKNOWN
    return f"{cost.parameters:,} parameters, {flops_text(2 * cost.macs)} per forward of one image"


def _flop_rows(estimate: Estimate) -> list[tuple[str, str]]:
    return [
        ("one step, per image", flops_text(estimate.flops_per_image)),
        ("images per epoch", _count(estimate.images, "images")),
        ("steps", _count(estimate.steps, "steps")),
        ("training", flops_text(estimate.training_flops)),
        ("validation", flops_text(estimate.validation_flops)),
        ("evaluation", flops_text(estimate.evaluation_flops)),
        ("whole run", flops_text(estimate.flops)),
    ]


def _attack_rows(estimate: Estimate) -> list[tuple[str, str]]:
    return [
        (row.attack, f"{row.images:,} images x {row.forwards:,} forwards, {flops_text(row.flops)}")
        for row in (*estimate.evaluation, *([estimate.checks] if estimate.checks else []))
    ] or [("attacks", UNKNOWN)]


def _memory_rows(estimate: Estimate) -> list[tuple[str, str]]:
    memory = estimate.memory
    if memory is None:
        return [("peak", UNKNOWN)]
    return [
        ("weights", bytes_text(memory.weights)),
        ("gradients", bytes_text(memory.gradients)),
        ("momentum", bytes_text(memory.momentum)),
        ("activations", bytes_text(memory.activations)),
        ("teacher's weights", bytes_text(memory.teacher)),
        ("training images", bytes_text(memory.data)),
        ("training", bytes_text(memory.training) + (" and the teacher" if memory.teacher is None else "")),
        ("evaluation", bytes_text(memory.evaluation)),
        ("peak", bytes_text(memory.peak)),
    ]


def _disk_rows(estimate: Estimate) -> list[tuple[str, str]]:
    disk = estimate.disk
    if disk is None:
        return [("run folder", UNKNOWN)]
    return [
        ("checkpoints", bytes_text(disk.checkpoints)),
        ("weights", bytes_text(disk.weights)),
        ("events", bytes_text(disk.events)),
        ("results", bytes_text(disk.results)),
        ("run folder", bytes_text(disk.total)),
    ]
