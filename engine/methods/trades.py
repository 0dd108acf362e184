"""TRADES: accuracy plus consistency between x and x'. Zhang et al. 2019, ICML, arXiv:1901.08573.

Both sides of its KL are live: the prediction on x moves towards that on x', too.
"""

from functools import cache

from engine.losses import ask, cross_entropy, kl, kl_between, soften
from engine.spec.methods import TRADES
from engine.types import Images, Labels, Loss, Maximise, Nets, PerExample, Probs, TrainingMethod


class Method(TrainingMethod):
    """Cross-entropy on x, and KL between the predictions on x and x'."""

    def __init__(self, hp: TRADES, nets: Nets) -> None:
        self.hp = hp
        self.student = nets.student

    def loss(self, x: Images, y: Labels, maximise: Maximise) -> Loss:
        """CE( S(x), y )  +  beta KL( S(x) || S(x') ),  x' maximising the KL."""

        @cache  # p(x) is constant while x' moves: one forward, where the public code has one in every step
        def p() -> Probs:
            return soften(ask(self.student, x))  # B K

        # The adversary sets the student's batch-norm mode, so p() is first asked inside the climb:
        # p(x) and p(x') then come from one network. Asked out here, p(x) would use the statistics of the batch.
        def strays(x_adv: Images) -> PerExample:
            return kl(self.student(x_adv), p())

        x_adv = maximise(strays, x)

        s, s_adv = self.student(x), self.student(x_adv)  # B K, B K
        clean = cross_entropy(s, y).mean()
        robust = kl_between(s_adv, s).mean()
        terms = {"clean": clean.detach(), "robust": robust.detach()}
        return Loss(clean + self.hp.beta * robust, terms, s.detach(), s_adv.detach())
