"""Marks: why a number may not mean what it says; the checks that give them; `suspect.json`, where both are kept.

A red mark strikes its figure: it is not believed, never bold, and never leads. An amber one informs.
"""

from typing import Literal

import msgspec
from msgspec import Struct

Severity = Literal["red", "amber"]

MARKS: dict[str, str] = {
    "margin_below_ce": "The margin attack finds far more adversarial images than the cross-entropy attack, which the "
    "scale of the logits probably misleads. Believe the worst case.",
    "suite_below_pgd": "AutoAttack finds far more adversarial images than PGD, which this model probably "
    "misleads. Believe the worst case.",
    "rescaled_below_ce": "Rescaling the logits makes the cross-entropy attack much stronger, so their scale hides "
    "gradients. Believe the worst case.",
    "fgsm_below_pgd": "One step fools more images than many steps, which an undisturbed gradient cannot do. Look for "
    "masked gradients.",
    "steps_help": "Five times the steps fool many more images, so the attack had not converged. Give it more steps.",
    "epsilon_unbounded": "Not even radius 0.5, where every image may turn grey, brings the accuracy to zero, so "
    "gradients do not lead the attack. Look for masked gradients.",
    "radius_not_monotone": "A larger radius leaves more images than a smaller one within it, so the attack loses its "
    "way. Look for masked gradients.",
    "zero_gradient": "Many images have an input gradient of exactly zero, so attacks that follow it stand still. "
    "Look for rounding, saturation or detached inputs.",
    "some_zero_gradients": "A few images have an input gradient of exactly zero, so attacks that follow it stand still "
    "there. Look for rounding, saturation or detached inputs.",
    "planted_missed": "A mistake was planted at a known point of the ball around each of a few images, and the attack "
    "did not find it. Look for masked gradients.",
    "corners_stronger": "Random corners of the ball fool more images than this attack, which follows a gradient. Look "
    "for masked gradients.",
    "transfer_stronger": "Adversarial images of the teacher fool this student more often than its own. Look for masked "
    "gradients.",
    "twin_stronger": "Adversarial images of the naturally trained twin fool this student more often than its own. Look "
    "for masked gradients.",
    "non_finite": "The model gave logits or gradients that are not finite; such images count as wrong. Look for an "
    "overflow in the model.",
    "constant_output": "The model gives every image the same answer; its accuracy is the share of one class. Check the "
    "weights and the normalisation.",
    "probabilities": "The model gives probabilities, not logits, which weakens every attack on the cross-entropy. "
    "Take away its last softmax.",
    "non_deterministic": "Two passes over the same images differ, so an attack on one pass may miss the other. Switch "
    "randomness off, or average over it.",
    "train_mode": "The answer to one image depends on the others in the batch, as batch norm's does in train mode. "
    "Judge the model in eval mode.",
    "subset": "Only a part of the split was judged. Judge the whole split for a figure that can be compared.",
    "few_images": "So few images were judged that the interval is wider than ten points. Judge more images.",
    "autoattack_randomised": "AutoAttack suspects a randomised model, for which its standard version is too weak. "
    "Switch randomness off, or use its version for randomised models.",
    "autoattack_probabilities": "AutoAttack sees probabilities where it needs logits. Take away the last softmax.",
    "autoattack_zero_gradient": "AutoAttack met images with zero gradient, so its gradient attacks may be unreliable "
    "here. Look for rounding, saturation or detached inputs.",
    "autoattack_square": "Square, which needs no gradient, still fooled over 0.2 % of the images after the gradient "
    "attacks. Look for masked gradients.",
    "autoattack_dynamic": "The model computes gradients in its own forward pass; AutoAttack may be too weak. Attack "
    "the whole procedure instead.",
    "autoattack_few_classes": "The targeted DLR loss needs four classes, so APGD-T was left out of the "
    "standard suite. Compare the figure only with others of as few classes.",
    "above_worst_case": "All attacks together leave far fewer images than this one alone, so this figure overstates "
    "the robustness. Believe the worst case.",
    "ten_above_worst": "All attacks together leave over ten points less than this one alone, so this figure flatters. "
    "Believe the worst case.",
    "rescored_differently": "Asked again about adversarial images, the model answered differently about some. Look "
    "for randomness, or answers that depend on the batch.",
    "train_subset": "The student was trained on a part of the training images. Compare it only with others of as few.",
    "teacher_at_chance": "The teacher is hardly more often right than by chance, so there is little to learn from it. "
    "Check its checkpoint, its normalisation and its classes.",
    "teacher_less_robust": "The teacher is less robust here than its source says. Check its checkpoint, its "
    "normalisation and the radius that the figure belongs to.",
    "teacher_below_record": "The teacher is right less often on these images than its own run recorded on others. "
    "Give it the data that it was trained for.",
    "shared_images": "Some test images are training images, too, so the figure is partly one of memory. Take them out "
    "of one of the splits.",
    "one_class_test": "All test images belong to one class, so a constant answer may be right on all. Add test images "
    "of the others.",
    "untested_class": "Some class has no test image, so nothing is known of it. Add test images of every class.",
    "repeated_images": "One picture stands in a split many times and counts as often. Look for images that were "
    "clipped, or copied.",
    "blank_images": "Most images of a split are of one colour, or nearly. Look at how they were saved.",
    "dark_images": "No pixel of a split is brighter than a quarter of white, so the radius is large for what is in "
    "the images. Scale them to 0 to 255.",
    "does_not_agree": "What the run's files say of this figure does not agree, so one of them is damaged or was "
    "changed. `crdnd verify` says which.",
}
"""Codes of `Warned` events and of the `marks` of an outcome."""

RED = frozenset(
    {
        "above_worst_case",
        "zero_gradient",
        "planted_missed",
        "corners_stronger",
        "transfer_stronger",
        "twin_stronger",
        "constant_output",
        "non_finite",
        "non_deterministic",
        "train_mode",
        "autoattack_randomised",
        "rescored_differently",
        "does_not_agree",
    }
)
"""Codes of figures that are not believed."""


UNDER_ATTACK = frozenset(
    {
        "zero_gradient",
        "some_zero_gradients",
        "planted_missed",
        "corners_stronger",
        "transfer_stronger",
        "twin_stronger",
        "epsilon_unbounded",
        "radius_not_monotone",
    }
)
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
    """Of the sweep: doubled from epsilon on, the last is WIDE."""
    found = []
    while epsilon < WIDE:
        found.append(epsilon)
        epsilon *= 2
    return [*found, WIDE]


class Finding(Struct, frozen=True):
    """A mark: its code, why it was given, and the column that it concerns; empty is the whole checkpoint."""

    code: str
    message: str
    attack: str = ""


class Suspicion(Struct, frozen=True, kw_only=True):
    """The content of `suspect.json`: what the probes of one checkpoint found, and which checks were left out."""

    digest: str  # of all that the findings depend on
    of: int = len(CHECKS)
    findings: list[Finding]
    left_out: dict[str, str]  # check -> why it was not made
    twin: str = ""  # digest of the natural twin's weights
    measured: dict[str, float] = {}  # what a probe leaves of the images that it looked at, fractions

    @property
    def done(self) -> int:
        """How many checks were made."""
        return self.of - len(self.left_out)


_decoder: msgspec.json.Decoder[Suspicion] = msgspec.json.Decoder(Suspicion)


def encode_checks(suspicion: Suspicion) -> bytes:
    """The file's content."""
    return msgspec.json.encode(suspicion) + b"\n"


def decode_checks(content: bytes) -> Suspicion:
    """ValueError (msgspec's errors are) when it is none, or leaves out more checks than there are."""
    suspicion = _decoder.decode(content)
    if len(suspicion.left_out) > suspicion.of:
        raise ValueError(f"{len(suspicion.left_out)} of {suspicion.of} checks cannot be left out")
    return suspicion
