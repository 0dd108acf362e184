"""Marks as they follow from the records and from the probes, as these are kept and as they are made again."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from engine.evaluate.context import EvaluationSubject
from engine.evaluate.evaluation import evaluate
from engine.evaluate.outcomes import FAILS, HOLDS, OWN, UNKNOWN, CheckResult, write
from engine.spec.events import Event, Probed, Warned
from engine.spec.outcomes import Outcome, decode
from engine.spec.rundir import RunDir
from engine.verify import audit
from engine.verify.audit import differing
from engine.verify.court import Court, progress


class _AskedAgain(Exception):  # noqa: N818  no error: the probes that were kept are not of these records
    """Raised at the first forward pass of a judgement of which everything should be known."""


def check(
    court: Court, subject: EvaluationSubject, row: dict[str, Outcome], apart: list[str], *, probe: bool
) -> Iterator[CheckResult]:
    """Marks as they follow from the records and from the probes, as kept and (with `probe`) made again."""
    stored, checkpoint = court.stored, subject.checkpoint
    what, evaluation = f"marks {checkpoint}", stored.config.evaluation
    if not all(key in row for key in ("clean", *(spec.key for spec in evaluation.attacks))):
        yield CheckResult(what, UNKNOWN, "records are missing, from which marks follow")
        return
    kept = stored.run.evaluation / checkpoint / "suspect.json"
    with tempfile.TemporaryDirectory(prefix="crdnd-verify-") as name:
        where = RunDir(Path(name))
        content = audit.content_of(kept) if kept.is_file() else b""
        said = _replayed(court, subject, row, where, content)
        if said is None:
            newer = any(isinstance(event, Probed) for event in stored.said)  # else its rules may have been others
            words = "suspect.json is not of these records" if content else "there is no suspect.json"
            yield CheckResult(what, FAILS if newer else UNKNOWN, words)
            return
        yield _marked(court, checkpoint, row, where, said)
    if probe and evaluation.suspect:
        with tempfile.TemporaryDirectory(prefix="crdnd-verify-") as name:
            where = RunDir(Path(name))
            _replayed(court, subject, row, where, None)
            made = where.evaluation / checkpoint / "suspect.json"
            yield _probed(f"probes {checkpoint}", content, made, apart, exact=subject.device.type == "cpu")


def _replayed(
    court: Court, subject: EvaluationSubject, row: dict[str, Outcome], where: RunDir, kept: bytes | None
) -> list[Event] | None:
    """What an evaluation says that finds all its records, without the marks that it gave itself, and these probes.

    `kept` is the content of suspect.json, and nothing may be asked of the student; None asks it. The result is None
    when it would have been asked.
    """
    said: list[Event] = []
    evaluation = court.stored.config.evaluation.model_copy(update={"gallery": 0})
    for record in row.values():
        own = [mark for mark in record.marks if mark.startswith(OWN)]
        write(where.result(subject.checkpoint, record.attack), msgspec.structs.replace(record, marks=own))
    if kept:
        (where.evaluation / subject.checkpoint / "suspect.json").write_bytes(kept)

    def refuse() -> None:
        raise _AskedAgain

    def hear(event: Event) -> None:
        said.append(event)
        progress(court)(event)

    pause = court.interrupt.pause if kept is None else refuse
    folded = any(record.folded for record in row.values())  # as the records were made
    try:
        evaluate(subject, evaluation, court.stored.config.threat_model, where, hear, pause, folded=folded)
    except _AskedAgain:
        return None
    return said


def _marked(
    court: Court, checkpoint: str, row: dict[str, Outcome], where: RunDir, said: Sequence[Event]
) -> CheckResult:
    """The marks of records and log beside those that follow."""
    what, done = f"marks {checkpoint}", court.stored.done
    for attack, record in row.items():
        marks = decode(audit.content_of(where.result(checkpoint, attack))).marks
        if wrong := differing([(f"{attack} is marked", sorted(record.marks), sorted(marks))]):
            return CheckResult(what, FAILS, wrong)
    (follow, probed), (told, noted) = (_warnings(events, checkpoint) for events in (said, court.stored.said))
    lost, more = _without(follow, told), _without(told, follow)
    if done and follow != told:
        words = [f"the log lacks {', '.join(lost)}"] if lost else []
        words += [f"it tells {', '.join(more)}, which does not follow"] if more else []
        return CheckResult(what, FAILS, "; ".join(words) or "the log tells them in other words, or twice")
    newer = any(isinstance(event, Probed) for event in court.stored.said)
    if done and newer and probed != noted:
        return CheckResult(what, FAILS, f"the log says of its checks {noted}, not {probed}"[:300])
    kinds = sorted({code for code, _, _ in follow})
    return CheckResult(what, HOLDS, f"{', '.join(kinds) or 'none'}, as records, probes and the log say")


def _warnings(
    events: Sequence[Event], checkpoint: str
) -> tuple[list[tuple[str, str, str]], list[tuple[int, int, dict[str, str]]]]:
    """(code, attack, message) of the marks of a checkpoint, and how many checks are said to have been made."""
    own = [event for event in events if isinstance(event, Warned | Probed) and event.checkpoint == checkpoint]
    warned = sorted((w.code, w.attack, w.message) for w in own if isinstance(w, Warned))
    return warned, [(p.done, p.of, p.left_out) for p in own if isinstance(p, Probed)][-1:]


def _without(one: Sequence[tuple[str, str, str]], other: Sequence[tuple[str, str, str]]) -> list[str]:
    known = {(code, attack) for code, attack, _ in other}
    return [f"{code} {attack}".strip() for code, attack, _ in one if (code, attack) not in known]


def _probed(what: str, kept: bytes, made: Path, apart: list[str], *, exact: bool) -> CheckResult:
    """The probes beside those of another asking; `exact`: where nothing is apart, they leave the same images."""
    then, now = (msgspec.json.decode(content) for content in (kept, audit.content_of(made)))
    if then.get("left_out", {}).keys() != now["left_out"].keys():
        return CheckResult(what, UNKNOWN, "not all of them could be made here")
    one, other = ({_about(found) for found in side["findings"]} for side in (then, now))
    if one == other:
        figures = {key: share for key, share in then.get("measured", {}).items() if key in now["measured"]}
        if wrong := differing([(key, share, now["measured"][key]) for key, share in figures.items()]):
            return CheckResult(
                what, FAILS if exact and not apart else UNKNOWN, f"the probes leave other shares: {wrong}"
            )
        return CheckResult(what, HOLDS, f"asked again: {', '.join(sorted(code for code, _ in one)) or 'no sign'}")
    words = f"said {sorted(one)}, say {sorted(other)} now"
    return CheckResult(what, UNKNOWN if apart else FAILS, f"{words}{'; ' if apart else ''}{', '.join(apart)}"[:400])


def _about(found: dict[str, str] | list[str]) -> tuple[str, str]:
    """Code and attack of a finding in suspect.json: a table, or [code, message, attack]."""
    return (found[0], found[2]) if isinstance(found, list) else (found["code"], found.get("attack", ""))
