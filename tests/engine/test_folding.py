"""Laws of the folded copy: the same function of the same weights, in the same memory; nothing of the net changes."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.fast.folding import FoldedNet, FoldingError
from engine.fast.split_batchnorm import use_split_batchnorm
from engine.spec.models import ModelSpec, PreActResNet18, ResNet18, SmallCNN, SmallResNet, WideResNet, WideResNetSiLU
from engine.teachers.load import FrozenTeacher
from tests.engine.test_models import SMALL, build, title

NORMALIZED = [SmallResNet(normalization="cifar10"), PreActResNet18(variant="deepmind", normalization="cifar100")]
# stem, two in each block, one in each shortcut of another width
COUNTS: list[tuple[ModelSpec, int, int]] = [  # folded, left
    (ResNet18(), 1 + 8 * 2 + 3, 0),
    (SMALL[1], 1 + 17 * 3 + 4 + 1, 0),
    (PreActResNet18(variant="kuangliu"), 8, 8),  # the second norm of each block; the first follows a sum or a fork
    (PreActResNet18(variant="rice"), 8, 9),
    (PreActResNet18(variant="deepmind"), 8, 9),
    (WideResNet(depth=10, width=1, sub_block=True), 3, 3 + 1),  # what is never called is not counted
    (WideResNetSiLU(depth=10, width=2), 3 + 1, 2 + 1),  # here the stem is heard by the first norm alone
    (SmallResNet(width=8), 1 + 3 * 2 + 2, 0),
    (SmallCNN(width=8), 2, 0),
]


def shaken(spec: ModelSpec, dtype: torch.dtype = torch.float64) -> nn.Module:
    """A net whose batch norms are far from the identity."""
    net = build(spec).to(dtype)
    shake(net, seed=1)
    return net.eval()


def shake(net: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                if module.affine:
                    module.weight.uniform_(-1.5, 1.5, generator=generator)
                    module.bias.normal_(0, 0.3, generator=generator)
                module.running_mean.normal_(0, 0.3, generator=generator)
                module.running_var.uniform_(0.3, 2.0, generator=generator)
            elif isinstance(module, nn.Conv2d):
                module.weight.mul_(torch.rand(1, generator=generator).item() + 0.5)


def images(dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(2), dtype=dtype).requires_grad_()


def answer(net: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    logits = net(x)
    (gradient,) = torch.autograd.grad(logits.logsumexp(dim=1).sum(), x)
    return logits.detach(), gradient


def off(found: Tensor, wanted: Tensor) -> float:
    return ((found - wanted).abs().max() / wanted.abs().max()).item()


def tensors(net: nn.Module) -> list[Tensor]:
    return [*net.parameters(), *net.buffers()]


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=["nchw", "nhwc"])
@pytest.mark.parametrize("spec", [*SMALL, *NORMALIZED], ids=title)
def test_logits_and_input_gradients_are_those_of_the_net(spec, memory_format):
    net, x = shaken(spec), images()
    folded = FoldedNet(net, memory_format=memory_format)
    for found, wanted in zip(answer(folded, x), answer(net, x), strict=True):
        assert found.dtype == torch.float64
        assert off(found, wanted) < 1e-12


@pytest.mark.parametrize(("spec", "folded", "left"), COUNTS, ids=title)
def test_how_many_batch_norms_vanish(spec, folded, left):
    copy = FoldedNet(build(spec))
    assert (copy.folded, copy.left) == (folded, left)
    called = [m for m in copy.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(called) == left


@pytest.mark.parametrize("dtype", [None, torch.bfloat16], ids=str)
@pytest.mark.parametrize("spec", [SmallResNet(normalization="cifar10"), PreActResNet18(variant="rice")], ids=title)
def test_refresh_is_a_fresh_fold_in_the_same_memory(spec, dtype):
    net = shaken(spec, torch.float32)
    folded = FoldedNet(net, dtype, torch.channels_last)
    places = [tensor.data_ptr() for tensor in tensors(folded)]
    old = answer(folded, images(torch.float32))[0]
    shake(net, seed=5)
    folded.refresh()
    fresh = FoldedNet(net, dtype, torch.channels_last)
    assert [tensor.data_ptr() for tensor in tensors(folded)] == places
    assert all(torch.equal(a, b) for a, b in zip(tensors(folded), tensors(fresh), strict=True))
    for found, wanted in zip(answer(folded, images(torch.float32)), answer(fresh, images(torch.float32)), strict=True):
        assert torch.equal(found, wanted)
        assert not torch.equal(found, old)
    convs = [m for m in folded.modules() if isinstance(m, nn.Conv2d)]
    assert all(conv.weight.is_contiguous(memory_format=torch.channels_last) for conv in convs)


@pytest.mark.parametrize("spec", [ResNet18(), PreActResNet18(variant="rice", normalization="cifar10")], ids=title)
def test_bfloat16_is_close_and_answers_in_float32(spec):
    """Eight bits of mantissa: 0.4 % a rounding, a few dozen of them in a row; pixels are normalised in float32."""
    net, x = shaken(spec, torch.float32), images(torch.float32)
    folded = FoldedNet(net, torch.bfloat16, torch.channels_last)
    assert {m.weight.dtype for m in folded.modules() if isinstance(m, nn.Conv2d | nn.Linear)} == {torch.bfloat16}
    assert {m.running_var.dtype for m in folded.modules() if isinstance(m, nn.BatchNorm2d)} <= {torch.float32}
    (logits, gradient), (plain, plain_gradient) = answer(folded, x), answer(net, x)
    assert logits.dtype == gradient.dtype == torch.float32
    assert off(logits, plain) < 0.05
    assert F.cosine_similarity(gradient.flatten(), plain_gradient.flatten(), dim=0) > 0.95
    heard = []
    first = next(m for m in folded.modules() if isinstance(m, nn.Conv2d))
    first.register_forward_pre_hook(lambda _m, inputs: heard.append(inputs[0]))
    folded(x)
    assert torch.equal(heard[0], net.normalize(x).bfloat16())


def test_the_net_is_not_touched_and_not_entered():
    net = shaken(SmallResNet(), torch.float32).train()
    net.linear.requires_grad_(False)
    net.layer1.eval()
    calls = []
    for module in net.modules():
        module.register_forward_hook(lambda *_: calls.append("a hook of the net"))
    before = deepcopy(net.state_dict())
    flags = [parameter.requires_grad for parameter in net.parameters()]
    modes = [module.training for module in net.modules()]
    hooks = [len(module._forward_hooks) for module in net.modules()]
    folded = FoldedNet(net)
    folded.refresh()
    answer(folded, images(torch.float32))
    assert not calls
    after = net.state_dict()
    assert list(after) == list(before) and all(torch.equal(after[name], before[name]) for name in before)
    assert [parameter.requires_grad for parameter in net.parameters()] == flags
    assert [module.training for module in net.modules()] == modes
    assert [len(module._forward_hooks) for module in net.modules()] == hooks
    assert all(parameter.grad is None for parameter in net.parameters())
    ours = {tensor.data_ptr() for tensor in tensors(folded)}
    assert ours.isdisjoint(tensor.data_ptr() for tensor in tensors(net))


def test_it_stays_in_eval_mode_and_has_nothing_to_train_or_save():
    folded = FoldedNet(shaken(PreActResNet18(variant="rice"), torch.float32))
    whole = nn.Sequential(folded)
    whole.train()
    whole.requires_grad_(True)
    folded.requires_grad_(True)
    assert not any(module.training for module in folded.modules())
    assert not list(folded.parameters()) and not folded.state_dict()
    assert not any(tensor.requires_grad for tensor in tensors(folded))
    x = images(torch.float32)
    assert torch.equal(answer(folded, x)[0], answer(folded, x)[0])


def test_a_variance_of_zero_is_finite():
    net, x = shaken(SmallCNN(width=4)), images()
    net.bn1.running_var.zero_()
    folded = FoldedNet(net)
    for found, wanted in zip(answer(folded, x), answer(net, x), strict=True):
        assert torch.isfinite(found).all()
        assert off(found, wanted) < 1e-12


def test_a_teacher_and_a_net_of_split_batch_norm_are_folded_too():
    net, x = shaken(SmallResNet(normalization="cifar10")), images()
    wanted = answer(net, x)
    teacher = FoldedNet(FrozenTeacher(deepcopy(net)))
    use_split_batchnorm(net)
    for folded in (teacher, FoldedNet(net)):
        assert (folded.folded, folded.left) == (9, 0)
        assert all(off(a, b) < 1e-12 for a, b in zip(answer(folded, x), wanted, strict=True))


class Odd(nn.Module):
    """Each convolution but the last is a case that must not be folded, and the last one has a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.forked, self.twice, self.scaled, self.read, self.plain = (nn.Conv2d(3, 3, 1) for _ in range(5))
        self.scaled.__class__ = Scaled
        self.norms = nn.ModuleList(nn.BatchNorm2d(3) for _ in range(4))
        self.stateless = nn.BatchNorm2d(3, affine=False)

    def forward(self, x):
        out = self.forked(x)
        out = out + self.norms[0](out)
        out = self.norms[1](self.twice(self.twice(out)))
        out = self.norms[2](self.scaled(out))
        out = self.stateless(self.read(out)) * self.read.weight.sum()
        return self.norms[3](self.plain(out)).flatten(1)


class Scaled(nn.Conv2d):
    """Not linear in its weight."""

    def forward(self, x):
        return super().forward(x) * self.weight.square().sum()


def test_what_cannot_be_folded_stays():
    net, x = Odd().double(), images()
    shake(net, seed=4)
    folded = FoldedNet(net.eval())
    assert (folded.folded, folded.left) == (1, 4)
    assert all(off(a, b) < 1e-12 for a, b in zip(answer(folded, x), answer(net, x), strict=True))


class Branching(nn.Module):
    def forward(self, x):
        return x.flatten(1) if x.sum() > 0 else -x.flatten(1)


def test_a_net_that_cannot_be_followed_is_refused():
    with pytest.raises(FoldingError, match=r"Branching cannot be traced.*\n.*folded = false"):
        FoldedNet(Branching())


def test_of_two_batch_norms_in_a_row_the_first_is_folded():
    net, x = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.BatchNorm2d(4), nn.Flatten()).double(), images()
    shake(net, seed=6)
    folded = FoldedNet(net.eval())
    assert (folded.folded, folded.left) == (1, 1)
    assert all(off(a, b) < 1e-12 for a, b in zip(answer(folded, x), answer(net, x), strict=True))
