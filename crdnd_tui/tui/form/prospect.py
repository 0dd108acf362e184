"""What a new run will cost, in a few lines: time from past runs here, passes, FLOPs, memory, disk, equal runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from crdnd_tui.core import presets, run_status, runtime_estimate
from crdnd_tui.core.format import duration, flops, size
from crdnd_tui.core.runtime_estimate import NOTHING, PastRun, RuntimeEstimate
from crdnd_tui.core.text import one_line
from crdnd_tui.tui.form.kinds import Option
from engine.spec import files, folders
from engine.spec.config import RunConfig
from engine.spec.estimate import Estimate, estimate

Row = tuple[str, str, str]  # what, its value, more of it


@dataclass(frozen=True, kw_only=True)
class Prospect:
    """What the runs folder says about a config."""

    time: RuntimeEstimate | None = None
    teacher: RuntimeEstimate | None = None  # of a teacher that is trained first
    trains_teacher: bool = False
    equal: tuple[str, ...] = ()  # `id, state`, newest first


def look(config: RunConfig, runs: Path, device: str, pasts: Mapping[str, PastRun | None]) -> Prospect:
    """Reads the folder; not for the event loop."""
    known = [past for past in pasts.values() if past is not None]
    teacher = runtime_estimate.teacher_to_train(config, runs)
    equal = []
    for run, _ in folders.equal_runs(runs, config)[:3]:
        row = run_status.summary(run)
        equal.append(f"{run.id}, {row.state if row else 'damaged'}")
    return Prospect(
        time=runtime_estimate.estimate_runtime(config, known, device),
        teacher=runtime_estimate.estimate_runtime(teacher, known, device) if teacher else None,
        trains_teacher=teacher is not None,
        equal=tuple(equal),
    )


def saved_runs(runs: Path, *, now: float) -> list[Option]:
    """Finished runs whose weights can teach."""
    found = []
    for row in run_status.runs(runs, now=now):
        known = row.status
        if row.state != "done" or known is None or not files.is_file(row.path / "weights" / "best.safetensors"):
            continue
        clean = known.results.get("best", known.results.get("last", {})).get("clean")
        note = f"{known.method} {known.student}, {known.data}" + (f", clean {100 * clean:.1f} %" if clean else "")
        found.append(Option(value=row.id, title=row.id, note=one_line(note), aside=one_line(note)))
    return found


def shipped_presets() -> list[Option]:
    """Presets that came with the program, quickstarts first, with what their first line says."""
    found = []
    for name, path in sorted(presets.shipped().items(), key=lambda item: (not item[0].startswith("quick"), item[0])):
        first = (files.read(path) or b"").decode("utf-8", "replace").partition("\n")[0].lstrip("# ")
        found.append(Option(value=name, title=name, note=one_line(first), aside=one_line(first.rstrip("."))))
    return found


def teachers(options: Sequence[Option], path: Path | None) -> list[Option]:
    """Shipped presets as a preset at this path would name them."""
    folder, shipped = (path or Path("preset")).resolve().parent, presets.shipped()
    named = [(shipped[option.value], option) for option in options]
    return [replace(option, value=at.name if at.parent == folder else str(at)) for at, option in named]


def rows(config: RunConfig, prospect: Prospect | None) -> list[Row]:
    """The lines of the panel."""
    cost = estimate(config)
    passes = cost.passes
    back = f"{passes.input_backward} back to the pixels, {passes.full_backward} to the weights"
    step = f"{passes.student_forward} forward, {back}"
    teacher = f"teacher {passes.teacher_forward} forward" if passes.teacher_forward else "no teacher"
    steps = f"{cost.steps:,} steps" if cost.steps is not None else "steps unknown before the data are read"
    evaluation = flops(cost.evaluation_flops)
    return [
        _time_row(prospect),
        ("step", f"student {step}", teacher),
        (
            "compute",
            flops(cost.flops),
            f"training {flops(cost.training_flops)}, evaluation {evaluation}; {config.training.epochs:,} epochs, "
            f"{steps}",
        ),
        ("memory", *_memory(cost)),
        _equal_row(prospect),
    ]


def brief(config: RunConfig, prospect: Prospect | None) -> str:
    """All of it on one line, for small terminals."""
    cost = estimate(config)
    time = prospect.time if prospect else None
    words = time.words if time else NOTHING if prospect else "looking at past runs"
    memory = f"{size(cost.memory.peak)} memory" if cost.memory else "memory unknown"
    equal = f"; an equal run is {prospect.equal[0].rpartition(', ')[2]}" if prospect and prospect.equal else ""
    teacher = ", its teacher first" if prospect and prospect.trains_teacher else ""
    return f"{words}{teacher}; {memory}{equal}"


def _time_row(prospect: Prospect | None) -> Row:
    if prospect is None:
        return ("time", "\u2026", "looking at past runs")
    time = prospect.time
    if time is None:
        value, more = "unknown", NOTHING.partition(":")[0]
    else:
        value, _, source = time.words.partition(" from ")
        parts = f"training {duration(time.training)}, evaluation {duration(time.evaluation)}"
        more = f"from {source}; {parts}"
    if prospect.trains_teacher:
        words = prospect.teacher.words.partition(" from ")[0] if prospect.teacher else "for an unknown time"
        more = f"plus its teacher first, {words}; {more}"
    return ("time", value, more)


def _equal_row(prospect: Prospect | None) -> Row:
    """A run of the same config, if there is one: it need not be made again."""
    if prospect is None:
        return ("equal run", "\u2026", "")
    if not prospect.equal:
        return ("equal run", "none", "")
    others = len(prospect.equal) - 1
    return ("equal run", prospect.equal[0], f"and {others} more" if others else "")


def _memory(cost: Estimate) -> tuple[str, str]:
    if cost.memory is None:
        return "unknown", "before the data are read"
    unknown = " and the teacher" if cost.memory.teacher is None else ""
    disk = f"disk {size(cost.disk.total)}" if cost.disk else "disk unknown"
    return f"{size(cost.memory.peak)}{unknown}", f"in float32, beside PyTorch itself; {disk}"
