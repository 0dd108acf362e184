"""PGD-AT, standard adversarial training (SAT). Madry et al. 2018, ICLR, arXiv:1706.06083, eq. (2.1).

The student is trained on adversarial images alone: it never sees x.
"""

from engine.losses import cross_entropy
from engine.spec.methods import PGDAT
from engine.types import Images, Labels, Loss, Maximise, Nets, TrainingMethod


class Method(TrainingMethod):
    """min over the weights of the expected max over the ball."""

    def __init__(self, hp: PGDAT, nets: Nets) -> None:
        self.hp = hp
        self.student = nets.student

    def loss(self, x: Images, y: Labels, maximise: Maximise) -> Loss:
        """CE( S(x'), y ),  x' maximising it."""
        x_adv = maximise(lambda x_adv: cross_entropy(self.student(x_adv), y), x)
        s_adv = self.student(x_adv)  # B K
        robust = cross_entropy(s_adv, y).mean()
        return Loss(robust, {"robust": robust.detach()}, robust=s_adv.detach())
