"""Marks: why a number may not mean what it says, one sentence of cause and one of remedy for each code.

A red mark strikes its figure: it is not believed, never bold, and never leads. An amber one informs.
"""

from typing import Literal

Severity = Literal["red", "amber"]

MARKS: dict[str, str] = {
    "margin_below_ce": "The margin attack finds far more adversarial images than the cross-entropy attack, which the "
    "scale of the logits probably misleads. Believe CW-inf or AutoAttack.",
    "suite_below_pgd": "AutoAttack finds far more adversarial images than PGD, which this model probably "
    "misleads. Believe AutoAttack.",
    "rescaled_below_ce": "Rescaling the logits makes the cross-entropy attack much stronger, so their scale hides "
    "gradients. Believe the rescaled attack, CW-inf or AutoAttack.",
    "fgsm_below_pgd": "One step fools more images than many steps, which an undisturbed gradient cannot do. Look for "
    "masked gradients; use AutoAttack.",
    "steps_help": "Five times the steps fool many more images, so the attack had not converged. Give it more steps.",
    "epsilon_unbounded": "Not even radius 0.5, where every image may turn grey, brings the accuracy to zero, so "
    "gradients do not lead the attack. Look for masked gradients; use AutoAttack.",
    "zero_gradient": "Many images have an input gradient of exactly zero, so attacks that follow it stand still. "
    "Look for rounding, saturation or detached inputs.",
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
    "rescored_differently": "Asked again about adversarial images, the model answered differently about some. Look "
    "for randomness, or answers that depend on the batch.",
}
"""Codes of `Warned` events and of the `marks` of an outcome."""

RED = frozenset(
    {
        "above_worst_case",
        "zero_gradient",
        "constant_output",
        "non_finite",
        "non_deterministic",
        "train_mode",
        "autoattack_randomised",
        "rescored_differently",
    }
)
"""Codes of figures that are not believed."""


def severity(code: str) -> Severity:
    """Of a mark; codes that are not known here, such as a newer engine's, are amber."""
    return "red" if code in RED else "amber"
