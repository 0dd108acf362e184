"""Probabilities of the top classes as bars, before the attack and after it; the class's own row is marked."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from crdnd_tui.core.gallery import Examples
from crdnd_tui.core.palette import Palette
from crdnd_tui.core.text import bar, pad
from crdnd_tui.tui.widgets.easel import Easel, Line
from engine.spec.gallery import Example

_LEAST_BAR, _MOST_BAR = 6, 40
_NAME = 12  # cells of a class's name


@dataclass(frozen=True, kw_only=True)
class Belief:
    """What one network makes of x and x'."""

    who: str  # S or T
    before: Sequence[float | None]
    after: Sequence[float | None]
    colour: str
    names: Sequence[str]
    order: Sequence[int]  # classes, the most telling first
    label: int
    answer: int  # the class that it reads x' as; -1 for none


def top(example: Example, most: int) -> list[int]:
    """Classes that anyone gives much, the true one and the predicted ones always among them."""
    rows = (example.student_clean, example.student_adversarial, example.teacher_clean, example.teacher_adversarial)
    weight = {k: max((row[k] or 0.0) for row in rows if row) for k in range(max(map(len, rows), default=0))}
    asked = [example.label, example.predicted_adversarial, example.predicted_clean]
    needed = [k for k in dict.fromkeys(asked) if k in weight]
    others = sorted((k for k in weight if k not in needed), key=lambda k: (-weight[k], k))
    return sorted([*needed, *others][: max(1, most)], key=lambda k: (-weight[k], k))


def best(row: Sequence[float | None]) -> int:
    """The most probable class; -1 when nothing can be said."""
    known = [value for value in row if value is not None]
    return row.index(max(known)) if known and len(known) == len(row) else -1


def beliefs(hall: Examples, example: Example, most: int, colours: tuple[str, str]) -> list[Belief]:
    """The student's, and the teacher's when there is one."""
    order = top(example, most)
    pairs = [
        ("S", example.student_clean, example.student_adversarial, example.predicted_adversarial),
        ("T", example.teacher_clean, example.teacher_adversarial, best(example.teacher_adversarial)),
    ]
    return [
        Belief(
            who=who, before=before, after=after, colour=colour, names=hall.classes, order=order,
            label=example.label, answer=answer,
        )
        for (who, before, after, answer), colour in zip(pairs, colours, strict=True)
        if before and after
    ]  # fmt: skip


def lines(belief: Belief, width: int, height: int, palette: Palette, *, head: bool) -> list[Text]:
    """A line of names when asked for, then one for each class: bar and number on x, the same on x', and the change."""
    name = min(_NAME, max((len(belief.names[k]) for k in belief.order), default=1))
    fixed = 2 + name + 1 + 6 + 3 + 6 + 7
    length = min(_MOST_BAR, (width - fixed) // 2)
    if length < _LEAST_BAR:
        above = Text(" " * (3 + name), palette.muted)
        above.append(pad(f"{belief.who}(x')", max(0, width - name - 9)) + "change")
        under = _tight(belief, name, width, height - head, palette)
        return [above, *under] if head else under
    above = Text(" " * (3 + name), palette.muted)
    above.append(pad(f"{belief.who}(x)", length + 9) + pad(f"{belief.who}(x')", length + 6) + " change")
    shown = [above] if head else []
    for k in belief.order[: max(0, height - head)]:
        before, after = belief.before[k], belief.after[k]
        line = _named(belief, k, name, palette)
        line.append(bar(before, length), palette.muted)
        line.append(f" {_share(before)}", palette.muted)
        line.append("   ")
        line.append(bar(after, length), belief.colour)
        line.append(f" {_share(after)}", f"bold {palette.text}" if k == belief.answer else palette.text)
        line.append_text(_change(before, after, palette))
        shown.append(line)
    return shown


def _tight(belief: Belief, name: int, width: int, height: int, palette: Palette) -> list[Text]:
    """Without the bars of x."""
    length = max(0, min(_MOST_BAR, width - (2 + name + 1 + 6 + 7)))
    shown = []
    for k in belief.order[:height]:
        line = _named(belief, k, name, palette)
        line.append(bar(belief.after[k], length), belief.colour)
        line.append(f" {_share(belief.after[k])}", f"bold {palette.text}" if k == belief.answer else palette.text)
        line.append_text(_change(belief.before[k], belief.after[k], palette))
        shown.append(line)
    return shown


def _named(belief: Belief, k: int, width: int, palette: Palette) -> Text:
    """A dot marks the true class, a cross the wrong answer."""
    line = Text()
    if k == belief.label:
        line.append("\u25cf ", palette.good)
    elif k == belief.answer:
        line.append("\u2717 ", palette.bad)
    else:
        line.append("  ")
    line.append(pad(belief.names[k], width) + " ", f"bold {palette.text}" if k == belief.label else palette.text)
    return line


def _share(value: float | None) -> str:
    return "  nan" if value is None else f"{value:.3f}"


def _change(before: float | None, after: float | None, palette: Palette) -> Text:
    """Signed; blank when nothing moved."""
    if before is None or after is None or abs(after - before) < 5e-4:
        return Text(" " * 7)
    moved = f"{after - before:+.3f}".replace("-", "\u2212")
    return Text(f" {moved}", palette.above if after > before else palette.below)


class Probabilities(Easel):
    """One network's panel; empty when there is no such network."""

    belief: Belief | None = None
    words: str = ""

    def show(self, belief: Belief | None, words: str = "") -> None:
        """These bars, or, without any, these words."""
        self.belief, self.words = belief, words
        self.redraw()

    def draw(self, width: int, height: int) -> list[Line]:
        """As many classes as there are lines."""
        palette = self.palette
        if self.belief is None:
            return [self.text(Text(self.words, palette.muted), width)]
        return [self.text(line) for line in lines(self.belief, width, height, palette, head=False)]
