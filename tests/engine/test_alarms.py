"""False alarms and missed ones: published figures of honest models get no mark, and a gradient of NaN gets one."""

from pathlib import Path

import pytest
from torch import Tensor, nn

from engine.evaluate import evaluate
from engine.spec.attacks import FGSM, PGDSAT, PGDTRADES, AutoAttack, CWInf, PGDRescaled, ThreatModel
from engine.spec.events import Warned
from engine.spec.outcomes import Outcome, pack
from engine.spec.training import Evaluation
from engine.suspect import compare
from tests.engine.subjects import folder, subject, trained

N = 10_000
SUITE = (FGSM(), PGDSAT(), PGDTRADES(), CWInf(), PGDRescaled(), AutoAttack())


def marks(*accuracies: float, suite=SUITE) -> set[tuple[str, str]]:
    """Of a suite that leaves these per cent of the images; a stronger attack finds all that a weaker one finds."""
    outcomes = {
        spec.key: outcome(spec.key, round(share * N / 100)) for spec, share in zip(suite, accuracies, strict=True)
    }
    return {(finding.code, finding.attack) for finding in compare(outcomes, suite)}


def outcome(attack: str, robust: int) -> Outcome:
    return Outcome(
        checkpoint="best",
        attack=attack,
        spec={"name": attack},
        accuracy=robust / N,
        n=N,
        of=N,
        low=0.0,
        high=1.0,
        per_class=[],
        counts=[],
        confusion=[],
        robust=pack([i < robust for i in range(N)]),
        predicted=[0] * N,
        indices_sha256="",
        data_sha256="",
        weights_sha256="",
        seconds=0.0,
        device="cpu",
    )


@pytest.mark.parametrize(
    "published",  # FGSM, PGD-SAT, PGD-TRADES, CW-inf (in place of the rescaled attack, too), AutoAttack
    [
        (56.41, 49.11, 51.11, 48.67, 48.67, 45.83),  # SAT, CIFAR-10
        (57.49, 52.66, 53.68, 50.58, 50.58, 49.23),  # TRADES, CIFAR-10
        (34.20, 31.08, 31.90, 28.34, 28.34, 26.70),  # RSLAD, CIFAR-100
    ],
    ids=["sat", "trades", "rslad"],
)
def test_short_steps_of_an_honest_model_are_no_hidden_gradients(published):
    assert marks(*published) == set()


def test_the_log_of_a_crdnd_student_is_marked_on_every_climb():
    assert marks(65.44, 60.76, 62.12, 51.02, 51.02, 49.44) == {
        (code, climb)
        for code in ("margin_below_ce", "suite_below_pgd", "rescaled_below_ce")
        for climb in ("pgd_sat", "pgd_trades")
    }


def test_a_single_weak_climb_is_judged_by_itself():
    assert marks(53.68, 48.0, suite=(PGDTRADES(), CWInf())) == {("margin_below_ce", "pgd_trades")}


def test_a_gradient_that_is_not_finite_is_marked_for_its_sign_is_zero_and_the_attack_stands_still(tmp_path: Path):
    class Steep(nn.Module):
        """The logits of an honest net, with the slope of a square root at 0."""

        def __init__(self) -> None:
            super().__init__()
            self.net = trained()

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x) + (x - x.detach()).flatten(1).abs().sqrt().sum(dim=1, keepdim=True)

    said = []
    suite = Evaluation(attacks=(PGDSAT(steps=2),), batch_size=60, gallery=0)
    evaluate(subject(Steep(), 100), suite, ThreatModel(), folder(tmp_path), said.append, lambda: None)
    assert ("non_finite", "") in {(event.code, event.attack) for event in said if isinstance(event, Warned)}
