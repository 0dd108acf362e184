"""IAD-I: introspective adversarial distillation. Zhu et al. 2022, ICLR, arXiv:2106.04928.

Where the teacher doubts the label of x', the student trusts its own prediction on x, which is live (not detached).
"""

from typing import Any

import torch

from engine.losses import ask, cross_entropy, kl, kl_between, soften
from engine.metrics import PerClassAccuracy
from engine.spec.methods import IAD
from engine.types import ClassReport, Images, Labels, Logits, Loss, Maximise, Nets, PerExample, TrainingMethod


class Method(TrainingMethod):
    """Distillation alone for `begin` epochs, then weighted by the teacher's confidence."""

    def __init__(self, hp: IAD, nets: Nets) -> None:
        assert nets.teacher is not None, "IAD learns from a teacher"
        self.hp = hp
        self.student, self.teacher = nets.student, nets.teacher
        self.recall_clean = PerClassAccuracy(nets.classes, nets.device)
        self.recall_robust = PerClassAccuracy(nets.classes, nets.device)
        self.epoch = 1

    @property
    def introspects(self) -> bool:
        """Whether the epoch is later than `begin` (the public code counts from 0 and writes epoch < begin)."""
        return self.epoch > self.hp.begin

    def loss(self, x: Images, y: Labels, maximise: Maximise) -> Loss:
        """tau^2 KL( T(x) || S(x') at tau )  +  (1 - r) KL( S(x) || S(x') ),  r the trust of each image."""
        tau = self.hp.temperature
        x_adv = maximise(lambda x_adv: cross_entropy(self.student(x_adv), y), x)
        t = ask(self.teacher, x)  # B K
        self.recall_clean.count(t, y)

        s_adv = self.student(x_adv)  # B K
        taught = tau**2 * kl(s_adv, soften(t, tau), tau)  # B
        if not self.introspects:  # neither T(x') nor S(x) is needed yet
            robust = taught.mean()
            terms = {"teacher": robust.detach(), "own": torch.zeros_like(robust)}
            return Loss(robust, terms, robust=s_adv.detach())

        r = self.trust(ask(self.teacher, x_adv), y)  # B
        s = self.student(x)  # B K
        own = ((1 - r) * kl_between(s_adv, s)).mean()
        teacher = (r * taught if self.hp.weigh_teacher else taught).mean()
        terms = {"teacher": teacher.detach(), "own": own.detach()}
        return Loss(teacher + own, terms, s.detach(), s_adv.detach())

    def trust(self, t_adv: Logits, y: Labels) -> PerExample:
        """r = q_y(x')^beta, B: the teacher's confidence in the label of x'."""
        self.recall_robust.count(t_adv, y)
        return soften(t_adv).gather(1, y[:, None]).squeeze(1) ** self.hp.beta

    def epoch_started(self, epoch: int, epochs: int) -> None:
        """Epochs are counted from 1."""
        self.epoch = epoch

    def report(self) -> ClassReport:
        """The teacher's accuracy per class on x, and on x' in epochs that need it."""
        robust = self.recall_robust.listed() if self.introspects else []
        return ClassReport(self.recall_clean.listed(), robust)

    def epoch_ended(self) -> None:
        self.recall_clean.renew()
        self.recall_robust.renew()

    def state_dict(self) -> dict[str, Any]:
        counts = {"clean": self.recall_clean.state_dict(), "robust": self.recall_robust.state_dict()}
        return {"epoch": self.epoch} | counts

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch = state["epoch"]
        self.recall_clean.load_state_dict(state["clean"])
        self.recall_robust.load_state_dict(state["robust"])
