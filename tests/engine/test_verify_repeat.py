"""A second judgement goes the first one's way: on its folded copy, with all its marks, and ready to stop anywhere."""

from pathlib import Path
from typing import Any

import pytest
from torch import nn

from engine.evaluate.evaluation import evaluate
from engine.evaluate.outcomes import FAILS, HOLDS
from engine.evaluate.surrogate import Surrogate
from engine.spec import files
from engine.spec.attacks import FGSM, PGD, ThreatModel
from engine.spec.base import Pixels
from engine.spec.config import RobustBenchTeacher, RunConfig
from engine.spec.data import CIFAR10
from engine.spec.events import Decoded, Event
from engine.spec.machine import Machine
from engine.spec.methods import RSLAD
from engine.spec.models import ResNet18
from engine.spec.robustbench import lookup
from engine.spec.rundir import RunDir
from engine.spec.training import Evaluation
from engine.teachers import load
from engine.verify import repeated
from engine.verify.recorded import StoredRun
from tests.engine.subjects import folder, subject, trained
from tests.engine.tampering import events_of, verified, write_events


def test_somebody_may_stop_the_engine_while_attacks_climb_on_the_natural_twin(tmp_path: Path) -> None:
    looked, asked = 0, list[int]()

    def pause() -> None:
        nonlocal looked
        looked += 1

    twin: nn.Module = trained().requires_grad_(False)
    twin.register_forward_pre_hook(lambda _net, _x: asked.append(looked))
    who = subject(trained(robust=True), 60)._replace(surrogate=lambda: Surrogate(twin, digest="t" * 64))
    evaluation = Evaluation(attacks=(FGSM(), PGD(steps=3)), batch_size=60, gallery=0)
    evaluate(who, evaluation, ThreatModel(epsilon=Pixels(0.1)), folder(tmp_path), _unheard, pause)
    assert len(asked) > 2
    assert len(set(asked)) == len(asked)


def _unheard(_event: Event) -> None:
    """Nobody listens."""


def test_probes_that_are_made_again_climb_where_the_runs_own_did(
    copied: tuple[RunDir, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folded: list[bool] = []

    def heard(*words: Any, **options: Any) -> None:
        folded.extend([options["folded"]] if words[1].suspect else [])
        evaluate(*words, **options)

    monkeypatch.setattr(repeated, "evaluate", heard)
    assert not [f for f in verified(*copied) if f.verdict == FAILS]
    assert folded == [False, True] * 2  # on each checkpoint: nothing is climbed, then the probes


def test_a_mark_of_the_teacher_that_its_measurement_does_not_give_is_told(copied: tuple[RunDir, Path]) -> None:
    run, data = copied
    events = events_of(run)
    place = next(i for i, event in enumerate(events) if event["event"] == "teacher_checked")
    mark = {"event": "warned", "time": events[place]["time"], "code": "teacher_below_record", "message": "it is worse"}
    write_events(run, [*events[: place + 1], mark, *events[place + 1 :]], renumber=True)
    assert "teacher measured" in {f.what for f in verified(run, data) if f.verdict == FAILS}


def test_a_robustbench_teacher_is_found_with_the_claims_that_its_measurement_is_held_against(tmp_path: Path) -> None:
    name, entry = "Chen2021LTD_WRN34_10", lookup("cifar10", "Chen2021LTD_WRN34_10")
    path = load.robustbench_path(tmp_path, "cifar10", name)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"weights")
    config = RunConfig(data=CIFAR10(), teacher=RobustBenchTeacher(robustbench=name), student=ResNet18(), method=RSLAD())
    stored = StoredRun(run=RunDir(tmp_path), config=config, facts={"teacher": {"sha256": files.sha256(path)}},
                       status=None, log=Decoded([], 0, 0), dataset=None)  # fmt: skip
    source, found = repeated.source_of(stored, Machine(data=str(tmp_path), runs=str(tmp_path)))
    assert [result.verdict for result in found] == [HOLDS] and source is not None
    assert (source.expected_clean, source.expected_robust) == (entry.clean, entry.autoattack)
