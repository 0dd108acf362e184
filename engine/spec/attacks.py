"""Threat models and attacks, as data. The union `AttackSpec` is the registry of attacks.

`name` in a preset is the column of the table; `module` is the file under `engine/attacks` that climbs.
"""

from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import AfterValidator, Field, field_validator, model_validator

from engine.spec.base import Many, NonNegative, Pixels, Positive, Spec, Steps

Start = Literal["clean", "uniform", "gaussian"]


def _positive(words: str) -> AfterValidator:
    def check(distance: Pixels) -> Pixels:
        if distance <= 0.0:
            raise ValueError(f"{words} 0 nobody is attacked")
        return distance

    return AfterValidator(check)


StepSize = Annotated[Pixels, _positive("by steps of length")]


class ThreatModel(Spec):
    """What the adversary may do: move each pixel by at most epsilon, and stay in [0, 1]."""

    norm: Literal["linf"] = "linf"
    epsilon: Annotated[Pixels, _positive("within a radius of")] = Pixels(8 / 255)
    """Radius of the ball, in pixel units of [0, 1]."""


class Ascent(Spec):
    """How an adversary climbs: projected gradient ascent by signs."""

    steps: Steps = 20
    step_size: StepSize = Pixels(2 / 255)
    """Length of one step, in pixel units."""
    start: Start = "uniform"
    """Where the climb begins: the image itself, uniform in the ball, or 0.001 x normal noise around it."""


RESERVED = frozenset({"gallery", "suspect"})  # files beside the results of the attacks


class _Attack(Spec):
    module: ClassVar[str]
    title: ClassVar[str]
    bounded: ClassVar[bool] = True  # x_adv lies in the ball of the threat model
    label: str = Field(default="", max_length=40, pattern=r"^[A-Za-z0-9_.+-]*$")
    """Column name, when the suite holds the same attack twice."""

    @property
    def key(self) -> str:
        """The name of this attack's column, file and events."""
        return self.label or str(getattr(self, "name"))  # noqa: B009  each subclass has its own literal

    @field_validator("label")
    @classmethod
    def _free(cls, label: str) -> str:
        if label in RESERVED:
            raise ValueError(f"`{label}` is the name of another file of the evaluation; choose another label")
        return label


class FGSM(_Attack):
    """One sign step of length epsilon on the cross-entropy. Goodfellow et al. 2015, arXiv:1412.6572."""

    module: ClassVar[str] = "fgsm"
    title: ClassVar[str] = "FGSM"
    name: Literal["fgsm"] = "fgsm"


class Restarted(_Attack, Ascent):
    module: ClassVar[str] = "pgd"
    restarts: Annotated[int, Field(ge=1, le=100)] = 1
    """An image counts as robust only when it survives every restart."""


class PGD(Restarted):
    """Projected gradient descent on the cross-entropy, free to choose. Madry et al. 2018, arXiv:1706.06083."""

    title: ClassVar[str] = "PGD"
    name: Literal["pgd"] = "pgd"


class PGDSAT(Restarted):
    """PGD as standard adversarial training evaluates: 20 steps of 2/255 from a uniform start."""

    title: ClassVar[str] = "PGD-SAT"
    name: Literal["pgd_sat"] = "pgd_sat"


class PGDTRADES(Restarted):
    """PGD as TRADES and RSLAD evaluate: 20 steps of 0.003 from a uniform start; weaker than PGD-SAT."""

    title: ClassVar[str] = "PGD-TRADES"
    name: Literal["pgd_trades"] = "pgd_trades"
    step_size: StepSize = Pixels(0.003)


class CWInf(Restarted):
    """PGD on the margin, which the field calls CW_inf; blind to the scale of the logits."""

    module: ClassVar[str] = "margin"
    title: ClassVar[str] = "CW-inf"
    name: Literal["cw_inf"] = "cw_inf"
    steps: Steps = 30


RELATIVE_SCALES = (0.5, 2.0, 3.0, 4.0, 6.0, 8.0)
"""What PGDRescaled does unless told otherwise. Up to 8, p_y stays below 1 in float32: the lead is at most 2 x 8."""
FORMER_SCALES = (0.1, 1.0, 2.0, 5.0, 10.0, 100.0)
"""What it did before, on the logits as they are; written out in the config of every such run."""
Scales = Annotated[Many[Positive], Field(min_length=1, max_length=20)]


class PGDRescaled(Restarted):
    """PGD on the cross-entropy of rescaled logits, worst case over the scales: undoes logit-scale masking."""

    module: ClassVar[str] = "rescaled"
    title: ClassVar[str] = "PGD rescaled"
    name: Literal["pgd_rescaled"] = "pgd_rescaled"
    scales: Scales | None = None
    """Factors s of the logits as they are, s z. Where only these are named, there are no relative ones."""
    relative_scales: Scales | None = RELATIVE_SCALES
    """Factors r of logits in units of their spread, r z / (max z - mean z), of each image by itself."""

    @property
    def climbs(self) -> int:
        """Of each restart: one for each scale."""
        return len(self.scales or ()) + len(self.relative_scales or ())

    @model_validator(mode="before")
    @classmethod
    def _as_named(cls, table: Any) -> Any:  # noqa: ANN401  what a preset says
        if isinstance(table, dict) and table.get("scales") is not None and "relative_scales" not in table:
            return table | {"relative_scales": None}
        return table

    @model_validator(mode="after")
    def _has_scales(self) -> "PGDRescaled":
        if not self.climbs:
            raise ValueError("name at least one of `scales` and `relative_scales`")
        return self


class CW2(_Attack):
    """Minimal-L2 attack. Carlini and Wagner 2017, arXiv:1608.04644. Accuracy = share whose distance exceeds `radius`.

    `radius = 0` counts any success, however far: what papers print as CW_2 with a fixed constant
    (`search_steps = 1`, `initial_constant = 0.1`, `confidence = 0.01`). It is then no robustness, only laziness.
    """

    module: ClassVar[str] = "cw2"
    title: ClassVar[str] = "CW-2"
    bounded: ClassVar[bool] = False
    name: Literal["cw_2"] = "cw_2"
    steps: Steps = 1000
    learning_rate: Positive = 0.01
    confidence: NonNegative = 0.0
    """The margin, in logits, by which the wrong class must lead."""
    search_steps: Annotated[int, Field(ge=1, le=20)] = 9
    """Bisections of the constant c."""
    initial_constant: Positive = 1e-3
    radius: Annotated[float, Field(ge=0.0)] = 0.5
    """L2 budget that turns distances into an accuracy; 0 = unbounded."""


class AutoAttack(_Attack):
    """The standard ensemble APGD-CE, APGD-T, FAB-T, Square. Croce and Hein 2020, arXiv:2003.01690."""

    module: ClassVar[str] = "autoattack"
    title: ClassVar[str] = "AutoAttack"
    name: Literal["autoattack"] = "autoattack"
    version: Literal["standard"] = "standard"


AttackSpec = Annotated[
    FGSM | PGD | PGDSAT | PGDTRADES | CWInf | PGDRescaled | CW2 | AutoAttack, Field(discriminator="name")
]

KINDS: dict[str, type[_Attack]] = {
    str(kind.model_fields["name"].default): kind for kind in get_args(get_args(AttackSpec)[0])
}
"""Attacks by their names in presets."""
TITLES: dict[str, str] = {name: kind.title for name, kind in KINDS.items()}
"""What papers call them."""
