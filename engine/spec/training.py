"""How a student is trained, validated and judged, as data."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from engine.spec.attacks import (
    FGSM,
    PGD,
    PGDSAT,
    PGDTRADES,
    Ascent,
    AttackSpec,
    AutoAttack,
    CWInf,
    PGDRescaled,
    Start,
)
from engine.spec.base import Count, Many, NonNegative, Positive, Seed, Spec, Steps

Epochs = Annotated[int, Field(ge=1, le=100_000)]


class Inner(Ascent):
    """The inner maximisation of training: how x_adv is found."""

    steps: Steps = 10
    start: Start = "gaussian"
    student_mode: Literal["eval", "train"] = "eval"
    """Batch norm of the student during the attack: running statistics, or those of each adversarial batch."""


class Constant(Spec):
    """The same learning rate throughout."""

    name: Literal["constant"] = "constant"


class MultiStep(Spec):
    """The rate times `factor` after each of these epochs, counted from 1."""

    name: Literal["multistep"] = "multistep"
    milestones: Many[Epochs] = (215, 260, 285)
    factor: Positive = 0.1


class Cosine(Spec):
    """From the learning rate to 0 along half a cosine, renewed per epoch. Loshchilov and Hutter 2017."""

    name: Literal["cosine"] = "cosine"


ScheduleSpec = Annotated[Constant | MultiStep | Cosine, Field(discriminator="name")]


class Training(Spec):
    """Stochastic gradient descent with momentum."""

    epochs: Epochs = 300
    batch_size: Annotated[int, Field(ge=2, le=65_536)] = 128
    drop_last: bool = False
    """Leave out the last, smaller batch of an epoch."""
    learning_rate: Positive = 0.1
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9
    weight_decay: NonNegative = 2e-4
    nesterov: bool = False
    warmup_epochs: Count = 0
    """Epochs over which the rate rises linearly from a tenth."""
    schedule: ScheduleSpec = MultiStep()

    def steps_per_epoch(self, images: int) -> int:
        """Batches of an epoch; a last batch of one image is left out, for it has no batch statistics."""
        whole, rest = divmod(images, self.batch_size)
        return whole + (not self.drop_last and rest > 1)


Protocol = Literal["last_iterate", "worst"]
"""By which image an attack that climbs is judged: the one where it ends, or the first on its way that fools.

`worst` lets an image go as soon as it is fooled, and attacks none that is misclassified anyway: no image comes out
better than by `last_iterate`, for a fraction of the work. FGSM and CW-2 have no other image, AutoAttack is always so.
"""


def recorded(attack: AttackSpec, protocol: Protocol) -> dict[str, Any]:
    """The attack as a record names it; it has a protocol only where that is not last_iterate and the attack climbs."""
    named = {"protocol": protocol} if isinstance(attack, Ascent) and protocol != "last_iterate" else {}
    return attack.model_dump(mode="json", exclude_none=True) | named


class Selection(Spec):
    """Which epoch is `best`: judged on the validation images, never on the test split."""

    every: Epochs = 1
    """Validate after each `every`-th epoch, and after the last."""
    by: str = "cw_inf"
    """The attack whose robust accuracy selects, or `clean`."""
    attacks: Many[AttackSpec] = (PGD(steps=10), CWInf(steps=10))
    batch_size: Annotated[int, Field(ge=1)] = 500
    protocol: Protocol = "worst"
    """`worst` stops at the first image that fools: the fast choice. `last_iterate` is that of tables."""

    @model_validator(mode="after")
    def _attacks_fit(self) -> "Selection":
        keys = _distinct(self.attacks)
        if self.by not in {"clean", *keys}:
            raise ValueError(f"by = {self.by!r} is not measured; it may be one of clean, {', '.join(keys)}")
        return self


class Evaluation(Spec):
    """The judgement on the test split, after training."""

    checkpoints: Annotated[Many[Literal["best", "last"]], Field(min_length=1)] = ("best", "last")
    images: Count = 0
    """Judge on a seeded subset of so many test images, stratified by class; 0 = the whole split."""
    batch_size: Annotated[int, Field(ge=1)] = 500
    """AutoAttack draws its noise per batch, so this belongs to the protocol."""
    seed: Seed = 0
    protocol: Protocol = "last_iterate"
    """`last_iterate` judges where a climb ends, as papers do; `worst` every image on its way, a little stronger."""
    gallery: Annotated[int, Field(ge=0, le=256)] = 20
    """Adversarial examples kept per attack."""
    suspect: bool = True
    """Probe the model for signs of masked gradients, and mark numbers that cannot be believed."""
    attacks: Many[AttackSpec] = (
        FGSM(),
        PGDSAT(),
        PGDTRADES(),
        CWInf(),
        PGDRescaled(),
        AutoAttack(),
    )

    @model_validator(mode="after")
    def _attacks_fit(self) -> "Evaluation":
        _distinct(self.attacks)
        if len(set(self.checkpoints)) < len(self.checkpoints):
            raise ValueError("a checkpoint is listed twice")
        return self

    @property
    def quick(self) -> tuple[AttackSpec, ...]:
        """What a quick verification repeats beside clean: the first attack that climbs within the ball step by step."""
        climbing = [attack for attack in self.attacks if attack.bounded and attack.module != "autoattack"]
        return tuple(sorted(climbing, key=lambda attack: attack.module == "fgsm"))[:1]


def _distinct(attacks: tuple[AttackSpec, ...]) -> list[str]:
    keys = [attack.key for attack in attacks]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise ValueError(f"two attacks are called `{twice[0]}`; give one of them a `label`")
    if "clean" in keys or "worst" in keys:
        raise ValueError("`clean` and `worst` are columns of their own and cannot be labels")
    return keys
