"""Laws of split batch norm: as separate batches, to the bit; as one process, whatever ranks the rows lie on."""

import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from threading import Barrier

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from engine.fast.split_batchnorm import Reducer, SplitBatchNorm, SplitBatchNormError, split_batches, use_split_batchnorm
from engine.spec.models import MobileNetV2, SmallResNet
from tests.engine.test_models import build

CHANNELS = 5
FORMATS = pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=["nchw", "nhwc"])


def norms(dtype: torch.dtype) -> tuple[nn.BatchNorm2d, nn.BatchNorm2d]:
    """A plain batch norm that has seen something, and its split twin."""
    plain = nn.BatchNorm2d(CHANNELS, momentum=0.3).to(dtype)
    with torch.no_grad():
        plain.weight.uniform_(0.5, 1.5)
        plain.bias.normal_()
        plain.running_mean.normal_()
        plain.running_var.uniform_(0.5, 2)
    ours = deepcopy(plain)
    use_split_batchnorm(ours)
    return plain, ours


def batch(rows: int, dtype: torch.dtype = torch.float32, memory_format: torch.memory_format = torch.preserve_format):
    """Channels of different means and deviations."""
    x = torch.randn(rows, CHANNELS, 3, 4, dtype=dtype)
    x = x * torch.linspace(0.1, 3, CHANNELS, dtype=dtype).view(-1, 1, 1) + torch.arange(CHANNELS).view(-1, 1, 1)
    return x.to(dtype=dtype, memory_format=memory_format).requires_grad_()


def gradients(out: Tensor, x: Tensor, norm: nn.BatchNorm2d, upstream: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(out, [x, norm.weight, norm.bias], upstream)


def assert_same_buffers(ours: nn.Module, plain: nn.Module) -> None:
    for (name, found), wanted in zip(ours.named_buffers(), plain.buffers(), strict=True):
        assert torch.equal(found, wanted), name


@FORMATS
@pytest.mark.parametrize("parts", [2, 3])
def test_parts_are_separate_batches_to_the_bit(parts, memory_format):
    torch.manual_seed(0)
    plain, ours = norms(torch.float32)
    for _ in range(3):
        x = batch(4 * parts, memory_format=memory_format)
        upstream = torch.randn_like(x)
        separate = torch.cat([plain(rows) for rows in x.split(4)])
        with split_batches(ours, parts):
            out = ours(x)
        assert torch.equal(out, separate)
        assert out.is_contiguous(memory_format=memory_format)
        found, wanted = gradients(out, x, ours, upstream), gradients(separate, x, plain, upstream)
        assert torch.equal(found[0], wanted[0])
        assert all(torch.allclose(a, b, rtol=1e-6) for a, b in zip(found, wanted, strict=True))
        assert_same_buffers(ours, plain)
    assert ours.num_batches_tracked.item() == 3 * parts


def test_the_statistics_of_two_halves_by_hand():
    """Halves of constants 0, 2 | 10, 14: means 1 and 12, variances 1 and 4, unbiased over two values 2 and 8."""
    ours = nn.BatchNorm2d(1, momentum=0.5, eps=1e-30)
    use_split_batchnorm(ours)
    with split_batches(ours, 2):
        out = ours(torch.tensor([0.0, 2.0, 10.0, 14.0]).view(4, 1, 1, 1))
    assert out.flatten().tolist() == [-1.0, 1.0, -1.0, 1.0]
    assert ours.running_mean.item() == 0.5 * (0.5 * 0 + 0.5 * 1) + 0.5 * 12
    assert ours.running_var.item() == 0.5 * (0.5 * 1 + 0.5 * 2) + 0.5 * 8
    assert ours.num_batches_tracked.item() == 2


@pytest.mark.parametrize(("training", "parts"), [(False, 2), (False, 1), (True, 1)])
def test_in_eval_mode_or_with_one_part_it_is_plain_batch_norm(training, parts):
    torch.manual_seed(0)
    plain, ours = norms(torch.float32)
    plain.train(training), ours.train(training)
    x = batch(6)
    upstream = torch.randn_like(x)
    with split_batches(ours, parts):
        out = ours(x)
    wanted = plain(x)
    assert torch.equal(out, wanted)
    pairs = zip(gradients(out, x, ours, upstream), gradients(wanted, x, plain, upstream), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert_same_buffers(ours, plain)


@pytest.mark.parametrize("spec", [SmallResNet(width=8), MobileNetV2()], ids=["small_resnet", "mobilenet_v2"])
def test_a_net_on_one_batch_is_the_net_on_two(spec):
    net = build(spec).double().train()
    ours = deepcopy(net)
    keys = list(ours.state_dict())
    use_split_batchnorm(ours)
    assert list(ours.state_dict()) == keys
    x_adv, x = torch.rand(2, 6, 3, 16, 16, dtype=torch.float64)
    wanted = torch.cat([net(x_adv), net(x)])
    with split_batches(ours, 2):
        found = ours(torch.cat([x_adv, x]))
    assert torch.allclose(found, wanted, rtol=1e-10, atol=1e-12)
    wanted.logsumexp(1).sum().backward()
    found.logsumexp(1).sum().backward()
    for (name, a), b in zip(ours.named_parameters(), net.parameters(), strict=True):
        assert (a.grad - b.grad).norm() <= 1e-7 * (b.grad.norm() + 1e-3), name
    for a, b in zip(ours.buffers(), net.buffers(), strict=True):
        assert torch.allclose(a, b, rtol=1e-10, atol=1e-12)


def test_the_context_gives_back_what_it_found():
    ours = nn.Sequential(nn.BatchNorm2d(3))
    use_split_batchnorm(ours)
    with pytest.raises(KeyError), split_batches(ours, 2):
        with split_batches(ours, 3):
            assert ours[0].parts == 3
        assert ours[0].parts == 2
        raise KeyError
    assert (ours[0].parts, ours[0].images, ours[0].ranks) == (1, None, None)
    assert isinstance(pickle.loads(pickle.dumps(ours))[0], SplitBatchNorm)


def test_what_would_be_wrong_is_refused():
    ours = nn.BatchNorm2d(3)
    use_split_batchnorm(ours)
    with split_batches(ours, 2), pytest.raises(ValueError, match="5 images cannot be 2 parts"):
        ours(torch.rand(5, 3, 2, 2))
    with split_batches(ours, 2), pytest.raises(ValueError, match="more than one value"):
        ours(torch.rand(2, 3, 1, 1))
    assert ours.num_batches_tracked.item() == 0
    with pytest.raises(ValueError, match="needed with ranks, and only then"), split_batches(ours, 2, 4):
        pass
    for other in (nn.BatchNorm1d(3), nn.BatchNorm2d(3, affine=False), nn.BatchNorm2d(3, momentum=None)):
        net = nn.Sequential(nn.BatchNorm2d(3), other)
        with pytest.raises(SplitBatchNormError, match="would mix in BatchNorm"):
            use_split_batchnorm(net)
        assert type(net[0]) is nn.BatchNorm2d


class Thread:
    """A rank among threads: sums what all of them hand in, in the order of the ranks."""

    def __init__(self, rank: int, boards: list[Tensor | None], barrier: Barrier) -> None:
        self.rank, self.boards, self.barrier, self.asked = rank, boards, barrier, 0

    def all_reduce(self, tensor: Tensor) -> Tensor:
        self.asked += 1
        self.boards[self.rank] = tensor
        self.barrier.wait()
        whole = torch.stack([board for board in self.boards if board is not None]).sum(0)
        self.barrier.wait()
        return whole


def on_ranks(world: int, work: Callable[[int, Thread], object]) -> list[object]:
    """What each rank returns; a rank that fails breaks the barrier of the others."""
    barrier, boards = Barrier(world, timeout=60), [None] * world

    def guarded(rank: int) -> object:
        try:
            return work(rank, Thread(rank, boards, barrier))
        except BaseException:
            barrier.abort()
            raise

    with ThreadPoolExecutor(world) as pool:
        return [future.result() for future in [pool.submit(guarded, rank) for rank in range(world)]]


@FORMATS
@pytest.mark.parametrize("rows", [(1, 4, 2), (5, 0, 2), (7,)], ids=str)
@pytest.mark.parametrize("parts", [1, 2])
def test_ranks_together_are_one_process(rows, parts, memory_format):
    torch.manual_seed(0)
    plain, ours = norms(torch.float64)
    whole = [batch(sum(rows), torch.float64, memory_format) for _ in range(parts)]
    upstream = [torch.randn_like(x) for x in whole]
    outs = [plain(x) for x in whole]
    torch.autograd.backward(outs, upstream)
    starts = [sum(rows[:rank]) for rank in range(len(rows))]
    twins = [deepcopy(ours) for _ in rows]

    def work(rank: int, ranks: Thread) -> tuple[Tensor, tuple[Tensor, ...], int]:
        assert isinstance(ranks, Reducer)
        mine = slice(starts[rank], starts[rank] + rows[rank])
        x = torch.cat([part_[mine].detach() for part_ in whole]).requires_grad_()
        with split_batches(twins[rank], parts, sum(rows), ranks):
            out = twins[rank](x)
        found = gradients(out, x, twins[rank], torch.cat([part_[mine] for part_ in upstream]))
        return out.detach(), found, ranks.asked

    answers = on_ranks(len(rows), work)
    close = {"rtol": 1e-12, "atol": 1e-12}
    for rank, (out, found, asked) in enumerate(answers):
        mine = slice(starts[rank], starts[rank] + rows[rank])
        assert torch.allclose(out, torch.cat([part_[mine] for part_ in outs]), **close)
        assert torch.allclose(found[0], torch.cat([part_.grad[mine] for part_ in whole]), **close)
        assert asked == 2  # one forward, one backward
        for a, b in zip(twins[rank].buffers(), plain.buffers(), strict=True):
            assert torch.allclose(a, b, **close)
    assert torch.allclose(sum(found[1] for _, found, _ in answers), plain.weight.grad, **close)
    assert torch.allclose(sum(found[2] for _, found, _ in answers), plain.bias.grad, **close)


class Asked(TorchDispatchMode):
    """Keeps what batch norm's backward is given as each part's mean and 1 / deviation."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[tuple[object, object, bool]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.native_batch_norm_backward.default:
            self.given.append((args[5], args[6], args[7]))
        return func(*args, **(kwargs or {}))


@FORMATS
def test_the_backward_of_each_part_is_given_its_mean_and_inverse_deviation(memory_format):
    """CUDA's kernel refuses tensors that are not there; a CPU's takes its own from the running statistics."""

    class One:
        def all_reduce(self, tensor: Tensor) -> Tensor:
            return tensor.clone()

    torch.manual_seed(0)
    _plain, ours = norms(torch.float64)
    x = batch(6, torch.float64, memory_format)
    with Asked() as asked, split_batches(ours, 2, 3, One()):
        ours(x).square().sum().backward()
    assert [trains for _m, _i, trains in asked.given] == [False] * 2
    for (mean, inverse, _), half in zip(asked.given, x.detach().split(3), strict=True):
        assert isinstance(mean, Tensor) and isinstance(inverse, Tensor)
        v, m = torch.var_mean(half, dim=(0, 2, 3), correction=0)
        assert torch.allclose(mean, m, rtol=1e-10) and torch.allclose(inverse, (v + ours.eps).rsqrt(), rtol=1e-10)


def test_far_from_zero_float32_keeps_its_digits():
    """Mean 1000, deviation 1: plain sums of squares would leave two digits; the running mean is near."""
    torch.manual_seed(0)
    exact = 1000 + torch.randn(8, CHANNELS, 4, 4, dtype=torch.float64)
    ours = nn.BatchNorm2d(CHANNELS)
    ours.running_mean.fill_(1000.5)
    use_split_batchnorm(ours)

    def work(rank: int, ranks: Thread) -> Tensor:
        norm = deepcopy(ours)
        with split_batches(norm, 1, 8, ranks):
            return norm(exact.float()[4 * rank : 4 * rank + 4])

    out = torch.cat(on_ranks(2, work))
    wanted = F.batch_norm(exact.float().double(), None, None, training=True)
    assert (out - wanted).abs().max() < 1e-3


def test_ranks_under_autocast_reduces_float32():
    torch.manual_seed(0)
    plain, ours = norms(torch.float32)
    x = batch(6, torch.bfloat16, torch.channels_last)
    upstream = torch.randn_like(x)
    seen = []

    class Alone:
        def all_reduce(self, tensor: Tensor) -> Tensor:
            seen.append(tensor.dtype)
            return tensor

    with torch.autocast("cpu", torch.bfloat16), split_batches(ours, 2, 3, Alone()):
        out = ours(x)
    wanted = torch.cat([plain(half) for half in x.split(3)])
    assert out.dtype == torch.bfloat16
    assert torch.allclose(out.float(), wanted.float(), rtol=0.01, atol=0.01)
    pairs = zip(gradients(out, x, ours, upstream), gradients(wanted, x, plain, upstream), strict=True)
    assert all(
        a.dtype == b.dtype and F.cosine_similarity(a.float().flatten(), b.float().flatten(), 0) > 0.9999
        for a, b in pairs
    )
    assert seen == [torch.float32] * 2
