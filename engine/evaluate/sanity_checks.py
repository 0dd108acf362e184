"""Sanity checks: do these numbers measure the model's robustness, or the attack's failure?

A difference counts only when it is larger than its threshold and not a matter of luck (exact McNemar, p < 0.05).
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from engine.evaluate import probes
from engine.evaluate.outcomes import bits
from engine.evaluate.probes import SMALLEST, STEP_GAP, ProbeResult, SanityContext, called, drops, finding, is_one_step
from engine.evaluate.surrogate import Surrogate
from engine.spec.attacks import AttackSpec
from engine.spec.errors import percent
from engine.spec.files import RESULT_CAP, decoded
from engine.spec.marks import CHECKS, SanityFinding, SanityReport, concerns, decode_checks, severity
from engine.spec.outcomes import Outcome

# Fractions of the images. Published students lose up to 7 points from PGD-20 to AutoAttack; CRDND's rows lose 8 to 12.
MARGIN_GAP, SUITE_GAP = 0.05, 0.08
SHORT_STEPS = 0.04  # what the short steps of PGD-TRADES may cost an honest model
UNHIDDEN = (  # attacks that the scale of the logits does not mislead
    ("margin", "margin_below_ce", MARGIN_GAP),
    ("autoattack", "suite_below_pgd", SUITE_GAP),
)
# A figure flatters beyond so many points above the worst case of its image set, and is not believed when these are
# more than this part of it, too. One step is weaker by design, and its figure claims no more: it leaves honest small
# nets 36 % of itself above their worst case, undefended ones up to 19 points above nothing. Twice as much is a failure.
FLATTERS, LIES, ONE_STEP = 0.1, 1 / 3, 2
FEW = 96  # fewer, and the widest 95 % interval is over ten points to each side
NOTICED = ("autoattack_", "rescored_")  # beginnings of the marks that an attack gives itself

COMPARISONS = ("single_step", "margin", "autoattack", "worst_case")  # of figures that are there already
DEAD = {"non_finite": "the logits are not finite", "constant_output": "every image gets the same answer"}
PAIRED = ("more_steps", "corners", "teacher", "twin", "single_step", "margin", "autoattack", "rescaled", "worst_case")
NEEDED = {  # check -> attacks of the suite, by module, without which it is not made
    "more_steps": ("pgd",),
    "single_step": ("pgd", "fgsm"),
    "margin": ("pgd", "margin"),
    "autoattack": ("pgd", "autoattack"),
    "rescaled": ("pgd", "rescaled"),
}
NAMES = {"pgd": "PGD", "fgsm": "FGSM", "margin": "CW-inf", "autoattack": "AutoAttack", "rescaled": "rescaled PGD"}


def told_by_attacks(outcomes: Sequence[Outcome]) -> list[SanityFinding]:
    """What the attacks themselves noticed, and whether enough was evaluated; the clean outcome comes first."""
    first = outcomes[0]
    found = []
    if first.n < first.of:
        found.append(finding("subset", f"{first.n} of {first.of} images were judged."))
    if first.n < FEW:
        found.append(finding("few_images", f"{first.n} images were judged."))
    for outcome in outcomes:
        lost = sum(guess < 0 for guess in outcome.predicted)
        if lost and outcome.attack == "clean":
            found.append(finding("non_finite", f"{lost} of {outcome.n} images."))
        elif lost and min(first.predicted) >= 0:
            found.append(finding("non_finite", f"{lost} of {outcome.n} images.", outcome.attack))
        found += [finding(code, "", outcome.attack) for code in outcome.marks if code.startswith(NOTICED)]
    return found


def compare(
    outcomes: Mapping[str, Outcome], specs: Sequence[AttackSpec], *, believable: bool = True
) -> list[SanityFinding]:
    """Attacks against each other, on the images that all of them met; every column against all of them together.

    What the scale of the logits hides, it hides from every climb on the cross-entropy: where the strongest is far
    behind, all that are so are marked. The short steps of PGD-TRADES alone cost an honest model over three points, so
    where the strongest is not, a climb has `SHORT_STEPS` more. Not `believable`: even the worst case is struck.
    """
    within = [outcomes[spec.key] for spec in specs if spec.bounded]
    if not within or within[0].n < SMALLEST:
        return []
    worst = [all(row) for row in zip(*(bits(outcome).tolist() for outcome in within), strict=True)]
    advice = _advice(within, worst) if believable else "no figure of these attacks can be believed"
    found = _climbs(outcomes, specs, advice)
    accused = {one.attack for one in found}
    for spec in (spec for spec in specs if spec.bounded):
        outcome, times = outcomes[spec.key], ONE_STEP if is_one_step(spec) else 1
        if not drops(bits(outcome), worst, times * FLATTERS):
            continue
        above = outcome.accuracy - sum(worst) / len(worst)
        figures = f"{called(outcome)} leaves {percent(outcome.accuracy)}; {advice}."
        if above > times * LIES * outcome.accuracy:
            found.append(finding("above_worst_case", figures, spec.key))
        elif spec.key not in accused and times == 1:
            found.append(finding("ten_above_worst", figures, spec.key))
    return found


def _climbs(outcomes: Mapping[str, Outcome], specs: Sequence[AttackSpec], advice: str) -> list[SanityFinding]:
    """PGD against what the scale of the logits does not mislead, and against one step."""
    by_module = {
        module: [outcomes[spec.key] for spec in specs if spec.module == module]
        for module in ("fgsm", "pgd", *(module for module, _, _ in UNHIDDEN))
    }
    climbs, found = by_module["pgd"], list[SanityFinding]()
    strongest = min(climbs, key=lambda climb: climb.accuracy, default=None)
    for module, code, gap in UNHIDDEN:
        if strongest is not None:
            allowed = gap if _weaker(strongest, by_module[module], code, gap, advice) else gap + SHORT_STEPS
            found += [one for climb in climbs for one in _weaker(climb, by_module[module], code, allowed, advice)]
    for climb in climbs:
        found += _weaker(climb, by_module["fgsm"], "fgsm_below_pgd", STEP_GAP, advice)
    return found


def _weaker(climb: Outcome, others: Sequence[Outcome], code: str, gap: float, advice: str) -> list[SanityFinding]:
    """A mark on `climb` when one of the others leaves significantly fewer images, by more than `gap`."""
    for other in others:
        if drops(bits(climb), bits(other), gap):
            figures = f"{called(climb)} leaves {percent(climb.accuracy)}, {called(other)} {percent(other.accuracy)}"
            return [finding(code, f"{figures}; {advice}.", climb.attack)]
    return []


def _advice(within: Sequence[Outcome], worst: Sequence[bool]) -> str:
    """Which figure to believe, in words: AutoAttack's where nothing is lower, else the worst case."""
    suites = [outcome for outcome in within if outcome.spec.get("name") == "autoattack"]
    lowest = next((called(suite) for suite in suites if bits(suite).tolist() == list(worst)), "the worst case")
    return f"believe {lowest}, {percent(sum(worst) / len(worst))}"


def probe(sanity: SanityContext, digest: str) -> SanityReport:
    """Make every check that can be made; `digest` names all that its findings depend on."""
    lead = sanity.context.ranks.on_leader
    found = lead(lambda: probes.logits_of_one_batch(sanity))
    codes = {one.code for one in found}
    left_out = _left_out(sanity)
    if dead := next((why for code, why in DEAD.items() if code in codes), ""):  # nothing can be climbed
        made = ["finite", *COMPARISONS, *(() if "non_finite" in codes else ("constant", "logits", "repeated", "alone"))]
        return SanityReport(
            digest=digest,
            findings=found,
            left_out={
                check: left_out[check] if check in made else dead
                for check in CHECKS
                if check in left_out or check not in made
            },
        )
    surrogate = Surrogate(None) if "twin" in left_out else sanity.surrogate()
    checks: dict[str, Callable[[], ProbeResult]] = {
        "gradient": lambda: lead(lambda: probes.gradients(sanity)),
        "planted": lambda: lead(lambda: probes.planted(sanity)),
        "radius": lambda: probes.large_radius(sanity),
        "more_steps": lambda: probes.more_steps(sanity),
        "corners": lambda: probes.corners(sanity),
        "teacher": lambda: probes.transfer(
            sanity, sanity.teacher, "teacher", "transfer_stronger", "there is no teacher here"
        ),
        "twin": lambda: probes.transfer(
            sanity, surrogate.net, f"twin-{surrogate.digest[:12]}", "twin_stronger", surrogate.why
        ),
        "rescaled": lambda: probes.rescaled(sanity),
    }
    results = {check: run() for check, run in checks.items() if check not in left_out}
    left_out |= {check: result.left_out for check, result in results.items() if result.left_out}
    return SanityReport(
        digest=digest,
        findings=[*found, *(one for result in results.values() for one in result.findings)],
        left_out={check: left_out[check] for check in CHECKS if check in left_out},
        twin=surrogate.digest,
        measured={name: left for result in results.values() for name, left in result.measured.items()},
    )


def read(path: Path, digest: str) -> SanityReport | None:
    """What the probes found before about the same numbers; None when they must be asked again."""
    kept = decoded(path, decode_checks, RESULT_CAP)
    return kept if kept is not None and kept.digest == digest else None


def _left_out(sanity: SanityContext) -> dict[str, str]:
    """Paired checks that cannot be made, and why: which attacks are missing, or that no difference could be told."""
    if sanity.context.n < SMALLEST:
        return dict.fromkeys(PAIRED, "too few images to tell a difference from luck")
    modules = {spec.module for spec in sanity.specs}
    left_out = {
        check: f"no {' or '.join(NAMES[module] for module in needed if module not in modules)} in the suite"
        for check, needed in NEEDED.items()
        if not modules.issuperset(needed)
    }
    if sum(spec.bounded for spec in sanity.specs) <= 1:
        left_out["worst_case"] = "no two attacks of the ball in the suite"
    return left_out


def believable(found: Sequence[SanityFinding]) -> bool:
    """Whether none of these strikes the worst case itself."""
    return not any(
        severity(one.code) == "red" and one.attack in {"", "worst"} and concerns(one.code, "worst") for one in found
    )


def marks_of(outcome: Outcome, found: Sequence[SanityFinding]) -> list[str]:
    """Codes of this column: its own, those of findings about it, and those of the whole run that concern it."""
    about = {
        one.code
        for one in found
        if one.attack == outcome.attack or (not one.attack and concerns(one.code, outcome.attack))
    }
    return sorted(about | set(outcome.marks))
