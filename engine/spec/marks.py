"""Why a number may not mean what it says: marks (`marks.toml`), the checks that give them, and `suspect.json`.

A red mark strikes its figure: it is not believed, never bold, and never leads. An amber one informs.
"""

from pathlib import Path
from typing import Any, Literal

import msgspec
import tomli
from msgspec import Struct

Severity = Literal["red", "amber"]

_TABLE: dict[str, dict[str, Any]] = tomli.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
MARKS: dict[str, str] = {code: str(row["text"]) for code, row in _TABLE.items()}
"""Codes of `Warned` events and of the `marks` of an outcome: what they mean, and what to do."""
RED = frozenset(code for code, row in _TABLE.items() if row.get("red"))
"""Codes of figures that are not believed."""
UNDER_ATTACK = frozenset(code for code, row in _TABLE.items() if row.get("under_attack"))
"""Codes that say how well attacks work on this model, and nothing of its clean accuracy."""


def concerns(code: str, attack: str) -> bool:
    """Whether a mark of the whole run (its `attack` is empty) concerns this column: clean, an attack's key, or worst.

    What misleads gradients concerns every attack and what is made of them; the other codes concern clean, too.
    """
    return attack != "clean" or code not in UNDER_ATTACK


def severity(code: str) -> Severity:
    """Of a mark; codes that are not known here, such as a newer engine's, are amber."""
    return "red" if code in RED else "amber"


CHECKS: dict[str, str] = {
    "finite": "Logits and gradients are finite.",
    "constant": "The answer is not the same for every image.",
    "logits": "The model gives logits, not probabilities.",
    "repeated": "Two passes over the same images give the same logits.",
    "alone": "The answer to an image does not depend on the others in its batch.",
    "gradient": "The gradients of cross-entropy and margin are not exactly zero.",
    "planted": "PGD finds a mistake that was planted at a known point of the ball.",
    "radius": "The accuracy falls as the radius grows, to zero at 0.5.",
    "more_steps": "Five times the steps of PGD do not fool many more images.",
    "corners": "Random corners of the ball do not fool more images than an attack.",
    "teacher": "Adversarial images of the teacher do not fool more images than the student's own.",
    "twin": "Adversarial images of the naturally trained twin do not fool more images than the student's own.",
    "single_step": "One step does not fool more images than PGD.",
    "margin": "The margin attack does not find far more adversarial images than PGD.",
    "autoattack": "AutoAttack does not find far more adversarial images than PGD.",
    "rescaled": "Rescaling the logits does not find more adversarial images than as many restarts of PGD.",
    "worst_case": "No attack leaves far more images than all of them together.",
}
"""By name, each as what an honest model passes. Their number changes only with the engine."""


LOOK, CLIMB, FAR = 256, 512, 256  # images for looking at logits, for more steps and corners, for radii and transfer
DRAWS, PLANTED = 10, 24  # corners of each image; images around which a mistake is planted
PLANTED_STEPS = 20  # of the climb to it
LONGER = 5  # times the steps of a climb
SWEEP_STEPS, FAR_STEPS = 20, 50  # of the margin attack at each radius, and at the last
WIDE = 0.5  # radius at which every image may turn grey


def radii(epsilon: float) -> list[float]:
    """Return the radii of the sweep: doubled from epsilon on, the last is WIDE."""
    found = []
    while epsilon < WIDE:
        found.append(epsilon)
        epsilon *= 2
    return [*found, WIDE]


class SanityFinding(Struct, frozen=True):
    """A mark: its code, why it was given, and the column that it concerns; empty is the whole checkpoint."""

    code: str
    message: str
    attack: str = ""


class SanityReport(Struct, frozen=True, kw_only=True):
    """The content of `suspect.json`: what the probes of one checkpoint found, and which checks were left out."""

    digest: str  # of all that the findings depend on
    of: int = len(CHECKS)
    findings: list[SanityFinding]
    left_out: dict[str, str]  # check -> why it was not made
    twin: str = ""  # digest of the natural twin's weights
    measured: dict[str, float] = {}  # what a probe leaves of the images that it looked at, fractions

    @property
    def done(self) -> int:
        return self.of - len(self.left_out)


def encode_checks(report: SanityReport) -> bytes:
    return msgspec.json.encode(report) + b"\n"


def decode_checks(content: bytes) -> SanityReport:
    """ValueError (msgspec's errors are) when it is none, or leaves out more checks than there are."""
    report = msgspec.json.decode(content, type=SanityReport)
    if len(report.left_out) > report.of:
        raise ValueError(f"{len(report.left_out)} of {report.of} checks cannot be left out")
    return report
