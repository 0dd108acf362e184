"""Laws of our table of RobustBench models: sources are well formed, figures possible, and every model can be built."""

import importlib
import re

import pytest
import torch

from engine.spec.errors import TeacherError
from engine.spec.robustbench import RobustBenchModel, lookup, models

CLASSES = {"cifar10": 10, "cifar100": 100}
ENTRIES = [pytest.param(dataset, entry, id=f"{dataset}-{name}") for (dataset, name), entry in models().items()]


@pytest.mark.parametrize(("dataset", "entry"), ENTRIES)
def test_a_source_is_a_google_drive_id_or_an_https_address(dataset: str, entry: RobustBenchModel) -> None:
    drive = re.fullmatch(r"1[A-Za-z0-9_-]{32}", entry.source)
    assert drive or re.fullmatch(r"https://[a-z0-9.]+/[A-Za-z0-9_./-]+\.pt", entry.source)
    assert entry.url.startswith("https://") and entry.url.endswith(entry.source)


@pytest.mark.parametrize(("dataset", "entry"), ENTRIES)
def test_figures_are_fractions_and_robustness_costs_accuracy(dataset: str, entry: RobustBenchModel) -> None:
    assert dataset in CLASSES
    assert 1 / CLASSES[dataset] < entry.autoattack < entry.clean < 1
    assert entry.norm == "linf" and 0.03 < entry.epsilon < 0.032
    assert re.fullmatch(r"([0-9a-f]{64})?", entry.sha256)
    assert 0 < entry.min_bytes <= 4 * entry.parameters <= entry.max_bytes  # float32 weights alone must pass
    assert entry.model.normalization in ("none", dataset)


@pytest.mark.parametrize(("dataset", "entry"), ENTRIES)
def test_every_model_is_built_with_its_published_parameters(dataset: str, entry: RobustBenchModel) -> None:
    module = importlib.import_module(f"engine.models.{entry.model.module}")
    with torch.device("meta"):
        net = module.build(entry.model, CLASSES[dataset], (3, 32, 32))
    assert sum(parameter.numel() for parameter in net.parameters()) == entry.parameters


def test_no_two_entries_share_a_source() -> None:
    assert len({entry.source for entry in models().values()}) == len(models())


@pytest.mark.parametrize(
    ("dataset", "name", "clean", "autoattack"),
    [
        ("cifar10", "Zhang2019Theoretically", 84.92, 53.08),
        ("cifar10", "Chen2021LTD_WRN34_20", 86.03, 57.71),
        ("cifar10", "Chen2021LTD_WRN34_10", 85.21, 56.94),
        ("cifar100", "Chen2021LTD_WRN34_10", 64.07, 30.59),
        ("cifar10", "Gowal2020Uncovering_34_20", 85.64, 56.86),
        ("cifar10", "Gowal2020Uncovering_70_16", 85.29, 57.20),
        ("cifar100", "Gowal2020Uncovering", 60.86, 30.03),
        ("cifar100", "Gowal2020Uncovering_extra", 69.15, 36.88),
        ("cifar10", "Wang2023Better_WRN-28-10", 92.44, 67.31),
        ("cifar100", "Wang2023Better_WRN-28-10", 72.58, 38.83),
        ("cifar10", "Cui2023Decoupled_WRN-28-10", 92.16, 67.73),
        ("cifar100", "Cui2023Decoupled_WRN-28-10", 73.85, 39.18),
        ("cifar100", "Rice2020Overfitting", 53.83, 18.95),
    ],
)
def test_published_figures_are_those_of_the_specification(
    dataset: str, name: str, clean: float, autoattack: float
) -> None:
    entry = lookup(dataset, name)
    assert (round(100 * entry.clean, 2), round(100 * entry.autoattack, 2)) == (clean, autoattack)


def test_an_unknown_id_is_answered_with_the_nearest() -> None:
    with pytest.raises(TeacherError, match="Did you mean `Chen2021LTD_WRN34_20`"):
        lookup("cifar10", "Chen2021LTD_WRN34-20")
    with pytest.raises(TeacherError, match="Known for cifar100: Addepalli"):
        lookup("cifar100", "zzz")


def test_an_id_of_another_data_set_is_said_to_be_one() -> None:
    with pytest.raises(TeacherError, match="known for cifar10, not for cifar100"):
        lookup("cifar100", "Zhang2019Theoretically")
    with pytest.raises(TeacherError, match="no RobustBench models for the data set digits"):
        lookup("digits", "zzz")
