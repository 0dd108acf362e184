"""python -P -m engine.verify RUN_FOLDER: do the stored numbers hold?

Holds the folder against itself and its data, then evaluates the saved student again in a temporary folder, with the
same attacks, seed, batches and images, and compares image by image. One line of JSON for each check; the run is only
read. Exit 0 the numbers hold, 1 they do not or nothing can be said of them, 2 no run, 3 stopped.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from engine.evaluate.outcomes import FAILS, HOLDS, UNKNOWN, CheckResult, Verdict
from engine.runtime.device import FORMATS
from engine.runtime.interrupt import Interrupt, Stopped
from engine.spec import files, rundir
from engine.spec.attacks import AttackSpec
from engine.spec.config import RunConfig
from engine.spec.errors import ConfigError, CrdndError, brief
from engine.spec.machine import Machine
from engine.spec.training import Evaluation
from engine.teachers import saved_run
from engine.train.selection import due_epochs
from engine.verify import recorded, repeated, training_log
from engine.verify.repeated import Reevaluation

HELD, FAILED, REFUSED, STOPPED = 0, 1, 2, 3
NEVER = Path("/nonexistent/stop")  # only signals stop a verification
SOME = 8  # epochs that are told one by one


def main(arguments: Sequence[str] | None = None) -> int:
    """Say every check as it is made, then the verdict."""
    flags = _parser().parse_args(arguments)
    interrupt = Interrupt(NEVER)
    interrupt.listen()
    results: list[CheckResult] = []
    try:
        for result in verify(flags, interrupt):
            results.append(result)
            _say({"event": "checked", **result._asdict()})
    except Stopped as stop:
        _say({"event": "stopped", "reason": stop.reason})
        return STOPPED
    except (CrdndError, OSError) as error:
        message = str(error).replace("\n  ", " ")
        if isinstance(error, OSError):
            message = f"{error.strerror or error}: {error.filename or flags.run}"
        _say({"event": "failed", "message": message})
        return REFUSED
    verdict, words = conclude(results, not_repeated(flags, results))
    _say({"event": "verdict", "verdict": verdict, "words": words})
    return HELD if verdict == HOLDS else FAILED


def conclude(results: Sequence[CheckResult], left_out: str = "") -> tuple[Verdict, str]:
    """The whole in one sentence, which ends with what was not repeated.

    It holds when nothing fails, at least one evaluation was repeated, and none came out otherwise or could not be.
    """
    count = {kind: sum(result.verdict == kind for result in results) for kind in (HOLDS, FAILS, UNKNOWN)}
    open_ = f"; {count[UNKNOWN]} cannot be said" if count[UNKNOWN] else ""
    open_ += f"; not repeated: {left_out}" if left_out else ""
    if count[FAILS]:
        return FAILS, f"{count[FAILS]} of {len(results)} checks do not hold{open_}"
    again = [result.verdict for result in results if result.what.startswith("again ")]
    if HOLDS not in again:
        return UNKNOWN, f"{count[HOLDS]} checks hold, but no judgement is confirmed{open_}"
    if UNKNOWN in again:
        return UNKNOWN, f"{count[HOLDS]} checks hold, but not every judgement is confirmed{open_}"
    return HOLDS, f"{count[HOLDS]} checks hold, {len(again)} of them judged again{open_}"


def not_repeated(flags: argparse.Namespace, results: Sequence[CheckResult]) -> str:
    """In words, which computations of the run none of these results is about."""
    _run, config = saved_run.read_run(flags.run)
    made, evaluation, left = {result.what for result in results}, config.evaluation, list[str]()
    if isinstance(config, RunConfig):
        epochs = [str(epoch) for epoch in due_epochs(config) if f"validation of epoch {epoch}" not in made]
        told = f"epoch{'s' * (len(epochs) > 1)} {', '.join(epochs)}" if len(epochs) <= SOME else f"{len(epochs)} epochs"
        left += ["training"] + ([f"validation of {told}"] if epochs else [])
        left += ["the teacher's measurement"] if config.teacher and "teacher measured" not in made else []
    if evaluation.suspect and made.isdisjoint(f"probes {c}" for c in evaluation.checkpoints):
        left.append("probes")
    why = " (--quick)" if flags.quick else " (--attack)" if flags.attack else ""
    for key in ("clean", *(attack.key for attack in evaluation.attacks)):
        left += [] if made.issuperset(f"again {c} {key}" for c in evaluation.checkpoints) else [f"{key}{why}"]
    return ", ".join(left)


def verify(flags: argparse.Namespace, interrupt: Interrupt) -> Iterator[CheckResult]:
    """All checks in turn, cheap ones first. CrdndError when the folder is no run, Stopped when asked to."""
    run, config = saved_run.read_run(flags.run)
    rundir.check(run)
    chosen, facts = _chosen(config.evaluation, flags.attack or (), quick=flags.quick), files.read_table(run.provenance)
    threads = flags.threads or (facts.get("threads") if isinstance(facts.get("threads"), int) else None)
    layout = facts.get("layout") if flags.device is None and facts.get("layout") in FORMATS else None
    asked = {"device": flags.device, "threads": threads, "layout": layout, "data": flags.data, "runs": flags.runs}
    try:
        machine = saved_run.machine_of(run, **asked)
    except ConfigError as error:
        yield CheckResult("machine.json", FAILS, f"is damaged: {brief(error)}")
        here = asked | {"runs": flags.runs or str(run.path.parent)}
        machine = Machine.model_validate({key: value for key, value in here.items() if value is not None})
    dataset, missing = None, ""
    try:
        dataset = saved_run.load_data(config.data, machine)
    except (CrdndError, OSError) as error:
        missing = f"is not here, so nothing is judged again: {brief(error)}"
    stored = recorded.read(run, config, dataset)
    yield from recorded.check(stored)
    yield from training_log.check(stored)
    source, found = repeated.source_of(stored, machine)
    yield from found
    if dataset is None:
        yield from recorded.check_galleries(stored)
        yield CheckResult("data", UNKNOWN, missing)
        return
    yield from recorded.check_data(stored, dataset)
    yield from recorded.check_galleries(stored)
    if isinstance(config, RunConfig):
        yield from training_log.check_data(stored, config, dataset)
    reevaluation = Reevaluation(
        stored=stored,
        dataset=dataset,
        machine=machine,
        source=source,
        attacks=chosen,
        everything=not (flags.quick or flags.attack),
        pause=interrupt.pause,
        say=_say,
    )
    yield from repeated.repeat(reevaluation)


def _chosen(evaluation: Evaluation, named: Sequence[str], *, quick: bool) -> list[AttackSpec]:
    """Attacks to repeat: those named, the first that climbs for --quick, else all; ConfigError for another name."""
    known = {spec.key: spec for spec in evaluation.attacks}
    if unknown := [name for name in named if name not in known and name != "clean"]:
        raise ConfigError([f"this run was not judged by `{unknown[0]}`; it knows {', '.join(['clean', *known])}"])
    if named:
        return [spec for key, spec in known.items() if key in named]
    return list(evaluation.quick if quick else evaluation.attacks)


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
