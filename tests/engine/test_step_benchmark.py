"""The benchmarks of the step at their smallest: what they put together is the engine, and what they report, counted."""

import pytest
import torch

from benchmarks import data, ladder, scale, step, table
from benchmarks.interleave import rotate
from benchmarks.kernels import top_kernels
from benchmarks.variants import CPU, Ours, Variant, defaults, named, variants
from engine.data.augment import Feed
from engine.fast.plan import FastPlan
from engine.spec.data import CIFAR10
from engine.spec.models import MobileNetV2, ResNet18, SmallCNN, WideResNet
from engine.types import Split

TINY, TEACHER = SmallCNN(width=4), SmallCNN(width=5)
BF16 = torch.bfloat16


@pytest.fixture
def subject():
    torch.manual_seed(0)
    return step.random_subject(TINY, TEACHER, 4, CPU)


def test_the_variants_are_each_switch_alone_all_together_and_what_a_run_decides():
    found = variants(ResNet18(), WideResNet(), CPU)
    by_name = {variant.name: variant for variant in found}
    assert len(by_name) == len(found)
    assert by_name["fused SGD"].plan == FastPlan()
    assert by_name["folded"].plan == FastPlan(folded=True)
    assert by_name["all bfloat16, table"].plan == FastPlan(
        folded=True, paired=True, teacher=BF16, inner=BF16, outer=BF16, table="complete"
    )
    assert not any(variant.plan.graphs for variant in found)
    assert {variant.plan.table for variant in found} == {"off", "complete"}


def test_defaults_follow_the_plan_of_the_student_and_differ_in_the_table_alone():
    without, with_table = defaults(MobileNetV2(), WideResNet(), CPU)
    assert (without.layout, without.plan.paired, without.plan.folded) == ("channels_last", False, True)
    assert (without.plan.table, with_table.plan.table) == ("off", "complete")


def test_on_cuda_graphs_are_measured_too(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: (9, 0))
    found = variants(ResNet18(), WideResNet(), torch.device("cuda"))
    assert {variant.name for variant in found if variant.plan.graphs} >= {
        "all bfloat16, table, graphs",
        "all float32, graphs",
        "defaults",
    }


def test_an_unknown_name_is_refused_with_the_names_that_there_are():
    with pytest.raises(SystemExit, match="no variant is called typo"):
        named([Variant(name="one")], ["typo"])


@pytest.mark.parametrize("variant", variants(TINY, TEACHER, CPU), ids=lambda variant: variant.name)
def test_every_variant_takes_the_step_that_the_exact_engine_takes(variant, subject, tmp_path):
    exact = ladder.attacked(Variant(name="exact"), subject, ladder.SHORT)
    found = ladder.attacked(variant, subject, ladder.SHORT)
    torch.testing.assert_close(found.loss, exact.loss, rtol=2e-2 if variant.half else 1e-5, atol=1e-6)
    if not variant.half:
        assert ladder.apart(found.gradients, exact.gradients) < 1e-4
    work = Ours(variant, subject, tmp_path)
    work()
    assert work.ledger.broken() == []
    assert (work.known() is not None) == (variant.plan.table == "complete")
    work.fast.close()


def test_timing_counts_rounds_and_extrapolates_an_epoch_from_the_median(subject):
    found = step.timing([Variant(name="fused SGD")], subject, rounds=2)["fused SGD"]
    assert (found["rounds"], len(found["ours_seconds"]), len(found["theirs_seconds"])) == (2, 2, 2)
    assert found["extrapolated_seconds_per_epoch"] == pytest.approx(
        sum(found["ours_seconds"]) / 2 * 50_000 / 4, abs=0.5
    )


def test_rotated_rounds_alternate_and_share_the_time_of_the_one_that_all_are_compared_with():
    order, seconds = [], iter(range(100))
    works = {name: (lambda name=name: order.append(name)) for name in "abc"}
    found = rotate(works, "a", 2, lambda: float(next(seconds)))
    assert "".join(order) == "cbaabccba"
    assert {name: rounds.ratios for name, rounds in found.items()} == {"b": [1.0, 1.0], "c": [1.0, 1.0]}


def test_the_ladder_finds_the_exact_step_equal_to_itself_and_another_seed_different(subject):
    exact = ladder.yardstick(subject)
    found = ladder.of_variant(ladder.EXACT, [exact])
    assert (found["same_bits"], found["same_gradient_bits"], found["pixels_differing"]) == (1.0, 1.0, 0.0)
    assert found["kl_of_x_adv"] == 0.0
    assert found["cosine_at_x_adv"] == pytest.approx(1.0, abs=1e-12)
    assert found["fits"]
    assert ladder.control(exact, 8)["pixels_differing"] > 0


def test_a_variant_in_bfloat16_must_keep_the_attack_as_strong_and_the_gradient_in_its_direction():
    half = Variant(name="half", plan=FastPlan(inner=BF16, folded=True))
    fine = {"kl_of_x_adv": -0.009, "cosine_at_x_adv": 0.995, "cosine": 0.991}
    assert ladder.fits(half, fine)
    assert not ladder.fits(half, fine | {"kl_of_x_adv": -0.011})
    assert not ladder.fits(half, fine | {"cosine": 0.98})


def test_kernels_come_longest_first_and_their_shares_are_of_the_whole():
    a = torch.randn(64, 64)
    found = top_kernels(lambda: a @ a, CPU, warmup=1)
    assert {kernel["name"]: kernel["calls"] for kernel in found}["aten::mm"] == 1
    assert [k["milliseconds"] for k in found] == sorted((k["milliseconds"] for k in found), reverse=True)
    assert sum(k["share"] for k in found) == pytest.approx(1.0, abs=1e-3)


def test_what_a_view_in_a_table_costs_is_counted_in_forwards_of_the_net():
    costs = table.measured(TEACHER, rounds=2, images=1)
    assert len(costs) == 2 and min(costs) > 0


@pytest.mark.parametrize("classes", [10, 1000])
def test_what_works_on_logits_runs_with_many_classes(classes):
    works = scale.on_logits(classes)
    assert set(works) == {"KL", "ACM", "contrast"}
    for work in works.values():
        work()


def test_a_table_is_filled_and_read_back_by_the_measurement_of_its_rates():
    images = torch.randint(0, 256, (6, 3, 32, 32), dtype=torch.uint8)
    feed = Feed(Split(images, torch.zeros(6, dtype=torch.int64)), CIFAR10(), CPU, torch.contiguous_format, 3)
    found = data.table_rates(feed, images[:2], rounds=1)
    assert set(found) == {"filling", "look-ups, batch 3"}
    assert all(rate["views_per_second"] > 0 for rate in found.values())


def test_an_unknown_teacher_is_refused():
    with pytest.raises(SystemExit, match="wide_resnet DEPTH WIDTH"):
        step.teacher_spec("resnet 18")
