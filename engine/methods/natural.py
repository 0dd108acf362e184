"""Natural training: cross-entropy on clean images. It asks no adversary, and so falls to one."""

from engine.losses import cross_entropy
from engine.spec.methods import Natural
from engine.types import Images, Labels, Loss, Maximise, Nets, TrainingMethod


class Method(TrainingMethod):
    """What a network learns when nobody is against it. No paper: the baseline that every table begins with."""

    def __init__(self, hp: Natural, nets: Nets) -> None:
        self.hp = hp
        self.student = nets.student

    def loss(self, x: Images, y: Labels, maximise: Maximise) -> Loss:
        """CE( S(x), y )."""
        s = self.student(x)  # B K
        clean = cross_entropy(s, y).mean()
        return Loss(clean, {"clean": clean.detach()}, clean=s.detach())
