"""The list of runs, and one run on a page, as text."""

import time
from collections.abc import Mapping, Sequence

from rich.cells import cell_len
from rich.text import Text

from crdnd_tui.core import marks
from crdnd_tui.core.format import count, duration, number, percent
from crdnd_tui.core.run_status import SIGNS, Summary
from crdnd_tui.core.text import DISPUTED, one_line, pad, plain

_STRONGEST = ("worst", "autoattack")
_DOING = {"teacher": "teacher", "evaluation": "judging"}  # in place of the epoch
_LONGEST_NAME = 32  # cells


def run_list(rows: Sequence[Summary], width: int = 80, *, ascii_only: bool = False) -> list[Text]:
    """One line for each run: sign and state, id, progress, clean and strongest accuracy of `best`, and its name."""
    wide = max((len(row.id) for row in rows), default=0)
    severities = {
        row.severity(attack) for row in rows for attack in ("clean", _strongest(row)) if attack in row.accuracies
    }
    signs = 3 * any(severities)  # cells of a mark beside each accuracy
    room = max(16, min(wide, width - 37 - 2 * signs))
    shorter = width < 66
    longest = max((cell_len(row.name) for row in rows), default=0)
    spare = 0 if shorter else min(_LONGEST_NAME, width - room - 39 - 2 * signs)
    names = min(spare, longest) if spare >= min(8, longest) else 0
    titles = f"{'clean':>6}{'':{signs}} {'robust':>6}{'':{signs}}"
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
    if not shorter and any(row.disputes(attack) for row in rows for attack in ("clean", _strongest(row))):
        lines.append(Text(f"  {DISPUTED} its files do not agree; `crdnd verify RUN` says which", "red"))
    return [Text(plain(line.plain)) for line in lines] if ascii_only else lines


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
    for attack in ("clean", _strongest(row)):
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


def empty_list(folder: str) -> list[Text]:
    """What to do when there is no run yet."""
    return [Text(f"No runs in {one_line(folder, 120)} yet."), Text("Start one:  crdnd run quickstart", "bold")]


def facts(row: Summary, titles: Mapping[str, str] | None = None, now: float | None = None) -> list[Text]:
    """Head of a run's page: what it is, how it is, where it lies; `titles` are what attacks are called."""
    sign, style = SIGNS[row.state]
    head = Text()
    head.append(f"{sign} {row.state}", style)
    head.append("  ")
    head.append(row.id, "bold")
    lines = [head]
    if row.why:
        lines.append(Text(f"  {one_line(row.why, 300)}", style))
    status = row.status
    if status is not None:
        of = f" from {status.teacher}" if status.teacher not in ("", "-") else ""
        lines.append(
            Text(f"  {one_line(f'{status.method}: {status.student}{of} on {status.data}, seed {status.seed}', 200)}")
        )
        if status.name:
            lines.append(Text(f"  called {one_line(status.name, 120)}", "dim"))
        if status.epochs:
            pace = f", {status.images_per_second:,.0f} images/s" if status.images_per_second else ""
            left = f", {duration(status.eta_seconds)} left" if row.state == "running" and status.eta_seconds else ""
            loss = f", loss {number(status.loss)}" if status.loss is not None else ""
            best = f", best {status.best_epoch}" if status.best_epoch else ""
            lines.append(Text(f"  epoch {count(status.epoch)} of {count(status.epochs)}{best}{loss}{pace}{left}"))
        if status.validation:
            said = "  ".join(
                f"{one_line((titles or {}).get(k, k), 20)} {percent(v)}{row.sign(k, '')}"
                for k, v in status.validation.items()
            )
            lines.append(Text(f"  validation  {said}"))
        if row.state == "stalled":
            silent = duration((now or time.time()) - status.heartbeat)
            lines.append(Text(f"  last sign of life {silent} ago", "yellow"))
    return [*lines, Text(f"  {one_line(str(row.path), 300)}", "dim")]
