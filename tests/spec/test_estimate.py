"""The cost of a run, against values worked out by hand."""

from typing import Any

import pytest

from crdnd_tui.core.cost_summary import lines
from crdnd_tui.core.format import flops
from engine.spec.attacks import CW2, FGSM, PGD, PGDSAT, AutoAttack, CWInf, PGDRescaled
from engine.spec.config import RunConfig
from engine.spec.cost import model_cost
from engine.spec.data import FACTS
from engine.spec.errors import bytes_text
from engine.spec.estimate import Estimate, Passes, attack_forwards, estimate, passes_per_step
from engine.spec.methods import ARD, CRDND, IAD, PGDAT, RSLAD, TRADES, Natural
from engine.spec.models import ResNet18, WideResNet
from engine.spec.training import Training

RN18, WRN = (model_cost(spec, 10, (3, 32, 32)) for spec in (ResNet18(), WideResNet()))
TEACHER = {"checkpoint": "model_cifar_wrn.pt", "model": {"name": "wide_resnet"}}


def config(method: str, teacher: dict[str, Any] | None = None, /, **tables: Any) -> RunConfig:
    table = {"data": {"name": "cifar10"}, "student": {"name": "resnet18"}, "method": {"name": method}} | tables
    return RunConfig.model_validate(table | ({"teacher": teacher} if teacher else {}))


def of(method: str, teacher: dict[str, Any] | None = None, /, **tables: Any) -> Estimate:
    return estimate(config(method, teacher, **tables))


@pytest.mark.parametrize(
    ("method", "expected"),
    [  # student forwards, input backwards, full backwards, teacher forwards with ten steps
        (Natural(), (1, 0, 1, 0)),
        (PGDAT(), (11, 10, 1, 0)),
        (TRADES(), (13, 10, 2, 0)),  # x', x, and p(x) for the attack
        (ARD(), (11, 10, 1, 1)),
        (ARD(alpha=0.5), (12, 10, 2, 1)),
        (IAD(), (12, 10, 2, 2)),
        (RSLAD(), (12, 10, 2, 1)),
        (CRDND(), (12, 10, 2, 2)),
    ],
    ids=lambda value: getattr(value, "title", ""),
)
def test_passes_of_each_method(method, expected) -> None:
    p = passes_per_step(method, steps=10)
    assert (p.student_forward, p.input_backward, p.full_backward, p.teacher_forward) == expected


def test_before_iad_trusts_itself_it_needs_neither_the_clean_view_nor_the_second_answer() -> None:
    assert passes_per_step(IAD(), 10, introspects=False) == passes_per_step(ARD(), 10)


def test_a_backward_to_the_input_costs_one_forward_and_a_full_one_two() -> None:
    assert Passes(student_forward=12, input_backward=10, full_backward=2).student_equivalents == 26


def test_rslad_costs_26_student_and_one_teacher_forward_per_image() -> None:
    run = of("rslad", TEACHER)
    assert run.flops_per_image == 2 * (26 * RN18.macs + WRN.macs)
    assert run.flops_per_image / (2 * RN18.macs) == pytest.approx(38, abs=0.1)  # in ResNet-18 forwards
    assert (run.images, run.steps) == (49_000, 300 * 383)  # 49,000 / 128 = 382.8
    assert run.training_flops == 300 * 49_000 * run.flops_per_image


def test_iad_is_cheaper_until_it_trusts_itself() -> None:
    run = of("iad", TEACHER, training={"epochs": 100})
    plain, later = 2 * (23 * RN18.macs + WRN.macs), 2 * (26 * RN18.macs + 2 * WRN.macs)
    assert run.training_flops == 49_000 * (60 * plain + 40 * later)


def test_an_epoch_without_its_last_batch_sees_fewer_images() -> None:
    run = of("natural", training={"epochs": 2, "drop_last": True}, data={"name": "cifar10", "train_images": 1000})
    assert (run.images, run.steps) == (7 * 128, 14)


def test_the_validation_is_counted_for_each_epoch_that_has_one() -> None:
    selection = {"every": 4, "by": "clean", "attacks": [{"name": "pgd", "steps": 10}]}
    run = of("natural", selection=selection, training={"epochs": 10})
    assert run.validation_flops == 3 * 1000 * (1 + 21) * 2 * RN18.macs  # after epochs 4, 8, and the last


@pytest.mark.parametrize(
    ("attack", "forwards"),
    [
        (FGSM(), 3),
        (PGDSAT(), 41),
        (CWInf(), 61),
        (PGD(steps=50, restarts=10), 1010),
        (PGDRescaled(steps=20, scales=(1.0, 2.0, 5.0)), 123),
        (PGDRescaled(steps=20), 246),
        (CW2(), 18_001),
        (CW2(search_steps=1), 2001),
        (AutoAttack(), 4861),  # half of the images at 9720
    ],
    ids=lambda value: getattr(value, "title", str(value)),
)
def test_forwards_of_each_attack(attack, forwards) -> None:
    assert attack_forwards(attack) == forwards


def test_the_evaluation_counts_every_checkpoint_and_respects_the_subset() -> None:
    evaluation = {"images": 500, "checkpoints": ["best", "last"], "suspect": False, "attacks": [{"name": "fgsm"}]}
    run = of("natural", evaluation=evaluation)
    assert [(row.attack, row.images, row.flops) for row in run.evaluation] == [
        ("clean", 1000, 1000 * 2 * RN18.macs),
        ("fgsm", 1000, 3000 * 2 * RN18.macs),
    ]
    assert run.flops == run.training_flops + run.validation_flops + 4000 * 2 * RN18.macs


def test_the_checks_of_the_figures_are_counted_too() -> None:
    evaluation = {"images": 1000, "checkpoints": ["best"], "attacks": [{"name": "pgd_sat"}, {"name": "pgd_rescaled"}]}
    of_student = (
        3 * 256 + 3 * 512 + 24 * 44  # logits; gradients; planted examples
        + 256 * (4 * 41 + 101)  # radii of 8, 16, 32 and 64/255, and 0.5
        + 512 * (10 + 201)  # corners; five times the steps
        + 256 * (2 + 40)  # what teacher and twin found, and the climb on the twin
        + 500 * 6 * 41  # restarts on half of the images
    )  # fmt: skip
    run = of("rslad", TEACHER, evaluation=evaluation)
    row = run.checks
    assert row is not None and (row.images, row.forwards) == (1000, -(-of_student // 1000))
    assert row.flops == 2 * (of_student * RN18.macs + 256 * 40 * WRN.macs)
    assert run.evaluation_flops == sum(row.flops for row in run.evaluation) + row.flops
    assert any(line.split()[0] == "checks" for line in lines(run) if line.strip())
    assert of("rslad", TEACHER, evaluation={"suspect": False}).checks is None


def test_the_checks_cost_a_small_part_of_a_standard_evaluation() -> None:
    run = of("rslad", TEACHER)
    assert run.checks is not None and run.evaluation_flops is not None
    assert run.checks.flops < 0.03 * run.evaluation_flops


def test_memory_by_hand() -> None:
    memory = of("rslad", TEACHER).memory
    weights = 4 * 11_173_962
    assert (memory.weights, memory.gradients, memory.momentum) == (weights, weights, weights)
    assert memory.teacher == 4 * 46_160_474
    assert memory.data == 50_000 * (3 * 32 * 32 + 8)
    assert memory.activations == 2 * 128 * 4 * RN18.activation_floats  # two graphs wait: of x and of x'
    assert memory.evaluation == weights + 500 * 4 * RN18.activation_floats
    assert memory.peak == max(memory.training, memory.evaluation)


def test_disk_holds_two_checkpoints_with_momentum_and_two_files_of_weights() -> None:
    disk = of("natural").disk
    assert (disk.checkpoints, disk.weights) == (2 * 2 * 4 * 11_173_962, 2 * 4 * 11_173_962)
    assert of("natural", training={"momentum": 0.0}).disk.checkpoints == disk.checkpoints / 2


def test_the_events_are_the_reports_of_each_epoch_and_one_line_for_each_result() -> None:
    evaluation = {"checkpoints": ["best"], "attacks": [{"name": "fgsm"}]}
    events = of("natural", training={"epochs": 10}, evaluation=evaluation).disk.events
    assert events == 220 * (10 * (128 + 2) + 10 + 2)  # a report after each third of 383 steps


def test_the_matrices_of_100_classes_are_counted_in_the_events() -> None:
    data = {"name": "cifar100"}
    with_acm = of("crdnd", TEACHER, data=data).disk.events
    without = of("crdnd", TEACHER, data=data, method={"name": "crdnd", "compensate": False}).disk.events
    assert with_acm - without == 300 * 2 * 100**2 * 20


def test_the_results_hold_one_outcome_per_image_and_the_gallery() -> None:
    evaluation = {"checkpoints": ["best"], "attacks": [], "images": 200, "gallery": 5}
    example = 2 * 4 * 3 * 32 * 32 + 4 * 20 * 10
    assert of("natural", evaluation=evaluation).disk.results == 3 * (200 + 10 * 10) + 5 * example


def test_a_preset_teacher_is_known_by_its_own_config() -> None:
    teacher = {"preset": "teacher.toml", "config": config("trades", student={"name": "wide_resnet"}).to_table()}
    assert of("rslad", teacher).teacher == WRN


def test_a_robustbench_teacher_is_known_by_our_table() -> None:
    assert of("rslad", {"robustbench": "Zhang2019Theoretically"}).teacher == WRN


def test_the_student_of_a_saved_run_is_not_known() -> None:
    unknown = estimate(config("rslad", {"run": "some-run"}))
    assert unknown.teacher is None and unknown.flops is None and unknown.memory.teacher is None
    assert unknown.evaluation_flops is not None


def test_a_folder_has_unknown_counts() -> None:
    run = estimate(config("natural", data={"name": "folder", "path": "pets"}))
    assert run.passes.student_forward == 1
    assert (run.student, run.images, run.steps, run.flops, run.memory, run.disk) == (None,) * 6
    assert any("unknown" in line for line in lines(run))


def test_the_splits_of_the_digits_are_all_of_its_1797_images() -> None:
    facts = FACTS["digits"]
    assert (facts.image, facts.classes, facts.train + facts.test) == ((1, 8, 8), 10, 1797)


def test_units_are_scaled_for_reading() -> None:
    assert [flops(n) for n in (12, 1_110_000_000, 25 * 10**17)] == ["12 FLOP", "1.11 GFLOP", "2.50 EFLOP"]
    assert [bytes_text(n) for n in (1023, 1536, 44_695_848)] == ["1023 B", "1.50 KiB", "42.63 MiB"]
    assert flops(None) == "unknown"


def test_the_text_is_aligned_and_names_every_part() -> None:
    text = lines(of("rslad", TEACHER))
    rows = [line for line in text if line.startswith("  ")]
    column = max(len(line[2:].split("  ")[0]) for line in rows) + 4
    assert all(line[column - 2 : column] == "  " and line[column] != " " for line in rows)
    assert "  student forward         12 passes" in text
    assert any(line.startswith("  autoattack") and "20,000 images x 4,861 forwards" in line for line in text)


def test_a_last_batch_of_one_image_is_no_step() -> None:
    training = Training(batch_size=64)
    assert [training.steps_per_epoch(images) for images in (128, 129, 130)] == [2, 2, 3]
    assert Training(batch_size=64, drop_last=True).steps_per_epoch(191) == 2
