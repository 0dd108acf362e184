"""Runs as text and JSON: the list of them, and the head of one run's page."""

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.text import Text

from crdnd_tui.core import marks
from crdnd_tui.core.format import count, duration, number, percent
from crdnd_tui.core.run_status import SIGNS, Summary
from crdnd_tui.core.text import DISPUTED, labelled_lines, one_line, pad

if TYPE_CHECKING:
    from crdnd_tui.core.state import RunState

CLEAN = "clean"
_STRONGEST = ("worst", "autoattack")
_DOING = {"teacher": "teacher", "evaluation": "judging"}  # in place of the epoch
_LONGEST_NAME = 32  # cells


def run_list(rows: Sequence[Summary], width: int) -> list[Text]:
    """One line for each run: sign and state, id, progress, clean and strongest accuracy of `best`, and its name."""
    wide = max((len(row.id) for row in rows), default=0)
    shown = [(row, attack) for row in rows for attack in (CLEAN, _strongest(row))]
    severities = {row.severity(attack) for row, attack in shown if attack in row.accuracies}
    signs = 3 * any(severities)  # cells of a mark beside each accuracy
    room = max(16, min(wide, width - 37 - 2 * signs))
    shorter = width < 66
    longest = max((cell_len(row.name) for row in rows), default=0)
    spare = 0 if shorter else min(_LONGEST_NAME, width - room - 39 - 2 * signs)
    names = min(spare, longest) if spare >= min(8, longest) else 0
    titles = f"{CLEAN:>6}{'':{signs}} {'robust':>6}{'':{signs}}"
    head = f"  {'state':<9} {pad('run', room)}  {'epoch':>7}  {titles}" + ("  name" if names else "")
    lines = [Text(head[:width].rstrip() if not shorter else f"  {'state':<9} run", "bold")]
    for row in rows:
        sign, style = SIGNS[row.state]
        line = Text("")
        line.append(f"{sign} ", style)
        line.append(f"{row.state:<9} ", style)
        line.append(pad(_id(row.id, room), room) if not shorter else _id(row.id, max(8, width - 12)))
        if not shorter:
            line.append("  " + _progress(row).rjust(7))
            line.append_text(_accuracies(row, signs))
            line.append(f"  {one_line(row.name, names)}" if names and row.name else "", "dim")
        line.rstrip()
        lines.append(line)
        if row.why and row.state not in ("running", "starting"):
            lines.append(Text(" " * 12 + one_line(row.why, max(10, width - 14)), "dim"))
    said = marks.legend(severities) if not shorter else ""
    lines += [Text(f"  {said}; `crdnd show RUN` says why", "dim")] if said else []
    if not shorter and any(row.disputes(attack) for row in rows for attack in (CLEAN, _strongest(row))):
        lines.append(Text(f"  {DISPUTED} its files do not agree; `crdnd verify RUN` says which", "red"))
    return lines


def _id(text: str, room: int) -> str:
    """Shortened at its end: every command takes the beginning of an id."""
    return text if cell_len(text) <= room else pad(text, room - 1).rstrip() + "\u2026"


def _progress(row: Summary) -> str:
    status = row.status
    if status is None:
        return ""
    if row.state == "running" and status.phase in _DOING:
        return _DOING[status.phase]
    return f"{status.epoch}/{status.epochs}" if status.epochs else ""


def _accuracies(row: Summary, signs: int) -> Text:
    """Clean accuracy and the strongest attack's, on the test split, with their marks; nothing while not judged."""
    of, n = row.accuracies, row.status.results_n if row.status else 0
    line = Text(" ")
    for attack in (CLEAN, _strongest(row)):
        severity = row.severity(attack) if attack in of else None
        disputed = row.disputes(attack)
        number = DISPUTED if disputed else percent(of.get(attack), n)
        line.append(" " * (7 - len(number)))
        line.append(number, "bold red" if disputed else "dim strike" if severity == "red" else "")
        if signs:
            line.append(f" {marks.SIGNS[severity]:<2}", "red" if severity == "red" else "yellow")
    return line


def _strongest(row: Summary) -> str:
    return next((attack for attack in _STRONGEST if attack in row.accuracies or row.disputes(attack)), "")


def head_lines(row: Summary, state: "RunState") -> list[Text]:
    """Of a run's page: what it is, how it is, where its time goes, and where it lies."""
    sign, style = SIGNS[row.state]
    why = [Text(f"  {one_line(row.why, 300)}", style)] if row.why else []
    return [Text.assemble((f"{sign} {row.state}", style), "  ", (row.id, "bold")), *why,
            *labelled_lines(_facts(row, state))]  # fmt: skip


def _facts(row: Summary, state: "RunState") -> Iterator[tuple[str, str]]:
    from crdnd_tui.core.attack_names import attack_title  # pydantic, which a list of runs does not wait for

    status = row.status
    if status is not None:
        of = f" from {status.teacher}" if status.teacher not in ("", "-") else ""
        yield "run", one_line(f"{status.method}: {status.student}{of} on {status.data}, seed {status.seed}", 200)
        if status.name:
            yield "called", one_line(status.name, 120)
        if status.epochs:
            pace = f", {status.images_per_second:,.0f} images/s" if status.images_per_second else ""
            left = f", {duration(status.eta_seconds)} left" if row.state == "running" and status.eta_seconds else ""
            loss = f", loss {number(status.loss)}" if status.loss is not None else ""
            best = f", best {status.best_epoch}" if status.best_epoch else ""
            yield "epoch", f"{count(status.epoch)} of {count(status.epochs)}{best}{loss}{pace}{left}"
        if told := {attack: (value, row.sign(attack, "")) for attack, value in status.validation.items()}:
            yield (
                "validation",
                "  ".join(f"{attack_title(a)} {percent(value)}{sign}" for a, (value, sign) in told.items()),
            )
        if row.state == "stalled":
            yield "stalled", f"last sign of life {duration(time.time() - status.heartbeat)} ago"
    from crdnd_tui.core import fast_path  # as above

    yield from fast_path.facts(state.training, state.steps)
    yield "folder", one_line(str(row.path), 300)


def details(state: "RunState") -> dict[str, Any]:
    """What only the log knows, for scripts."""
    from crdnd_tui.core import fast_path
    from crdnd_tui.core.run_reader import result_rows  # as above

    return {
        "results": result_rows(state),
        "warned": [
            {"code": w.code, "message": w.message, "checkpoint": w.checkpoint, "attack": w.attack}
            for w in state.warnings
        ],
        "checks": {checkpoint: state.checks(checkpoint) for checkpoint in state.table},
        "validations": [
            {"epoch": v.epoch, "n": v.n, "accuracy": v.accuracy, "by": v.by, "best": v.best} for v in state.validations
        ],
        "shares": fast_path.shares(state.steps),
        "switches": dict(state.training.switches) if state.training else {},
        "classes": state.training.classes if state.training else [],
        "resumes": state.resumes,
        "does_not_agree": [
            {"checkpoint": checkpoint, "attack": attack, "why": why}
            for (checkpoint, attack), why in state.disputed.items()
        ],
        "gaps": [{"after": gap.after, "missing": gap.missing} for gap in state.gaps],
        "missing_events": state.missing,
        "damaged_lines": state.damaged,
        "unknown_events": state.unknown,
    }
