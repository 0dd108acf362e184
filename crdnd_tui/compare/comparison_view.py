"""What a user has chosen to see of a comparison, and what that makes of the runs. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from crdnd_tui.compare import comparison, comparison_config, comparison_curves
from crdnd_tui.compare.comparison import DROP, Grid, Row
from crdnd_tui.compare.comparison_curves import Measure
from crdnd_tui.compare.comparison_side import Side
from crdnd_tui.core import report
from crdnd_tui.core.format import count
from crdnd_tui.core.text import one_line

PAGES = {
    "curves": "Curves", "results": "Results", "config": "Config", "classes": "Classes", "tests": "Tests", "gap": "Gap",
    "ends": "Best/last", "tradeoff": "Trade-off",
}  # fmt: skip
OVERVIEW = ("curves", "results", "config", "classes")  # pages that share the screen where there is room


@dataclass
class Look:
    """Kept while runs come and go; ids are those of any run of a row."""

    measure: str = comparison_curves.SELECTING
    checkpoint: str = "best"
    attack: str = ""
    baseline: str = ""
    cursor: str = ""
    grouped: bool | None = None  # None until the runs tell whether they are seeds
    deltas: bool = False
    all_keys: bool = False
    unfolded: bool = False  # keys that only some runs have, one by one
    apart: bool = False
    page: str = "results"
    hidden: set[str] = field(default_factory=set)
    left_out: int = 0  # runs that were to be compared, too, but are too many


class Shown:
    """Runs as they are looked at. There is at least one."""

    def __init__(self, sides: Sequence[Side], look: Look, grid: Grid, strongest: str = "") -> None:
        self.sides = tuple(sides)
        self.look = look
        self.grid = grid
        self.rows = grid.rows
        self._strongest = strongest  # judgement: what is looked at first
        self.measures = comparison_curves.measures(self.sides)

    def _holding(self, run: str) -> Row | None:
        return next((row for row in self.rows if any(side.id == run for side in row.sides)), None)

    @property
    def base(self) -> Row:
        """What the others are compared with."""
        return self._holding(self.grid.baseline) or self.rows[0]

    @property
    def row(self) -> Row:
        """Under the cursor; at first the first that is not the baseline."""
        return self._holding(self.look.cursor) or next((r for r in self.rows if r.id != self.base.id), self.rows[0])

    def beside(self, by: int) -> Row:
        """The row so many below the cursor, as far as there are any."""
        place = self.rows.index(self.row) + by
        return self.rows[max(0, min(len(self.rows) - 1, place))]

    @property
    def hidden(self) -> frozenset[str]:
        """Rows whose curve is not drawn."""
        return frozenset(row.id for row in self.rows if any(side.id in self.look.hidden for side in row.sides))

    @property
    def has_seeds(self) -> bool:
        """Whether two of the runs are one experiment."""
        return len(comparison.rows(self.sides, grouped=True)) < len(self.sides)

    @property
    def has_folds(self) -> bool:
        """Whether some keys make one line together."""
        known = comparison_config.of_rows(self.rows)
        return len(comparison_config.folded(known)) < len(known)

    @property
    def attacks(self) -> list[str]:
        """Under which rows can be compared."""
        return [a for a in (*self.grid.columns, *self.grid.apart) if a != DROP] or [report.CLEAN]

    @property
    def attack(self) -> str:
        """Under which tests and classes are shown: the chosen one, else the strongest judgement."""
        known = self.attacks
        return next((attack for attack in (self.look.attack, self._strongest) if attack in known), known[-1])

    @property
    def measure(self) -> Measure:
        """What the curves show."""
        return next((m for m in self.measures if m.key == self.look.measure), self.measures[0])

    def measure_after(self, by: int) -> str:
        """The key of the next measure, round and round."""
        return self.measures[(self.measures.index(self.measure) + by) % len(self.measures)].key

    @property
    def checkpoints(self) -> list[str]:
        """That some run was judged at."""
        known = dict.fromkeys(c for side in self.sides for c in side.state.checkpoints)
        return sorted(known) or ["best"]

    @property
    def conditions(self) -> str:
        """In which ball and on which images the baseline was judged."""
        side = self.base.sides[0]
        cell = next(iter(side.state.table.get(side.judged(self.look.checkpoint), {}).values()), None)
        if cell is None:
            return ""
        epsilon = one_line(str(cell.spec.get("epsilon", "")), 12)
        split = one_line(cell.split, 20)
        images = f"{count(cell.n)} {split} images" if cell.n == cell.of else f"{count(cell.n)} of {count(cell.of)}"
        return f"L-inf {epsilon} \u00b7 {images}" if epsilon else images
