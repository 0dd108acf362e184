"""The contrastive losses of CRDND: cosine similarities within a batch, of the teacher's and the student's vectors.

Every view is a candidate for every other, whatever the batch holds: a last, smaller batch needs no special care.
Source: eqs. (4)-(7) of the CRDND text; NT-Xent is SimCLR's, Chen et al. 2020, arXiv:2002.05709, eq. (1).
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from engine.spec.methods import CRDND
from engine.types import PerExample, Scalar

SMALLEST_NORM = 1e-6  # the gradient of a cosine grows like 1 / norm

Pairs = Float[Tensor, "A M"]  # an anchor in each row, a candidate in each column
PairMask = Bool[Tensor, "A M"]


class Views(NamedTuple):
    """A batch seen twice, in one and the same space (B K, B K)."""

    teacher: Tensor
    student: Tensor


class _Rows(NamedTuple):
    """Anchors, or candidates: each view, the teacher's vector in its place, its id, and its class."""

    views: Tensor  # R K
    teacher: Tensor  # R K, the same rows as the teacher sees the same images
    ids: Tensor  # R; image i is i seen by the student, B + i by the teacher, 2B + i in the other student view
    classes: Tensor  # R, by the teacher


def contrastive_loss(views: Views, others: Views, temperature: float, hp: CRDND) -> Scalar:
    """The contrastive loss, averaged over the anchors.

    `views` are the natural (adversarial) ones; `others`, the adversarial (natural) ones of the same images, are
    candidates by pool = "nat_adv" only. There an image's own other view is a candidate like any: the text leaves
    out k = i alone. Log-sum-exp is in float32 at least, whatever the precision policy.
    """
    with torch.autocast(views.teacher.device.type, enabled=False):
        full = torch.promote_types(views.student.dtype, torch.float32)
        views, others = (Views(pair.teacher.to(full), pair.student.to(full)) for pair in (views, others))
        anchors, candidates = _anchors(views, hp), _candidates(views, others, hp)
        partner = (anchors.ids + len(views.teacher)) % (2 * len(views.teacher))  # A
        positive = partner[:, None] == candidates.ids  # A M
        allowed = _allowed(anchors, candidates, positive, hp)  # A M
        similar = unit(anchors.views) @ unit(candidates.views).T / temperature  # A M
        if hp.target == "relational":
            target = unit(anchors.teacher) @ unit(candidates.teacher).T / temperature  # A M
            return _relational_kl(similar, target, allowed).mean()
        return _nt_xent(similar, positive, allowed).mean()


def _anchors(views: Views, hp: CRDND) -> _Rows:
    """The views that are anchors: 2B, or the B of the teacher."""
    side = _student_and_teacher(views)
    batch = len(views.teacher)
    return side if hp.anchor == "both" else _Rows(*(rows[batch:] for rows in side))


def _candidates(views: Views, others: Views, hp: CRDND) -> _Rows:
    """The views that anchors are compared with."""
    side = _student_and_teacher(views)
    batch = len(views.teacher)
    match hp.pool:
        case "student_teacher":
            return side
        case "student_only":
            return _Rows(*(rows[:batch] for rows in side))
        case "nat_adv":
            return _Rows(
                torch.cat([views.student, others.student]),
                torch.cat([views.teacher, others.teacher]),
                torch.cat([side.ids[:batch], side.ids[:batch] + 2 * batch]),
                torch.cat([side.classes[:batch], others.teacher.argmax(dim=1)]),
            )


def _student_and_teacher(views: Views) -> _Rows:
    t, s = views
    return _Rows(
        torch.cat([s, t]), torch.cat([t, t]), torch.arange(2 * len(t), device=t.device), t.argmax(dim=1).repeat(2)
    )


def _allowed(anchors: _Rows, candidates: _Rows, positive: PairMask, hp: CRDND) -> PairMask:
    """Which candidates stand in the denominator: never the anchor itself."""
    allowed = anchors.ids[:, None] != candidates.ids
    if hp.mask_same_class == "teacher_argmax":
        allowed = allowed & ((anchors.classes[:, None] != candidates.classes) | positive)
    return allowed if hp.keep_positive else allowed & ~positive


def unit(vectors: Float[Tensor, "R K"]) -> Float[Tensor, "R K"]:
    """Rows scaled to norm 1."""
    return F.normalize(vectors, dim=1, eps=SMALLEST_NORM)


def _nt_xent(similar: Pairs, positive: PairMask, allowed: PairMask) -> PerExample:
    """NT-Xent: of all candidates the other view of the same image should be nearest."""
    nearest = (similar * positive).sum(dim=1)  # A
    loss = _denominator(similar, allowed) - nearest
    return loss.masked_fill(~allowed.any(dim=1), 0.0)  # an anchor without candidates has nothing to learn


def _relational_kl(similar: Pairs, target: Pairs, allowed: PairMask) -> PerExample:
    """KL(the teacher's distribution over the candidates || the student's): 0 when the student is the teacher."""
    log_target = target - _denominator(target, allowed)[:, None]  # A M
    log_similar = similar - _denominator(similar, allowed)[:, None]  # A M
    return (log_target.exp() * (log_target - log_similar) * allowed).sum(dim=1)


def _denominator(similar: Pairs, allowed: PairMask) -> PerExample:
    """log sum exp over the allowed; a row with none counts all, and its anchor is left out by the caller."""
    empty = ~allowed.any(dim=1, keepdim=True)  # A 1
    return similar.masked_fill(~(allowed | empty), -torch.inf).logsumexp(dim=1)
