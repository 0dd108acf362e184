"""A study in lines: every cell, the sums, and the picture while it is worked on. Pure words and colours."""

from collections.abc import Collection
from typing import Any

import msgspec
from rich.text import Text

from crdnd_tui.core.format import duration, percent
from crdnd_tui.core.text import grid_lines, one_line
from crdnd_tui.study.progress import STATES, CellStatus, CostSummary, State, StudyProgress

SIGNS: dict[State, tuple[str, str]] = {
    "done": ("\u2713", "green"), "running": ("\u25cf", "green"), "waiting": ("\u25cc", "dim"),
    "held": ("\u25cb", "yellow"), "stopped": ("\u25cb", "yellow"), "killed": ("\u25cb", "yellow"),
    "lost": ("?", "red"), "failed": ("\u2717", "red"), "absent": ("\u00b7", "dim"),
}  # fmt: skip
_PHASES = {"teacher": "its teacher first", "evaluation": "judging"}


def cells(progress: StudyProgress, width: int) -> list[Text]:
    """A line for each cell in the order of the grid: its labels, state, run and why."""
    axes = progress.study.axes
    rows: list[list[str | Text]] = [["", *axes, "state"]]
    for one in progress.statuses:
        sign, style = SIGNS[one.state]
        told = (Text(one_line(words, most), "dim") for words, most in ((one.run, 60), (one.why, 200)))
        rows.append([Text(sign, style), *(one.cell.place[axis] for axis in axes), Text(one.state, style), *told])
    lines = grid_lines(rows)
    lines[0].stylize("dim")
    for line in lines[1:]:
        line.truncate(max(20, width), overflow="ellipsis")
    return lines


def counted(progress: StudyProgress) -> str:
    """`14 of 27 done, 2 running, 11 waiting`."""
    counts = progress.counts
    rest = [f"{many} {state}" for state, many in counts.items() if many and state != "done"]
    return ", ".join([f"{counts['done']} of {len(progress.statuses)} done", *rest])


def teachers(progress: StudyProgress) -> list[Text]:
    """Those that must still be trained, once each."""
    return [
        Text(
            f"teacher {one_line(teacher.config.title, 60)} ({teacher.config.student.title}) is trained first, once, "
            f"for {teacher.cells} {'run' if teacher.cells == 1 else 'runs'}"
            + (f"; {teacher.state}: {teacher.run}" if teacher.run else "")
        )
        for teacher in progress.missing
    ]


def at_work(progress: StudyProgress, cost: CostSummary) -> list[Text]:
    """The sums, a line for each run at work and for each teacher that is trained, and the failures."""
    made = [Text(counted(progress), "dim")]
    for one in (one for one in progress.statuses if one.state == "running"):
        line = Text.assemble(("\u25cf ", "green"), one.cell.text, (f"  {_phase(one)}", "dim"))
        left = cost.left.get(one.cell.config_hash)
        made.append(line.append(f"  ~{duration(left)} left" if left is not None else "", "dim"))
    made += [Text(f"teacher {one_line(t.run, 60)}: {t.state}", "dim") for t in progress.missing if t.run]
    failed = (one for one in progress.statuses if one.state == "failed")
    return [*made, *(Text(f"\u2717 {one.cell.text}  {one_line(one.why, 120)}", "red") for one in failed)]


def _phase(one: CellStatus) -> str:
    status = one.summary.status if one.summary else None
    if status is None:
        return "starting"
    if status.phase == "training":
        return f"epoch {min(status.epoch + 1, status.epochs)} of {status.epochs}"
    if status.phase == "evaluation" and status.attack:
        return f"judging: {one_line(status.attack, 40)}"
    return _PHASES.get(status.phase, status.phase)


def news(before: StudyProgress | None, after: StudyProgress, states: Collection[State] = STATES) -> list[str]:
    """A plain line for each run that is in another state than at the last look, and in one of these."""
    old = {s.cell.config_hash: s.state for s in before.statuses} if before else {}
    told = []
    for one in after.statuses if before else ():
        was = old.get(one.cell.config_hash)
        if one.state not in states or was == one.state or (was, one.state) == ("running", "waiting"):
            continue
        done = f"  {_accuracies(one)}" if one.state == "done" else ""
        why = f": {one_line(one.why, 200)}" if one.why else ""
        told.append(f"{after.counts['done']}/{len(after.statuses)}  {one.cell.text}: {one.state}{why}{done}")
    return told


def _accuracies(one: CellStatus) -> str:
    if one.summary is None:
        return ""
    judged, sign = one.summary.accuracies, one.summary.sign
    return "  ".join(f"{a} {percent(judged[a])}{sign(a)}" for a in ("clean", "autoattack", "worst") if a in judged)


def to_json(progress: StudyProgress, cost: CostSummary | None = None) -> dict[str, Any]:
    """What scripts read."""
    study = progress.study
    found: dict[str, Any] = {
        "study": study.name, "title": study.title, "path": str(study.path),
        "axes": {axis: list(labels) for axis, labels in study.axes.items()},
        "counts": progress.counts,
        "runs": [_cell(one) for one in progress.statuses],
        "teachers": [
            {
                "config_hash": t.config_hash, "name": t.config.title, "state": t.state, "run": t.run or None,
                "for": t.cells,
            }
            for t in progress.teachers
        ],
    }  # fmt: skip
    if cost is not None:
        found["estimate"] = {key: value for key, value in vars(cost).items() if key != "left"}
    return found


def _cell(one: CellStatus) -> dict[str, Any]:
    told = one.summary.to_json() if one.summary else {"results": {}, "severity": {}, "marks": []}
    return {
        "place": dict(one.cell.place), "state": one.state, "run": one.run or None, "why": one.why,
        "config_hash": one.cell.config_hash, "preset": str(one.cell.preset),
        "overrides": list(one.cell.overrides),
        **{key: told[key] for key in ("results", "severity", "marks")},
        "ticket": msgspec.to_builtins(one.ticket) if one.ticket else None,
    }  # fmt: skip
