"""Runs as rows of a table: columns, cells, and the order they are in. Pure.

What a run has not told yet is taken from its id, which names method, student and seed.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crdnd_tui.core import marks
from crdnd_tui.core.format import age, duration, percent
from crdnd_tui.core.run_status import ACCURACIES, LIVING, SIGNS, Summary, by_age
from crdnd_tui.core.scan import ListedRun
from crdnd_tui.core.text import DISPUTED, one_line
from crdnd_tui.tui.runs.columns import Cell, Column, Line
from crdnd_tui.tui.runs.groups import Group, Spread
from engine.spec.marks import Severity

ROLES = {"dim": "muted", "cyan": "accent", "green": "good", "yellow": "warn", "red": "bad"}
TOLD = frozenset({"failed", "killed", "stalled", "lost", "damaged", "stopped", "preempted", "stopping"})
MEASURED = 500  # rows whose words tell how wide the columns are
NEWEST = ""  # the order without a column: live, pinned, newest

_ID = re.compile(r"\d{8}-\d{6}-(?P<method>[a-z0-9_]+)-(?P<student>[a-z0-9_-]+)-s(?P<seed>\d+)-[0-9a-f]{4}")
_SEED = re.compile(r"-s\d+(-[0-9a-f]{4})?$")
_TITLES = {"clean": "clean", "pgd": "PGD", "aa": "AA", "worst": "worst"}
_ORDER = ("running", "starting", "stopping", "stalled", "queued", "failed", "killed", "lost", "damaged", "preempted",
          "stopped", "done")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How the rows are to be drawn, for one moment."""

    now: float
    selected: frozenset[str] = frozenset()
    places: Mapping[str, str] = field(default_factory=dict)  # run -> place in the queue
    best: Mapping[str, float] = field(default_factory=dict)  # column -> the highest accuracy in sight
    spread: bool = False  # accuracies leave room for a deviation
    fine: bool = False  # some accuracies have two decimals
    signs: int = 0  # cells of the marks behind accuracies


def columns(rows: Sequence[ListedRun], view: View, hidden: Iterable[str] = ()) -> list[Column]:
    """All but the hidden ones, wide enough for what they hold."""
    rows = rows[:MEASURED]
    name = max((len(label(row.summary)) for row in rows), default=14)
    both = max(18, max((len(pair(row.summary)) for row in rows), default=0))
    data = max((len(row.summary.status.data) for row in rows if row.summary.status), default=4)
    tags = max((sum(len(tag) + 2 for tag in row.notes.tags) for row in rows if row.notes.tags), default=0)
    spread = 5 + view.fine if view.spread else 0
    behind, number = view.signs + spread, 6 + view.fine + (view.signs > 1) + spread
    accuracies = [
        Column(key=key, title=title + " " * behind, least=number, right=True, rank=rank)
        for (key, title), rank in zip(_TITLES.items(), (5, 9, 4, 3), strict=True)
    ]
    every = [
        Column(key="state", title="state", least=11, rank=1),
        Column(key="name", title="name", least=14, most=min(44, max(14, name)), rank=2),
        Column(key="pair", title="teacher \u2192 student", least=min(24, both), most=min(48, both), rank=11),
        Column(key="data", title="data", least=6, most=min(14, max(6, data)), rank=10),
        Column(key="method", title="method", least=7, most=10, rank=7),
        Column(key="seed", title="seed", least=5, right=True, rank=12),
        Column(key="eps", title="\u03b5", least=6, most=7, right=True, rank=14),
        *accuracies,
        Column(key="n", title="n", least=6, right=True, rank=15),
        Column(key="epoch", title="epoch", least=7, right=True, rank=13),
        Column(key="eta", title="ETA", least=8, right=True, rank=6),
        Column(key="age", title="age", least=6, right=True, rank=16),
        Column(key="tags", title="tags", least=min(16, max(6, tags)), most=min(24, tags), rank=17),
    ]
    idle = {"tags"} if not tags else set()
    if not any(_eta(row.summary, view) for row in rows):
        idle.add("eta")
    return [column for column in every if column.key not in hidden and column.key not in idle]


CHOICES = {
    "pair": "teacher \u2192 student", "data": "data", "method": "method", "seed": "seed", "eps": "\u03b5",
    "clean": "clean", "pgd": "PGD", "aa": "AutoAttack", "worst": "worst of L-inf", "n": "n, test images",
    "epoch": "epoch", "eta": "ETA", "age": "age", "tags": "tags",
}  # fmt: skip


def label(run: Summary) -> str:
    """What a row is called: the run's name and its seed, or its id without the date."""
    short = run.id[16:] if _ID.fullmatch(run.id) else run.id
    if not run.status or not run.status.name:
        return short
    name, seed = one_line(run.status.name, 80), f"s{run.status.seed}"
    return name if name.endswith(seed) else f"{name}-{seed}"


def pair(run: Summary) -> str:
    """`teacher -> student`, or the student alone."""
    status = run.status
    if status is None:
        return told(run).get("student", "")
    student = one_line(status.student, 60)
    return f"{one_line(status.teacher, 60)} \u2192 {student}" if status.teacher not in ("", "-") else student


def why(run: Summary) -> str:
    """The reason of a state, as a person would say it."""
    said = {"stop file": "asked to stop, and saved"}.get(run.why, one_line(run.why, 300))
    return said.replace("`crdnd resume` goes on", "r resumes it")


def _student(run: Summary) -> int:
    """How much of a pair is arrow and student, which stay when there is little room."""
    return len(pair(run).partition("\u2192")[2]) + 2 if run.status else 0


def near(path: Path) -> str:
    """A path as one would write it in this folder."""
    here, whole = Path.cwd(), path.absolute()
    return f"./{whole.relative_to(here)}" if whole.is_relative_to(here) else str(whole)


def told(run: Summary) -> dict[str, str]:
    """Method, student and seed that the id tells."""
    match = _ID.fullmatch(run.id)
    return match.groupdict() if match else {}


def line(row: ListedRun, view: View) -> Line:
    """One run."""
    run, status = row.summary, row.summary.status
    sign, style = SIGNS[run.state]
    role = ROLES[style]
    known = told(run)
    name = label(run)
    seed = _SEED.search(name)
    cells = {
        "state": Cell(f"{sign} {run.state}", role, strong=run.state in LIVING),
        "name": Cell(name, keep=len(seed[0]) if seed else 0),
        "pair": Cell(pair(run), "muted", keep=_student(run)),
        "method": Cell(one_line(status.method, 40) if status else known.get("method", "")),
        "data": Cell(one_line(status.data, 40) if status else "", "muted"),
        "seed": Cell(str(status.seed) if status else known.get("seed", ""), "muted"),
        "eps": Cell(one_line(status.epsilon, 12) if status else "", "muted"),
        "epoch": Cell(f"{status.epoch}/{status.epochs}" if status and status.epochs else "", "muted"),
        "n": Cell(f"{status.results_n:,}" if status and run.accuracies else "", "muted"),
        "eta": Cell(_eta(run, view), "text" if run.state == "running" else "muted"),
        "age": Cell(age(view.now - status.created) if status and status.created else "", "muted"),
        "tags": Cell(" ".join(f"#{tag}" for tag in row.notes.tags), "accent"),
    }
    cells |= {key: _accuracy(run, key, view) for key in ACCURACIES}
    silent = run.why and not run.accuracies and run.state in TOLD
    return Line(
        cells=cells,
        selected=run.id in view.selected,
        pinned=row.notes.pinned,
        says=Cell(why(run), role if role == "bad" else "muted") if silent else None,
        says_from=tuple(ACCURACIES) if silent else (),
    )


def _eta(run: Summary, view: View) -> str:
    status = run.status
    if run.state == "queued":
        return view.places.get(run.id, "")
    if status is None or run.state not in LIVING or run.state == "stalled":
        return ""
    if status.phase == "evaluation":
        return "judging"
    return "teacher" if status.phase == "teacher" else duration(status.eta_seconds)


def _accuracy(run: Summary, key: str, view: View) -> Cell:
    value, attack = run.accuracy(key), run.attack_of(key)
    blank = " " * (5 + view.fine if view.spread else 0)
    n = run.status.results_n if run.status else 0
    if value is None and run.disputes(key):
        return Cell(DISPUTED + " " * (2 + view.fine) + blank, "bad", strong=True)
    if value is None:
        return Cell("\u2013" + " " * (2 + view.fine + view.signs) + blank, "faint")
    severity = run.severity(attack)
    text = percent(value, n)
    text += " " * (view.fine and n < 10_000) + marks.SIGNS[severity].ljust(view.signs)
    if severity == "red":
        return Cell(text + blank, "muted", struck=True)
    return Cell(text + blank, strong=key in view.best and value >= view.best[key])


def group_line(group: Group, view: View, *, is_open: bool) -> Line:
    """The head of a group: how many seeds were measured, and their means and deviations; muted are those of fewer."""
    first, count = group.first, len(group.runs)
    name = one_line(first.status.name, 60) if first.status and first.status.name else _SEED.sub("", label(first))
    spreads = {key: group.spread(key) for key in ACCURACIES}
    most = max((spread.n for spread in spreads.values() if spread), default=0)
    known = {run.status.seed for run in group.runs if run.status}
    draws = len(known) + sum(run.status is None for run in group.runs)
    seeds = f"{draws} seed{'s' * (draws != 1)}" if most == draws else f"{most} of {draws}"
    seeds += f", {count} runs" if count != draws else ""
    seeds += f", {group.twins} equal" if group.twins else ""
    living = sum(run.state in LIVING for run in group.runs)
    status = first.status
    cells = {
        "state": Cell(f"{chr(0x25BE) if is_open else chr(0x25B8)} {seeds}", "accent", strong=True),
        "name": Cell(name, strong=True),
        "pair": Cell(pair(first), "muted", keep=_student(first)),
        "method": Cell(one_line(status.method, 40) if status else ""),
        "data": Cell(one_line(status.data, 40) if status else "", "muted"),
        "eps": Cell(one_line(status.epsilon, 12) if status else "", "muted"),
        "eta": Cell(f"{living} live" if living else "", "good"),
    }
    for key, spread in spreads.items():
        fewer, severity = spread is not None and spread.n < most, group.severity(key)
        sign = marks.SIGNS[severity].ljust(view.signs)
        quiet = fewer or severity == "red"
        cells[key] = Cell(
            _spread(spread, view) + sign, "muted" if quiet else "text", strong=not quiet, struck=severity == "red"
        )
    return Line(cells=cells, head=True, selected=all(run.id in view.selected for run in group.runs))


def _spread(spread: Spread | None, view: View) -> str:
    digits = 1 + view.fine
    if spread is None:
        return ""
    mean = f"{100 * spread.mean:.{digits}f}"
    if spread.deviation is None:
        return mean + " " * (5 + view.fine)
    return mean + f"\u00b1{100 * spread.deviation:.{digits}f}".ljust(5 + view.fine)


def ordered(rows: Iterable[ListedRun], column: str, *, falling: bool) -> list[ListedRun]:
    """By a column, what has no value last; live, pinned, newest first when there is no column."""
    found = sorted(rows, key=lambda row: by_age(row.summary), reverse=True)
    if column == NEWEST:
        return sorted(found, key=lambda row: (row.summary.state not in LIVING, not row.notes.pinned))
    values: dict[str, Any] = {row.id: value(row, column) for row in found}
    known = sorted((row for row in found if values[row.id] is not None), key=lambda r: values[r.id], reverse=falling)
    if column in ACCURACIES:  # what is not believed leads no list
        known.sort(key=lambda row: row.summary.severity(row.summary.attack_of(column)) == "red")
    return known + [row for row in found if values[row.id] is None]


def value(row: ListedRun, column: str) -> float | str | None:
    """What a column sorts by; all of a column are of one type."""
    run, status = row.summary, row.summary.status
    if column in ACCURACIES:
        return run.accuracy(column)
    match column:
        case "state":
            return -_ORDER.index(run.state)
        case "name":
            return label(run).lower()
        case "pair":
            return pair(run).lower() or None
        case "method" | "data" if status:
            return (status.method if column == "method" else status.data).lower()
        case "seed" | "n" | "epoch" if status:
            return float({"seed": status.seed, "n": status.results_n, "epoch": status.epoch}[column])
        case "eps" if status:
            above, _, below = status.epsilon.partition("/")
            return float(above) / float(below or 1) if above.isdigit() and (below or "1").strip("0").isdigit() else None
        case "eta":
            return status.eta_seconds if status and run.state in LIVING else None
        case "age":
            return -status.created if status else None
        case "tags":
            return " ".join(row.notes.tags) or None
        case _:
            return None


def best(rows: Sequence[ListedRun]) -> dict[str, float]:
    """The highest accuracy of each column that is believed, where more than one row has any."""
    found: dict[str, float] = {}
    for key in ACCURACIES:
        believed = (row.summary for row in rows if row.summary.severity(row.summary.attack_of(key)) != "red")
        values = [value for run in believed if (value := run.accuracy(key)) is not None]
        if len(values) > 1:
            found[key] = max(values)
    return found


def severities(rows: Iterable[ListedRun]) -> set[Severity]:
    """Of all accuracies in these rows."""
    figures = ((row.summary, row.summary.attack_of(key)) for row in rows for key in ACCURACIES)
    found = {run.severity(attack) for run, attack in figures if attack}
    return {severity for severity in found if severity is not None}
