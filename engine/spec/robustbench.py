"""RobustBench teachers, read from `robustbench.toml` on first use."""

import difflib
from functools import cache
from pathlib import Path

import tomli

from engine.spec.base import Share, Spec
from engine.spec.cost import model_cost
from engine.spec.data import FACTS
from engine.spec.errors import TeacherError
from engine.spec.models import ModelSpec

GOOGLE_DRIVE = "https://drive.google.com/uc?id="
_HALF, _COPIES = 2, 16  # bytes per parameter: half precision; four float32 copies (weights, average, optimizer)


class RobustBenchModel(Spec):
    """What is published of one teacher. Accuracies are fractions on the whole test split."""

    dataset: str
    title: str
    model: ModelSpec
    source: str
    """A Google Drive id, or an https address."""
    clean: Share
    autoattack: Share
    epsilon: float = 8 / 255
    """Radius of the AutoAttack figure, in pixel units."""
    norm: str = "linf"
    notes: str = ""
    bytes: int = 0
    """Size of the file; 0 = unknown."""
    sha256: str = ""
    """Of the file; empty = unknown, recorded at the first download."""

    @property
    def url(self) -> str:
        """Where a person finds the file."""
        return self.source if "://" in self.source else GOOGLE_DRIVE + self.source

    @property
    def parameters(self) -> int:
        """Of the model that is built here, without what the file holds beside it."""
        facts = FACTS[self.dataset]
        return model_cost(self.model, facts.classes, facts.image).parameters

    @property
    def min_bytes(self) -> int:
        """No checkpoint of this model is smaller."""
        return self.bytes or _HALF * self.parameters

    @property
    def max_bytes(self) -> int:
        """No checkpoint of this model is larger, with an average and an optimizer in it."""
        return self.bytes or _COPIES * self.parameters


@cache
def models() -> dict[tuple[str, str], RobustBenchModel]:
    """All entries by data set and id: the same id exists for both CIFARs."""
    table = tomli.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    return {
        (dataset, name): RobustBenchModel(dataset=dataset, **entry)
        for dataset, entries in table.items()
        for name, entry in entries.items()
    }


def lookup(dataset: str, name: str) -> RobustBenchModel:
    """The entry of this id for this data set; TeacherError with the nearest ids when there is none."""
    if entry := models().get((dataset, name)):
        return entry
    elsewhere = sorted(of for of, known in models() if known == name)
    if elsewhere:
        raise TeacherError(f"the RobustBench model `{name}` is known for {', '.join(elsewhere)}, not for {dataset}")
    known = sorted(known for of, known in models() if of == dataset)
    if not known:
        raise TeacherError(f"there are no RobustBench models for the data set {dataset}, only for cifar10, cifar100")
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"Did you mean `{near[0]}`?" if near else f"Known for {dataset}: {', '.join(known)}."
    raise TeacherError(f"unknown RobustBench model `{name}`", hint=hint)
