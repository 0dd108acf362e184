"""ARD: adversarially robust distillation. Goldblum et al. 2020, AAAI, arXiv:1905.09747.

The attack uses labels; the teacher is asked about clean images only. Public code: 30 as temperature, elmean.
"""

from engine.losses import ask, cross_entropy, kl, reduce, soften
from engine.metrics import PerClassAccuracy, ReportsTeacherAccuracy
from engine.spec.methods import ARD
from engine.types import Images, Labels, Loss, Maximise, Nets


class Method(ReportsTeacherAccuracy):
    """The student's prediction on x' matches the teacher's on x."""

    def __init__(self, hp: ARD, nets: Nets) -> None:
        assert nets.teacher is not None, "ARD learns from a teacher"
        self.hp = hp
        self.student, self.teacher, self.classes = nets.student, nets.teacher, nets.classes
        self.recall = PerClassAccuracy(nets.classes, nets.device)

    def loss(self, x: Images, y: Labels, maximise: Maximise) -> Loss:
        """alpha tau^2 KL( T(x) || S(x') at tau )  +  (1 - alpha) CE( S(x), y ),  x' maximising CE( S(x'), y )."""
        alpha, tau = self.hp.alpha, self.hp.temperature
        x_adv = maximise(lambda x_adv: cross_entropy(self.student(x_adv), y), x)
        t = ask(self.teacher, x)  # B K
        self.recall.count(t, y)

        s_adv = self.student(x_adv)  # B K
        robust = tau**2 * reduce(kl(s_adv, soften(t, tau), tau), self.hp.kl_reduction, self.classes)
        if alpha == 1:  # the public code runs S(x) all the same, with weight 0
            return Loss(robust, {"robust": robust.detach()}, robust=s_adv.detach())

        s = self.student(x)  # B K
        clean = cross_entropy(s, y).mean()
        terms = {"clean": clean.detach(), "robust": robust.detach()}
        return Loss(alpha * robust + (1 - alpha) * clean, terms, s.detach(), s_adv.detach())
