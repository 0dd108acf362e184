"""By protocol `worst` an image leaves at the first iterate that fools; nobody comes out better than by last_iterate."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from engine.ascent import ascend, ascend_worst, certainly_misclassified, compact_size
from engine.evaluate import outcomes
from engine.evaluate.context import EvaluationContext
from engine.evaluate.evaluation import accuracies
from engine.losses import cross_entropy, margin
from engine.spec.attacks import (
    CW2,
    FGSM,
    PGD,
    PGDSAT,
    PGDTRADES,
    Ascent,
    AttackSpec,
    AutoAttack,
    CWInf,
    PGDRescaled,
    ThreatModel,
)
from engine.spec.base import Pixels
from engine.spec.outcomes import decode, unpack
from engine.spec.training import Evaluation, Selection, recorded
from engine.train import selection
from tests.engine.subjects import attacked, context, evaluated, images, pixels, subject, trained
from tests.engine.test_selection import config, selector

NEAR, NEARER = ThreatModel(epsilon=Pixels(0.2)), ThreatModel(epsilon=Pixels(0.15))
CLIMBS = (
    PGD(steps=6, step_size=Pixels(0.025), restarts=3),
    PGDSAT(steps=6, step_size=Pixels(0.03)),
    PGDTRADES(steps=6, step_size=Pixels(0.03), start="gaussian"),
    CWInf(steps=6, step_size=Pixels(0.05), restarts=2),
    PGDRescaled(steps=4, step_size=Pixels(0.05), scales=(0.1, 10.0), restarts=2),
)


class Hill(nn.Module):
    """Of one pixel; class 1 leads within 0.05 of 0.58 only, and uphill is towards 0.58."""

    def forward(self, x: Tensor) -> Tensor:
        lead = 0.05 - (x.flatten(1) - 0.58).abs()
        return torch.cat([torch.zeros_like(lead), lead], dim=1)


class Counting(nn.Module):
    """Writes down the size of every batch."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.sizes = net, []

    def forward(self, x: Tensor) -> Tensor:
        self.sizes.append(len(x))
        return self.net(x)


class Precise(nn.Module):
    """In float64 within, so that batches of any size get the same float32 answers: who leaves changes nobody's path."""

    def __init__(self) -> None:
        super().__init__()
        self.net = trained(robust=True).double()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.double()).to(x.dtype)


def on(net: nn.Module, n: int = 60, **changes: object) -> EvaluationContext:
    return context(net, n, **({"threat_model": NEAR, "batch_size": 25, "seed": 4} | changes))


@pytest.mark.parametrize("spec", [PGD, CWInf, PGDRescaled])
def test_an_image_leaves_at_the_iterate_that_fools_though_the_last_does_not(spec: type[AttackSpec]) -> None:
    """From 128/255 one step of 0.1 lands at 0.602, where class 1 leads; the next goes back."""
    one = on(Hill(), n=1, images=torch.full((1, 1, 1, 1), 128, dtype=torch.uint8), labels=torch.tensor([0]), classes=2)
    two_steps = spec(steps=2, step_size=Pixels(0.1), start="clean")
    last, worst = attacked(one, two_steps), attacked(replace(one, protocol="worst"), two_steps)
    start = 128 / 255
    assert last.robust.tolist() == [True]
    assert float(last.adversarial) == pytest.approx(start)
    assert worst.robust.tolist() == [False]
    assert worst.predicted.tolist() == [1]
    assert float(worst.adversarial) == pytest.approx(start + 0.1)


@pytest.mark.parametrize("spec", CLIMBS, ids=lambda spec: spec.key)
def test_who_survives_worst_survives_last_iterate_and_x_adv_is_what_fooled(spec: AttackSpec) -> None:
    """In a ball in which every one of these attacks fools some images and leaves others: 8 to 48 of 60."""
    net, (x, y) = Precise().eval(), pixels(60)
    last, worst = (attacked(on(net, threat_model=NEARER, protocol=p), spec) for p in ("last_iterate", "worst"))
    assert not bool((worst.robust & ~last.robust).any())
    assert 4 < int(worst.robust.sum()) < 56
    with torch.no_grad():
        clean, after = net(x).argmax(dim=1), net(worst.adversarial).argmax(dim=1)
    assert torch.equal(worst.robust, (clean == y) & (after == y))
    assert torch.equal(worst.predicted, torch.where(worst.robust, clean, after))


def test_images_that_are_wrong_anyway_are_not_attacked() -> None:
    net, (x, y) = trained(), pixels(60)
    with torch.no_grad():
        wrong = net(x + 0.0).argmax(dim=1) != y
    labels = torch.where(torch.arange(60) % 3 == 0, (y + 1) % 10, y)  # twenty labels that the net does not share
    wrong |= labels != y
    found = attacked(on(net, labels=labels, protocol="worst"), PGDSAT(steps=3))
    assert int(wrong.sum()) >= 20
    assert torch.equal(found.adversarial[wrong], x[wrong])
    assert not bool(found.robust[wrong].any())


@pytest.mark.parametrize("loss", [cross_entropy, margin])
def test_each_image_has_the_first_of_its_iterates_that_misleads(loss) -> None:
    """Against the climb that goes on, one step longer each time; in float64, where batches of any size agree."""
    net, (x, y) = trained(robust=True).double(), pixels(40)
    x, standing = x.double(), torch.ones(40, dtype=torch.bool)
    spec = Ascent(steps=8, step_size=Pixels(0.03), start="clean")
    iterates = [x]
    for steps in range(1, 9):
        longer = Ascent(steps=steps, step_size=Pixels(0.03), start="clean")
        iterates.append(ascend(lambda z: loss(net(z), y), x, NEAR, longer))
    with torch.no_grad():
        falls = torch.stack(
            [certainly_misclassified(net(z), y) for z in iterates[:-1]]
        )  # steps B; the last is not looked at
    first = torch.where(falls.any(dim=0), falls.int().argmax(dim=0), 8)
    expected = torch.stack([iterates[k][i] for i, k in enumerate(first.tolist())])
    assert len(first.unique()) > 2
    torch.testing.assert_close(ascend_worst(net, loss, x, y, NEAR, spec, standing), expected, rtol=0, atol=1e-12)


def test_the_path_of_an_image_does_not_depend_on_who_else_is_in() -> None:
    net, (x, y) = trained(robust=True).double(), pixels(40)
    spec, some = PGDSAT(steps=4, step_size=Pixels(0.04)), torch.arange(40) % 4 == 1
    found = []
    for standing in (some, torch.ones_like(some)):
        with torch.random.fork_rng():
            torch.manual_seed(11)
            found.append(ascend_worst(net, margin, x.double(), y, NEAR, spec, standing))
    torch.testing.assert_close(found[0][some], found[1][some], rtol=0, atol=1e-12)
    assert torch.equal(found[0][~some], x.double()[~some])


def test_a_climb_asks_once_a_step_and_its_batches_shrink_to_few_sizes() -> None:
    net, (x, y) = Counting(trained(robust=True)), pixels(400)
    ascend_worst(
        net, cross_entropy, x, y, NEAR, PGDSAT(steps=20, step_size=Pixels(0.02)), torch.ones(400, dtype=torch.bool)
    )
    assert len(net.sizes) <= 20
    assert net.sizes[0] == 400
    assert net.sizes == sorted(net.sizes, reverse=True)
    assert net.sizes[-1] <= 200
    assert all(size == compact_size(size) for size in net.sizes[1:] if size != 400)


def test_nobody_standing_asks_nothing() -> None:
    net, (x, y) = Counting(trained()), pixels(10)
    nobody = torch.zeros(10, dtype=torch.bool)
    assert torch.equal(ascend_worst(net, margin, x, y, NEAR, PGDSAT(), nobody), x)
    assert net.sizes == []


def test_sizes_of_batches_are_four_between_powers_of_two() -> None:
    asked = (0, 1, 2, 3, 7, 8, 9, 16, 17, 33, 129, 257, 500, 513)
    assert [compact_size(n) for n in asked] == [0, 1, 2, 3, 7, 8, 10, 16, 20, 40, 160, 320, 512, 640]
    assert all(n <= compact_size(n) <= 1.25 * n + 1 for n in range(1, 3000))


def test_gaussian_noise_that_leaves_the_cube_is_no_iterate() -> None:
    """Any change misleads this net; the first image that counts is the first that was projected."""

    class Brittle(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            change = x.flatten(1).abs().sum(dim=1, keepdim=True)
            return torch.cat([torch.zeros_like(change), 100 * change], dim=1)

    x, y = torch.zeros(8, 1, 2, 2), torch.zeros(8, dtype=torch.int64)
    spec = PGD(steps=4, step_size=Pixels(0.02), start="gaussian")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        found = ascend_worst(Brittle(), cross_entropy, x, y, NEAR, spec, torch.ones(8, dtype=torch.bool))
    assert float(found.min()) >= 0.0
    assert float(found.max()) > 0.0
    assert float(found.max()) <= 0.021 + 0.005  # one step from the noise, not four


def test_logits_that_are_not_finite_or_certainly_wrong_mislead_and_ties_do_not() -> None:
    rows = [([1.0, 0.0], False), ([0.0, 1.0], True), ([1.0, 1.0], False), ([1.0, 1.00001], False),
            ([float("nan"), 0.0], True), ([float("inf"), 0.0], True)]  # fmt: skip
    logits = torch.tensor([row for row, _ in rows])
    assert certainly_misclassified(logits, torch.zeros(6, dtype=torch.int64)).tolist() == [
        expected for _, expected in rows
    ]


def test_a_record_names_the_protocol_only_where_it_is_another_than_old_records_had() -> None:
    for spec in (*CLIMBS, FGSM(), CW2(), AutoAttack()):
        last, worst = (outcomes.describe(spec, NEAR, Evaluation(protocol=name)) for name in ("last_iterate", "worst"))
        assert "protocol" not in last
        assert worst.get("protocol") == ("worst" if isinstance(spec, Ascent) else None)
        assert last | recorded(spec, "worst") == worst


def test_an_evaluation_follows_its_protocol_to_the_record(tmp_path) -> None:
    suite = Evaluation(attacks=CLIMBS[:1], batch_size=20, gallery=3, suspect=False)
    robust = {}
    for protocol in ("last_iterate", "worst"):
        asked = suite.model_copy(update={"protocol": protocol})
        _, run = evaluated(tmp_path / protocol, subject(Precise().eval(), 60), asked, NEAR)
        record = decode(run.result("best", "pgd").read_bytes())
        assert record.spec.get("protocol", "last_iterate") == protocol
        robust[protocol] = torch.tensor(unpack(record.robust, 60))
    assert not bool((robust["worst"] & ~robust["last_iterate"]).any())


def test_validation_by_worst_is_never_better_and_asks_less() -> None:
    net, split, cpu = Counting(Precise().eval()), images(100), torch.device("cpu")
    found, asked = {}, {}
    for protocol in ("last_iterate", "worst"):
        net.sizes.clear()
        asked_for = Selection(by="clean", attacks=CLIMBS, batch_size=50, protocol=protocol)
        found[protocol] = accuracies(net, split, asked_for, NEAR, 0, cpu, lambda: None)
        asked[protocol] = sum(net.sizes)
    assert all(found["worst"][key][0] <= found["last_iterate"][key][0] for key in found["worst"])
    assert found["worst"]["clean"] == found["last_iterate"]["clean"]
    assert asked["worst"] < 0.8 * asked["last_iterate"]


def test_the_selection_judges_by_its_own_protocol(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = []

    def accuracies(_net, _split, asked, *_args, **_how):
        heard.append(asked.protocol)
        return {"clean": (0.5, [0.5])}

    monkeypatch.setattr(selection, "accuracies", accuracies)
    for protocol in ("worst", "last_iterate"):
        selector(tmp_path, config(protocol=protocol)).validate(1, 1)
    assert heard == ["worst", "last_iterate"]
