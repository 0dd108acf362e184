"""How often networks are asked: in one training step of each method, and by each attack for one image.

Counts are of what this engine does, not of the public codes, which repeat some passes.
"""

from dataclasses import dataclass

from engine.spec import marks
from engine.spec.attacks import CW2, FGSM, PGD, Ascent, AttackSpec, AutoAttack, PGDRescaled, ThreatModel
from engine.spec.methods import ARD, CRDND, IAD, PGDAT, RSLAD, TRADES, MethodSpec, Natural
from engine.spec.training import Evaluation

SURVIVING = 0.5  # assumed share of images that no part of AutoAttack fools; they are nearly its whole cost
AUTOATTACK_SURVIVOR = 9_720  # forwards: APGD-CE 202, APGD-T 1818, FAB-T 2700, Square 5000


@dataclass(frozen=True, kw_only=True)
class Passes:
    """Of one training step, each over the whole batch."""

    student_forward: int
    input_backward: int  # to the pixels alone; costs about one forward
    full_backward: int  # to the weights, too; costs about two forwards
    teacher_forward: int = 0

    @property
    def student_equivalents(self) -> int:
        """The student's passes, in forwards."""
        return self.student_forward + self.input_backward + 2 * self.full_backward


def passes_per_step(method: MethodSpec, steps: int, introspects: bool = True) -> Passes:
    """With an inner maximisation of so many steps; `introspects` is False in IAD's first epochs."""
    match method:
        case Natural():
            return Passes(student_forward=1, input_backward=0, full_backward=1)
        case PGDAT():
            return _passes(steps, views=1)
        case TRADES():  # p(x) of the attack is one forward more: it is taken in the attack's batch-norm mode
            return _passes(steps, views=2, targets=1)
        case ARD():
            return _passes(steps, views=1 if method.alpha == 1 else 2, teacher=1)
        case IAD():
            return _passes(steps, views=2, teacher=2) if introspects else _passes(steps, views=1, teacher=1)
        case RSLAD():
            return _passes(steps, views=2, teacher=1)
        case CRDND():
            return _passes(steps, views=2, teacher=2)


def _passes(steps: int, views: int, targets: int = 0, teacher: int = 0) -> Passes:
    """`views`: which of x and x' the student learns from; `targets`: its forwards without gradient."""
    return Passes(
        student_forward=steps + views + targets, input_backward=steps, full_backward=views, teacher_forward=teacher
    )


def attack_forwards(attack: AttackSpec) -> int:
    """Forwards per image, an input backward counted as one, the closing judgement included.

    An upper bound, far above what protocol `worst` needs; but for AutoAttack, which leaves an image when it is fooled,
    and where `SURVIVING` is an assumption.
    """
    match attack:
        case FGSM():
            return 3
        case CW2():
            return 2 * attack.search_steps * attack.steps + 1
        case AutoAttack():
            return round(SURVIVING * AUTOATTACK_SURVIVOR) + 1
        case PGDRescaled():
            return attack.climbs * attack.restarts * (2 * attack.steps + 1)
        case _:
            return attack.restarts * (2 * attack.steps + 1)


def suspicion_forwards(evaluation: Evaluation, threat_model: ThreatModel, images: int) -> tuple[int, int]:
    """Of all checks of one checkpoint with so many images: forwards of the student or its twin, and of the teacher.

    An estimate: `SURVIVING` of the images are climbed again where rescaled PGD is compared with restarts, which honest
    models seldom need.
    """
    if not evaluation.suspect:
        return 0, 0
    looked, climbed, far = (min(some, images) for some in (marks.LOOK, marks.CLIMB, marks.FAR))
    climbs = [attack for attack in evaluation.attacks if attack.module == "pgd" and isinstance(attack, Ascent)]
    steps = climbs[0].steps if climbs else PGD().steps
    sweep = len(marks.radii(float(threat_model.epsilon))) - 1
    own = 3 * looked + 3 * climbed  # logits twice, the last third again; gradients of two losses
    own += min(marks.PLANTED, images) * (2 * marks.PLANTED_STEPS + 4)
    own += far * (sweep * (2 * marks.SWEEP_STEPS + 1) + 2 * marks.FAR_STEPS + 1)
    own += climbed * (marks.DRAWS + (2 * marks.LONGER * steps + 1 if climbs else 0))
    own += far * 2 + far * 2 * steps  # what teacher and twin give is looked at; the twin is climbed on
    rescaled = [attack for attack in evaluation.attacks if isinstance(attack, PGDRescaled)]
    if climbs:
        own += round(SURVIVING * images * sum(attack_forwards(attack) for attack in rescaled))
    return own, far * 2 * steps
