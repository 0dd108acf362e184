"""False alarms and missed ones: published figures of honest models get no mark, and a gradient of NaN gets one."""

from pathlib import Path

import pytest
from torch import Tensor, nn

from engine.evaluate.probes import finding
from engine.evaluate.sanity_checks import believable, compare
from engine.spec.attacks import FGSM, PGDSAT, PGDTRADES, AutoAttack, CWInf, PGDRescaled, ThreatModel
from engine.spec.events import Warned
from engine.spec.marks import SanityFinding, severity
from engine.spec.outcomes import Outcome
from engine.spec.training import Evaluation
from tests.engine.subjects import evaluated, outcome, subject, trained

N = 10_000
SUITE = (FGSM(), PGDSAT(), PGDTRADES(), CWInf(), PGDRescaled(), AutoAttack())


def left(attack: str, robust: int) -> Outcome:
    """Of N images of class 0, so many are right."""
    return outcome([0] * N, [int(i >= robust) for i in range(N)], attack)


def marks(*accuracies: float, suite=SUITE) -> set[tuple[str, str]]:
    """Of a suite that leaves these per cent of the images; a stronger attack finds all that a weaker one finds."""
    outcomes = {spec.key: left(spec.key, round(share * N / 100)) for spec, share in zip(suite, accuracies, strict=True)}
    return {(one.code, one.attack) for one in compare(outcomes, suite)}


def found(accuracies: tuple[float, ...], **flags: bool) -> list[SanityFinding]:
    outcomes = {spec.key: left(spec.key, round(share * N / 100)) for spec, share in zip(SUITE, accuracies, strict=True)}
    return compare(outcomes, SUITE, **flags)


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
        (code, climb) for code in ("margin_below_ce", "suite_below_pgd") for climb in ("pgd_sat", "pgd_trades")
    }


@pytest.mark.parametrize("column", range(6), ids=[spec.key for spec in SUITE])
def test_every_column_is_held_against_the_worst_case(column):
    figures = [4.0] * 6
    figures[column] = 50.0
    assert {attack for code, attack in marks(*figures) if severity(code) == "red"} == {SUITE[column].key}


def test_each_climb_is_held_against_the_worst_case_not_the_strongest_climb_alone():
    found = marks(50.0, 50.0, 4.0, 4.0, 4.0, 0.0)
    assert {attack for code, attack in found if code == "above_worst_case"} == {"fgsm", "pgd_sat"}
    assert {("margin_below_ce", "pgd_sat"), ("suite_below_pgd", "pgd_sat")} <= found


@pytest.mark.parametrize(
    "measured",  # FGSM, PGD-SAT, PGD-TRADES, CW-inf, rescaled, AutoAttack
    [
        (8.2, 0.9, 1.2, 2.1, 0.3, 0.2),  # natural
        (18.6, 0.0, 0.0, 0.0, 0.0, 0.0),  # natural, CIFAR-10
        (76.2, 67.1, 69.0, 66.4, 63.0, 61.0),  # SAT
        (75.3, 71.1, 72.0, 64.0, 62.0, 59.1),  # TRADES
        (69.9, 58.6, 60.5, 61.0, 55.0, 52.9),  # ARD
        (65.3, 52.7, 55.0, 51.6, 45.0, 42.1),  # CRDND
        (67.7, 55.4, 58.0, 53.4, 48.7, 47.1),  # quickstart
    ],
    ids=["natural", "natural of CIFAR-10", "sat", "trades", "ard", "crdnd", "quickstart"],
)
def test_no_figure_of_honest_small_nets_is_struck(measured):
    assert {code for code, _ in marks(*measured) if severity(code) == "red"} == set()


def test_ten_points_are_said_of_every_column_and_a_third_of_the_figure_strikes_it():
    assert marks(60.0, 60.0, 60.0, 60.0, 60.0, 49.0) == {
        ("suite_below_pgd", "pgd_sat"), ("suite_below_pgd", "pgd_trades"),
        ("ten_above_worst", "cw_inf"), ("ten_above_worst", "pgd_rescaled"),
    }  # fmt: skip
    assert ("above_worst_case", "cw_inf") in marks(31.0, 31.0, 31.0, 31.0, 31.0, 20.0)
    assert ("ten_above_worst", "cw_inf") in marks(33.0, 33.0, 33.0, 33.0, 33.0, 22.5)


@pytest.mark.parametrize(
    ("left", "advice"),
    [
        ((65.0, 60.0, 62.0, 51.0, 51.0, 49.0), "believe AutoAttack, 49.0 %"),
        ((65.0, 60.0, 62.0, 51.0, 51.0, 80.0), "believe the worst case, 51.0 %"),  # AutoAttack itself is misled
    ],
)
def test_advice_names_what_is_worst_with_its_figure(left, advice):
    messages = {one.message for one in found(left) if one.code == "margin_below_ce"}
    assert messages and all(advice in message for message in messages)


def test_where_even_the_worst_case_is_struck_nothing_is_advised():
    messages = {one.message for one in found((65.0, 60.0, 62.0, 51.0, 51.0, 49.0), believable=False)}
    assert messages and not any("believe Auto" in message or "believe the worst" in message for message in messages)
    assert believable([finding("zero_gradient", attack="pgd_sat")])
    assert not believable([finding("zero_gradient")]) and not believable([finding("corners_stronger", attack="worst")])


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

    suite = Evaluation(attacks=(PGDSAT(steps=2),), batch_size=60, gallery=0)
    said, _ = evaluated(tmp_path, subject(Steep(), 100), suite, ThreatModel())
    assert ("non_finite", "") in {(event.code, event.attack) for event in said if isinstance(event, Warned)}
