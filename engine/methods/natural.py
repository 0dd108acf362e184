"""Natural training: cross-entropy on clean images. No paper; the non-robust baseline."""

from engine.losses import cross_entropy
from engine.spec.methods import Natural
from engine.types import Images, Labels, Loss, Maximise, Nets, TrainingMethod


class Method(TrainingMethod):
    """Empirical risk minimisation without an adversary."""

    def __init__(self, hp: Natural, nets: Nets) -> None:
        self.hp = hp
        self.student = nets.student

    def loss(self, x: Images, y: Labels, maximise: Maximise) -> Loss:
        """CE( S(x), y )."""
        s = self.student(x)  # B K
        clean = cross_entropy(s, y).mean()
        return Loss(clean, {"clean": clean.detach()}, clean=s.detach())
