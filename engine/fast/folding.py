"""A copy of a net whose batch norms are folded into its convolutions: the same function in fewer passes over memory.

    conv, then batch norm:   s (w * x + b - mean) + beta,   s = gamma / sqrt(var + eps)
    folded:                  (s w) * x + (beta + s (b - mean))

What follows a sum, as in pre-activation nets, has no convolution before it and stays a batch norm.
"""

import inspect
from collections import Counter, OrderedDict
from collections.abc import Callable
from copy import deepcopy
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from engine.fast.split_batchnorm import SplitBatchNorm
from engine.layers import Normalize, SameConv2d
from engine.spec.errors import CrdndError
from engine.types import Images, Logits

CONVOLUTIONS = (nn.Conv2d, SameConv2d)  # exactly these: linear in `weight`, and `bias` is added to each channel
BATCH_NORMS = (nn.BatchNorm2d, SplitBatchNorm)
HOOKS = ("_hooks", "_hooks_with_kwargs", "_hooks_always_called")  # ends of names of a module's dictionaries


class FoldedPair(NamedTuple):
    """A convolution, the batch norm that is its only user, and the copied convolution that replaces both."""

    conv: nn.Conv2d
    norm: nn.BatchNorm2d
    copy: nn.Conv2d


class FoldingError(CrdndError):
    """The calls of a net cannot be traced, so which batch norm follows which convolution is unknown."""


class FoldedNet(nn.Module):
    """A copy of a net in eval mode whose batch norms are folded into the convolutions before them.

    `refresh` takes over the net's weights. The copy has no parameters, only buffers outside every state dict: no
    optimiser, no checkpoint and no gradient finds it. The net itself stays as it is; its hooks are not copied.
    Layers compute in `dtype` (None: as the net does), except that the normalisation of pixels comes before the cast,
    and that batch norms which are not folded have the net's precision in their weights and statistics.
    """

    folded: int  # batch norms that were folded
    left: int  # batch norms that were not

    def __init__(
        self,
        net: nn.Module,
        dtype: torch.dtype | None = None,
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> None:
        """FoldingError when the forward of the net depends on values or sizes, and so cannot be traced."""
        super().__init__()
        hooks = [
            id(found)
            for m in net.modules()
            for name, found in vars(m).items()
            if name.endswith(HOOKS) and isinstance(found, OrderedDict)
        ]
        copy = deepcopy(net, {place: OrderedDict[int, Any]() for place in hooks}).eval()
        sources = dict(zip(copy.modules(), net.modules(), strict=True))
        self.net, pairs, norms = _traced(copy, dtype, memory_format)
        self.folded, self.left = len(pairs), norms - len(pairs)
        folded = {module for pair in pairs for module in pair}
        self._pairs = [FoldedPair(sources[conv], sources[norm], conv) for conv, norm in pairs]  # type: ignore[arg-type]
        self._others = [(sources[m], m) for m in self.net.modules() if m in sources and m not in folded]
        for module in self.net.modules():
            _as_buffers(module, dtype, memory_format, has_bias=any(module is conv for conv, _ in pairs))
        self.refresh()
        self.train()

    def forward(self, x: Images) -> Logits:
        """Images in [0, 1] of the net's own dtype to logits of that dtype; so is the gradient of x."""
        logits: Logits = self.net(x).to(x.dtype)
        return logits

    @torch.no_grad()
    def refresh(self) -> None:
        """Copy the net's weights and statistics into the same memory, without synchronising with the device."""
        old, new = [], []
        for source, copy in self._others:
            for name, value in copy.named_buffers(recurse=False):
                old.append(value)
                new.append(getattr(source, name).detach())
        if old:
            torch._foreach_copy_(old, new)
        if not self._pairs:
            return
        scales, biases = _affine(self._pairs)
        torch._foreach_copy_([pair.copy.get_buffer("bias") for pair in self._pairs], biases)
        for pair, scale in zip(self._pairs, scales, strict=True):
            torch.mul(pair.conv.weight, scale.view(-1, 1, 1, 1), out=pair.copy.weight)  # rounded once, to its dtype

    def train(self, mode: bool = True) -> "FoldedNet":
        return super().train(False)

    def requires_grad_(self, requires_grad: bool = True) -> "FoldedNet":
        return self


class _Tracer(fx.Tracer):
    """Stops at convolutions, batch norms and the normalisation of pixels."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        ours = isinstance(m, Normalize | nn.Conv2d | _BatchNorm)
        return ours or super().is_leaf_module(m, module_qualified_name)

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:  # noqa: ANN401
        """Below whatever decorates `forward`, such as checks of shapes, which a proxy does not have."""
        if self.is_leaf_module(m, self.path_of_module(m)):
            return super().call_module(m, forward, args, kwargs)
        return inspect.unwrap(type(m).forward)(m, *args, **kwargs)


def _traced(
    net: nn.Module, dtype: torch.dtype | None, memory_format: torch.memory_format
) -> tuple[fx.GraphModule, list[tuple[nn.Conv2d, nn.BatchNorm2d]], int]:
    """The net's calls without the batch norms that can be folded, behind a cast of the pixels, normalised or not.

    Comes with each convolution and the batch norm that was its only user, and the number of batch norms in all.
    """
    root = nn.Sequential(net)
    try:
        graph = _Tracer().trace(root)
    except (ValueError, TypeError, RuntimeError) as error:
        raise FoldingError(
            f"the forward of {type(net).__name__} cannot be traced: {error}",
            hint="It branches on values or sizes. Use the net as it is, with folded = false.",
        ) from error
    modules = dict(root.named_modules())
    called: dict[fx.Node, nn.Module] = {n: modules[str(n.target)] for n in graph.nodes if n.op == "call_module"}
    uses = Counter(called.values())
    uses.update(modules[str(n.target).rpartition(".")[0]] for n in graph.nodes if n.op == "get_attr")
    pairs: dict[fx.Node, tuple[nn.Conv2d, nn.BatchNorm2d]] = {}  # by the call of the batch norm
    entry = next(iter(graph.nodes))  # the pixels, or their normalisation
    for node, module in called.items():
        if len(node.all_input_nodes) != 1 or uses[module] > 1 or len(node.all_input_nodes[0].users) > 1:
            continue
        (before,) = node.all_input_nodes
        if before.op == "placeholder" and isinstance(module, Normalize):
            entry = node
        conv = called.get(before)
        if isinstance(conv, nn.Conv2d) and isinstance(module, nn.BatchNorm2d) and uses[conv] == 1:
            known = type(conv) in CONVOLUTIONS and type(module) in BATCH_NORMS
            if known and module.affine and module.track_running_stats:
                pairs[node] = conv, module
    for node in pairs:
        node.replace_all_uses_with(node.all_input_nodes[0])
        graph.erase_node(node)
    with graph.inserting_after(entry):
        cast = graph.call_function(_cast, (entry, dtype, memory_format))
    entry.replace_all_uses_with(cast, delete_user_cb=lambda user: user is not cast)
    return fx.GraphModule(root, graph), list(pairs.values()), sum(isinstance(module, _BatchNorm) for module in uses)


def _cast(x: Tensor, dtype: torch.dtype | None, memory_format: torch.memory_format) -> Tensor:
    """To the dtype (None: any) and layout of the convolutions."""
    return x.to(dtype=dtype or x.dtype, memory_format=memory_format if x.dim() == 4 else torch.preserve_format)


def _affine(pairs: list[FoldedPair]) -> tuple[list[Tensor], list[Tensor]]:
    """For each convolution: s, by which its weight is multiplied, and the bias beta + s (b - mean); C each."""
    variances = [torch.as_tensor(pair.norm.running_var) for pair in pairs]
    means = [torch.as_tensor(pair.norm.running_mean) for pair in pairs]
    means = [mean if pair.conv.bias is None else mean - pair.conv.bias for mean, pair in zip(means, pairs, strict=True)]
    deviations = list(torch._foreach_sqrt(torch._foreach_add(variances, [pair.norm.eps for pair in pairs])))
    scales = list(torch._foreach_div([pair.norm.weight for pair in pairs], deviations))
    shifts = list(torch._foreach_mul(means, scales))
    return scales, list(torch._foreach_sub([pair.norm.bias for pair in pairs], shifts))


def _as_buffers(
    module: nn.Module, dtype: torch.dtype | None, memory_format: torch.memory_format, *, has_bias: bool
) -> None:
    """Its tensors become buffers, in this precision and layout; refresh fills them."""
    is_exact = isinstance(module, Normalize | _BatchNorm)
    if has_bias and module.bias is None:
        module.bias = nn.Parameter(module.weight.new_empty(len(module.weight)))
    for name, value in [*module._parameters.items(), *module._buffers.items()]:
        module._parameters.pop(name, None)
        if value is None or name == "num_batches_tracked":  # eval mode counts nothing
            module._buffers[name] = None
            continue
        wanted = dtype if value.is_floating_point() and not is_exact else None
        layout = memory_format if value.dim() == 4 else torch.preserve_format
        place = torch.empty_like(value, dtype=wanted, memory_format=layout, requires_grad=False)
        module.register_buffer(name, place, persistent=False)
