"""A study in words: its line in the list, one of its runs, what a start would do, and all that is to be done. Pure."""

import shlex
from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.text import Text

from crdnd_tui.core import marks
from crdnd_tui.core.format import duration, percent
from crdnd_tui.core.palette import Palette
from crdnd_tui.core.text import bar, display, one_line, pad
from crdnd_tui.queue.worker import HELD_FOR
from crdnd_tui.study.progress import RESUMABLE, CellStatus, CostSummary, State, StudyProgress
from crdnd_tui.tui.screens.studies.desk import Seen
from crdnd_tui.tui.screens.studies.plan import SIGNS, WORDS, took

BAR, WITH_BAR, TITLE = 12, 54, 20  # cells of a bar; of a list from which there is one; of a title at least
_PHASES = {"teacher": "its teacher first", "evaluation": "judging", "starting": "starting"}
_TITLES = {"clean": "clean", "autoattack": "AutoAttack", "pgd_sat": "PGD-SAT", "worst": "worst"}


def studies(seen: Sequence[Seen], front: str, width: int, palette: Palette) -> list[Text]:
    """A line for each, the one in front marked: sign, name, how far it is, what its runs do, what the rest takes."""
    wide = min(max(8, width // 3), max((cell_len(_called(one)) for one in seen), default=0))
    cells = BAR if width >= WITH_BAR else 0
    for tell in _WAYS:
        told = max((cell_len(tell(one)) for one in seen), default=0)
        lines = [_line(one, wide, pad(tell(one), told), palette, bar_cells=cells) for one in seen]
        lines = [_marked(line, palette, here=one.entry.key == front) for line, one in zip(lines, seen, strict=True)]
        known = [cell_len(line.plain) for line, one in zip(lines, seen, strict=True) if one.progress]
        if max(known, default=0) <= width:
            break
    for line, one in zip(lines, seen, strict=True):
        study = one.entry.study
        if study is not None and study.title != study.name and width - max(known) >= TITLE:
            line.append(f"   {one_line(study.title, 120)}", palette.muted)
        line.rstrip()
        line.truncate(width, overflow="ellipsis")
    return lines


def _marked(line: Text, palette: Palette, *, here: bool) -> Text:
    return Text.assemble(("\u25b8" if here else " ", palette.accent), line, no_wrap=True)


def _called(seen: Seen) -> str:
    study = seen.entry.study
    return one_line(study.name if study else seen.entry.name.rpartition("/")[2], 24)


def _in_words(seen: Seen) -> str:
    """What its runs do, and how long the rest takes: `2 running, 11 waiting  ~6:01 left`."""
    rest = ", ".join(f"{n} {WORDS.get(state, state)}" for state, n in _rest(seen))
    return "  ".join(part for part in (rest or "all done", _left(seen.cost)) if part) if seen.progress else ""


def _in_signs(seen: Seen) -> str:
    """The same where there is less room: `\u25cf2 \u25cc11  ~6:01 left`."""
    return "  ".join(part for part in (_signs(seen), _left(seen.cost)) if part)


def _signs(seen: Seen) -> str:
    return " ".join(f"{SIGNS[state][0]}{n}" for state, n in _rest(seen))


def _rest(seen: Seen) -> list[tuple[State, int]]:
    counts = seen.progress.counts if seen.progress else {}
    return [(state, n) for state, n in counts.items() if n and state != "done"]


_WAYS = (_in_words, _in_signs, _signs)


def _line(seen: Seen, wide: int, told: str, palette: Palette, *, bar_cells: int) -> Text:
    progress, line = seen.progress, Text(no_wrap=True)
    if progress is None:
        line.append("! ", f"bold {palette.bad}")
        line.append(pad(_called(seen), wide), palette.text)
        return line.append(f"  {problem(next(iter(seen.entry.problems), ''), 300)}", palette.bad)
    done, of = progress.counts["done"], len(progress.statuses)
    sign, role = _sign(progress)
    line.append(f"{sign} ", f"bold {getattr(palette, role)}")
    line.append(pad(_called(seen), wide), palette.text)
    filled = bar(done / of if of else 0.0, bar_cells).rstrip()
    line.append("  " + filled if bar_cells else "", palette.accent)
    line.append("\u2500" * (bar_cells - len(filled)), palette.faint)
    line.append(f"  {done:>3}/{of:<3}", f"bold {palette.text}")
    return line.append(f" {told}", palette.muted)


def _sign(progress: StudyProgress) -> tuple[str, str]:
    """Of the whole: the liveliest thing that its runs do."""
    counts = progress.counts
    for state in ("running", "waiting", "failed", "held"):
        if counts[state]:
            return SIGNS[state]
    if counts["done"] == len(progress.statuses):
        return SIGNS["done"]
    return SIGNS["stopped" if any(s.run for s in progress.statuses) else "absent"]


def _left(cost: CostSummary | None) -> str:
    """`~6:01 left`; nothing where no past run tells."""
    if cost is None or not cost.left:
        return ""
    more = "> " if cost.unknown else "~"
    return f"{more}{duration(cost.wall)} left"


def problem(words: str, width: int) -> str:
    """What is wrong with a file, without the folders it lies in."""
    path, colon, rest = words.partition(".toml:")
    return one_line(f"{path.rpartition('/')[2]}{colon}{rest}" if colon else words, width)


def problems(seen: Seen) -> list[str]:
    """All that is wrong with it, each with its file and line."""
    return [display(words, 600) for words in seen.entry.problems]


def called(cell_status: CellStatus) -> str:
    """`rslad, seed 1`: axes are named where their labels alone say too little."""
    place = cell_status.cell.place.items()
    return ", ".join(label if axis in ("data", "student", "method") else f"{axis} {label}" for axis, label in place)


def run(cell_status: CellStatus, cost: CostSummary | None, width: int, palette: Palette) -> list[Text]:
    """What is known of one run: its state and why, its numbers, its folder."""
    sign, role = SIGNS[cell_status.state]
    head = Text.assemble((f"{sign} ", f"bold {getattr(palette, role)}"))
    head.append(WORDS.get(cell_status.state, cell_status.state), f"bold {palette.text}")
    head.append(_phrase(cell_status, cost), palette.muted)
    lines = [head]
    if cell_status.why:
        colour = palette.bad if cell_status.state == "failed" else palette.text
        lines.append(Text(one_line(cell_status.why, 2 * width), colour))
    judged = cell_status.summary.accuracies if cell_status.summary else {}
    numbers = Text()
    for name, title in _TITLES.items():
        severity = cell_status.summary.severity(name) if cell_status.summary and name in judged else None
        value, sign = percent(judged[name]) if name in judged else "", marks.SIGNS[severity]
        if value and cell_len(f"{numbers.plain}{title} {value}{sign}") <= width:
            struck = severity == "red"
            numbers.append(f"{title} ", palette.muted)
            numbers.append(value, f"strike {palette.muted}" if struck else palette.text)
            numbers.append(sign, palette.bad if struck else palette.warn).append("   ")
    if numbers:
        lines.append(numbers)
    if cell_status.summary and (said := marks.legend(map(cell_status.summary.severity, judged))):
        lines.append(Text(one_line(said, width), palette.muted))
    lines.append(Text(one_line(cell_status.run or f"preset {cell_status.cell.preset.name}", width), palette.muted))
    return lines


def _phrase(cell_status: CellStatus, cost: CostSummary | None) -> str:
    """After the state."""
    left = cost.left.get(cell_status.cell.config_hash) if cost else None
    status = cell_status.summary.status if cell_status.summary else None
    match cell_status.state:
        case "done":
            seconds = took(cell_status)
            return f" in {duration(seconds)}" if seconds else ""
        case "running":
            words = _PHASES.get(status.phase, status.phase) if status else "starting"
            if status is not None and status.phase == "training":
                words = f"epoch {min(status.epoch + 1, status.epochs)} of {status.epochs}"
            elif status is not None and status.attack:
                words = f"judging: {one_line(status.attack, 40)}"
            return f": {words}" + (f", ~{duration(left)} left" if left else "")
        case "waiting" | "absent" if left:
            return f", takes ~{duration(left)}"
        case _:
            return ""


def to_start(progress: StudyProgress) -> dict[str, int]:
    """What a start would do with how many runs; nothing of what is done, at work, waits, failed or is held by hand."""
    counts = progress.counts
    freed = [s for s in progress.statuses if s.state == "held" and s.ticket and s.ticket.note.startswith(HELD_FOR)]
    many = {
        "not run yet: made and queued": counts["absent"],
        "interrupted: go on from their checkpoints": sum(counts[state] for state in RESUMABLE),
        "held by a failure: released": len(freed),
    }
    return {words: n for words, n in many.items() if n}


def question(progress: StudyProgress, cost: CostSummary | None) -> list[str]:
    """Before a start: how many runs, teachers first, how long, how many at once, what is left alone."""
    counts, lines = progress.counts, []
    lines += [f"{n:>4} {words}" for words, n in to_start(progress).items()]
    lines += [f"{n:>4} {words}" for n, words in _left_alone(counts) if n]
    lines += ["", *teachers(progress)] if progress.missing else []
    lines += ["", *(cost.lines if cost else [])]
    lines.append(f"at once {progress.at_once} on each device; + and \u2212 change it")
    return [*lines, f"when a run fails, the rest {'is held' if progress.stops else 'goes on'}; f changes that"]


def _left_alone(counts: dict[State, int]) -> Iterable[tuple[int, str]]:
    yield counts["running"] + counts["waiting"], "at work or waiting already"
    yield counts["done"], "done already, not repeated"
    yield counts["failed"], "failed, left so; R retries them"
    yield counts["lost"], "lost: an engine on another machine may have them; left so"


def teachers(progress: StudyProgress) -> list[str]:
    """Those that are trained first."""
    return [
        f"first, once: the teacher {one_line(t.config.title, 40)} ({one_line(t.config.student.title, 20)})"
        for t in progress.missing
    ]


def dry_run(seen: Seen, palette: Palette) -> Text:
    """Every run of the grid with its state and time, and what the rest will cost."""
    progress = seen.progress
    if progress is None:
        return Text()
    axes = progress.study.axes
    wide = {axis: min(20, max(len(axis), *map(len, labels))) for axis, labels in axes.items()}
    told = [*teachers(progress), *(seen.cost.lines if seen.cost else [])]
    lines = [Text(words, palette.text) for words in told]
    lines += [Text(), Text("  " + "  ".join(pad(one_line(axis, 20), wide[axis]) for axis in axes), palette.muted)]
    for one in progress.statuses:
        sign, role = SIGNS[one.state]
        line = Text.assemble((f"{sign} ", getattr(palette, role)))
        place = one.cell.place
        line.append("  ".join(pad(one_line(place[axis], 20), wide[axis]) for axis in axes), palette.text)
        line.append(f"  {WORDS.get(one.state, one.state)}{_phrase(one, seen.cost)}", palette.muted)
        lines.append(line)
    same = f"crdnd study {shlex.quote(display(seen.entry.name, 200))} --dry-run"
    return Text("\n").join([*lines, Text(), Text(f"in a shell: {same}; --only axis=label takes a part", palette.muted)])
