"""The cost of a run, before it is launched, as lines of text."""

from crdnd_tui.core.format import flops, size
from engine.spec.cost import ModelCost
from engine.spec.estimate import SURVIVING, Estimate

UNKNOWN = "unknown"
Rows = list[tuple[str, str]]


def lines(estimate: Estimate) -> list[str]:
    """Headed blocks of `name  value` rows; every value carries its unit."""
    passes, memory, disk = estimate.passes, estimate.memory, estimate.disk
    costs = (*estimate.evaluation, *([estimate.checks] if estimate.checks else []))
    teacher = [("teacher", _model(estimate.teacher))] if estimate.needs_teacher else []
    blocks: dict[str, Rows] = {
        "passes per step": [
            ("student forward", f"{passes.student_forward} passes"),
            ("student input backward", f"{passes.input_backward} passes"),
            ("student full backward", f"{passes.full_backward} passes"),
            ("teacher forward", f"{passes.teacher_forward} passes"),
        ],
        "model": [("student", _model(estimate.student)), *teacher],
        "FLOPs": [
            ("one step, per image", flops(estimate.flops_per_image)),
            ("images per epoch", _count(estimate.images, "images")),
            ("steps", _count(estimate.steps, "steps")),
            ("training", flops(estimate.training_flops)),
            ("validation", flops(estimate.validation_flops)),
            ("evaluation", flops(estimate.evaluation_flops)),
            ("whole run", flops(estimate.flops)),
        ],
        f"evaluation (assuming {SURVIVING:.0%} of the images survive AutoAttack)": [
            (cost.attack, f"{cost.images:,} images x {cost.forwards:,} forwards, {flops(cost.flops)}") for cost in costs
        ]
        or [("attacks", UNKNOWN)],
        "memory (float32, without the workspaces of libraries)": [
            ("weights", size(memory.weights)),
            ("gradients", size(memory.gradients)),
            ("momentum", size(memory.momentum)),
            ("activations", size(memory.activations)),
            ("teacher's weights", UNKNOWN if memory.teacher is None else size(memory.teacher)),
            ("training images", size(memory.data)),
            ("training", size(memory.training) + (" and the teacher" if memory.teacher is None else "")),
            ("evaluation", size(memory.evaluation)),
            ("peak", size(memory.peak)),
        ]
        if memory
        else [("peak", UNKNOWN)],
        "disk": [
            ("checkpoints", size(disk.checkpoints)),
            ("weights", size(disk.weights)),
            ("events", size(disk.events)),
            ("results", size(disk.results)),
            ("run folder", size(disk.total)),
        ]
        if disk
        else [("run folder", UNKNOWN)],
    }
    width = max(len(name) for rows in blocks.values() for name, _ in rows)
    return [
        line
        for head, rows in blocks.items()
        for line in (head, *(f"  {name:<{width}}  {value}" for name, value in rows))
    ]


def _count(value: int | None, unit: str) -> str:
    return UNKNOWN if value is None else f"{value:,} {unit}"


def _model(cost: ModelCost | None) -> str:
    if cost is None:
        return UNKNOWN
    return f"{cost.parameters:,} parameters, {flops(2 * cost.macs)} per forward of one image"
