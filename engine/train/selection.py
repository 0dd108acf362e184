"""Which epoch is `best`: the one whose student is most robust on validation images that it never trained on."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from engine.evaluate.evaluation import accuracies
from engine.runtime.distributed import ALONE, Ranks
from engine.spec.config import RunConfig
from engine.spec.events import Validated
from engine.spec.rundir import RunDir
from engine.teachers import weights
from engine.types import Split


def due_epochs(config: RunConfig) -> list[int]:
    """Epochs, counted from 1, after which the student is validated."""
    every, last = config.selection.every, config.training.epochs
    return [epoch for epoch in range(1, last + 1) if epoch % every == 0 or epoch == last]


def weights_facts(config: RunConfig, checkpoint: str) -> dict[str, str]:
    """Metadata of a weights file, but for its epoch."""
    return {
        "checkpoint": checkpoint,
        "config_hash": config.config_hash,
        "model": config.student.model_dump_json(),
        "data": config.data.name,
    }


class Selector:
    """Measures the student after epochs, and keeps the weights of the best. Ties stay with the earlier epoch."""

    def __init__(  # noqa: PLR0913  whoever takes part
        self,
        config: RunConfig,
        student: nn.Module,
        validation: Split,
        run: RunDir,
        device: torch.device,
        pause: Callable[[], None],
        *,
        folded: bool = False,
        ranks: Ranks = ALONE,
    ) -> None:
        """With `folded`, attacks use a copy of the student with folded batch norms. `ranks` share the work."""
        self._config, self._student, self._run, self._device, self._pause = config, student, run, device, pause
        self._validation, self._folded, self._ranks = validation, folded, ranks
        self._accuracy, self._epoch = -1.0, 0

    def validate(self, epoch: int, step: int) -> Validated | None:
        """The student's accuracies after this epoch, or None when none are due; the best weights go to disk."""
        selection = self._config.selection
        if epoch not in due_epochs(self._config):
            return None
        began = time.monotonic()
        found = accuracies(
            self._student, self._validation, selection, self._config.threat_model, self._config.seed, self._device,
            self._pause, folded=self._folded, ranks=self._ranks,
        )  # fmt: skip
        accuracy = found[selection.by][0]
        best = accuracy > self._accuracy
        if best:
            self._accuracy, self._epoch = accuracy, epoch
        if best and self._ranks.is_leader:
            weights.save(
                self._run.weights_of("best"), self._student, weights_facts(self._config, "best") | {"epoch": str(epoch)}
            )
        return Validated(
            epoch=epoch,
            step=step,
            n=len(self._validation.labels),
            accuracy={attack: share for attack, (share, _) in found.items()},
            by=selection.by,
            best=best,
            seconds=time.monotonic() - began,
            per_class={attack: found[attack][1] for attack in {"clean": None, selection.by: None}},
        )

    def state_dict(self) -> dict[str, Any]:
        return {"accuracy": self._accuracy, "epoch": self._epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._accuracy, self._epoch = state["accuracy"], state["epoch"]
