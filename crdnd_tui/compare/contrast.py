"""One row of a comparison against the baseline under one attack, as a value. Pure."""

from dataclasses import dataclass
from typing import Literal

from crdnd_tui.compare.stats import LEVEL

Kind = Literal["paired", "seeds", "welch", "unpaired", "refused", "missing", "baseline"]


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """Differences are row minus baseline, in fractions; None where there is none that means anything.

    paired: one run each, the same images: exact McNemar test, Agresti-Min interval of the difference.
    seeds: runs paired by seed: mean difference, t interval, exact sign-flip test.
    welch: several runs each whose seeds are not the same: Welch's t interval, exact permutation test.
    unpaired: one run each, whose outcomes per image are not both at hand: Newcombe interval, no test, labelled so;
        or one run against several with other seeds, where nothing but the difference can be given.
    refused: epsilon, norm, data, test subset, attack or its version differ: `why` says which.
    missing: one of them has no number yet. baseline: it is the baseline itself.
    """

    attack: str
    kind: Kind
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None  # two-sided
    t_p: float | None = None  # of the t test that the interval over seeds belongs to: it trusts in normality
    adjusted: float | None = None  # Holm, over the rows that are compared with the baseline under this attack
    smallest: float | None = None  # that an exact test of so many pairs can give: 0.25 with three seeds
    only_row: int = 0  # images right in the row alone (b), of paired runs
    only_baseline: int = 0  # images right in the baseline alone (c)
    n: int = 0  # images
    pairs: int = 0  # seeds that both rows have
    apart: int | None = (
        None  # of those pairs, whose networks differ the same way: McNemar by image, Holm over the pairs
    )
    family: int = 1  # comparisons that Holm's correction was over
    why: str = ""  # of a refusal, or of a weaker test than the best
    struck: bool = False  # one of the two figures is not believed, and so neither is this

    @property
    def is_of_one_network(self) -> bool:
        """Whether a row of several seeds is tested by one of them, which says nothing of the methods."""
        return self.kind == "paired" and self.pairs == 1

    @property
    def significant(self) -> bool:
        """Whether the adjusted p is below 0.05, of figures that are believed."""
        return self.adjusted is not None and self.adjusted < LEVEL and not self.struck
