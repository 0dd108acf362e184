"""Deliberately bad models are marked, each with its own code; an honest one is not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from engine.evaluate.surrogate import Surrogate
from engine.spec.attacks import FGSM, PGD, PGDSAT, PGDTRADES, AttackSpec, AutoAttack, CWInf, PGDRescaled, ThreatModel
from engine.spec.base import Pixels
from engine.spec.events import Event, Probed, Warned
from engine.spec.marks import CHECKS, MARKS, RED, UNDER_ATTACK, concerns, decode_checks, severity
from engine.spec.outcomes import decode
from engine.spec.rundir import RunDir
from engine.spec.training import Evaluation
from tests.engine.subjects import evaluated, pixels, subject, trained

WIDE = ThreatModel(epsilon=Pixels(0.2))
NEAR = ThreatModel(epsilon=Pixels(0.06))
SUITE: tuple[AttackSpec, ...] = (FGSM(), PGDSAT(), CWInf(), PGDRescaled(scales=(0.001, 1.0)))


def suspected(path: Path, net: nn.Module, **how: Any) -> tuple[set[tuple[str, str]], RunDir]:
    said, run = judged(path, net, **how)
    warned = [event for event in said if isinstance(event, Warned)]
    assert all(MARKS[event.code] in event.message and event.checkpoint == "best" for event in warned)
    return {(event.code, event.attack) for event in warned}, run


def judged(  # noqa: PLR0913  the parts of a judgement
    path: Path,
    net: nn.Module,
    *,
    threat_model: ThreatModel = WIDE,
    attacks: tuple[AttackSpec, ...] = SUITE,
    n: int = 120,
    of: int = 120,
    teacher: nn.Module | None = None,
    suspect: bool = True,
    twin: Surrogate | None = None,
) -> tuple[list[Event], RunDir]:
    evaluation = Evaluation(attacks=attacks, batch_size=60, gallery=0, suspect=suspect)
    who = subject(net, n, of=of, teacher=teacher)
    return evaluated(path, who if twin is None else who._replace(surrogate=lambda: twin), evaluation, threat_model)


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


class Sharp(Around):
    def forward(self, x: Tensor) -> Tensor:
        return (100 * self.net(x)).softmax(1)


class Detached(Around):
    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.detach())


class BatchStatistics(Around):
    """Batch norm as in train mode."""

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.net.first(x.flatten(1))
        hidden = (hidden - hidden.mean(0)) / hidden.std(0) * self.net.norm.weight + self.net.norm.bias
        return self.net.last(hidden.relu())


class Together(Around):
    def forward(self, x: Tensor) -> Tensor:
        return self.net(x - x.mean(dim=0) + 0.5)


@pytest.mark.parametrize("robust", [True, False])
def test_an_honest_model_has_no_mark(tmp_path: Path, robust: bool) -> None:
    found, run = suspected(tmp_path, trained(robust=robust), threat_model=NEAR)
    assert found == set()
    assert decode(run.result("best", "pgd_sat").read_bytes()).marks == []


EVERY = ["fgsm", "pgd_sat", "pgd_trades", "cw_inf", "pgd_rescaled", "worst"]
CLIMBS = ["pgd_sat", "pgd_trades"]


def robust() -> nn.Module:
    return trained(robust=True)


@pytest.mark.parametrize(
    ("make", "codes", "columns"),
    [
        pytest.param(robust, set(), [], id="honest"),
        pytest.param(trained, set(), [], id="undefended"),
        pytest.param(Loud, {"zero_gradient", "above_worst_case", "margin_below_ce", "rescaled_below_ce",
                            "transfer_stronger"}, CLIMBS, id="x1000"),
        pytest.param(Rounded, {"zero_gradient", "planted_missed", "transfer_stronger", "epsilon_unbounded"}, EVERY[1:],
                     id="rounded"),
        pytest.param(Detached, {"zero_gradient", "planted_missed", "transfer_stronger"}, EVERY[1:], id="detached"),
        pytest.param(Noisy, {"non_deterministic"}, ["clean", *EVERY], id="noise"),
        pytest.param(Soft, {"probabilities"}, ["clean", *EVERY], id="softmax"),
        pytest.param(Sharp, {"zero_gradient", "transfer_stronger"}, EVERY[1:], id="softmax of 100z"),
        pytest.param(Never, {"non_finite"}, ["clean", *EVERY], id="NaN"),
        pytest.param(Constant, {"constant_output"}, ["clean", *EVERY], id="constant"),
        pytest.param(Collapsed, {"constant_output"}, ["clean", *EVERY], id="collapsed"),
        pytest.param(BatchStatistics, {"train_mode"}, ["clean", *EVERY], id="batch norm"),
        pytest.param(Together, {"train_mode"}, ["clean", *EVERY], id="mean of the batch"),
    ],
)  # fmt: skip
def test_bad_models_are_struck_and_honest_ones_are_not(
    tmp_path: Path, make: Callable[[], nn.Module], codes: set[str], columns: list[str]
) -> None:
    suite = tuple(spec.model_copy(update={"step_size": Pixels(0.05)}) for spec in (PGDSAT(), CWInf(), PGDRescaled()))
    attacks = (FGSM(), suite[0], PGDTRADES(step_size=Pixels(0.02)), *suite[1:])
    found, run = suspected(tmp_path, make(), attacks=attacks, teacher=robust())
    marks = {key: set(decode(run.result("best", key).read_bytes()).marks) for key in ("clean", *EVERY)}
    assert all(codes <= marks[key] for key in columns), marks
    struck = {key: {code for code in some if severity(code) == "red"} for key, some in marks.items()}
    if not codes & RED:
        assert not any(struck.values()), struck
    elif codes & UNDER_ATTACK:
        assert struck["clean"] == set()
    assert all((code, "") in found for code in codes if columns[:1] == ["clean"])
    if make is Loud:  # only what follows the cross-entropy is misled
        assert {"zero_gradient", "above_worst_case"} <= marks["fgsm"]
        assert not any(marks[key] for key in ("clean", "cw_inf", "worst")), marks


def test_a_saturated_attack_is_weaker_than_images_of_teacher_and_twin_which_need_no_gradient(tmp_path: Path) -> None:
    twin = Surrogate(trained(), digest="t" * 64)
    said, run = judged(tmp_path, Rounded(), attacks=(PGDSAT(), CWInf()), teacher=robust(), twin=twin)
    found = {(event.code, event.attack) for event in said if isinstance(event, Warned)}
    for code in ("transfer_stronger", "twin_stronger"):
        assert {attack for name, attack in found if name == code} == {"pgd_sat", "cw_inf", "worst"}
    assert decode_checks(run.evaluation.joinpath("best", "suspect.json").read_bytes()).measured["twin"] < 0.6


def test_random_corners_find_what_an_attack_that_stands_still_does_not(tmp_path: Path) -> None:
    class Fragile(Around):
        """Any change of the image as a whole changes the answer, and no gradient tells."""

        def forward(self, x: Tensor) -> Tensor:
            logits = self.net(x.detach())
            grain = (x * 255).round().long().sum(dim=(1, 2, 3)) % 2
            return torch.where((grain == 0)[:, None], logits, logits.roll(1, dims=1))

    attacks = (FGSM(), PGDSAT(start="clean"))
    found, _ = suspected(tmp_path, Fragile(), attacks=attacks, threat_model=ThreatModel(epsilon=Pixels(0.1)))
    assert {("corners_stronger", "pgd_sat"), ("corners_stronger", "worst")} <= found
    assert ("corners_stronger", "fgsm") not in found  # one step claims less


def test_a_larger_radius_that_leaves_more_is_noticed(tmp_path: Path) -> None:
    class Guarded(Around):
        """Far from the images that it knows, it gives the answer of the nearest, without a gradient."""

        def forward(self, x: Tensor) -> Tensor:
            known, labels = pixels(120)
            far, nearest = torch.cdist(x.detach().flatten(1), known.flatten(1), p=torch.inf).min(dim=1)
            named = 20.0 * nn.functional.one_hot(labels[nearest], 10)
            return torch.where((far > 0.25)[:, None], named, self.net(x))

    found, _ = suspected(tmp_path, Guarded(), attacks=(FGSM(),), threat_model=WIDE)
    assert {("radius_not_monotone", ""), ("epsilon_unbounded", "")} <= found


def probed(said: list[Event]) -> Probed:
    (event,) = (event for event in said if isinstance(event, Probed))
    assert event.of == len(CHECKS) == event.done + len(event.left_out)
    assert all(check in CHECKS and why for check, why in event.left_out.items())
    return event


def test_which_checks_were_made_is_said_once_kept_and_said_again(tmp_path: Path) -> None:
    attacks = (FGSM(), PGDSAT(steps=2), CWInf(steps=2), PGDRescaled(steps=2), AutoAttack())
    said, run = judged(tmp_path, trained(), attacks=attacks[:-1], teacher=trained(), twin=Surrogate(trained()), n=60)
    event = probed(said)
    assert event.left_out == {"autoattack": "no AutoAttack in the suite"} and said[-1] is event
    kept = decode_checks(run.evaluation.joinpath("best", "suspect.json").read_bytes())
    assert (kept.done, kept.of, kept.left_out) == (event.done, event.of, event.left_out)
    again, _ = judged(tmp_path, trained(), attacks=attacks[:-1], teacher=trained(), n=60)  # the twin is gone by now
    assert (probed(again).done, probed(again).left_out) == (event.done, event.left_out)


@pytest.mark.parametrize(
    ("attacks", "n", "make", "why"),
    [
        ((FGSM(),), 60, trained, {"more_steps": "no PGD in the suite", "margin": "no PGD or CW-inf in the suite",
                                    "worst_case": "no two attacks of the ball in the suite",
                                    "teacher": "there is no teacher here"}),
        ((FGSM(), PGDSAT(steps=2)), 4, trained, {"single_step": "too few images to tell a difference from luck"}),
        ((PGDSAT(steps=2),), 60, Constant, {"gradient": "every image gets the same answer"}),
        ((PGDSAT(steps=2),), 60, Never, {"constant": "the logits are not finite"}),
        ((PGDSAT(steps=2),), 60, trained, {"twin": "nobody looked for a natural twin"}),
    ],
    ids=["one attack", "few images", "constant", "not finite", "no twin"],
)  # fmt: skip
def test_what_was_left_out_has_its_reason(
    tmp_path: Path, attacks: tuple[AttackSpec, ...], n: int, make: Callable[[], nn.Module], why: dict[str, str]
) -> None:
    said, _ = judged(tmp_path, make(), attacks=attacks, n=n, of=n)
    assert why.items() <= probed(said).left_out.items()


def test_no_suspicion_is_no_check_and_is_said(tmp_path: Path) -> None:
    said, run = judged(tmp_path, trained(), attacks=(PGDSAT(steps=2),), suspect=False)
    event = probed(said)
    assert event.done == 0 and set(event.left_out.values()) == {"suspect = false"}
    assert decode_checks(run.evaluation.joinpath("best", "suspect.json").read_bytes()).done == 0
    suspicious, _ = judged(tmp_path, trained(), attacks=(PGDSAT(steps=2),))
    assert probed(suspicious).done > 0  # what was kept without suspicion answers another question


def test_rescaling_is_compared_with_as_many_restarts(tmp_path: Path) -> None:
    said, run = judged(tmp_path / "loud", Loud(), attacks=(PGDSAT(), PGDRescaled()))
    (message,) = (e.message for e in said if isinstance(e, Warned) and e.code == "rescaled_below_ce")
    assert "6 restarts alone take 0.0 points, rescaling" in message

    short = {"steps": 2, "step_size": Pixels(0.07)}  # of which an honest net survives many a single start
    suite = (PGD(**short), PGDRescaled(**short, restarts=3, relative_scales=(1.0, 2.0, 4.0)))
    said, run = judged(tmp_path / "honest", trained(), attacks=suite, threat_model=ThreatModel(epsilon=Pixels(0.14)))
    once, rescaled = (decode(run.result("best", key).read_bytes()).accuracy for key in ("pgd", "pgd_rescaled"))
    measured = decode_checks(run.evaluation.joinpath("best", "suspect.json").read_bytes()).measured
    assert once - rescaled > 0.1 > measured["restarts_of_pgd_rescaled"] - rescaled
    assert "rescaled_below_ce" not in {event.code for event in said if isinstance(event, Warned)}


def test_marks_of_the_whole_run_concern_what_they_say() -> None:
    assert concerns("zero_gradient", "cw_inf") and concerns("zero_gradient", "worst")
    assert not concerns("zero_gradient", "clean")
    assert all(concerns(code, "clean") for code in ("constant_output", "train_mode", "non_finite", "subset", "newer"))
    assert MARKS.keys() >= RED | UNDER_ATTACK
    assert severity("above_worst_case") == "red" and severity("ten_above_worst") == severity("newer") == "amber"


ONE_STEP = PGD(steps=1, step_size=Pixels(0.001), start="clean")


@pytest.mark.parametrize(
    ("attacks", "how", "wanted"),
    [
        ((PGD(steps=2, step_size=Pixels(0.01), start="clean"),), {}, {("steps_help", "pgd")}),
        ((FGSM(),), {"of": 600}, {("subset", "")}),
        ((FGSM(),), {"n": 20, "of": 20}, {("few_images", "")}),
        ((FGSM(), ONE_STEP), {"n": 4, "of": 4, "threat_model": NEAR}, {("few_images", "")}),
    ],
    ids=["too few steps", "a part of the split", "few images", "a difference that is luck"],
)
def test_what_a_suite_shows_of_an_honest_net(
    tmp_path: Path, attacks: tuple[AttackSpec, ...], how: dict[str, Any], wanted: set[tuple[str, str]]
) -> None:
    found, run = suspected(tmp_path, trained(), attacks=attacks, **how)
    assert found == wanted
    assert decode(run.result("best", "worst").read_bytes()).marks == [code for code, attack in wanted if not attack]


def test_one_step_stronger_than_many_is_noticed(tmp_path: Path) -> None:
    found, _ = suspected(tmp_path, trained(), attacks=(FGSM(), ONE_STEP))
    assert ("fgsm_below_pgd", "pgd") in found


def test_every_check_is_a_sentence_and_every_code_has_a_cause_and_a_remedy() -> None:
    assert all(text[0].isupper() and text.endswith(".") and text.count(".") in {1, 2} for text in CHECKS.values())
    assert all(len(text.split(". ")) == 2 and text.endswith(".") for text in MARKS.values())
