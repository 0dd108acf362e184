"""Every shipped preset: it loads, says what it is, is what its paper says, and makes one step."""

import importlib
import re
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn

from engine.spec import toml
from engine.spec.attacks import CW2, AutoAttack
from engine.spec.config import RobustBenchTeacher, RunConfig
from engine.spec.data import FACTS
from engine.spec.estimate import passes_per_step
from engine.spec.robustbench import lookup
from engine.spec.training import Cosine, MultiStep
from engine.train import optim
from engine.train.step import maximiser, train_step
from engine.types import Nets

FOLDER = Path(__file__).parents[2] / "presets"
FILES = sorted(FOLDER.glob("*.toml"))
METHODS = ["natural", "sat", "trades", "ard", "iad", "rslad", "crdnd", "crdnd_no_acm", "crdnd_report", "crdnd_plus"]
PLACES = [(data, student) for data in ("cifar10", "cifar100") for student in ("resnet18", "mobilenet_v2")]
EXPERIMENTS = [f"{method}_{data}_{student}" for method in METHODS for data, student in PLACES]

# Clean, FGSM, PGD-SAT, PGD-TRADES, CW-2, AA in per cent as printed; CIFAR-10 || CIFAR-100.
TABLE_1 = """
sat     resnet18     84.01 56.84 49.11 50.93 73.02 47.12 || 56.96 28.72 24.33 25.44 44.63 21.94
trades  resnet18     81.36 57.51 52.66 54.15 76.61 49.69 || 55.21 30.51 27.85 28.81 47.89 23.63
ard     resnet18     82.37 58.36 51.74 53.49 75.85 49.67 || 58.91 32.52 28.53 29.68 48.34 25.45
iad     resnet18     83.17 58.96 52.99 54.54 76.63 50.13 || 58.16 32.71 28.73 29.90 48.19 25.37
rslad   resnet18     83.39 60.14 54.26 55.76 77.00 51.91 || 58.11 34.16 30.73 31.94 49.01 26.67
crdnd   resnet18     84.11 64.24 59.91 61.25 - 49.88     || 59.00 38.02 35.29 36.29 - 27.05
crdnd   resnet18     84.34 65.38 60.61 62.30 83.26 49.44 || 59.15 38.24 35.51 36.66 59.08 25.93
sat     mobilenet_v2 81.01 55.62 50.66 52.14 75.64 46.85 || 58.09 32.00 28.72 29.75 49.52 25.14
trades  mobilenet_v2 79.74 55.69 51.55 52.75 75.64 47.12 || 56.02 31.24 28.81 29.69 49.64 24.21
ard     mobilenet_v2 81.36 56.17 51.01 52.62 75.53 48.40 || 58.66 32.86 29.68 30.76 49.23 26.00
iad     mobilenet_v2 81.76 56.90 51.70 53.27 76.16 48.33 || 57.15 32.70 29.93 31.02 49.37 26.09
rslad   mobilenet_v2 83.17 58.69 53.04 54.51 77.00 50.41 || 58.56 33.73 30.48 31.52 49.31 26.36
crdnd   mobilenet_v2 83.89 65.25 59.93 61.33 - 48.79     || 58.60 38.03 36.05 37.02 - 26.12
crdnd   mobilenet_v2 84.20 63.45 59.49 60.82 82.04 47.93 || 58.74 37.95 35.95 36.87 58.37 26.18
crdnd_report resnet18     84.34 65.38 60.61 62.30 83.26 49.44 || 59.15 38.24 35.51 36.66 59.08 25.93
crdnd_report mobilenet_v2 84.20 63.45 59.49 60.82 82.04 47.93 || 58.74 37.95 35.95 36.87 58.37 26.18
"""
TABLE_2 = """
crdnd_no_acm resnet18     || - 38.02 35.29 36.29 - 27.05
crdnd_no_acm resnet18     || - 38.02 35.14 36.11 - 26.29
crdnd_no_acm resnet18     || - 38.00 35.12 36.12 - 26.27
crdnd_no_acm mobilenet_v2 || - 38.03 36.05 37.02 - 26.56
crdnd_no_acm mobilenet_v2 || - 37.91 35.80 36.78 - 26.37
crdnd_no_acm mobilenet_v2 || - 37.94 35.80 36.77 - 26.42
"""
RSLAD_PAPER = """
natural resnet18     94.65 19.26 0 0 - 0 ||
natural mobilenet_v2 92.95 14.47 0 0 - 0 ||
"""


def published() -> list[tuple[str, str]]:
    """(preset, its row's cells) of every row that its tables print."""
    rows = []
    for line in (TABLE_1 + TABLE_2 + RSLAD_PAPER).strip().splitlines():
        if line:
            left, right = line.split("||")
            method, student, *cells = left.split()
            rows += [(f"{method}_cifar10_{student}", " ".join(cells))] if cells else []
            rows += [(f"{method}_cifar100_{student}", " ".join(right.split()))] if right.strip() else []
    return rows


@cache
def loaded(name: str) -> RunConfig:
    return toml.load(FOLDER / f"{name}.toml")


def head(name: str) -> str:
    """The comment before the first setting, blanks collapsed."""
    text = (FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    above = re.match(r"(#[^\n]*\n)*", text)
    assert above is not None
    return " ".join(above[0].replace("#", " ").split())


every_experiment = pytest.mark.parametrize("name", EXPERIMENTS)


def test_the_experiments_of_the_report_and_of_the_digits_study_are_all_shipped_and_nothing_else_is() -> None:
    shipped = {path.stem for path in FILES if not path.stem.startswith("quickstart")}
    assert shipped == {*EXPERIMENTS, *(f"{method}_digits" for method in METHODS if method != "crdnd_report")}


def test_the_presets_on_digits_differ_in_method_inner_start_rate_and_selection_alone() -> None:
    """What a fair comparison holds equal: data, student, radius, steps, epochs, batch, decay, schedule, evaluation."""
    configs = [toml.load(path) for path in FILES if path.stem.endswith("_digits")]
    for part in ("data", "student", "threat_model", "evaluation"):
        assert len({repr(getattr(config, part)) for config in configs}) == 1
    assert len({repr(config.training.model_copy(update={"learning_rate": 0.1})) for config in configs}) == 1
    assert {(str(config.inner.step_size), config.inner.steps, config.inner.student_mode) for config in configs} == {
        ("10/255", 10, "eval")
    }
    assert {config.training.learning_rate for config in configs} == {0.05, 0.1, 0.2}


@every_experiment
def test_the_head_names_its_own_command_its_data_and_its_student(name: str) -> None:
    said, config = head(name), loaded(name)
    assert f"crdnd run presets/{name}.toml" in said
    assert said.count("crdnd run ") == 1
    assert f"{config.data.title}, {config.student.title}" in said
    assert config.name.endswith(f", {config.data.title}, {config.student.title}")
    if not name.startswith("natural"):
        assert re.search(r"\(.+ 20\d\d, arXiv:\d{4}\.\d{5}\)", said)


@pytest.mark.parametrize(("name", "cells"), published())
def test_the_head_prints_the_published_row(name: str, cells: str) -> None:
    assert len(cells.split()) == 6
    assert "clean FGSM PGD-SAT PGD-TRADES CW-2 AA" in head(name)
    assert f" {cells} " in f"{head(name)} "


def test_the_doubtful_cell_is_called_doubtful() -> None:
    for name in ("crdnd_cifar100_mobilenet_v2", "crdnd_no_acm_cifar100_mobilenet_v2"):
        assert "doubtful" in head(name) and "26.12" in head(name) and "26.56" in head(name)


@every_experiment
def test_the_head_states_the_passes_that_the_engine_makes(name: str) -> None:
    config = loaded(name)
    passes = passes_per_step(config.method, config.inner.steps)
    counts = r"student (\d+) forwards?, (\d+) input backwards?, (\d+) full backwards? \(about (\d+) forwards\)"
    found = re.search(counts, head(name))
    assert found is not None
    assert tuple(map(int, found.groups())) == (
        passes.student_forward,
        passes.input_backward,
        passes.full_backward,
        passes.student_equivalents,
    )
    asked = re.search(r"teacher (\d+) forwards? of a (WRN-\d+-\d+)", head(name))
    assert (int(asked[1]) if asked else 0) == passes.teacher_forward
    if asked and isinstance(config.teacher, RobustBenchTeacher):
        assert lookup(config.data.name, config.teacher.robustbench).model.title.startswith(asked[2])


def test_no_two_presets_are_the_same_experiment() -> None:
    hashes = [toml.load(path).config_hash for path in FILES]
    assert len(set(hashes)) == len(hashes)


@every_experiment
def test_teachers_are_the_report_s_with_their_published_accuracy(name: str) -> None:
    config = loaded(name)
    if not config.method.needs_teacher:
        assert config.teacher is None
        return
    assert isinstance(config.teacher, RobustBenchTeacher)
    wanted = {"cifar10": "Zhang2019Theoretically", "cifar100": "Gowal2020Uncovering"}[config.data.name]
    assert config.teacher.robustbench == wanted
    assert config.teacher.expected_clean == lookup(config.data.name, wanted).clean


@pytest.mark.parametrize("method", METHODS)
def test_students_of_one_method_differ_in_nothing_but_themselves(method: str) -> None:
    for data in ("cifar10", "cifar100"):
        one, other = (loaded(f"{method}_{data}_{student}").to_table() for student in ("resnet18", "mobilenet_v2"))
        assert {key for key in one if one[key] != other[key]} == {"name", "student"}


@every_experiment
def test_every_experiment_is_judged_by_the_columns_of_the_table_at_eight_grey_levels(name: str) -> None:
    config = loaded(name)
    keys = [attack.key for attack in config.evaluation.attacks]
    assert keys == ["fgsm", "pgd_sat", "pgd_trades", "cw_inf", "cw_2", "cw_2_min", "pgd_rescaled", "autoattack"]
    assert config.threat_model.epsilon == 8 / 255
    assert config.evaluation.images == 0 and config.data.train_images == 0  # whole splits
    table_s, honest = (attack for attack in config.evaluation.attacks if isinstance(attack, CW2))
    assert (table_s.steps, table_s.search_steps, table_s.initial_constant) == (1000, 1, 0.1)
    assert (table_s.confidence, table_s.learning_rate, table_s.radius) == (0.01, 0.01, 0.0)
    assert (honest.search_steps, honest.confidence, honest.radius) == (9, 0.0, 0.5)


INNER = {  # start, student_mode, step in pixel units
    "sat": ("uniform", "train", 2 / 255),
    "ard": ("uniform", "train", 2 / 255),
    "iad": ("uniform", "train", 2 / 255),
    "trades": ("gaussian", "eval", 0.007),
}
SCHEDULES: dict[str, tuple[int, tuple[int, ...] | None]] = {  # epochs, milestones (None is a cosine)
    "natural": (100, (75, 90)),
    "sat": (200, (100, 150)),
    "trades": (76, (74,)),
    "ard": (200, (100, 150)),
    "iad": (200, (100, 150)),
    "rslad": (300, (215, 260, 285)),
}


@every_experiment
def test_attack_and_schedule_are_the_recipe_of_the_method(name: str) -> None:
    config, method = loaded(name), name.rsplit("_cifar", 1)[0]
    start, mode, step = INNER.get(method, ("gaussian", "eval", 2 / 255))
    assert (config.inner.steps, config.inner.start, config.inner.student_mode) == (10, start, mode)
    assert float(config.inner.step_size) == step
    epochs, milestones = SCHEDULES.get(method, (300, None))
    training = config.training
    assert (training.epochs, training.learning_rate, training.weight_decay) == (epochs, 0.1, 2e-4)
    assert training.batch_size == (256 if name.startswith("ard_cifar100") else 128)
    assert training.schedule == (Cosine() if milestones is None else MultiStep(milestones=milestones))
    assert training.drop_last is (method == "crdnd_report")
    assert config.selection.by == {"natural": "clean", "crdnd_plus": "autoattack"}.get(method, "cw_inf")


def test_a_drop_at_a_milestone_is_first_felt_in_the_epoch_that_the_recipe_names() -> None:
    for method, first in (("trades", 75), ("natural", 76), ("ard", 101), ("rslad", 216)):
        training = loaded(f"{method}_cifar10_resnet18").training
        rates = [optim.learning_rate(training, epoch) for epoch in (first - 1, first)]
        assert rates == pytest.approx([0.1, 0.01])


def test_hyperparameters_are_those_of_papers_and_codes() -> None:
    def written(method: str, data: str = "cifar10") -> dict[str, object]:
        return loaded(f"{method}_{data}_resnet18").method.model_dump(exclude_unset=True)

    assert written("trades") == {"name": "trades", "beta": 6.0}
    assert written("ard") == {"name": "ard", "alpha": 1.0, "temperature": 30.0, "kl_reduction": "elmean"}
    assert [written("iad", data)["begin"] for data in ("cifar10", "cifar100")] == [60, 80]
    assert written("rslad") == {
        "name": "rslad",
        "clean_share": pytest.approx(1 / 6),
        "kl_reduction": "batchmean",
        "loss_scale": 0.1,
    }


def test_the_readings_of_crdnd_differ_only_where_they_say_so() -> None:
    full = loaded("crdnd_cifar10_resnet18").method.model_dump()
    assert (full["clean_share"], full["temperature_clean"], full["temperature_robust"]) == (0.2, 0.5, 0.5)
    assert (full["anchor"], full["pool"], full["keep_positive"]) == ("both", "student_teacher", True)

    def changed(name: str) -> dict[str, object]:
        table = loaded(f"{name}_cifar10_resnet18").method.model_dump()
        return {key: value for key, value in table.items() if value != full[key]}

    assert changed("crdnd_no_acm") == {"compensate": False}
    assert changed("crdnd_report") == {"compensate": False, "inner": "margin"}
    assert loaded("crdnd_report_cifar10_resnet18").method.model_dump()["margin_kappa"] == 90.0
    assert changed("crdnd_plus") == {"space": "probs", "target": "relational", "inner": "margin"}
    plus = loaded("crdnd_plus_cifar10_resnet18").selection
    assert plus.every == 20 and any(isinstance(attack, AutoAttack) for attack in plus.attacks)


def tiny_teacher(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Stands in for nets of up to 267 million parameters."""
    return nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], classes)).eval().requires_grad_(False)


@pytest.mark.parametrize("path", [path for path in FILES if "_cifar10_" not in path.stem], ids=lambda path: path.stem)
def test_every_preset_is_built_and_learns_from_one_batch(path: Path) -> None:
    """Those for CIFAR-10 build the same nets and methods as those for CIFAR-100, for fewer classes."""
    config = toml.load(path, ["inner.steps=1"])
    facts = FACTS[config.data.name]
    torch.manual_seed(0)
    student = importlib.import_module(f"engine.models.{config.student.module}").build(
        config.student, facts.classes, facts.image
    )
    teacher = tiny_teacher(facts.image, facts.classes) if config.method.needs_teacher else None
    method = importlib.import_module(f"engine.methods.{config.method.name}").Method(
        config.method, Nets(student, teacher, facts.classes)
    )
    x, y = torch.rand(2, *facts.image), torch.tensor([0, facts.classes - 1])
    optimizers = [optim.build(student.train(), config.training), *method.optimizers()]
    method.epoch_started(config.training.epochs, config.training.epochs)  # IAD trusts itself at last
    before = [parameter.detach().clone() for parameter in student.parameters()]

    loss = train_step(method, maximiser(student, config.threat_model, config.inner), optimizers, x, y)

    assert torch.isfinite(loss.total)
    assert all(torch.isfinite(parameter).all() for parameter in student.parameters())
    after = student.parameters()
    assert any(not torch.equal(was, parameter) for was, parameter in zip(before, after, strict=True))
    with torch.no_grad():
        assert student.eval()(x).shape == (2, facts.classes)
