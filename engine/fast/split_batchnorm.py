"""Batch norm that normalises the parts of a batch separately: adversarial and natural images in one pass.

    x_adv | x  --one forward-->  in every layer:  [normalise the part x_adv] [normalise the part x]  --> logits of both

Running statistics are updated part after part, as in separate forwards. With several ranks the rows of each part are
spread over them; one reduction per layer and direction gives every rank the statistics of the whole part.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm

from engine.spec.errors import CrdndError

SUMS_ONLY = [False, True, True]  # of the gradients of input, weight and bias
ALL = [True, True, True]
Context: TypeAlias = Any  # what autograd hands from forward to backward
Parts: TypeAlias = tuple[Tensor, ...]


@runtime_checkable
class Reducer(Protocol):
    """Ranks that share a batch."""

    def all_reduce(self, tensor: Tensor) -> Tensor:
        """The sum over all ranks; the argument may be overwritten. Not differentiable."""


class SplitBatchNormError(CrdndError):
    """A net has batch norms that cannot normalise the parts of a batch separately."""


class SplitBatchNorm(nn.BatchNorm2d):
    """As nn.BatchNorm2d, with the same parameters, buffers and keys; `split_batches` sets the parts of a batch."""

    parts: int = 1
    images: int | None = None  # of each part over all ranks; None: those of this batch
    ranks: Reducer | None = None

    def forward(self, input: Tensor) -> Tensor:
        """B C H W to the same shape and dtype. ValueError when B is no multiple of the parts."""
        if not self.training or (self.parts == 1 and self.ranks is None):
            return super().forward(input)
        self._check_input_dim(input)
        if len(input) % self.parts:
            raise ValueError(f"a batch of {len(input)} images cannot be {self.parts} parts of equal size")
        values = (self.images or len(input) // self.parts) * input.shape[2] * input.shape[3]
        if values < 2:
            raise ValueError("batch statistics need more than one value per channel in each part")
        assert self.num_batches_tracked is not None and self.momentum is not None
        self.num_batches_tracked.add_(self.parts)
        how = _Args(self.parts, values, self.momentum, self.eps, self.ranks)
        function = _SplitNorm if self.ranks is None else _SyncedSplitNorm
        out: Tensor = function.apply(input, self.weight, self.bias, self.running_mean, self.running_var, how)
        return out


def use_split_batchnorm(net: nn.Module) -> None:
    """Make every nn.BatchNorm2d of the net a SplitBatchNorm, in place.

    SplitBatchNormError, and nothing is changed, when another kind of batch norm would go on mixing the parts.
    """
    norms = [module for module in net.modules() if isinstance(module, _BatchNorm)]
    for norm in norms:
        is_known = type(norm) in (nn.BatchNorm2d, SplitBatchNorm)
        if not is_known or not norm.affine or not norm.track_running_stats or norm.momentum is None:
            raise SplitBatchNormError(
                f"the parts of a batch would mix in {norm}",
                hint="Only nn.BatchNorm2d with weights, statistics and a momentum can be split: set paired = false.",
            )
    for norm in norms:
        norm.__class__ = SplitBatchNorm


@contextmanager
def split_batches(
    net: nn.Module, parts: int, images: int | None = None, ranks: Reducer | None = None
) -> Iterator[None]:
    """Within, every batch norm in train mode takes a batch of parts * B images as `parts` batches, in order.

    With ranks, `images` is the size of each part over all ranks, and the batch holds this rank's rows of each part, or
    none. Every rank must then make the same passes in the same order.
    """
    if (ranks is None) != (images is None):
        raise ValueError(f"the size of a part is needed with ranks, and only then: {images}")
    norms = [module for module in net.modules() if isinstance(module, SplitBatchNorm)]
    found = [(norm.parts, norm.images, norm.ranks) for norm in norms]
    for norm in norms:
        norm.parts, norm.images, norm.ranks = parts, images, ranks
    try:
        yield
    finally:
        for norm, before in zip(norms, found, strict=True):
            norm.parts, norm.images, norm.ranks = before


class _Args(NamedTuple):
    parts: int
    values: int  # per channel in each part, over all ranks
    momentum: float
    eps: float
    ranks: Reducer | None

    def split(self, *tensors: Tensor) -> list[Parts]:
        """The parts of each tensor, in order; no parts on a rank without rows."""
        rows = len(tensors[0]) // self.parts
        return [tensor.split(rows) if rows else () for tensor in tensors]


class _SplitNorm(torch.autograd.Function):
    """Batch norm of each part into one output: the cat of separate outputs without its copy."""

    @staticmethod
    def forward(ctx: Context, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor, how: _Args) -> Tensor:
        out = torch.empty_like(x)
        saved = weight.new_empty(2, how.parts, len(weight))  # mean and 1 / deviation of each part
        for xs, outs, means, inverses in zip(*how.split(x, out), *saved, strict=True):
            torch.ops.aten.native_batch_norm.out(
                xs,
                weight,
                bias,
                mean,
                var,
                True,
                how.momentum,
                how.eps,
                out=outs,
                save_mean=means,
                save_invstd=inverses,
            )
        ctx.save_for_backward(x, weight, saved)
        ctx.how = how
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, saved = ctx.saved_tensors
        how: _Args = ctx.how
        of_parts = [
            torch.ops.aten.native_batch_norm_backward(
                gradients, xs, weight, None, None, means, inverses, True, how.eps, ALL
            )
            for gradients, xs, means, inverses in zip(*how.split(gradient, x), *saved, strict=True)
        ]
        inputs, weights, biases = zip(*of_parts, strict=True)
        return torch.cat(inputs), torch.stack(weights).sum(0), torch.stack(biases).sum(0), None, None, None


class _SyncedSplitNorm(torch.autograd.Function):
    """Batch norm of parts whose rows are spread over ranks.

    Each rank sends, per part and channel, n (m - k) and n (v + (m - k)^2) of its n values with mean m and variance v.
    The running mean k is the same on all ranks and near m, so that little is lost when the squares are subtracted;
    v itself is not made of squares. Forward and backward are as in Ioffe and Szegedy 2015, arXiv:1502.03167.
    """

    @staticmethod
    def forward(ctx: Context, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor, how: _Args) -> Tensor:
        n = how.values
        sums = mean.new_zeros(how.parts, 2, len(mean))
        for xs, two in zip(*how.split(x), sums, strict=False):
            v, m = torch.var_mean(xs.to(mean.dtype), dim=(0, 2, 3), correction=0)
            own, off = xs.numel() // len(mean), m - mean
            two[0], two[1] = own * off, own * (v + off * off)
        assert how.ranks is not None
        off, square = (how.ranks.all_reduce(sums) / n).unbind(1)
        means, variances = mean + off, square - off * off
        for m, v in zip(means, variances, strict=True):
            mean.lerp_(m, how.momentum)
            var.lerp_(v * (n / (n - 1)), how.momentum)
        out = torch.empty_like(x)
        unused = torch.empty_like(mean), torch.empty_like(mean)  # where the operator repeats its statistics
        for xs, outs, m, v in zip(*how.split(x, out), means, variances, strict=False):
            torch.ops.aten.native_batch_norm.out(
                xs, weight, bias, m, v, False, 0.0, how.eps, out=outs, save_mean=unused[0], save_invstd=unused[1]
            )
        ctx.save_for_backward(x, weight, means, variances)
        ctx.how = how
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, means, variances = ctx.saved_tensors
        how: _Args = ctx.how
        inverses = torch.rsqrt(variances + how.eps)  # CUDA's kernel reads mean and inverse, the CPU's m and v
        sums = means.new_zeros(how.parts, 2, len(weight))  # per part: of dy, and of dy times the normalised x
        for xs, ys, two, m, v, inverse in zip(*how.split(x, gradient), sums, means, variances, inverses, strict=False):
            _, two[1], two[0] = torch.ops.aten.native_batch_norm_backward(
                ys, xs, weight, m, v, m, inverse, False, how.eps, SUMS_ONLY
            )
        bias_gradient, weight_gradient = sums.sum(0)  # of these rows alone: ranks add theirs up
        assert how.ranks is not None
        of_dy, of_normalised = how.ranks.all_reduce(sums).unbind(1)
        of_y = weight * inverses
        of_x = -of_y * inverses * of_normalised / how.values
        of_one = -of_y * of_dy / how.values - of_x * means
        inputs = torch.empty_like(x)
        coefficients = [of.view(how.parts, -1, 1, 1) for of in (of_one, of_x, of_y)]
        for xs, ys, outs, one, of_xs, of_ys in zip(*how.split(x, gradient, inputs), *coefficients, strict=False):
            torch.addcmul(torch.addcmul(one, xs, of_xs), ys, of_ys, out=outs)
        return inputs, weight_gradient, bias_gradient, None, None, None
