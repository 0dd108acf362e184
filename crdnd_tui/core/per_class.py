"""Accuracy per class: what the teacher knows, what the student has learnt, and how both moved since the last epoch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from crdnd_tui.core.attack_names import CLEAN, attack_title, is_within
from crdnd_tui.core.state import RunState
from crdnd_tui.core.text import one_line
from engine.spec.events import EpochDone
from engine.spec.marks import Severity

Images = Literal["clean", "adversarial"]
Values = tuple[float | None, ...]
FIELDS: Mapping[Images, tuple[str, str]] = {
    "clean": ("teacher_clean", "student_clean"), "adversarial": ("teacher_robust", "student_robust"),
}  # fmt: skip
"""Of EpochDone: the teacher's accuracies and the student's."""
_NAME = 24  # cells


@dataclass(frozen=True, kw_only=True)
class ClassAccuracies:
    """One kind of images: fractions per class, and their change since the epoch before."""

    teacher: Values = ()
    teacher_change: Values = ()
    student: Values = ()
    student_change: Values = ()
    severity: Severity | None = None  # of the judgement that they are of; red: not believed

    @property
    def known(self) -> bool:
        """Whether anything is known of these images."""
        return bool(self.teacher or self.student)


@dataclass(frozen=True, kw_only=True)
class PerClass:
    """All classes at one epoch."""

    epoch: int
    names: tuple[str, ...]
    clean: ClassAccuracies
    adversarial: ClassAccuracies
    by: str = ""  # the attack that made the adversarial images, where it was no training that did
    counts: tuple[int, ...] = ()  # judged images of each class, where they are known

    @property
    def tied(self) -> int:
        """How many classes fare worst, equally; of judged ones only."""
        values = [value for value in self.side("adversarial").student if value is not None] if self.by else []
        return sum(value == min(values) for value in values) if values else 0

    def side(self, images: Images) -> ClassAccuracies:
        """The one of these images; the other where nothing is known of them."""
        wanted, other = (self.clean, self.adversarial) if images == "clean" else (self.adversarial, self.clean)
        return wanted if wanted.known else other

    def order(self, images: Images, room: int) -> tuple[int, ...]:
        """As they come when all fit; else those of which least is known first."""
        everyone = tuple(range(len(self.names)))
        side = self.side(images)
        values = side.teacher or side.student
        if len(everyone) <= room:
            return everyone
        return tuple(sorted(everyone, key=lambda k: (at(values, k) is None, at(values, k) or 0.0)))


def at(values: Sequence[float | None], place: int) -> float | None:
    """A value, or None where there is none."""
    return values[place] if place < len(values) else None


def latest(state: RunState) -> PerClass | None:
    """At the last epoch; without a method that counts, the validation's accuracies; without any training those of the
    table's first checkpoint: clean, and the worst case, or the last attack within the threat model; None before any."""
    known = [e for e in state.epochs[-50:] if _classes(e)]
    if known:
        now, before = known[-1], known[-2] if len(known) > 1 else None
        clean, adversarial = (_side(now, before, *FIELDS[images]) for images in FIELDS)
        return PerClass(epoch=now.epoch, names=names(state, _classes(now)), clean=clean, adversarial=adversarial)
    checkpoint, row = next(iter(state.table.items()), ("", {}))
    last = state.validations[-1] if state.validations else None
    if last is not None and last.per_class:
        checkpoint, found, epoch = "", dict(last.per_class), last.epoch
    else:
        judged = [a for a in reversed(state.attacks) if a in row and is_within(a, row[a]) and row[a].per_class]
        found, epoch = {attack: row[attack].per_class for attack in judged}, 0
    if not found:
        return None
    by = next((attack for attack in found if attack != CLEAN), "")
    clean_values, robust_values = tuple(found.get(CLEAN, ())), tuple(found.get(by, ()))
    return PerClass(
        epoch=epoch, names=names(state, max(len(clean_values), len(robust_values))),
        clean=ClassAccuracies(student=clean_values, severity=state.severity(checkpoint, CLEAN)),
        adversarial=ClassAccuracies(student=robust_values, severity=state.severity(checkpoint, by) if by else None),
        by=attack_title(by, row[by]) if checkpoint and by else "", counts=state.counts.get(checkpoint, ()),
    )  # fmt: skip


def _classes(epoch: EpochDone) -> int:
    """How many it tells of."""
    return max(len(getattr(epoch, field)) for fields in FIELDS.values() for field in fields)


def _side(now: EpochDone, before: EpochDone | None, *fields: str) -> ClassAccuracies:
    new = [getattr(now, field) for field in fields]
    old = [getattr(before, field) if before else [] for field in fields]
    teacher, student = (tuple(a - b for a, b in zip(*pair, strict=False)) for pair in zip(new, old, strict=True))
    return ClassAccuracies(teacher=tuple(new[0]), teacher_change=teacher, student=tuple(new[1]), student_change=student)


def worst_class(accuracies: Sequence[float]) -> tuple[int, int]:
    """Place of the lowest, the first of equals, and how many are equal to it; there is at least one."""
    least = min(accuracies)
    return accuracies.index(least), sum(value == least for value in accuracies)


def class_name(state: RunState, index: int, width: int = 14) -> str:
    """Of the data set, or its number."""
    names = state.training.classes if state.training else []
    name = names[index] if index < len(names) else str(index)
    return f"class {name}" if name.isdecimal() else one_line(name, width)


def names(state: RunState, many: int) -> tuple[str, ...]:
    """Of the data set, or numbers."""
    return tuple(class_name(state, k, _NAME).removeprefix("class ") for k in range(many))


@dataclass(frozen=True, kw_only=True)
class ClassHistory:
    """One accuracy of each class over the epochs; `who` is teacher or student."""

    who: str
    images: Images
    epochs: tuple[int, ...]
    total: int  # epochs of the whole training
    names: tuple[str, ...]
    rows: tuple[Values, ...]  # class by class


def class_history(state: RunState, images: Images) -> ClassHistory | None:
    """The teacher's accuracies; the student's own where the method asks no teacher."""
    wanted, other = FIELDS[images], FIELDS["adversarial" if images == "clean" else "clean"]
    for field in (wanted[0], other[0], wanted[1], other[1]):
        known = [e for e in state.epochs if getattr(e, field)]
        if known:
            many = max(len(getattr(e, field)) for e in known)
            return ClassHistory(
                who=field.split("_")[0],
                images="clean" if field.endswith("clean") else "adversarial",
                epochs=tuple(e.epoch for e in known),
                total=max(known[-1].epoch, state.training.epochs if state.training else 0),
                names=names(state, many),
                rows=tuple(tuple(at(getattr(e, field), k) for e in known) for k in range(many)),
            )
    return None


@dataclass(frozen=True, kw_only=True)
class AcmMatrix:
    """M at the last epoch that told it."""

    images: Images
    epoch: int
    names: tuple[str, ...]
    rows: tuple[tuple[float, ...], ...]


def acm_matrix(state: RunState, images: Images) -> AcmMatrix | None:
    """M1 on clean images, M2 on adversarial ones; None for methods that have none."""
    field = "acm_clean" if images == "clean" else "acm_robust"
    for epoch in reversed(state.epochs[-50:]):
        rows = getattr(epoch, field)
        if rows:
            many = names(state, len(rows))
            return AcmMatrix(images=images, epoch=epoch.epoch, names=many, rows=tuple(map(tuple, rows)))
    return None
