"""CRDND: contrastive relation denoising distillation, ICASSP 2023.

"Adversarial Contrastive Distillation with Adaptive Denoising"; equation numbers are that text's.
Cosines do not see the scale of the logits, which is free to shrink: believe margin attacks, not cross-entropy ones.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from engine.acm import ACM
from engine.contrastive import Views, contrastive_loss, unit
from engine.losses import ask, kl, margin, soften
from engine.spec.errors import ConfigError
from engine.spec.methods import CRDND
from engine.types import (
    ClassReport,
    Images,
    Labels,
    Logits,
    Loss,
    Maximise,
    Nets,
    Objective,
    PerExample,
    TrainingMethod,
)

LISTED_ENTRIES = 400  # of a matrix; 100 classes would put 20,000 numbers per epoch into the log, which a_j says in 100


class Method(TrainingMethod):
    """The student learns the teacher's similarities within a batch, behind the teacher's confusion matrix."""

    def __init__(self, hp: CRDND, nets: Nets) -> None:
        assert nets.teacher is not None, "CRDND learns from a teacher"
        if hp.compensate and nets.classes < 3:  # any recall above 1 / K is above the lower clamp 2 / K = 1
            raise ConfigError(["method.compensate: the ACM needs three classes or more; set it to false"])
        self.hp = hp
        self.student, self.teacher = nets.student, nets.teacher
        self.acm_clean = ACM(hp, nets.classes, nets.device)  # M1
        self.acm_robust = ACM(hp, nets.classes, nets.device)  # M2
        learned = [theta for acm in (self.acm_clean, self.acm_robust) for theta in acm.parameters()]
        trains = hp.compensate and bool(learned)
        self.adam = Adam(learned, lr=hp.off_diagonal_learning_rate, fused=True) if trains else None

    def loss(self, x: Images, y: Labels, maximise: Maximise) -> Loss:
        """lambda L_clean + (1 - lambda) L_robust, eq. (8).

        S(x) follows the attack. The public code asks it before, which only lets the attack's batch norm know
        this batch already; afterwards, no graph waits in memory while x' is sought.
        """
        t = ask(self.teacher, x)  # B K
        x_adv = maximise(self.objective(t, y), x)
        t_adv = ask(self.teacher, x_adv)  # B K

        s, s_adv = self.student(x), self.student(x_adv)  # B K, B K
        clean_views = Views(self.represent(t), self.compensate(self.acm_clean, s))
        robust_views = Views(self.represent(t_adv), self.compensate(self.acm_robust, s_adv))

        clean = contrastive_loss(clean_views, robust_views, self.hp.temperature_clean, self.hp)  # eqs. (4), (5)
        robust = contrastive_loss(robust_views, clean_views, self.hp.temperature_robust, self.hp)  # eqs. (6), (7)

        self.acm_clean.observe(t, y)
        self.acm_robust.observe(t_adv, y)
        share = self.hp.clean_share
        terms = {"clean": clean.detach(), "robust": robust.detach()}
        return Loss(share * clean + (1 - share) * robust, terms, s.detach(), s_adv.detach())

    def objective(self, t: Logits, y: Labels) -> Objective:
        """The adversary's objective. The paper leaves it open; only the public code's margin needs labels."""
        match self.hp.inner:
            case "kl":  # RSLAD's
                soft_labels = soften(t)  # B K
                return lambda x_adv: kl(self.student(x_adv), soft_labels)
            case "margin":  # less than 0 until another class leads by kappa
                return lambda x_adv: (margin(self.student(x_adv), y) - self.hp.margin_kappa).clamp(max=0.0)
            case "neg_cos":  # blind to the scale of the logits, as the outer loss is
                return lambda x_adv: self.dissimilarity(self.student(x_adv), t)
            case "kl_rescaled":
                scale = self.hp.inner_scale
                rescaled = soften(scale * unit(t))  # B K
                return lambda x_adv: kl(scale * unit(self.student(x_adv)), rescaled)

    def dissimilarity(self, s_adv: Logits, t: Logits) -> PerExample:
        """1 - cos( M2 S(x'), T(x) )."""
        mine, its = self.compensate(self.acm_robust, s_adv), self.represent(t)
        return 1 - (unit(mine) * unit(its)).sum(dim=1)

    def represent(self, logits: Logits) -> Logits:
        """The vectors that are compared, B K, of student and teacher in the same space; float32 at least."""
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        match self.hp.space:
            case "logits":
                return logits
            case "logits_centered":
                return logits - logits.mean(dim=1, keepdim=True)
            case "probs":
                return soften(logits)

    def compensate(self, acm: ACM, logits: Logits) -> Logits:
        """M S: the student's vectors as the teacher would confuse them."""
        v = self.represent(logits)  # B K
        return acm(v) if self.hp.compensate else v

    def optimizers(self) -> Sequence[Optimizer]:
        return () if self.adam is None else (self.adam,)

    def report(self) -> ClassReport:
        """Both teachers' accuracies per class in this epoch, and M1 and M2 where they are in use."""
        clean, robust = self.acm_clean, self.acm_robust
        accuracies = ClassReport(clean.counts.listed(), robust.counts.listed())
        if not self.hp.compensate:
            return accuracies
        accuracies = accuracies._replace(recall_clean=listed(clean.recall), recall_robust=listed(robust.recall))
        if clean.matrix.numel() > LISTED_ENTRIES:
            return accuracies
        m1, m2 = ([listed(row) for row in acm.matrix] for acm in (clean, robust))
        return accuracies._replace(acm_clean=m1, acm_robust=m2)

    def epoch_ended(self) -> None:
        """Estimate both teachers' recall for the next epoch from this one."""
        self.acm_clean.renew()
        self.acm_robust.renew()

    def state_dict(self) -> dict[str, Any]:
        """Both ACMs; the trainer saves the optimiser."""
        return {"clean": self.acm_clean.state_dict(), "robust": self.acm_robust.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.acm_clean.load_state_dict(state["clean"])
        self.acm_robust.load_state_dict(state["robust"])


def listed(vector: Tensor) -> list[float]:
    """As Python numbers of six decimals, for the log."""
    return [round(entry, 6) for entry in vector.detach().double().tolist()]
