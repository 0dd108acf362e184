"""The queue in lines of a given width: text and colours, no widget."""

import textwrap
from collections.abc import Sequence

from rich.cells import cell_len
from rich.text import Text

from crdnd_tui.core.format import clock, duration
from crdnd_tui.core.palette import Palette
from crdnd_tui.core.run_facts import RunFacts
from crdnd_tui.core.text import bar, one_line, pad
from crdnd_tui.queue.snapshot import QueueDevice, QueueEntry, QueueSnapshot
from crdnd_tui.queue.tickets import Ticket

SIGNS = {
    "waiting": ("\u25cc", "muted"), "held": ("\u2016", "warn"), "running": ("\u25cf", "good"),
    "done": ("\u2713", "good"), "stopped": ("\u25cb", "warn"), "failed": ("\u2717", "bad"),
    "cancelled": ("\u25cb", "muted"),
}  # fmt: skip
BAR = 20  # cells
NOTE = 2  # lines that say why a run ended, at most
WORDY = 90  # columns from which figures are told what they are
_GAP = "  "
_PHASES = {"teacher": "its teacher first", "starting": "starting", "training": "training", "evaluation": "judging"}
_REASONS = {"stop file": "someone asked it to stop"}  # the engine's words
_TROUBLE = ("stalled", "lost", "stopping")


def queued(entries: Sequence[QueueEntry], width: int, palette: Palette) -> list[list[Text]]:
    """For each place, sign, what it is, and whether it is held or the next."""
    heads, tails = [], []
    for entry in entries:
        ticket = entry.ticket or Ticket(run=entry.run)
        heads.append(_sign(ticket.state, palette, f"{ticket.place:>2} "))
        tails.append(["held" if ticket.state == "held" else "next" if ticket.place == 1 else ""])
    return [[line] for line in _table(heads, entries, tails, width, palette)]


def ended(entries: Sequence[QueueEntry], width: int, palette: Palette, now: float) -> list[list[Text]]:
    """For each how it ended, what it was, how long it took and when; and below it why, where there is a reason."""
    heads, tails, notes = [], [], []
    for entry in entries:
        ticket = entry.ticket or Ticket(run=entry.run)
        heads.append(_sign(ticket.state, palette, "", f" {ticket.state:<9}"))
        took = ticket.ended - ticket.started if ticket.started else None
        spent = duration(took) if took is not None else ""
        words = ("took " if spent else "", "at ") if width >= WORDY else ("", "")
        tails.append([words[0] + spent, words[1] + clock(ticket.ended, now)])
        colour = palette.bad if ticket.state == "failed" else palette.muted
        indent = 12 if width >= 60 else 2
        note = _REASONS.get(ticket.note, ticket.note)
        told = textwrap.wrap(one_line(note, NOTE * (width - indent)), max(1, width - indent))[:NOTE]
        notes.append([Text.assemble((" " * indent + line, colour)) for line in told])
    lines = _table(heads, entries, tails, width, palette)
    return [[line, *note] for line, note in zip(lines, notes, strict=True)]


def device(
    of: QueueDevice, snapshot: QueueSnapshot, width: int, palette: Palette, *, flat: bool = False
) -> list[tuple[str, list[Text]]]:
    """Run id and two lines for each engine at work, one in a `flat` screen; no id and one line when it is idle."""
    name = Text(pad(of.name, 7), palette.muted)
    if not of.jobs:
        return [("", [_cut(name + line, width)]) for line in _without_jobs(of, snapshot, palette)]
    shown = []
    for place, job in enumerate(of.jobs):
        head = Text.assemble(name if not place else Text(" " * 7), ("\u25cf", palette.good))
        if flat:
            seed = "" if job.about.seed is None else f"s{job.about.seed}"
            head.append(f" {job.about.method} {seed}{_GAP}".replace("  ", " "))
            progress = _progress(job, 0, palette)
            shown.append((job.run, [_cut(head.append_text(progress), width)]))
            continue
        line = _table([head], [job], [[]], width, palette)[0]
        progress = _progress(job, BAR if width >= 60 else 0, palette)
        shown.append((job.run, [line, _cut(Text.assemble(" " * 9, progress), width)]))
    return shown


def _without_jobs(of: QueueDevice, snapshot: QueueSnapshot, palette: Palette) -> list[Text]:
    """The runs of other devices whose ranks it computes; else that it is idle, and why."""
    if of.ranks:
        sign = ("\u25cf ", palette.good)
        return [Text.assemble(sign, (f"{title(job)}, as {job.device}", palette.muted)) for job in of.ranks]
    idle = Text("\u25cb idle", palette.muted)
    waiting = [e for e in snapshot.queued if e.ticket and of.name in e.places]
    ready = [e for e in waiting if e.ticket and e.ticket.state == "waiting"]
    if waiting:
        reason = "the next run starts soon" if ready else "all that waits for it is held"
        idle.append(f"{_GAP}{reason if snapshot.worker or not ready else 'no worker is there'}", palette.warn)
    elif of.title:
        idle.append(f"{_GAP}{of.title}", palette.faint)
    return [idle]


def room(snapshot: QueueSnapshot) -> str:
    """How many runs share a device, with the keys that change it."""
    return f"{snapshot.at_once} at once on each  + \u2212"


def empty(palette: Palette, *, short: bool) -> Text:
    """What the queue is for, and how a run comes into it."""
    key = f"bold {palette.accent}"
    if short:
        return Text.assemble(
            ("Nothing waits.\n", f"bold {palette.text}"),
            ("2", key), " New run, then ", ("f6", key), " queues it\n",
            ("1", key), " Runs, what there is already\n",
            ("or  ", palette.muted), "crdnd queue add PRESET",
        )  # fmt: skip
    return Text.assemble(
        ("Nothing waits.\n\n", f"bold {palette.text}"),
        ("The queue starts runs one after another,\n", palette.muted),
        ("one at a time on each device, and goes on\nwhen this terminal is closed.\n\n", palette.muted),
        ("2", key), " New run, then ", ("f6", key), " adds it to the queue\n",
        ("1", key), " Runs, what there is already\n\n",
        ("or, in a shell:\n", palette.muted), "crdnd queue add PRESET --seeds 0,1,2",
    )  # fmt: skip


def worker(snapshot: QueueSnapshot, palette: Palette) -> Text:
    """Whether someone starts what waits."""
    needed = any(entry.ticket and entry.ticket.state == "waiting" for entry in snapshot.queued)
    needed = needed or any(job.ticket for job in snapshot.jobs)
    if snapshot.worker and needed:
        return Text.assemble(
            ("worker ", palette.muted),
            ("\u25cf", palette.good),
            " at work: the queue goes on when this terminal is closed",
        )
    if any(entry.ticket and entry.ticket.state == "waiting" for entry in snapshot.queued):
        return Text.assemble(
            ("worker ", palette.muted), ("! none is there: nothing starts; W starts one", palette.warn)
        )
    return Text.assemble(("worker ", palette.muted), ("\u25cb not needed now", palette.muted))


def title(entry: QueueEntry) -> str:
    """What a run is, on one line and in few words; for questions and notes."""
    about = entry.about
    seed = "" if about.seed is None else f"seed {about.seed}"
    return " \u00b7 ".join(filter(None, (about.name, about.method, seed))) or one_line(entry.run, 120)


def _sign(state: str, palette: Palette, before: str = "", after: str = "") -> Text:
    sign, colour = SIGNS[state]
    style = getattr(palette, colour)
    return Text.assemble((before, palette.muted), (sign, style), (after, style))


def _progress(job: QueueEntry, length: int, palette: Palette) -> Text:
    """Phase, bar, share and time left of the training."""
    status = job.row.status if job.row else None
    words = "starting"
    share: float | None = None
    if status is not None:
        words = _PHASES.get(status.phase, status.phase)
        if status.phase == "training":
            words = f"epoch {status.epoch + 1 if status.epoch < status.epochs else status.epochs} of {status.epochs}"
            share = status.step / status.total_steps if status.total_steps else None
        elif status.phase == "evaluation" and status.attack:
            words = f"judging: {status.attack}"
    parts = Text()
    if share is not None:
        filled = bar(share, length).rstrip()
        parts.append(filled, palette.accent)
        parts.append("\u2500" * (length - len(filled)), palette.faint)
        parts.append(f"{100 * share:>{4 if length else 1}.0f} %{_GAP}", "bold")
    if job.left is not None:
        parts.append(f"~{duration(job.left)} left{_GAP}")
    if job.row is not None and job.row.state in _TROUBLE:
        parts.append(f"{job.row.state}{_GAP}", palette.warn)
    parts.append(words if job.ticket else f"{words}, started by hand", palette.muted)
    return parts


def _table(
    heads: Sequence[Text], entries: Sequence[QueueEntry], tails: Sequence[Sequence[str]], width: int, palette: Palette
) -> list[Text]:
    """Columns as wide as their longest cell; where they do not fit, first the name goes, then the data."""
    columns = [[*_cells(entry.about, entry.run)] for entry in entries]
    ends = [max((len(tail[k]) for tail in tails), default=0) for k in range(len(tails[0]) if tails else 0)]
    room = width - max((cell_len(head.plain) for head in heads), default=0) - sum(end + 2 for end in ends)
    wide = _fitted([max(cell_len(row[k]) for row in columns) for k in range(5)] if columns else [], room)
    lines = []
    for head, row, tail in zip(heads, columns, tails, strict=True):
        line = head.copy()
        for k, (cell, cells) in enumerate(zip(row, wide, strict=True)):
            if cells:
                line.append((" " if k == 0 else _GAP) + pad(one_line(cell, cells), cells), _style(k, palette))
        if ends:
            line.append(" " * max(0, width - cell_len(line.plain) - sum(end + 2 for end in ends)))
            for text, end in zip(tail, ends, strict=True):
                line.append(_GAP + text.rjust(end), palette.muted)
        lines.append(_cut(line, width))
    return lines


def _cells(about: RunFacts, run: str) -> tuple[str, str, str, str, str]:
    """Method, pair, data, seed, name; in place of the pair the id of a run whose config cannot be read."""
    if not about.method:
        return "", one_line(run, 120), "", "", ""
    return about.method, about.pair, about.data, "" if about.seed is None else f"s{about.seed}", about.name


def _style(column: int, palette: Palette) -> str:
    return palette.text if column in (0, 1, 3) else palette.muted


def _fitted(wanted: list[int], room: int) -> list[int]:
    """Widths of method, pair, data, seed and name within `room`; 0 leaves one out."""
    if not wanted:
        return []
    wide = list(wanted)

    def over() -> int:
        return sum(w + 2 for w in wide if w) - 1 - room

    for column, least in ((4, 10), (4, 0), (2, 0), (1, 14), (1, 0), (0, 0)):
        if over() > 0 and wide[column] > least and (column != 4 or least or wide[0]):
            wide[column] = max(least, wide[column] - over()) if least else 0
    return wide


def _cut(line: Text, width: int) -> Text:
    line.truncate(max(0, width), overflow="ellipsis")
    line.no_wrap = True
    return line
