"""RSLAD: robust soft label adversarial distillation. Zi et al. 2021, ICCV, arXiv:2108.07969.

No labels anywhere. S(x') and S(x) are two forwards, adversarial first: batch norm sees two batches, in that order.
"""

from engine.losses import ask, kl, reduce, soften
from engine.metrics import PerClassAccuracy, ReportsTeacherAccuracy
from engine.spec.methods import RSLAD
from engine.types import Images, Labels, Loss, Maximise, Nets


class Method(ReportsTeacherAccuracy):
    """The robust teacher's soft labels on x are the target of both terms and of the attack."""

    def __init__(self, hp: RSLAD, nets: Nets) -> None:
        assert nets.teacher is not None, "RSLAD learns from a teacher"
        self.hp = hp
        self.student, self.teacher, self.classes = nets.student, nets.teacher, nets.classes
        self.recall = PerClassAccuracy(nets.classes, nets.device)

    def loss(self, x: Images, y: Labels, maximise: Maximise) -> Loss:
        """scale [ (1 - a) KL( T(x) || S(x') )  +  a KL( T(x) || S(x) ) ],  x' maximising the first KL."""
        a = self.hp.clean_share
        t = ask(self.teacher, x)  # B K
        self.recall.count(t, y)  # for the log alone
        soft_labels = soften(t)  # B K
        x_adv = maximise(lambda x_adv: kl(self.student(x_adv), soft_labels), x)

        s_adv = self.student(x_adv)  # B K
        s = self.student(x)  # B K
        robust = self.hp.loss_scale * reduce(kl(s_adv, soft_labels), self.hp.kl_reduction, self.classes)
        clean = self.hp.loss_scale * reduce(kl(s, soft_labels), self.hp.kl_reduction, self.classes)
        terms = {"clean": clean.detach(), "robust": robust.detach()}
        return Loss((1 - a) * robust + a * clean, terms, s.detach(), s_adv.detach())
