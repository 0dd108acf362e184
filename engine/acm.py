"""ACM, the adaptive compensation module: the teacher's confusion matrix M, applied to the student in training.

At test time M is removed. Without estimate (the first epoch) every a_j is 1, so that M is the identity.
Source: "Adversarial Contrastive Distillation with Adaptive Denoising", ICASSP 2023, eq. (2).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from engine.metrics import CPU, Counts, PerClassAccuracy
from engine.spec.methods import CRDND
from engine.types import Labels, Logits


class ACM(nn.Module):
    """M[i, j] = P(the teacher says i | the class is j): recall a_j on the diagonal, the rest beside it."""

    recall: Float[Tensor, " K"]  # a_j in use
    running: Float[Tensor, " K"]  # mean over batches before the clamp; used by recall = "running" alone

    def __init__(self, hp: CRDND, classes: int, device: torch.device = CPU) -> None:
        super().__init__()
        self.hp = hp
        self.lowest = max(hp.recall_min, 2 / classes)  # s_j below is 0 at a_j = 1/K, and negative beneath it
        self.counts = PerClassAccuracy(classes, device)
        self.register_buffer("recall", torch.ones(classes, device=device))
        self.register_buffer("running", torch.ones(classes, device=device))
        learned = hp.off_diagonal == "learned"
        # Row j holds the off-diagonal of class j before its softmax; the diagonal entries are never read.
        self.theta = nn.Parameter(torch.zeros(classes, classes, device=device)) if learned else None

    def forward(self, v: Logits) -> Logits:
        """M v for each row v of the batch."""
        if self.theta is not None:
            with torch.autocast(v.device.type, enabled=False):
                return F.linear(v, self.matrix)
        a, k = self.recall, len(self.recall)
        s, b = (k * a - 1) / (k - 1), (1 - a) / (k - 1)  # K, K
        if self.hp.matrix_convention == "row":
            return s * v + b * v.sum(dim=1, keepdim=True)  # (M v)_i = s_i v_i + b_i sum_j v_j
        return s * v + (b * v).sum(dim=1, keepdim=True)  # (M v)_i = s_i v_i + sum_j b_j v_j

    @property
    def matrix(self) -> Float[Tensor, "K K"]:
        """M, eq. (2). Columns sum to 1; by the row convention, rows do."""
        a, k = self.recall, len(self.recall)
        theta = torch.zeros(k, k).to(a) if self.theta is None else self.theta
        diagonal = torch.eye(k, dtype=torch.bool, device=a.device)
        elsewhere = theta.masked_fill(diagonal, -torch.inf).softmax(dim=1)  # 1 / (K - 1) where theta is 0
        by_class = torch.diag(a) + (1 - a)[:, None] * elsewhere  # row j belongs to class j
        return by_class if self.hp.matrix_convention == "row" else by_class.T

    @torch.no_grad()
    def observe(self, teacher: Logits, y: Labels) -> None:
        """Count the teacher's hits in this batch; a running estimate is updated at once."""
        batch = self.counts.count(teacher, y)
        if self.hp.recall == "running":
            self._run(batch)

    @torch.no_grad()
    def renew(self) -> None:
        """Use this epoch's counts in the next one."""
        hits, seen = self.counts.hits.to(self.recall), self.counts.seen.to(self.recall)
        overall = hits.sum() / seen.sum().clamp(min=1)  # abar
        match self.hp.recall:
            case "per_class":  # a_c = (hits_c + kappa abar) / (n_c + kappa)
                weight = seen + self.hp.recall_prior
                known = (weight > 0) & (seen.sum() > 0)
                self._use((hits + self.hp.recall_prior * overall) / weight.clamp(min=1e-12), known)
            case "global":
                self._use(overall.expand_as(hits), seen.sum() > 0)
            case "running":
                pass  # it moved with each batch
        self.counts.renew()

    def _run(self, batch: Counts) -> None:
        share = batch.hits / batch.seen.clamp(min=1)  # K
        met, m = self.counts.seen > 0, self.hp.recall_momentum
        self.running.copy_(torch.where(batch.seen > 0, m * self.running + (1 - m) * share, self.running))
        self._use(self.running, met)

    def _use(self, estimate: Tensor, known: Tensor) -> None:
        """Clamp the estimates and use them; classes without one keep what they have."""
        clamped = estimate.clamp(min=self.lowest).clamp(max=self.hp.recall_max)
        self.recall.copy_(torch.where(known, clamped, self.recall))
