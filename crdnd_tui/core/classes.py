"""What the method learns of its teacher, class by class: the accuracies that ACM's matrices are made of.

Teachers are right on nearly all clean images, so the bars begin at the highest round number below them all, and say so.
"""

from collections.abc import Sequence

from rich.text import Text

from crdnd_tui.core import report
from crdnd_tui.core.format import percent
from crdnd_tui.core.state import RunState
from crdnd_tui.core.text import bar, pad
from engine.spec.events import EpochDone

NARROW, NO_CHANGES, NO_STUDENT = 44, 58, 76  # cells; below them nothing, no changes, no student
LONGEST = 24  # cells of a bar
_FLOORS = (0.9, 0.8, 0.5, 0.0)
_STUDENT = "    S(x) S(x')"  # the student's accuracies on clean and adversarial images


def lines(state: RunState, width: int, room: int, *, ascii_only: bool) -> list[Text]:
    """A line for each class: teacher clean and adversarial with the change since the last epoch, then the student."""
    known = [e for e in state.epochs[-20:] if e.teacher_clean or e.teacher_robust]
    if not known or width < NARROW or room < 3:
        return []
    latest, before = known[-1], known[-2] if len(known) > 1 else None
    order = _order(latest, room - 1)
    label = max(7, *(len(report.class_name(state, k, 12)) for k in order))
    changes, student = width >= NO_CHANGES, width >= NO_STUDENT and bool(latest.student_clean)
    beside = 6 + 6 * changes  # cells of number and change
    length = min(LONGEST, (width - label - 14 * student) // 2 - 2 - beside)
    floor = _floor([*latest.teacher_clean, *latest.teacher_robust])
    scale = f", {100 * floor:.0f} to 100" if floor else ""
    head = pad("", label)
    for words in ("clean", "adversarial"):
        fits = (f"teacher, {words}{scale}", f"teacher, {words}", words)
        head += "  " + pad(next((w for w in fits if len(w) <= length + beside), words), length + beside)
    shown = [Text((head + (_STUDENT if student else "")).rstrip(), "dim")]
    series = [
        (latest.teacher_clean, before.teacher_clean if before else [], "cyan"),
        (latest.teacher_robust, before.teacher_robust if before else [], "yellow"),
    ]
    for k in order:
        line = Text(pad(report.class_name(state, k, 12), label))
        for now, earlier, style in series:
            value = _at(now, k)
            share = 0.0 if value is None else (value - floor) / (1 - floor)
            line.append("  " + bar(share, length, ascii_only=ascii_only), style)
            line.append(f" {percent(value):>5}")
            line.append(_change(value, _at(earlier, k)) if changes else "", "dim")
        if student:
            line.append(f"   {percent(_at(latest.student_clean, k)):>5} {percent(_at(latest.student_robust, k)):>5}")
        line.rstrip()
        shown.append(line)
    return shown


def _order(latest: EpochDone, room: int) -> list[int]:
    """All classes, or as many as there is room for: those of which the teacher knows least."""
    clean, robust = latest.teacher_clean, latest.teacher_robust
    everyone = list(range(max(len(clean), len(robust))))
    if len(everyone) <= room:
        return everyone
    return sorted(everyone, key=lambda k: robust[k] if k < len(robust) else clean[k])[:room]


def _floor(values: Sequence[float]) -> float:
    """Where the bars begin, a little below the least."""
    return next((floor for floor in _FLOORS if floor < min(values, default=0.0)), 0.0)


def _at(series: Sequence[float], k: int) -> float | None:
    return series[k] if k < len(series) else None


def _change(now: float | None, before: float | None) -> str:
    """In points, signed; blank when nothing moved."""
    if now is None or before is None or f"{100 * (now - before):.1f}" in ("0.0", "-0.0"):
        return " " * 6
    return f" {100 * (now - before):+5.1f}"
