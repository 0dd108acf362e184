"""What attacks are called, as papers write them, and which of them belong to the worst case."""

from collections.abc import Mapping

from crdnd_tui.core.text import one_line
from engine.spec import attacks
from engine.spec.events import Evaluated

CLEAN, WORST = "clean", "worst"
SCALE_BLIND = ("cw_inf", "pgd_rescaled", "autoattack")  # attacks that do not see the scale of the logits
TITLES: Mapping[str, str] = {
    CLEAN: "clean",
    WORST: "worst of L-inf",
    "suspect": "cross-checks",
    **attacks.TITLES,
}
PARTS = {"apgd-ce": "APGD-CE", "apgd-t": "APGD-T", "fab-t": "FAB-T", "square": "Square"}
_NAMES = 16  # cells of an attack's name


def attack_title(attack: str, cell: Evaluated | None = None) -> str:
    """How the table calls an attack: its name in papers, or the label that the preset gave it; CW_2 with its budget."""
    name = one_line(TITLES.get(attack, attack), _NAMES)
    if cell is None or is_within(attack, cell):
        return name
    radius = cell.spec.get("radius")
    budget = f", L2 {radius:.4g}" if isinstance(radius, int | float) and radius > 0 else ", any L2"
    return name + budget


def is_within(attack: str, cell: Evaluated | None) -> bool:
    """Whether the attack stays in the run's ball, and so belongs to the worst case."""
    kind = attacks.KINDS.get(str(cell.spec.get("name", attack)) if cell else attack)
    return kind is None or kind.bounded
