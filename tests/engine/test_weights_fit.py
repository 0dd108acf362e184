"""Laws of weights and nets: what differs harmlessly is tolerated and said, all else is named and nothing is copied."""

import pytest
import torch
from torch import Tensor

from engine.spec.errors import TeacherError
from engine.teachers import weights
from tests.engine.small_net import Small, holds, state_of


def test_weights_that_fit_are_copied_exactly() -> None:
    net = Small()
    assert weights.fit(net, state_of(), where="w") == []
    assert holds(net, state_of())


def test_missing_batch_counters_and_a_spare_sub_block_are_tolerated_and_noted() -> None:
    state = state_of()
    del state["bn1.num_batches_tracked"]
    state["sub_block1.layer.0.conv1.weight"] = torch.zeros(2)
    net = Small()
    notes = weights.fit(net, state, where="w")
    assert len(notes) == 2 and "sub_block1" in notes[0]
    assert torch.equal(net.linear.weight, state["linear.weight"])
    assert int(net.bn1.num_batches_tracked) == 0


def test_half_precision_becomes_float32_and_double_too() -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        state = {name: value.to(dtype) if value.is_floating_point() else value for name, value in state_of().items()}
        net = Small()
        assert "precision" in weights.fit(net, state, where="w")[0]
        assert net.linear.weight.dtype == torch.float32
        assert torch.equal(net.linear.weight, state["linear.weight"].float())


def test_constants_of_normalization_must_be_those_of_the_model() -> None:
    mean, std = torch.tensor([0.4914, 0.4822, 0.4465]), torch.tensor([0.2471, 0.2435, 0.2616])
    state = state_of() | {"mean": mean.view(3, 1, 1), "std": std.view(3, 1, 1)}
    assert "agree" in weights.fit(Small(normalized=True), state, where="w")[0]
    renamed = state_of() | {"mu": mean, "sigma": std}
    assert "agree" in weights.fit(Small(normalized=True), renamed, where="w")[0]
    with pytest.raises(TeacherError, match="the model does not"):
        weights.fit(Small(), state, where="w")
    with pytest.raises(TeacherError, match=r"normalizes by .* the model by"):
        weights.fit(Small(normalized=True), state | {"mean": mean + 0.02}, where="w")
    weights.fit(Small(), state_of() | {"mu": torch.zeros(3), "sigma": torch.ones(3)}, where="w")  # does nothing


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"linear.weight": torch.zeros(100, 4), "linear.bias": torch.zeros(100)}, "another number of classes"),
        ({"conv1.bias": torch.zeros(4)}, "1 unexpected: conv1.bias"),
        ({"bn1.running_mean": None}, "1 missing: bn1.running_mean"),
        ({"linear.bias": torch.zeros(3, dtype=torch.int64)}, "another shape or type"),
    ],
)
def test_weights_that_do_not_fit_are_named_and_the_net_is_untouched(
    change: dict[str, Tensor | None], cause: str
) -> None:
    state = {name: value for name, value in (state_of() | change).items() if value is not None}
    net = Small()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(TeacherError) as caught:
        weights.fit(net, state, where="w.pt")
    assert cause in str(caught.value) and "w.pt" in str(caught.value)
    assert holds(net, before)


def test_another_architecture_is_called_one() -> None:
    with pytest.raises(TeacherError, match="another architecture"):
        weights.fit(Small(), {"features.0.weight": torch.zeros(1)}, where="w")
