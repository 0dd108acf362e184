"""A study in lines: every cell, the sums, and the picture while it is worked on. Pure words and colours."""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from rich.text import Text

from crdnd_tui.core.format import duration, percent
from crdnd_tui.core.text import bar, one_line, pad, plain
from crdnd_tui.study.outlook import Outlook
from crdnd_tui.study.standing import STATES, Progress, Standing, State

SIGNS: dict[State, tuple[str, str]] = {
    "done": ("\u2713", "green"),
    "running": ("\u25cf", "green"),
    "waiting": ("\u25cc", "dim"),
    "held": ("\u25cb", "yellow"),
    "stopped": ("\u25cb", "yellow"),
    "killed": ("\u25cb", "yellow"),
    "lost": ("?", "red"),
    "failed": ("\u2717", "red"),
    "absent": ("\u00b7", "dim"),
}
_PHASES = {"teacher": "its teacher first", "evaluation": "judging"}


def cells(progress: Progress, width: int) -> list[Text]:
    """A line for each cell in the order of the grid: its labels, state, run and why."""
    axes = progress.study.axes
    wide = {axis: max(len(axis), *(len(label) for label in labels)) for axis, labels in axes.items()}
    lines = [Text("  " + "  ".join(pad(axis, wide[axis]) for axis in axes) + "  state", "dim")]
    for standing in progress.standings:
        sign, style = SIGNS[standing.state]
        line = Text.assemble((sign, style), " ", "  ".join(pad(standing.cell.place[a], wide[a]) for a in axes))
        line.append(f"  {standing.state:<8}".rstrip() if not standing.run else f"  {standing.state:<8}", style)
        line.append(f" {one_line(standing.run, 60)}" if standing.run else "", "dim")
        if standing.why:
            line.append(f"  {one_line(standing.why, 200)}", "dim")
        line.truncate(max(20, width), overflow="ellipsis")
        lines.append(line)
    return lines


def counted(progress: Progress) -> str:
    """`14 of 27 done, 2 running, 11 waiting`."""
    counts = progress.counts
    rest = [f"{many} {state}" for state, many in counts.items() if many and state != "done"]
    return ", ".join([f"{counts['done']} of {len(progress.standings)} done", *rest])


def teachers(progress: Progress) -> list[Text]:
    """Those that must still be trained, once each."""
    return [
        Text(
            f"teacher {one_line(teacher.config.title, 60)} ({teacher.config.student.title}) is trained first, once, "
            f"for {teacher.cells} {'run' if teacher.cells == 1 else 'runs'}"
            + (f"; {teacher.state}: {teacher.run}" if teacher.run else "")
        )
        for teacher in progress.missing
    ]


def frame(progress: Progress, outlook: Outlook, width: int, height: int, *, ascii_only: bool = False) -> list[Text]:
    """At most `height` lines: a bar over all runs, a line for each at work, the latest failures."""
    counts, of = progress.counts, len(progress.standings)
    share = _share(progress)
    title = one_line(progress.study.title, max(10, width - 2))
    length = max(10, min(40, width - 40))
    filled = bar(share, length, ascii_only=ascii_only).rstrip()
    track = "\u2500" * (length - len(filled))
    left = f"  \u2248 {duration(outlook.wall)} left" if outlook.left and not outlook.unknown else ""
    lines = [
        Text(title, "bold"),
        Text.assemble((filled, "bright_blue"), (track, "dim"), f" {counts['done']}/{of}", (left, "dim")),
    ]
    lines.append(Text(counted(progress), "dim"))
    for standing in progress.standings:
        if standing.state == "running":
            lines.append(_at_work(standing, outlook))
    lines += [Text(f"teacher {one_line(t.run, 60)}: {t.state}", "dim") for t in progress.missing if t.run]
    for standing in progress.standings:
        if standing.state == "failed":
            lines.append(Text(f"\u2717 {standing.cell.words}  {one_line(standing.why, 120)}", "red"))
    lines = lines[: max(3, height)]
    for k, line in enumerate(lines):
        lines[k] = Text(plain(line.plain)) if ascii_only else line
        lines[k].truncate(width, overflow="crop" if ascii_only else "ellipsis")
    return lines


def news(before: Progress | None, after: Progress, states: Collection[State] = STATES) -> list[str]:
    """A plain line for each run that is in another state than at the last look, and in one of these."""
    old = {s.cell.config_hash: s.state for s in before.standings} if before else {}
    told = []
    for standing in after.standings:
        was = old.get(standing.cell.config_hash)
        if (
            before is None
            or standing.state not in states
            or was == standing.state
            or (was == "running" and standing.state == "waiting")
        ):
            continue
        done = f"  {_accuracies(standing)}" if standing.state == "done" else ""
        why = f": {one_line(standing.why, 200)}" if standing.why else ""
        counts = after.counts
        told.append(f"{counts['done']}/{len(after.standings)}  {standing.cell.words}: {standing.state}{why}{done}")
    return told


def to_json(progress: Progress, outlook: Outlook | None = None) -> dict[str, Any]:
    """What scripts read."""
    study = progress.study
    found: dict[str, Any] = {
        "study": study.name,
        "title": study.title,
        "path": str(study.path),
        "axes": {axis: list(labels) for axis, labels in study.axes.items()},
        "counts": progress.counts,
        "runs": [_cell(standing) for standing in progress.standings],
        "teachers": [
            {
                "config_hash": t.config_hash,
                "name": t.config.title,
                "state": t.state,
                "run": t.run or None,
                "for": t.cells,
            }
            for t in progress.teachers
        ],
    }
    if outlook is not None:
        found["estimate"] = {
            "runs": outlook.runs, "teachers": outlook.teachers, "seconds": outlook.seconds, "wall": outlook.wall,
            "at_once": outlook.at_once, "unknown": outlook.unknown, "past_runs": outlook.pasts, "flops": outlook.flops,
            "flops_unknown": outlook.flops_unknown,
        }  # fmt: skip
    return found


def _cell(standing: Standing) -> dict[str, Any]:
    told = standing.summary.to_json() if standing.summary else {"results": {}, "severity": {}, "marks": []}
    return {
        "place": dict(standing.cell.place), "state": standing.state, "run": standing.run or None, "why": standing.why,
        "config_hash": standing.cell.config_hash, "preset": str(standing.cell.preset),
        "overrides": list(standing.cell.overrides),
        **{key: told[key] for key in ("results", "severity", "marks")},
        "ticket": msgspec.to_builtins(standing.ticket) if standing.ticket else None,
    }  # fmt: skip


def _at_work(standing: Standing, outlook: Outlook) -> Text:
    status = standing.summary.status if standing.summary else None
    words = "starting"
    if status is not None:
        words = _PHASES.get(status.phase, status.phase)
        if status.phase == "training":
            words = f"epoch {min(status.epoch + 1, status.epochs)} of {status.epochs}"
        elif status.phase == "evaluation" and status.attack:
            words = f"judging: {one_line(status.attack, 40)}"
    left = outlook.left.get(standing.cell.config_hash)
    line = Text.assemble(("\u25cf ", "green"), standing.cell.words, (f"  {words}", "dim"))
    if left is not None:
        line.append(f"  ~{duration(left)} left", "dim")
    return line


def _share(progress: Progress) -> float:
    """Of all runs; one at work counts by the part of it that is done."""
    parts: Sequence[float] = [_part(standing) for standing in progress.standings]
    return sum(parts) / len(parts) if parts else 0.0


def _part(standing: Standing) -> float:
    if standing.state == "done":
        return 1.0
    status = standing.summary.status if standing.summary else None
    if standing.state != "running" or status is None or not status.total_steps:
        return 0.0
    return min(0.9, 0.9 * status.step / status.total_steps)  # what is left is its judgement


def _accuracies(standing: Standing) -> str:
    if standing.summary is None:
        return ""
    judged, sign = standing.summary.judged, standing.summary.sign
    return "  ".join(f"{a} {percent(judged[a])}{sign(a)}" for a in ("clean", "autoattack", "worst") if a in judged)
