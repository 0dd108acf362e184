"""The hyperparameters of each method. The union `MethodSpec` is the registry of methods.

`CRDND` here, `name = "crdnd"` in a preset, and `engine/methods/crdnd.py` are one name.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from engine.spec.base import NonNegative, Positive, Share, Spec

Reduction = Literal["batchmean", "elmean"]


class _Method(Spec):
    title: ClassVar[str]
    paper: ClassVar[str]
    needs_teacher: ClassVar[bool] = True


class Natural(_Method):
    """Cross-entropy on clean images: no adversary, no teacher; the twin that falls to 0 %."""

    title: ClassVar[str] = "Natural"
    paper: ClassVar[str] = "-"
    needs_teacher: ClassVar[bool] = False
    name: Literal["natural"] = "natural"


class PGDAT(_Method):
    """Standard adversarial training (SAT). Madry et al. 2018, arXiv:1706.06083."""

    title: ClassVar[str] = "SAT"
    paper: ClassVar[str] = "Madry et al. 2018"
    needs_teacher: ClassVar[bool] = False
    name: Literal["pgd_at"] = "pgd_at"


class TRADES(_Method):
    """Cross-entropy plus beta KL(clean || adversarial), both sides live. Zhang et al. 2019, arXiv:1901.08573."""

    title: ClassVar[str] = "TRADES"
    paper: ClassVar[str] = "Zhang et al. 2019"
    needs_teacher: ClassVar[bool] = False
    name: Literal["trades"] = "trades"
    beta: NonNegative = 6.0
    """Weight of the robust term."""


class ARD(_Method):
    """Adversarially robust distillation. Goldblum et al. 2020, arXiv:1905.09747."""

    title: ClassVar[str] = "ARD"
    paper: ClassVar[str] = "Goldblum et al. 2020"
    name: Literal["ard"] = "ard"
    alpha: Share = 1.0
    """Weight of the distillation term; 1 - alpha goes to the cross-entropy on clean images."""
    temperature: Positive = 30.0
    kl_reduction: Reduction = "elmean"
    """The public code divides the KL by the number of classes, too (elmean)."""


class IAD(_Method):
    """Introspective adversarial distillation, IAD-I. Zhu et al. 2022, arXiv:2106.04928."""

    title: ClassVar[str] = "IAD"
    paper: ClassVar[str] = "Zhu et al. 2022"
    name: Literal["iad"] = "iad"
    beta: NonNegative = 0.1
    """Sharpness of the trust q_y(x')^beta in the teacher."""
    begin: Annotated[int, Field(ge=0)] = 60
    """Epochs of plain distillation before the student starts to trust itself (80 for CIFAR-100)."""
    temperature: Positive = 1.0
    weigh_teacher: bool = False
    """Multiply the teacher's term by the trust, too, as the paper has it and the public code has not."""


class RSLAD(_Method):
    """Robust soft labels on clean and adversarial images. Zi et al. 2021, arXiv:2108.07969."""

    title: ClassVar[str] = "RSLAD"
    paper: ClassVar[str] = "Zi et al. 2021"
    name: Literal["rslad"] = "rslad"
    clean_share: Share = 1 / 6
    kl_reduction: Reduction = "batchmean"
    loss_scale: Positive = 0.1
    """The public code is 0.1 x batchmean on both CIFARs; with batch norm and weight decay the constant matters."""


class CRDND(_Method):
    """Contrastive relation denoising distillation, ICASSP 2023. Every open reading of the text is a key here.

    The defaults are the readings that the text and the public code support best.
    """

    title: ClassVar[str] = "CRDND"
    paper: ClassVar[str] = "ICASSP 2023"
    name: Literal["crdnd"] = "crdnd"

    clean_share: Share = 0.2
    """lambda of eq. (8): weight of the clean term; the robust term gets the rest."""
    temperature_clean: Positive = 0.5
    """tau_1 of eq. (4), of the cosines between clean views."""
    temperature_robust: Positive = 0.5
    """tau_2 of eq. (6), of the cosines between adversarial views."""

    compensate: bool = True
    """The adaptive compensation module (ACM) behind the student; off for the ablation."""
    space: Literal["logits", "logits_centered", "probs"] = "logits"
    """What M maps and the cosine compares: raw logits, logits less their mean, or softmax on both sides."""
    matrix_convention: Literal["column", "row"] = "column"
    """What sums to 1 in the M of M v: its columns, as eq. (2) writes it, or its rows, as the text says beside it."""
    recall: Literal["per_class", "running", "global"] = "per_class"
    """a_j: counted per true class over an epoch and used in the next; a running mean per batch; one for all."""
    recall_prior: NonNegative = 10.0
    """Pseudo-images at the global accuracy that steady the per-class counts."""
    recall_momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.99
    """Of the running estimate."""
    recall_min: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.05
    """Lower clamp of a_j, raised to 2 / K where that is larger: below 1 / K the matrix would invert a class."""
    recall_max: Annotated[float, Field(gt=0.0, le=1.0)] = 0.999
    off_diagonal: Literal["set", "learned"] = "set"
    """(1 - a_j) / (K - 1) as in eq. (2), or (1 - a_j) softmax(theta_j) learned by Adam."""
    off_diagonal_learning_rate: Positive = 1e-3

    anchor: Literal["both", "teacher"] = "both"
    """Whose views look for their partner: NT-Xent's 2N, or the N teacher views of eqs. (4)-(5)."""
    pool: Literal["student_teacher", "student_only", "nat_adv"] = "student_teacher"
    """Candidates: all other 2N - 1 views, the N student views, or the 2N clean and adversarial student views."""
    keep_positive: bool = True
    """Keep the positive pair in the denominator (NT-Xent); off is the literal k != i."""
    mask_same_class: Literal["none", "teacher_argmax"] = "none"
    """Leave out negatives that the teacher puts into the anchor's class."""
    target: Literal["onehot", "relational"] = "onehot"
    """Point at the partner, or match the teacher's own distribution of cosines (zero at student = teacher)."""

    inner: Literal["kl", "margin", "neg_cos", "kl_rescaled"] = "kl"
    """What the adversary climbs: RSLAD's KL, the public code's margin, 1 - cosine, or KL of unit-norm logits."""
    margin_kappa: NonNegative = 90.0
    """Confidence at which the margin objective stops (public code: 90)."""
    inner_scale: Positive = 10.0
    """Norm to which `kl_rescaled` brings both logits."""

    @model_validator(mode="after")
    def _readings_agree(self) -> "CRDND":
        if self.recall_min >= self.recall_max:
            raise ValueError("recall_min must lie below recall_max")
        if self.anchor == "both" and self.pool != "student_teacher" and self.target == "onehot":
            raise ValueError(f'pool = "{self.pool}" has no teacher candidates: set anchor = "teacher"')
        return self


MethodSpec = Annotated[Natural | PGDAT | TRADES | ARD | IAD | RSLAD | CRDND, Field(discriminator="name")]
