"""What a preview shows of one run: read at a glance, whatever the size of its log, and told in a few lines.

Of a long event log some pieces are read, spread evenly, and its end.
"""

import os
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from rich.text import Text

from crdnd_tui.core import marks, run_status
from crdnd_tui.core.format import duration, percent
from crdnd_tui.core.notes import RunNotes
from crdnd_tui.core.palette import Palette
from crdnd_tui.core.run_status import ENDED_BADLY, LIVING, SIGNS, Summary
from crdnd_tui.core.scan import ListedRun
from crdnd_tui.core.text import DISPUTED, bar, display, one_line
from crdnd_tui.tui.runs.run_rows import ROLES, label, near, pair, why
from engine.spec import crashes, files
from engine.spec.events import DeviceSampled, StepDone, decode
from engine.spec.rundir import RunDir

WHOLE = 1 << 20  # bytes of a log that is read whole
PIECES, PIECE = 48, 1 << 13  # of a longer one
LAST = 1 << 17
WORDS = 30  # lines of an engine's log
_STAMP = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(,\d+)? ")
_titles: dict[str, str] = {}  # what attacks are called, as far as runs were looked at
_FIRST = {"worst": 0, "clean": 1, "autoattack": 2}  # what stays in sight in a low panel
_SAYS = {"done": "", "queued": "waiting for its turn", "starting": "the engine is starting"}


@dataclass(frozen=True, slots=True)
class Glance:
    """All that is known without opening the run."""

    row: ListedRun
    loss: tuple[tuple[float, float | None], ...] = ()  # (step, loss)
    device: str = ""
    commit: str = ""
    config_hash: str = ""
    log: tuple[str, ...] = ()
    whole: bool = False  # False while only the status was read

    @property
    def run(self) -> Summary:
        """How the run is."""
        return self.row.summary

    @property
    def notes(self) -> RunNotes:
        """What a person said of it."""
        return self.row.notes


def at_once(row: ListedRun) -> Glance:
    """From what the list of runs knows already."""
    return Glance(row, config_hash=row.summary.status.config_hash if row.summary.status else "")


def look(row: ListedRun) -> Glance:
    """Reads the folder; a file that cannot be read is passed over."""
    from crdnd_tui.core.attack_names import attack_title  # noqa: PLC0415  the first paint does without pydantic

    row = replace(row, summary=run_status.check_records(row.summary, whole=True))
    validation = row.summary.status.validation if row.summary.status else {}
    _titles.update((attack, attack_title(attack)) for attack in (*row.summary.accuracies, *validation))
    run = RunDir(row.summary.path)
    loss: dict[float, float | None] = {}
    device = ""
    for piece in _pieces(run.events):
        for event in decode(piece).events:
            match event:
                case StepDone():
                    loss[event.step] = event.loss
                case DeviceSampled():
                    device = one_line(event.name, 40)
    git, facts = _provenance(run.provenance)
    return Glance(
        row,
        loss=tuple(sorted(loss.items())),
        device=device or facts.get("device", ""),
        commit=git,
        config_hash=facts.get("config_hash", "") or at_once(row).config_hash,
        log=_last_words(run.log) if row.summary.state in ENDED_BADLY else (),
        whole=True,
    )


def _title(attack: str) -> str:
    return _titles.get(attack) or one_line(attack, 16)


def _pieces(path: Path) -> Iterator[list[bytes]]:
    """Complete lines of the whole log, or of pieces of it."""
    descriptor = files.open_regular(path)
    if descriptor is None:
        return
    try:
        length = os.fstat(descriptor).st_size
        if length <= WHOLE:
            yield os.pread(descriptor, length, 0).split(b"\n")[:-1]
            return
        for k in range(PIECES):
            yield os.pread(descriptor, PIECE, (length - LAST) * k // PIECES).split(b"\n")[1:-1]
        yield os.pread(descriptor, LAST, length - LAST).split(b"\n")[1:-1]
    except OSError:
        return
    finally:
        os.close(descriptor)


def _last_words(path: Path) -> tuple[str, ...]:
    """The end of an engine's log without its events, which are shown elsewhere."""
    lines = files.tail(path, 1 << 16).decode("utf-8", "replace").splitlines()
    said = [display(line, 400).expandtabs(4).rstrip() for line in crashes.readable(lines)]
    return tuple(_STAMP.sub("", line) for line in said[-WORDS:])


def _provenance(path: Path) -> tuple[str, dict[str, str]]:
    """The commit the engine ran from, and words about device and config."""
    told = files.read_table(path)
    facts = {key: one_line(value, 80) for key in ("device", "config_hash") if isinstance(value := told.get(key), str)}
    git = told.get("git")
    if not isinstance(git, dict) or not isinstance(git.get("commit"), str):
        return "", facts
    return one_line(git["commit"], 40)[:7] + ("+dirty" if git.get("dirty") else ""), facts


def facts(glance: Glance, palette: Palette, width: int) -> Text:
    """What the run is and how it is, in the order of what one asks first."""
    run, status, width = glance.run, glance.run.status, width or 40
    sign, style = SIGNS[run.state]
    colour = getattr(palette, ROLES[style])
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{sign} {run.state}", f"bold {colour}")
    text.append(f"  {_progress(run, width - len(run.state) - 4)}\n", palette.text)
    if run.why:
        _add(text, why(run), palette.bad if ROLES[style] == "bad" else palette.warn, width)
    if status is not None:
        text.append(f"{one_line(pair(run), width)}\n", palette.text)
        words = (status.method, status.data, f"\u03b5\u00a0{status.epsilon}", f"seed\u00a0{status.seed}")
        _add(text, " \u00b7 ".join(word for word in words if word), palette.text, width)
    if glance.notes.tags:
        _add(text, " ".join(f"#{tag}" for tag in glance.notes.tags), palette.accent, width)
    _add(text, glance.notes.note, palette.text, width)
    if status is not None and status.validation:
        said = "  ".join(f"{_title(k)}\u00a0{percent(v)}{run.sign(k, '')}" for k, v in status.validation.items())
        _add(text, f"validation  {said}", palette.muted, width)
    origin = [("git", glance.commit), ("config", glance.config_hash[:8]), ("on", glance.device)]
    _add(text, "  ".join(f"{name}\u00a0{value}" for name, value in origin if value), palette.muted, width)
    text.append(one_line(near(run.path), width), palette.muted)
    return text


def _add(text: Text, words: str, style: str, width: int) -> None:
    """On as many lines as it needs, three at most."""
    for part in textwrap.wrap(display(words, 400), width, max_lines=3, placeholder=" \u2026", break_on_hyphens=False):
        text.append(part.replace("\u00a0", " ") + "\n", style)


def _progress(run: Summary, width: int) -> str:
    """As much as fits, what one asks first first."""
    status = run.status
    if status is None:
        return _SAYS.get(run.state, "")
    words = [f"epoch {status.epoch}/{status.epochs}"] if status.epochs else []
    if run.state in LIVING:
        if status.phase == "evaluation":
            words = [one_line(status.attack, 60) or "judging"]
        elif status.eta_seconds:
            words.append(f"{duration(status.eta_seconds)} left")
        if status.images_per_second:
            words.append(f"{status.images_per_second:,.0f} images/s")
    elif status.created:
        words.append(f"took {duration(status.heartbeat - status.created)}")
    while len(words) > 1 and len(" \u00b7 ".join(words)) > width:
        words.pop()
    return " \u00b7 ".join(words)


def results(glance: Glance, palette: Palette, width: int) -> Text:
    """The attacks of the judged checkpoint with bars; a mark stands beside what may not mean what it says."""
    run = glance.run
    text = Text(no_wrap=True, overflow="ellipsis")
    judged = run.accuracies
    disputed = [attack for name, attack in run.disputed if name == run.checkpoint]
    if not (judged or disputed) or run.status is None:
        lines = [part for line in _not_judged(run).split("\n") for part in textwrap.wrap(line, max(8, width or 40))]
        text.append("\n".join(lines), palette.muted)
        return text
    found = {attack: run.severity(attack) for attack in judged}
    order = sorted([*judged, *disputed], key=lambda attack: _FIRST.get(attack, len(_FIRST)))
    name = max(len(_title(attack)) for attack in order)
    room = max(0, min(24, width - name - 10))
    for attack in order:
        strong = attack == "worst" and found.get(attack) != "red"
        text.append(f"{_title(attack):<{name}}", palette.text if strong else palette.muted)
        if attack in disputed:
            text.append(f" {DISPUTED:>6}   its files do not agree\n", f"bold {palette.bad}")
            continue
        number, struck = percent(judged[attack], run.status.results_n), found[attack] == "red"
        text.append(" " * (7 - len(number)))
        text.append(number, f"strike {palette.muted}" if struck else f"bold {palette.text}" if strong else palette.text)
        text.append(f" {marks.SIGNS[found[attack]]:<2}", palette.bad if struck else palette.warn)
        if room >= 6:
            colour = palette.accent if strong else palette.faint
            text.append(bar(judged[attack], room), colour)
        text.append("\n")
    if said := marks.legend(found.values()):
        words = f"{said}; Live says why"
        text.append("\n".join(textwrap.wrap(words, max(8, width or 40))), palette.warn)
        text.append("\n")
    text.append(
        f"checks: {run.checks}" + (" \u00b7 equal weights count once" if run.same_weights_as else ""), palette.muted
    )
    text.rstrip()
    return text


def _not_judged(run: Summary) -> str:
    if run.state in LIVING:
        return "Attacks come after the training."
    if run.state == "queued":
        return "Waits in the queue; 6 shows it."
    return "No attack came to judge it." + ("\nr resumes it." if run.state not in ("done", "damaged") else "")


def title(glance: Glance) -> str:
    """Of the first panel."""
    return label(glance.run)
