"""python -P -m engine.verify.main RUN_FOLDER: do the stored numbers hold?

Holds the folder against itself and its data, then judges the saved student again in a temporary folder, with the same
attacks, seed, batches and images, and compares image by image. One line of JSON for each check; the run is only read.
Exit 0 the numbers hold, 1 they do not or nothing can be said of them, 2 no run, 3 stopped.
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
from engine.spec import rundir
from engine.spec.attacks import AttackSpec
from engine.spec.config import RunConfig
from engine.spec.errors import ConfigError, CrdndError, brief
from engine.spec.machine import Machine
from engine.spec.training import Evaluation
from engine.teachers import saved
from engine.verify import audit, course, court, exhibits, judged_again
from engine.verify.court import Court, Wanted

HELD, FAILED, REFUSED, STOPPED = 0, 1, 2, 3
NEVER = Path("/nonexistent/stop")  # only signals stop a verification
SOME = 8  # epochs that are told one by one


def main(arguments: Sequence[str] | None = None) -> int:
    """Say every check as it is made, then the verdict."""
    flags = _parser().parse_args(arguments)
    interrupt = Interrupt(NEVER)
    interrupt.listen()
    findings: list[CheckResult] = []
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
    verdict, words = conclude(findings, not_repeated(flags, findings))
    _say({"event": "verdict", "verdict": verdict, "words": words})
    return HELD if verdict == HOLDS else FAILED


def conclude(findings: Sequence[CheckResult], left_out: str = "") -> tuple[Verdict, str]:
    """The whole in one sentence, which ends with what was not repeated.

    It holds when nothing fails, at least one judgement was repeated, and none came out otherwise or could not be.
    """
    count = {kind: sum(finding.verdict == kind for finding in findings) for kind in (HOLDS, FAILS, UNKNOWN)}
    open_ = f"; {count[UNKNOWN]} cannot be said" if count[UNKNOWN] else ""
    open_ += f"; not repeated: {left_out}" if left_out else ""
    if count[FAILS]:
        return FAILS, f"{count[FAILS]} of {len(findings)} checks do not hold{open_}"
    again = [finding.verdict for finding in findings if finding.what.startswith("again ")]
    if HOLDS not in again:
        return UNKNOWN, f"{count[HOLDS]} checks hold, but no judgement is confirmed{open_}"
    if UNKNOWN in again:
        return UNKNOWN, f"{count[HOLDS]} checks hold, but not every judgement is confirmed{open_}"
    return HOLDS, f"{count[HOLDS]} checks hold, {len(again)} of them judged again{open_}"


def not_repeated(flags: argparse.Namespace, findings: Sequence[CheckResult]) -> str:
    """In words, which computations of the run none of these findings is about."""
    _run, config = saved.read_run(flags.run)
    made = {finding.what for finding in findings}
    judged, why = config.evaluation.checkpoints, " (--quick)" if flags.quick else " (--attack)" if flags.attack else ""

    def lacks(name: str) -> bool:
        return not any(f"{name} {checkpoint}" in made for checkpoint in judged)

    left = ["training"] if isinstance(config, RunConfig) else []
    if isinstance(config, RunConfig):
        every, last = config.selection.every, config.training.epochs
        due = [epoch for epoch in range(1, last + 1) if not epoch % every or epoch == last]
        open_ = [epoch for epoch in due if f"validation of epoch {epoch}" not in made]
        left += [f"validation of {_epochs(open_)}"] if open_ else []
        left += ["the teacher's measurement"] if config.teacher and "teacher measured" not in made else []
    left += ["probes"] if config.evaluation.suspect and lacks("probes") else []
    keys = ["clean", *(attack.key for attack in config.evaluation.attacks)]
    left += [f"{key}{why}" for key in keys if any(f"again {checkpoint} {key}" not in made for checkpoint in judged)]
    return ", ".join(left)


def _epochs(epochs: Sequence[int]) -> str:
    if len(epochs) > SOME:
        return f"{len(epochs)} epochs"
    return f"epoch{'s' * (len(epochs) > 1)} {', '.join(map(str, epochs))}"


def verify(flags: argparse.Namespace, interrupt: Interrupt) -> Iterator[CheckResult]:
    """All checks in turn, cheap ones first. CrdndError when the folder is no run, Stopped when asked to."""
    run, config = saved.read_run(flags.run)
    rundir.check(run)
    chosen = _chosen(config.evaluation, flags.attack or (), quick=flags.quick)
    stored = audit.read(run, config)
    facts = stored.facts
    threads = flags.threads or (facts.get("threads") if isinstance(facts.get("threads"), int) else None)
    layout = facts.get("layout") if flags.device is None and facts.get("layout") in FORMATS else None
    asked = {"device": flags.device, "threads": threads, "layout": layout, "data": flags.data, "runs": flags.runs}
    try:
        machine = saved.machine_of(run, **asked)
    except ConfigError as error:
        yield CheckResult("machine.json", FAILS, f"is damaged: {brief(error)}")
        here = asked | {"runs": flags.runs or str(run.path.parent)}
        machine = Machine.model_validate({key: value for key, value in here.items() if value is not None})
    yield from stored.findings
    yield from audit.hashes(stored)
    yield from audit.told(stored)
    yield from course.check(stored)
    source, found = court.source_of(stored, machine)
    yield from found
    try:
        dataset = saved.load_data(config.data, machine)
    except (CrdndError, OSError) as error:
        yield from exhibits.look(run, config, stored.digests, None)
        yield CheckResult("data", UNKNOWN, f"is not here, so nothing is judged again: {brief(error)}")
        return
    identity, found = audit.data(stored, dataset)
    yield from found
    yield from audit.figures(stored, dataset, identity)
    yield from exhibits.look(run, config, stored.digests, dataset)
    shared = Court(stored=stored, dataset=dataset, identity=identity, machine=machine, interrupt=interrupt, say=_say,
                  source=source)  # fmt: skip
    yield from judged_again.of_data(shared)
    yield from judged_again.again(shared, Wanted(chosen, everything=not (flags.quick or flags.attack)))


def _chosen(evaluation: Evaluation, named: Sequence[str], *, quick: bool) -> list[AttackSpec]:
    """Attacks to repeat: those named, the first that climbs for --quick, else all; ConfigError for another name."""
    known = {spec.key: spec for spec in evaluation.attacks}
    if unknown := [name for name in named if name not in known and name != "clean"]:
        raise ConfigError([f"this run was not judged by `{unknown[0]}`; it knows {', '.join(['clean', *known])}"])
    if named:
        return [spec for key, spec in known.items() if key in named]
    return list(evaluation.quick if quick else evaluation.attacks)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m engine.verify.main", description="Do the stored numbers of a run hold?"
    )
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
