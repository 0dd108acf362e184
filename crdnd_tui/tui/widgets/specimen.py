"""One example: x, the amplified perturbation and x' beside each other; as many of them as there is room for.

The last one to go is x', with its words beside it.
"""

import math
from dataclasses import dataclass
from functools import cached_property

from rich.text import Text

from crdnd_tui.core import gallery
from crdnd_tui.core.confusion import AttackBounds
from crdnd_tui.core.gallery import Examples, Image, Raster
from crdnd_tui.core.text import one_line
from crdnd_tui.tui.widgets import picture, probabilities
from crdnd_tui.tui.widgets.easel import Easel, Line, beside, centred
from crdnd_tui.tui.widgets.picture import Look, Scale
from engine.spec.gallery import Example

_GAP = 2
_COLUMN = 30  # cells that the words below a picture need
_WORDS = 5  # lines that are left for bars, at least, when bars have no panel of their own


@dataclass(frozen=True, kw_only=True)
class Specimen:
    """All there is to say of one example under one attack."""

    hall: Examples
    example: Example
    clean: Image
    adversarial: Image
    bounds: AttackBounds
    k: int  # amplification of the difference

    @cached_property
    def linf(self) -> float:
        """max |x' - x|."""
        return gallery.linf(self.clean, self.adversarial)

    @cached_property
    def distance(self) -> tuple[str, str]:
        """L-inf in 1/255 and as a share of epsilon; L2, as a share of the radius where that is what binds."""
        linf, l2, bounds = self.linf, gallery.l2(self.clean, self.adversarial), self.bounds
        first, second = f"L-inf {255 * linf:.1f}/255", f"L2 {l2:.3f}"
        if bounds.bounded and bounds.epsilon:
            first += f" = {linf / bounds.epsilon:.2f} epsilon"
        if bounds.radius and math.isfinite(l2):
            second += f" = {l2 / bounds.radius:.2f} of {bounds.radius:g}"
        return first, second

    @property
    def divergence(self) -> str:
        """KL(T(x') || S(x')), empty without a teacher."""
        value = gallery.divergence(self.example.teacher_adversarial, self.example.student_adversarial)
        return "" if value is None else f"KL(T(x') || S(x')) {value:.3f} nats"


class SpecimenPanel(Easel):
    """The pictures. `inside` says that probabilities have no panel of their own and belong below the pictures."""

    specimen: Specimen | None = None
    words: str = ""
    place: str = ""
    inside = False
    delta_first = False  # where only two fit, the difference stands in the place of x

    def show(self, specimen: Specimen | None, words: str = "") -> None:
        """This example, or, without one, these words."""
        self.specimen, self.words = specimen, words
        self.redraw()

    def draw(self, width: int, height: int) -> list[Line]:
        """The largest layout that fits."""
        one = self.specimen
        if one is None:
            return [*[[] for _ in range(height // 2)], self.text(Text(self.words, self.palette.muted), width, "center")]
        if height < 11 or width < 40:
            return self._alone(one, width, height)
        _, rows, columns = one.hall.shape
        captions = 2 if one.example.teacher_adversarial else 1
        room = height - 2 - captions
        three = picture.fit(columns, rows, (width - 2 * _GAP) // 3, room - (_WORDS if self.inside else 0))
        if three.shrink > 1:
            three = picture.fit(columns, rows, (width - 2 * _GAP) // 3, room)
        if three.shrink == 1:
            return self._row(one, ["clean", "delta", "adversarial"], three, width, height)
        first = "delta" if self.delta_first else "clean"
        two = picture.fit(columns, rows, (width - _GAP) // 2, room)
        if two.shrink < three.shrink:
            return self._row(one, [first, "adversarial"], two, width, height)
        return self._row(one, ["clean", "delta", "adversarial"], three, width, height)

    def _row(self, one: Specimen, which: list[str], scale: Scale, width: int, height: int) -> list[Line]:
        columns = one.hall.shape[2]
        wide = min((width - _GAP * (len(which) - 1)) // len(which), max(scale.columns(columns) + 6, _COLUMN))
        blocks = [self._block(one, name, scale, wide) for name in which]
        used = wide * len(which) + _GAP * (len(which) - 1)
        body = centred(beside(blocks, [wide] * len(which), _GAP, self.ground), width, self.ground)
        lines = [self.text(self._headline(one), width, "center"), *body]
        left = height - len(lines)
        if self.inside and left >= 3:
            lines += self._bars(one, width, left, min(width, max(used, 60)))
        elif left >= 3:
            lines = [lines[0], [], *lines[1:]]
        above = max(0, (height - len(lines)) // 2)
        return [*([[] for _ in range(above)]), *lines][:height]

    def _block(self, one: Specimen, which: str, scale: Scale, width: int) -> list[Line]:
        """Title, image, and what the networks say of it."""
        palette = self.palette
        image = centred(self._image(one, which, scale), width, self.ground)
        if which == "delta":
            parts = [_short(part, width) for part in one.distance]
            words = [Text(part, palette.text if n == 0 else palette.muted) for n, part in enumerate(parts)]
            none = "grey is 0" if self.look == "colour" else "blank is 0"
            title = f"\u03b4 \u00d7 {one.k}, {none}" if one.linf > 0 else "\u03b4 is 0 everywhere"
        elif which == "clean":
            words, title = self._answers(one, "x", width), "clean x"
        else:
            words = self._answers(one, "x'", width)
            title = "adversarial x'"
        centre = [self.text(word, width, "center") for word in words]
        return [self.text(Text(title, palette.muted), width, "center"), *image, *centre]

    def _answers(self, one: Specimen, of: str, width: int) -> list[Text]:
        """What student and teacher, if there is one, make of x or x'."""
        example = one.example
        rows = (
            {"S": example.student_clean, "T": example.teacher_clean}
            if of == "x"
            else {"S": example.student_adversarial, "T": example.teacher_adversarial}
        )
        return [self._answer(one, f"{who}({of})", row, width) for who, row in rows.items() if row]

    def _answer(self, one: Specimen, who: str, row: list[float | None], width: int) -> Text:
        """Whether a network is right, what it reads, and how surely."""
        palette, guess = self.palette, probabilities.best(row)
        right = guess == one.example.label
        line = Text().append(f"{who} ", palette.muted)
        line.append("\u2713 " if right else "\u2717 ", palette.good if right else palette.bad)
        line.append(one_line(one.hall.name(guess), max(3, width - len(who) - 9)), palette.text)
        sure = f" {row[guess]:.3f}" if guess >= 0 else ""
        return line.append(sure, f"bold {palette.text}" if who == "S(x')" else palette.muted)

    def _headline(self, one: Specimen) -> Text:
        """The one thing to know."""
        palette, example = self.palette, one.example
        true, read = one.hall.name(example.label), one.hall.name(example.predicted_adversarial)
        line = Text()
        match gallery.verdict(example):
            case "fooled":
                line.append("\u2717 fooled", f"bold {palette.bad}")
                line.append(f"  {true} \u2192 {read}", palette.text)
            case "stands":
                line.append("\u2713 stands", f"bold {palette.good}")
                line.append(f"  {true}", palette.text)
            case _:
                line.append("\u25cb wrong before the attack", f"bold {palette.warn}")
                line.append(f"  {true} read as {one.hall.name(example.predicted_clean)}", palette.text)
        line.append(f"   test image {example.index}", palette.muted)
        return line

    def _bars(self, one: Specimen, width: int, height: int, used: int) -> list[Line]:
        """Below the pictures, when they have no panel."""
        palette = self.palette
        believed = probabilities.beliefs(one.hall, one.example, height - 1, (palette.accent, palette.above))
        each = used // max(1, len(believed)) - 1
        drawn = [probabilities.lines(b, each, height - 1, palette, head=True) for b in believed]
        blocks = [[self.text(line) for line in lines] for lines in drawn]
        shown = beside(blocks, [each] * len(believed), _GAP, self.ground)
        return [[], *centred(shown, width, self.ground)]

    def _image(self, one: Specimen, which: str, scale: Scale) -> list[Line]:
        look: Look = self.look
        image: Raster
        match which:
            case "clean":
                image = gallery.raster(one.clean)
            case "delta":
                image = gallery.amplified(one.clean, one.adversarial, one.k)
                look = look if look == "colour" else "signs"
            case _:
                image = gallery.raster(one.adversarial)
        return picture.draw(image, scale, look, self.ground, bright_is_dense=self.palette.dark)

    def _alone(self, one: Specimen, width: int, height: int) -> list[Line]:
        """x' only, its words beside it."""
        palette, example = self.palette, one.example
        _, rows, columns = one.hall.shape
        scale = picture.fit(columns, rows, max(4, min(width - 18, 2 * height)), height)
        image = self._image(one, "adversarial", scale)
        across = scale.columns(columns)
        tone = {"fooled": palette.bad, "stands": palette.good}.get(gallery.verdict(example), palette.warn)
        words = [
            Text(gallery.verdict(example), f"bold {tone}"),
            Text(f"{one.hall.name(example.label)} \u2192 {one.hall.name(example.predicted_adversarial)}", palette.text),
            *self._answers(one, "x'", max(1, width - across - _GAP)),
            *(Text(part.split(" =")[0], palette.muted) for part in one.distance),
            Text(self.place, palette.muted),
        ]
        beside_it = [self.text(word, max(1, width - across - _GAP)) for word in words[:height]]
        return beside([image, beside_it], [across, max(1, width - across - _GAP)], _GAP, self.ground)[:height]


def _short(distance: str, width: int) -> str:
    """`L-inf 40.0/255 = 1.00 epsilon`, else `L-inf 1.00 epsilon`, else `L-inf 40.0/255`."""
    value, equals, share = distance.partition(" = ")
    name = value.partition(" ")[0]
    tries = (distance, f"{name} {share}" if equals and "epsilon" in share else value)
    return next((words for words in tries if len(words) <= width), value)
