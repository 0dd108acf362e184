"""What a user has chosen to see of a comparison, and what that makes of the runs. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from crdnd_tui.compare import config, curves
from crdnd_tui.compare.comparison import Comparison
from crdnd_tui.compare.curves import CurveMeasure
from crdnd_tui.compare.rows import ComparisonRow, make_rows
from crdnd_tui.compare.runs import ComparedRun
from crdnd_tui.core.attack_names import CLEAN
from crdnd_tui.core.format import count
from crdnd_tui.core.text import one_line

PAGES = {
    "curves": "Curves", "results": "Results", "config": "Config", "classes": "Classes", "tests": "Tests", "gap": "Gap",
    "ends": "Best/last", "tradeoff": "Trade-off",
}  # fmt: skip
OVERVIEW = ("curves", "results", "config", "classes")  # pages that share the screen where there is room


@dataclass
class ComparisonLook:
    """Kept while runs come and go; ids are those of any run of a row."""

    measure: str = curves.SELECTING
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


class ComparisonView:
    """Runs as they are looked at. There is at least one."""

    def __init__(self, runs: Sequence[ComparedRun], look: ComparisonLook, comparison: Comparison) -> None:
        self.runs = tuple(runs)
        self.look = look
        self.comparison = comparison
        self.rows = comparison.rows
        self.base = comparison.base
        self.measures = curves.measures(self.runs)

    def _holding(self, run: str) -> ComparisonRow | None:
        return next((row for row in self.rows if run in row.ids), None)

    @property
    def row(self) -> ComparisonRow:
        """Under the cursor; at first the first that is not the baseline."""
        return self._holding(self.look.cursor) or next((r for r in self.rows if r.id != self.base.id), self.rows[0])

    def beside(self, by: int) -> ComparisonRow:
        """The row so many below the cursor, as far as there are any."""
        place = self.rows.index(self.row) + by
        return self.rows[max(0, min(len(self.rows) - 1, place))]

    @property
    def hidden(self) -> frozenset[str]:
        """Rows whose curve is not drawn."""
        return frozenset(row.id for row in self.rows if not self.look.hidden.isdisjoint(row.ids))

    @property
    def has_seeds(self) -> bool:
        """Whether two of the runs are one experiment."""
        return len(make_rows(self.runs, grouped=True)) < len(self.runs)

    @property
    def has_folds(self) -> bool:
        """Whether some keys make one line together."""
        known = config.config_keys(self.rows)
        return len(config.fold_keys(known)) < len(known)

    @property
    def attacks(self) -> list[str]:
        """Under which rows can be compared."""
        return self.comparison.attacks or [CLEAN]

    @property
    def attack(self) -> str:
        """Under which tests and classes are shown: the chosen one, else the strongest judgement."""
        known = self.attacks
        return next((attack for attack in (self.look.attack, self.comparison.strongest) if attack in known), known[-1])

    @property
    def measure(self) -> CurveMeasure:
        """What the curves show."""
        return next((m for m in self.measures if m.key == self.look.measure), self.measures[0])

    def measure_after(self, by: int) -> str:
        """The key of the next measure, round and round."""
        return self.measures[(self.measures.index(self.measure) + by) % len(self.measures)].key

    @property
    def checkpoints(self) -> list[str]:
        """That some run was judged at."""
        known = dict.fromkeys(c for run in self.runs for c in run.state.checkpoints)
        return sorted(known) or ["best"]

    @property
    def conditions(self) -> str:
        """In which ball and on which images the baseline was judged."""
        cell = next(iter(self.base.runs[0].cells.values()), None)
        if cell is None:
            return ""
        epsilon = one_line(str(cell.spec.get("epsilon", "")), 12)
        split = one_line(cell.split, 20)
        images = f"{count(cell.n)} {split} images" if cell.n == cell.of else f"{count(cell.n)} of {count(cell.of)}"
        return f"L-inf {epsilon} \u00b7 {images}" if epsilon else images
