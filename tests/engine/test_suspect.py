"""Deliberately bad models are marked, each with its own code; an honest one is not."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from engine.evaluate import evaluate
from engine.spec.attacks import FGSM, PGD, PGDSAT, AttackSpec, AutoAttack, CWInf, PGDRescaled, ThreatModel
from engine.spec.events import Event, Warned
from engine.spec.marks import MARKS
from engine.spec.outcomes import decode
from engine.spec.rundir import RunDir
from engine.spec.scalars import Pixels
from engine.spec.training import Evaluation
from tests.engine.subjects import folder, subject, trained

WIDE = ThreatModel(epsilon=Pixels(0.2))
NEAR = ThreatModel(epsilon=Pixels(0.06))
SUITE: tuple[AttackSpec, ...] = (FGSM(), PGDSAT(), CWInf(), PGDRescaled(scales=(0.001, 1.0)))


def suspected(
    path: Path,
    net: nn.Module,
    *,
    threat_model: ThreatModel = WIDE,
    attacks: tuple[AttackSpec, ...] = SUITE,
    n: int = 120,
    of: int = 120,
) -> tuple[set[tuple[str, str]], RunDir]:
    said: list[Event] = []
    run = folder(path)
    evaluation = Evaluation(attacks=attacks, batch_size=60, gallery=0)
    evaluate(subject(net, n, of=of), evaluation, threat_model, run, said.append, lambda: None)
    warned = [event for event in said if isinstance(event, Warned)]
    assert all(MARKS[event.code] in event.message and event.checkpoint == "best" for event in warned)
    return {(event.code, event.attack) for event in warned}, run


class Around(nn.Module):
    """The trained net behind and before something else."""

    def __init__(self, *, robust: bool = False) -> None:
        super().__init__()
        self.net = trained(robust=robust)


class Loud(Around):
    def forward(self, x: Tensor) -> Tensor:
        return 1000 * self.net(x)


class Rounded(Around):
    def forward(self, x: Tensor) -> Tensor:
        return self.net((x * 4).round() / 4)


class Soft(Around):
    def forward(self, x: Tensor) -> Tensor:
        return self.net(x).softmax(1)


class Never(Around):
    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) * torch.nan


class Constant(Around):
    def forward(self, x: Tensor) -> Tensor:
        return torch.arange(10.0).expand(len(x), 10)


class Collapsed(Around):
    """Its logits differ from image to image, its answer never does."""

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) + 1e4 * (torch.arange(10) == 3)


class Noisy(Around):
    def forward(self, x: Tensor) -> Tensor:
        return self.net(x + 0.1 * torch.randn_like(x))


class Together(Around):
    def forward(self, x: Tensor) -> Tensor:
        return self.net(x - x.mean(dim=0) + 0.5)


@pytest.mark.parametrize("robust", [True, False])
def test_an_honest_model_has_no_mark(tmp_path: Path, robust: bool) -> None:
    found, run = suspected(tmp_path, trained(robust=robust), threat_model=NEAR)
    assert found == set()
    assert decode(run.result("best", "pgd_sat").read_bytes()).marks == []


def test_large_logits_hide_gradients(tmp_path: Path) -> None:
    found, run = suspected(tmp_path, Loud())
    wanted = {("margin_below_ce", "pgd_sat"), ("rescaled_below_ce", "pgd_sat"), ("zero_gradient", "")}
    assert wanted <= found
    assert {"margin_below_ce", "rescaled_below_ce", "zero_gradient"} <= set(
        decode(run.result("best", "pgd_sat").read_bytes()).marks
    )
    assert decode(run.result("best", "cw_inf").read_bytes()).marks == ["zero_gradient"]


def test_rounding_has_no_gradient_and_no_radius_helps(tmp_path: Path) -> None:
    found, _ = suspected(tmp_path, Rounded())
    assert {("zero_gradient", ""), ("epsilon_unbounded", "")} <= found


@pytest.mark.parametrize(
    ("net", "code"),
    [
        (Soft(), "probabilities"),
        (Never(), "non_finite"),
        (Constant(), "constant_output"),
        (Collapsed(), "constant_output"),
        (Noisy(), "non_deterministic"),
        (Together(), "train_mode"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_fault_has_its_mark_on_every_number(tmp_path: Path, net: nn.Module, code: str) -> None:
    found, run = suspected(tmp_path, net, attacks=(FGSM(),))
    assert (code, "") in found
    for attack in ("clean", "fgsm", "worst"):
        assert code in decode(run.result("best", attack).read_bytes()).marks


def test_too_few_steps_are_noticed(tmp_path: Path) -> None:
    found, _ = suspected(tmp_path, trained(), attacks=(PGD(steps=2, step_size=Pixels(0.01), start="clean"),))
    assert found == {("steps_help", "pgd")}


def test_one_step_stronger_than_many_is_noticed(tmp_path: Path) -> None:
    weak = PGD(steps=1, step_size=Pixels(0.001), start="clean")
    found, _ = suspected(tmp_path, trained(), attacks=(FGSM(), weak))
    assert ("fgsm_below_pgd", "pgd") in found


def test_a_part_of_the_split_and_few_images_are_said(tmp_path: Path) -> None:
    part, _ = suspected(tmp_path / "part", trained(), attacks=(FGSM(),), of=600)
    assert part == {("subset", "")}
    few, run = suspected(tmp_path / "few", trained(), attacks=(FGSM(),), n=20, of=20)
    assert few == {("few_images", "")}
    assert decode(run.result("best", "worst").read_bytes()).marks == ["few_images"]


def test_a_difference_of_a_few_images_is_luck(tmp_path: Path) -> None:
    weak = PGD(steps=1, step_size=Pixels(0.001), start="clean")
    found, _ = suspected(tmp_path, trained(), attacks=(FGSM(), weak), n=4, of=4, threat_model=NEAR)
    assert found == {("few_images", "")}


def test_every_code_has_a_cause_and_a_remedy() -> None:
    assert all(len(text.split(". ")) == 2 and text.endswith(".") for text in MARKS.values())
    assert AutoAttack.model_fields["name"].default not in MARKS
