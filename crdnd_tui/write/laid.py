"""Runs laid side by side, with what the tests say of them: what every part of a comparison's document starts from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from crdnd_tui.compare.comparison import DROP, Grid, Row
from crdnd_tui.compare.comparison_side import Side
from crdnd_tui.compare.comparison_verdict import SUITE, Verdict
from crdnd_tui.compare.contrast import Contrast
from crdnd_tui.core import marks, report
from crdnd_tui.core.format import count
from crdnd_tui.core.marks import Marked
from crdnd_tui.core.text import one_line
from crdnd_tui.write.document import Bar, Cell, Figure, Series, Table
from engine.spec.events import Evaluated


@dataclass(frozen=True, kw_only=True)
class Laid:
    """The grid of `comparison`, and each row's contrast with the baseline under each attack."""

    sides: tuple[Side, ...]
    wanted: str  # best or last
    grid: Grid
    contrasts: Mapping[tuple[str, str], Contrast]  # (row id, attack)
    verdict: Verdict  # what PGD-SAT and AutoAttack say of the order
    tied: frozenset[tuple[str, str]] = frozenset()  # (row id, attack): cannot be told from the best of the column

    @property
    def rows(self) -> tuple[Row, ...]:
        """Runs, or groups of seeds."""
        return self.grid.rows

    @property
    def base(self) -> Row:
        """The row that the others are compared with."""
        return next(row for row in self.rows if row.id == self.grid.baseline)

    @property
    def others(self) -> list[Row]:
        """All rows but the baseline."""
        return [row for row in self.rows if row.id != self.grid.baseline]

    @property
    def attacks(self) -> list[str]:
        """Clean, the attacks of the threat model, the worst case, and then those of another one."""
        return [a for a in (*self.grid.columns, *self.grid.apart) if a != DROP]

    @property
    def strongest(self) -> str:
        """AutoAttack where two rows have it, else the worst case, else whatever comes last; empty when nothing is.

        Figures that are not believed count only where there are no others.
        """
        order = [a for a in (SUITE, report.WORST, *reversed(self.grid.columns)) if a != DROP]
        shared = [a for a in order if a != report.CLEAN and self._believed(a) > 1] or [
            a for a in order if self._judged(a) > 1
        ]
        return next(iter(shared), next((a for a in (SUITE, report.WORST, *self.attacks) if a in self.attacks), ""))

    def _judged(self, attack: str) -> int:
        return sum((row.id, attack) in self.grid.values for row in self.rows)

    def _believed(self, attack: str) -> int:
        found = (self.grid.values.get((row.id, attack)) for row in self.rows)
        return sum(value is not None and not value.struck for value in found)

    def marked(self, row: Row, *attacks: str, checkpoints: Sequence[str | None] = (None,)) -> Marked:
        """Marks of a figure that is made of the row's figures under these attacks; see `Letters.of`."""
        have = [side for side in row.sides if side.state.table or "" in checkpoints]
        return marks.joined(
            self.grid.letters.of(side, attack, checkpoint)
            for side, attack, checkpoint in product(have, attacks, checkpoints)
            if checkpoint == "" or self._has(side, attack, checkpoint)
        )

    def _has(self, side: Side, attack: str, checkpoint: str | None) -> bool:
        return attack in side.state.table.get(checkpoint or side.judged(self.wanted), {})

    def notes(self, shown: Iterable[Cell | Series | Bar | Figure]) -> list[tuple[str, str]]:
        """Sentences on the marks of these cells, points or bars."""
        return self.grid.letters.notes("".join(one.marks for one in shown))

    def noted(self, table: Table) -> Table:
        """With the sentences on the marks of its cells before its other notes."""
        cells = (cell for row in table.rows for cell in row.cells)
        return replace(table, notes=(*self.notes(cells), *table.notes))

    def legended(self, figure: Figure) -> Figure:
        """With the sentences on the marks of what it shows."""
        return replace(figure, notes=tuple(self.notes(figure.shown)))

    def cell(self, attack: str) -> Evaluated | None:
        """Some run's, the baseline's first: for the attack's settings."""
        sides = [*self.base.sides, *self.sides] if self.rows else []
        return next((cell for side in sides if (cell := side.cell(self.wanted, attack)) is not None), None)

    def title(self, attack: str) -> str:
        """What papers call it; CW-2 with its budget."""
        return report.title(attack, self.cell(attack))

    def images(self, row: Row, attack: str) -> int:
        """Of one run of this row."""
        cells = [cell for side in row.sides if (cell := side.cell(self.wanted, attack)) is not None]
        return min((cell.n for cell in cells), default=0)

    @property
    def conditions(self) -> str:
        """In which ball, on which images, of which checkpoint, by which AutoAttack the baseline was judged."""
        cell = self.cell(self.strongest) or self.cell(report.CLEAN)
        if cell is None:
            return ""
        epsilon = one_line(str(cell.spec.get("epsilon", "")), 12)
        split = one_line(cell.split, 20)
        images = f"all {count(cell.n)}" if cell.n == cell.of else f"{count(cell.n)} of {count(cell.of)}"
        data = one_line(self.base.sides[0].data, 40)
        said = [
            f"L-inf, epsilon {epsilon}" if epsilon else "",
            f"{images} {split} images{f' of {data}' if data else ''}",
            f"checkpoint {one_line(cell.checkpoint, 20)}",
            self.suite,
        ]
        return "; ".join(words for words in said if words)

    def fair(self, attack: str) -> list[Row]:
        """Rows whose numbers under this attack answer the question that the baseline's answer."""
        return [row for row in self.rows if (row.id, attack) not in self.grid.reasons]

    def unfair(self, attack: str) -> list[tuple[str, str]]:
        """Notes on the others."""
        whys = ((row.label, self.grid.reasons.get((row.id, attack))) for row in self.rows)
        return [("", f"{label}: left out, not comparable: {why}.") for label, why in whys if why]

    def caption(self, *said: str) -> str:
        """Sentences on a table or figure, and the conditions behind them, which `bare` takes off again."""
        words = "; ".join(words for words in (*said, self.conditions) if words)
        return f"{words}." if words else ""

    def bare(self, caption: str) -> str:
        """The caption where the conditions are told once for all."""
        left = caption.removesuffix(f"{self.conditions}.").removesuffix("; ").removesuffix(".")
        return f"{left}." if left else ""

    @property
    def suite(self) -> str:
        """Versions of AutoAttack that gave the numbers; empty when none did."""
        cells = [cell for side in self.sides if (cell := side.cell(self.wanted, SUITE)) is not None]
        versions = dict.fromkeys(
            " of ".join(one_line(str(cell.spec[key]), 30) for key in ("version", "package") if key in cell.spec)
            for cell in cells
        )
        named = [version for version in versions if version]
        return f"AutoAttack {' and '.join(named)}" if named else ""


def ids(row: Row) -> tuple[str, ...]:
    """Of the runs whose numbers a line shows."""
    return tuple(side.id for side in row.sides)


def several(rows: Sequence[Row]) -> bool:
    """Whether some row is more than one seed."""
    return any(row.draws > 1 for row in rows)
