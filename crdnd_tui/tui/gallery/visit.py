"""A walk through a gallery: which attack, which image, and which ones are passed over.

The image stays when the attack changes, also where a filter would pass it over.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from crdnd_tui.core.gallery import verdict
from engine.spec.gallery import Example

Filter = Literal["all", "flips", "standing"]
FILTERS: tuple[Filter, ...] = ("all", "flips", "standing")
_VERDICT = {"flips": "fooled", "standing": "stands"}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell of a confusion matrix, on clean images or on those under attack."""

    clean: bool
    true: int
    predicted: int


@dataclass(frozen=True, kw_only=True)
class Visit:
    """Where one stands. `index` is the image's place in the test split, the same for every attack."""

    examples: Mapping[str, Sequence[Example]] = field(default_factory=dict)
    attack: str = ""
    index: int = -1
    filter: Filter = "all"
    label: int | None = None
    cell: Cell | None = None

    @property
    def rows(self) -> list[Example]:
        """Those that no filter passes over, in the order of the gallery."""
        return [example for example in self.examples.get(self.attack, ()) if self._passes(example)]

    @property
    def current(self) -> Example | None:
        """The image in front."""
        return next((e for e in self.examples.get(self.attack, ()) if e.index == self.index), None)

    @property
    def place(self) -> int:
        """Of the image in front among `rows`, from 1; 0 where a filter passes it over."""
        return next((place for place, e in enumerate(self.rows, 1) if e.index == self.index), 0)

    def _passes(self, example: Example) -> bool:
        if self.filter != "all" and verdict(example) != _VERDICT[self.filter]:
            return False
        if self.label is not None and example.label != self.label:
            return False
        cell = self.cell
        if cell is None:
            return True
        predicted = example.predicted_clean if cell.clean else example.predicted_adversarial
        return (example.label, predicted) == (cell.true, cell.predicted)

    def step(self, by: int) -> "Visit":
        """So many images on; it stops at both ends."""
        rows = self.rows
        if not rows:
            return self
        if self.place:
            target = min(len(rows), max(1, self.place + by)) - 1
            return replace(self, index=rows[target].index)
        order = [e.index for e in self.examples[self.attack]]
        here = order.index(self.index) if self.index in order else -1
        beyond = [e for e in rows if (order.index(e.index) - here) * by > 0] or rows
        return replace(self, index=beyond[0 if by > 0 else -1].index)

    def turn(self, by: int) -> "Visit":
        """The next attack, round and round, with the same image."""
        names = list(self.examples)
        if not names:
            return self
        here = names.index(self.attack) if self.attack in names else 0
        return replace(self, attack=names[(here + by) % len(names)])

    def filtered(self) -> "Visit":
        """The next filter: all, flips, standing."""
        return replace(self, filter=FILTERS[(FILTERS.index(self.filter) + 1) % len(FILTERS)]).settled()

    def classed(self) -> "Visit":
        """The next true class that has examples; after the last one, every class."""
        known = sorted({e.label for e in self.examples.get(self.attack, ())})
        after = [label for label in known if self.label is None or label > self.label]
        return replace(self, label=after[0] if after else None).settled()

    def settled(self) -> "Visit":
        """On an image that no filter passes over, when there is one."""
        rows = self.rows
        return self if self.place or not rows else replace(self, index=rows[0].index)
