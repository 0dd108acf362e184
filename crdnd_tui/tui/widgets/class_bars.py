"""Accuracy per class as bars: teacher above, student below in each row, on one scale from 0 to 100."""

from collections.abc import Sequence

from crdnd_tui.core.format import percent
from crdnd_tui.core.marks import SIGNS
from crdnd_tui.core.palette import Palette
from crdnd_tui.core.per_class import ClassAccuracies, Images, PerClass, at
from crdnd_tui.core.text import one_line, pad
from crdnd_tui.tui.widgets.cells import Cells, Part, Row
from crdnd_tui.tui.widgets.heat_map import WORDS

_BOTH = 84  # cells from which clean and adversarial stand side by side
_SHORTEST = 6  # cells of a bar that is worth drawing
_ASCII = "#=-."  # both, the teacher alone, the student alone, neither


class ClassBars(Cells):
    """What the teacher knows and the student has learnt, class by class; `show` takes the latest epoch."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, title="Accuracy per class")
        self._known: PerClass | None = None
        self._images: Images = "adversarial"
        self._who = "student"

    def show(self, known: PerClass | None, images: Images, who: str = "student") -> None:
        """Of these images, where there is no room for both; `who` is in training."""
        if (known, images, who) != (self._known, self._images, self._who):
            self._known, self._images, self._who = known, images, who
            self.redraw()

    def draw(self, width: int, height: int) -> list[Row]:
        known, palette = self._known, self.palette
        if known is None:
            self.name_it("Accuracy per class")
            return [[("waiting for the end of the first epoch", palette.muted)]]
        both = width >= _BOTH and known.clean.known and known.adversarial.known
        order = known.order(self._images, height)
        label = min(12, max(len(known.names[k]) for k in order))
        self._entitle(known, both, len(order), height)
        kinds: list[Images] = ["clean", "adversarial"] if both else [self._images]
        room = (width - label) // len(kinds) - (2 if both else 0)
        rows: list[Row] = []
        for k in order:
            row: list[Part] = [(pad(one_line(known.names[k], label), label), palette.text)]
            for place, images in enumerate(kinds):
                row += [("  ", "")] if place else []
                row += _row(known.side(images), k, room, palette, self._glyphs())
            rows.append(row)
        return rows

    def _glyphs(self) -> str:
        """Of two bars in one row: where both are, the teacher's alone, the student's alone, neither's."""
        if self.ascii_only:
            return _ASCII
        return "\u2588\u2580\u2584\u00b7" if self.app.no_color else "\u2580\u2580\u2584\u00b7"

    def _entitle(self, known: PerClass, both: bool, many: int, height: int) -> None:
        side = known.side(self._images)
        whose = "Accuracy" if side.teacher and side.student else "Teacher" if side.teacher else self._who.title()
        shown = "clean" if side is known.clean else "adversarial"
        images = "clean x | adversarial x'" if both else WORDS[shown]
        images += f", {known.by}" if known.by and (both or shown == "adversarial") else ""
        images += f" {SIGNS[side.severity]}".rstrip()
        fits = many <= height
        scale = f"\u25b2\u25bc since epoch {known.epoch - 1}" if known.epoch > 1 else ""
        legend = "# both  = teacher  - student" if self.ascii_only else "\u2580 teacher  \u2584 student"
        legend = legend if side.teacher and side.student else ""
        n = f"n {_span(known.counts)} a class" if known.counts else ""
        tied = f"{known.tied} tied" if known.tied > 1 and side is known.adversarial else ""
        least = "" if fits else f"{many} classes, least known first"
        words = "  ".join(word for word in (least or legend, tied, n, scale) if word)
        self.name_it(f"{whose} per class on {images}", words)


def _span(counts: Sequence[int]) -> str:
    """`58`, or `58\u201361` where they are not the same."""
    low, high = min(counts), max(counts)
    return f"{low}" if low == high else f"{low}\u2013{high}"


def _row(side: ClassAccuracies, k: int, room: int, palette: Palette, glyphs: str) -> list[Part]:
    """Bars, the teacher's number with its change, the student's number."""
    teacher, student = at(side.teacher, k), at(side.student, k)
    own = teacher if side.teacher else student
    struck = side.severity == "red"
    shown = percent(own)
    numbers: list[Part] = [(" " * (6 - len(shown)), "")]
    numbers.append((shown, f"strike {palette.muted}" if struck else f"bold {palette.text}"))
    numbers += _change(at(side.teacher_change if side.teacher else side.student_change, k), palette)
    if side.teacher and side.student:
        numbers.append((f" {percent(student):>5}", palette.series[1]))
    length = room - 1 - sum(len(words) for words, _ in numbers)
    if length < _SHORTEST:
        return numbers
    if side.teacher:
        return [(" ", ""), *_bars(teacher, student, length, palette, glyphs), *numbers]
    bars = _bar(student, length, palette, glyphs)
    return [(" ", ""), *bars, *numbers]


def _change(change: float | None, palette: Palette) -> list[Part]:
    """Sign and points; blank where nothing moved."""
    if change is None or f"{100 * abs(change):.1f}" == "0.0":
        return [(" " * 6, "")]
    sign, look = ("\u25b2", palette.accent) if change > 0 else ("\u25bc", palette.warn)
    return [(f" {sign}{100 * abs(change):4.1f}", look)]


def _bars(teacher: float | None, student: float | None, length: int, palette: Palette, glyphs: str) -> list[Part]:
    """Two bars in one row, by half-blocks."""
    one, two = (round(length * min(1.0, max(0.0, value or 0.0))) for value in (teacher, student))
    blue, orange = palette.series[0], palette.series[1]
    both = min(one, two)
    return [
        (glyphs[0] * both, f"{blue} on {orange}"),
        (glyphs[1] * (one - both), blue),
        (glyphs[2] * (two - both), orange),
        (glyphs[3] * (length - max(one, two)), palette.faint),
    ]


def _bar(value: float | None, length: int, palette: Palette, glyphs: str) -> list[Part]:
    full = round(length * min(1.0, max(0.0, value or 0.0)))
    return [(glyphs[2] * full, palette.series[1]), (glyphs[3] * (length - full), palette.faint)]
