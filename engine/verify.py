"""python -P -m engine.verify RUN_FOLDER: do the stored numbers hold?

Holds the folder against itself and its data, then judges the saved student again in a temporary folder, with the same
attacks, seed, batches and images, and compares image by image. One line of JSON for each check; the run is only read.
Exit 0 the numbers hold, 1 they do not or nothing can be said of them, 2 no run, 3 stopped.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from engine import audit, exhibits, provenance, saved, teachers, weights
from engine.audit import Stored
from engine.evaluate import Subject, evaluate, subset
from engine.interrupt import Interrupt, Stopped
from engine.outcomes import Identity
from engine.rejudged import compare, differing
from engine.runtime import FORMATS
from engine.spec import robustbench
from engine.spec.attacks import AttackSpec
from engine.spec.config import JudgeConfig, RunConfig
from engine.spec.errors import ConfigError, CrdndError
from engine.spec.events import AttackProgressed, Event
from engine.spec.machine import Machine
from engine.spec.models import ModelSpec
from engine.spec.outcomes import decode
from engine.spec.rundir import RunDir
from engine.spec.teachers import RobustBenchTeacher
from engine.spec.training import Evaluation
from engine.types import Dataset, Split
from engine.verdict import FAILS, HOLDS, UNKNOWN, Finding, Verdict

HELD, FAILED, REFUSED, STOPPED = 0, 1, 2, 3
NEVER = Path("/nonexistent/stop")  # only signals stop a verification


def main(arguments: Sequence[str] | None = None) -> int:
    """Say every check as it is made, then the verdict."""
    flags = _parser().parse_args(arguments)
    interrupt = Interrupt(NEVER)
    interrupt.listen()
    findings: list[Finding] = []
    try:
        for finding in verify(flags, interrupt):
            findings.append(finding)
            _say({"event": "checked", **finding._asdict()})
    except Stopped as stop:
        _say({"event": "stopped", "reason": stop.reason})
        return STOPPED
    except CrdndError as error:
        _say({"event": "failed", "message": str(error).replace("\n  ", " ")})
        return REFUSED
    except OSError as error:
        _say({"event": "failed", "message": f"{error.strerror or error}: {error.filename or flags.run}"})
        return REFUSED
    verdict, words = conclude(findings)
    _say({"event": "verdict", "verdict": verdict, "words": words})
    return HELD if verdict == HOLDS else FAILED


def conclude(findings: Sequence[Finding]) -> tuple[Verdict, str]:
    """The whole in one sentence.

    It holds when nothing fails, at least one judgement was repeated, and none came out otherwise or could not be.
    """
    count = {kind: sum(finding.verdict == kind for finding in findings) for kind in (HOLDS, FAILS, UNKNOWN)}
    open_ = f"; {count[UNKNOWN]} cannot be said" if count[UNKNOWN] else ""
    if count[FAILS]:
        return FAILS, f"{count[FAILS]} of {len(findings)} checks do not hold{open_}"
    again = [finding.verdict for finding in findings if finding.what.startswith("again ")]
    if HOLDS not in again:
        return UNKNOWN, f"{count[HOLDS]} checks hold, but no judgement is confirmed{open_}"
    if UNKNOWN in again:
        return UNKNOWN, f"{count[HOLDS]} checks hold, but not every judgement is confirmed{open_}"
    return HOLDS, f"{count[HOLDS]} checks hold, {len(again)} of them judged again{open_}"


def verify(flags: argparse.Namespace, interrupt: Interrupt) -> Iterator[Finding]:
    """All checks in turn, cheap ones first. CrdndError when the folder is no run, Stopped when asked to."""
    run, config = saved.read_run(flags.run)
    chosen = _chosen(config.evaluation, flags.attack or (), quick=flags.quick)
    stored = audit.read(run, config)
    facts = stored.facts
    threads = flags.threads or (facts.get("threads") if isinstance(facts.get("threads"), int) else None)
    layout = facts.get("layout") if flags.device is None and facts.get("layout") in FORMATS else None
    machine = saved.machine_of(
        run, device=flags.device, threads=threads, layout=layout, data=flags.data, runs=flags.runs
    )
    yield from stored.findings
    yield from audit.hashes(stored)
    yield from audit.told(stored)
    yield from audit.teacher(stored, machine)
    try:
        dataset = saved.load_data(config.data, machine)
    except (CrdndError, OSError) as error:
        yield from exhibits.look(run, config, stored.digests, None)
        yield Finding("data", UNKNOWN, f"is not here, so nothing is judged again: {' '.join(str(error).split())[:200]}")
        return
    identity, found = audit.data(stored, dataset)
    yield from found
    yield from audit.figures(stored, dataset, identity)
    yield from exhibits.look(run, config, stored.digests, dataset)
    yield from _again(stored, chosen, dataset, identity, machine, interrupt)


def _chosen(evaluation: Evaluation, named: Sequence[str], *, quick: bool) -> list[AttackSpec]:
    """Attacks to repeat: those named, the first that climbs for --quick, else all; ConfigError for another name."""
    known = {spec.key: spec for spec in evaluation.attacks}
    if unknown := [name for name in named if name not in known and name != "clean"]:
        raise ConfigError([f"this run was not judged by `{unknown[0]}`; it knows {', '.join(['clean', *known])}"])
    if named:
        return [spec for key, spec in known.items() if key in named]
    return list(evaluation.quick if quick else evaluation.attacks)


def _again(
    stored: Stored,
    chosen: Sequence[AttackSpec],
    dataset: Dataset,
    identity: Identity,
    machine: Machine,
    interrupt: Interrupt,
) -> Iterator[Finding]:
    """The saved student judged anew, checkpoint by checkpoint, attack by attack."""
    config = stored.config
    for checkpoint in config.evaluation.checkpoints:
        row, digest = stored.records.get(checkpoint, {}), stored.digests.get(checkpoint)
        attacks = [spec for spec in chosen if spec.key in row]
        if not row:  # each record that is missing was told
            continue
        if digest is None:
            yield Finding(f"again {checkpoint}", UNKNOWN, "there are no whole weights to judge again")
            continue
        try:
            model = _model(config, machine)
        except (CrdndError, OSError) as error:
            yield Finding(
                f"again {checkpoint}", UNKNOWN, f"its model is not known: {' '.join(str(error).split())[:200]}"
            )
            continue
        net = saved.build(model, len(dataset.classes), saved.image_of(dataset))
        try:
            tensors, _facts = weights.load(stored.run.weights_of(checkpoint))
            weights.fit(net, tensors, where=checkpoint)
        except CrdndError as error:
            yield Finding(f"again {checkpoint}", FAILS, " ".join(str(error).split())[:300])
            continue
        judged = config.evaluation.batch_size if isinstance(config, JudgeConfig) else config.training.batch_size
        device = saved.place(net, model, dataset, machine, judged)
        apart = differing(stored.facts, provenance.collect(device))
        subject = _subject(net, checkpoint, dataset, identity._replace(weights_sha256=digest), config, device)
        with tempfile.TemporaryDirectory(prefix="crdnd-verify-") as name:
            for part in [(), *((spec,) for spec in attacks)]:  # one at a time: each is told as soon as it is known
                where, key = RunDir(Path(name)), part[0].key if part else "clean"
                _say({"event": "progress", "checkpoint": checkpoint, "attack": key, "part": "",
                      "done": 0, "total": len(subject.indices)})  # fmt: skip
                quiet = config.evaluation.model_copy(update={"attacks": part, "gallery": 0, "suspect": False})
                folded = key in row and row[key].folded  # as the record was made
                evaluate(subject, quiet, config.threat_model, where, _progress, interrupt.pause, folded=folded)
                if key in row:
                    found = decode(where.result(checkpoint, key).read_bytes())
                    yield compare(row[key], found, apart)


def _subject(
    net: nn.Module,
    checkpoint: str,
    dataset: Dataset,
    identity: Identity,
    config: RunConfig | JudgeConfig,
    device: torch.device,
) -> Subject:
    indices = subset(dataset.test.labels, config.evaluation.images, config.evaluation.seed)
    return Subject(
        net=net,
        teacher=None,
        checkpoint=checkpoint,
        images=Split(dataset.test.images[indices], dataset.test.labels[indices]),
        classes=dataset.classes,
        of=identity.of,
        indices=indices,
        data_sha256=identity.data_sha256,
        weights_sha256=identity.weights_sha256,
        device=device,
    )


def _model(config: RunConfig | JudgeConfig, machine: Machine) -> ModelSpec:
    if isinstance(config, RunConfig):
        return config.student
    if isinstance(config.subject, RobustBenchTeacher):  # its table knows; the file may be elsewhere
        return robustbench.lookup(config.data.name, config.subject.robustbench).model
    data, runs = machine.data_folder, machine.runs_folder
    return teachers.locate(config.subject, runs=runs, data=data, dataset=config.data.name).model


def _progress(event: Event) -> None:
    if isinstance(event, AttackProgressed):
        _say({"event": "progress", "checkpoint": event.checkpoint, "attack": event.attack, "part": event.part,
              "done": event.done, "total": event.total})  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m engine.verify", description="Do the stored numbers of a run hold?")
    parser.add_argument("run", type=Path, help="a run folder; it is only read")
    parser.add_argument("--attack", action="append", help="judge again by this one only; may be said several times")
    parser.add_argument("--quick", action="store_true", help="judge again on clean images and by one gradient attack")
    parser.add_argument("--device", default=None, help="that of the run when left out")
    parser.add_argument("--threads", type=int, default=0, help="that of the run when left out")
    parser.add_argument("--data", default=None, help="folder of data sets; that of the run when left out")
    parser.add_argument("--runs", default=None, help="folder in which its teacher's run is; its own when left out")
    return parser


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
