"""The live picture of a run, drawn from its state alone. Any size of terminal gets what fits it, most telling first."""

from collections.abc import Sequence

from rich.text import Text

from crdnd_tui.core import classes, fast_path, marks, report
from crdnd_tui.core.format import count, duration, number, percent, size
from crdnd_tui.core.state import ENDED, RunState
from crdnd_tui.core.text import one_line, pad, plain
from engine.spec.events import AttackProgressed

_SPARKS = "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
_ACCENT = "bright_blue"
LEAVING = 5.0  # seconds that an engine may need to leave
TABLE_WIDTH = 100  # cells; a wider table is harder to read


def frame(
    state: RunState,
    title: str,
    width: int,
    height: int,
    *,
    ascii_only: bool = False,
    living: bool = True,
    now: float = 0.0,
) -> list[Text]:
    """At most `height` lines of at most `width` cells; `now` in unix seconds, else the time of the latest event."""
    width, height, now = max(20, width), max(3, height), now or state.last
    lines = _head(state, title, width, living, now)
    training = _training(state, width, ascii_only)
    if state.evaluation is not None or state.table:
        attack = _attack(state, width, now)
        table = report.table(state, min(width, TABLE_WIDTH), height=height - len(lines) - len(attack) - 2)
        parts = [attack, table]
        if len(lines) + sum(len(part) + 1 for part in [*parts, training]) <= height:
            parts.insert(0, training)
    else:
        warnings = _warnings(state, width)
        room = height - len(lines) - len(training) - 2 - (len(warnings) + 1 if warnings else 0)
        parts = [training, classes.lines(state, min(width, TABLE_WIDTH), room, ascii_only=ascii_only), warnings]
    for part in filter(None, parts):
        lines += [Text(), *part]
    lines = [_ascii(line) if ascii_only else line for line in lines[:height]]
    for line in lines:
        line.truncate(width, overflow="crop" if ascii_only else "ellipsis")
    return lines


def _ascii(line: Text) -> Text:
    return line if line.plain.isascii() else Text(plain(line.plain))


def _head(state: RunState, title: str, width: int, living: bool, now: float) -> list[Text]:
    stage = state.stage or "starting"
    if state.phase in ENDED:  # an engine that said its last word just now is leaving, not coming
        stage = "resuming" if living and now - state.last > LEAVING else state.phase
    clock = f"  {duration(now - state.since)}" if state.since and living else ""
    right = one_line(stage, 15) + clock
    room = width - 8 - len(right)
    head = Text()
    head.append("crdnd ", f"bold {_ACCENT}")
    head.append(pad(one_line(state.run or "the engine starts", room), room) + "  ", "bold")
    head.append(one_line(stage, 15), "green" if state.phase != "failed" else "red")
    head.append(clock, "dim")
    flaws = [Text(one_line(f"! events.jsonl: {', '.join(state.flaws)}", width), "yellow")] if state.flaws else []
    return [head, *([Text(one_line(title, width), "dim")] if title else []), *flaws]


def _training(state: RunState, width: int, ascii_only: bool) -> list[Text]:
    """Progress, losses and validation of the student; what its teacher can do."""
    if state.filled is not None:
        return [_meter("teacher's table", state.filled, f"{100 * state.filled:3.0f} %", width)]
    if state.training is None:
        return []
    done = state.step / max(1, state.total_steps)
    epoch = min(state.training.epochs, state.step // max(1, state.training.steps_per_epoch) + (done < 1))
    said = f"epoch {count(epoch)}/{count(state.training.epochs)}"
    latest = state.steps[-1] if state.steps else None
    after = f"{100 * done:3.0f} %"
    if latest is not None and done < 1:
        after += f"  {duration(state.eta_seconds)} left"
        if width >= 66:
            after += f"  {latest.images_per_second:,.0f} images/s"
    lines = [_meter(said, done, after, width)]
    if latest is not None:
        terms = [f"{one_line(k, 16)} {number(v, fixed=True)}" for k, v in latest.terms.items()]
        words = "   ".join([number(latest.loss, fixed=True), *terms, f"lr {number(latest.learning_rate)}"])
        lines.append(_named("loss", words, _spark([e.loss for e in state.epochs], width - 14 - len(words), ascii_only)))
    lines += [_named(name, words, "") for name, words in fast_path.facts(state.training, state.steps)]
    if state.validations:
        now, best = state.validations[-1], state.best
        words = "   ".join(f"{report.title(k)} {percent(v)}{_sign(state, k)}" for k, v in now.accuracy.items())
        words += f"   best {'epoch ' if width >= 70 else ''}{best.epoch}" if best else ""
        series = [v.accuracy.get(v.by) for v in state.validations]
        lines.append(_named("validation", words, _spark(series, width - 14 - len(words), ascii_only)))
    if state.teacher is not None:
        t = state.teacher
        words = f"clean {percent(t.clean)}   PGD-10 {percent(t.robust)}   {one_line(t.model, 24)}"
        lines.append(_named("teacher", words + (f" on {count(t.n)} images" if width >= 70 else ""), ""))
    if state.device is not None and width >= 60:
        busy = f"   busy {state.device.utilisation} %" if state.device.utilisation is not None else ""
        words = f"{one_line(state.device.name, 30)}   {size(state.device.used)} of {size(state.device.total)}{busy}"
        lines.append(_named("device", words, ""))
    return lines


def _sign(state: RunState, attack: str) -> str:
    """Of a validation's figure."""
    return marks.SIGNS[state.severity("", attack)]


def _named(name: str, words: str, spark: str) -> Text:
    line = Text()
    line.append(f"{name:<11} ", "dim")
    line.append(words)
    line.append(f"  {spark}" if spark else "", _ACCENT)
    return line


def _meter(said: str, done: float, after: str, width: int) -> Text:
    room = max(4, width - len(said) - len(after) - 3)
    full = round(min(1.0, max(0.0, done)) * room)
    line = Text()
    line.append(f"{said} ", "bold")
    line.append("\u2501" * full, _ACCENT)
    line.append("\u2500" * (room - full), "dim")
    line.append(f"  {after}")
    return line


def _spark(series: Sequence[float | None], width: int, ascii_only: bool) -> str:
    """The last values as small bars between their own lowest and highest; gaps where there was no number."""
    values = list(series)[-min(width, 32) :] if width >= 8 else []
    known = [v for v in values if v is not None]
    if ascii_only or len(known) < 2:
        return ""
    low, span = min(known), (max(known) - min(known)) or 1.0
    return "".join(" " if v is None else _SPARKS[round(7 * (v - low) / span)] for v in values)


def _attack(state: RunState, width: int, now: float) -> list[Text]:
    """How far the judgement is, and the attack under way."""
    rows = len(state.attacks) * len(state.checkpoints)
    done = sum(len(row) for row in state.table.values())
    lines = [_meter(f"judged {done}/{rows}", done / max(1, rows), f"{100 * done / max(1, rows):3.0f} %", width)]
    attack = state.attack
    if attack is None:
        return lines
    words, over, total, stand = "", 0, state.evaluation.n if state.evaluation else 0, ""
    if isinstance(attack, AttackProgressed):
        words = f" {report.PARTS.get(attack.part, attack.part)}" if attack.part not in ("", attack.attack) else ""
        over, total = attack.done, attack.total
        stand = f"  {percent(attack.robust)} % stand" if width >= 50 else ""
    where = f"{attack.checkpoint} " if len(state.checkpoints) > 1 else ""
    said = one_line(f"{where}{report.title(attack.attack)}{words}", max(12, width // 2))
    after = f"{count(over)}/{count(total)}{stand}  {duration(max(0.0, now - state.attack_since))}"
    return [*lines, _meter(said, over / max(1, total), after, width)]


def _warnings(state: RunState, width: int) -> list[Text]:
    latest = list(dict.fromkeys(one_line(w.message, 2 * width) for w in state.warnings))[-2:]
    return [Text(f"! {message}", "yellow") for message in latest]
