"""The live picture of a run, drawn from its state alone. Any size of terminal gets what fits it, most telling first."""

from collections.abc import Sequence

from rich.text import Text

from crdnd_tui import report
from crdnd_tui.state import ENDED, RunState
from crdnd_tui.text import bar, count, duration, number, one_line, pad, percent, plain, size
from engine.spec.events import AttackProgressed

_SPARKS = "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
_ACCENT = "bright_blue"


def frame(
    state: RunState, title: str, width: int, height: int, *, ascii_only: bool = False, living: bool = True
) -> list[Text]:
    """At most `height` lines of at most `width` cells."""
    width, height = max(20, width), max(3, height)
    lines = _head(state, title, width, living)
    training = _training(state, width, ascii_only)
    if state.evaluation is not None or state.table:
        parts = [_attack(state, width), report.table(state, width)]
        if len(lines) + sum(len(part) + 1 for part in [*parts, training]) <= height:
            parts.insert(0, training)
    else:
        room = height - len(lines) - len(training) - 4
        parts = [training, _teacher(state, width), _classes(state, width, room, ascii_only), _warnings(state, width)]
    for part in filter(None, parts):
        lines += [Text(), *part]
    lines = [_ascii(line) if ascii_only else line for line in lines[:height]]
    for line in lines:
        line.truncate(width, overflow="crop" if ascii_only else "ellipsis")
    return lines


def _ascii(line: Text) -> Text:
    return line if line.plain.isascii() else Text(plain(line.plain))


def _head(state: RunState, title: str, width: int, living: bool) -> list[Text]:
    stage = "resuming" if state.phase in ENDED and living else (state.stage or "starting")
    if state.phase in ENDED and not living:
        stage = state.phase
    head = Text()
    head.append("crdnd ", f"bold {_ACCENT}")
    head.append(pad(one_line(state.run or "starting", width - 22), width - 22), "bold")
    head.append(f"{one_line(stage, 15):>15}", "green" if state.phase != "failed" else "red")
    return [head, Text(one_line(title, width), "dim")] if title else [head]


def _training(state: RunState, width: int, ascii_only: bool) -> list[Text]:
    """Progress, losses and validation of the student."""
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
        terms = [f"{one_line(k, 16)} {number(v)}" for k, v in latest.terms.items()]
        words = "   ".join([number(latest.loss), *terms, f"lr {number(latest.learning_rate)}"])
        lines.append(_named("loss", words, _spark([e.loss for e in state.epochs], width - 14 - len(words), ascii_only)))
    if state.validations:
        now, best = state.validations[-1], state.best
        words = "   ".join(f"{report.title(k)} {percent(v)}" for k, v in now.accuracy.items())
        words += f"   best epoch {best.epoch}" if best else ""
        series = [v.accuracy.get(v.by) for v in state.validations]
        lines.append(_named("validation", words, _spark(series, width - 14 - len(words), ascii_only)))
    if state.device is not None and width >= 60:
        busy = f"   busy {state.device.utilisation} %" if state.device.utilisation is not None else ""
        words = f"{one_line(state.device.name, 30)}   {size(state.device.used)} of {size(state.device.total)}{busy}"
        lines.append(_named("device", words, ""))
    return lines


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


def _teacher(state: RunState, width: int) -> list[Text]:
    teacher = state.teacher
    if teacher is None:
        return []
    words = f"{one_line(teacher.model, 24)}   clean {percent(teacher.clean)}   PGD-10 {percent(teacher.robust)}"
    return [_named("teacher", words + (f"   on {count(teacher.n)} images" if width >= 70 else ""), "")]


def _classes(state: RunState, width: int, room: int, ascii_only: bool) -> list[Text]:
    """What the method learnt of its teacher, class by class: the diagonals of ACM's matrices."""
    latest = next((e for e in reversed(state.epochs) if e.teacher_clean or e.teacher_robust), None)
    if latest is None or width < 44 or room < 3:
        return []
    clean, robust = latest.teacher_clean, latest.teacher_robust
    classes = max(len(clean), len(robust))
    order = list(range(classes))
    if classes > room - 1:
        order = sorted(order, key=lambda k: robust[k] if k < len(robust) else clean[k])[: room - 1]
    label = max(len(report.class_name(state, k, 12)) for k in order) if order else 0
    length = min(32, max(6, (width - label - 20) // 2))
    what = "teacher per class" if classes == len(order) else f"the teacher's {len(order)} hardest of {classes} classes"
    lines = [Text(f"{what}: on clean images, on the student's adversarial ones", "dim")]
    for k in order:
        line = Text(f"{pad(report.class_name(state, k, 12), label)}  ")
        for series, style in ((clean, "cyan"), (robust, "yellow")):
            value = series[k] if k < len(series) else None
            line.append(bar(value, length, ascii_only=ascii_only), style)
            line.append(f" {percent(value):>5}   ")
        line.rstrip()
        lines.append(line)
    return lines


def _attack(state: RunState, width: int) -> list[Text]:
    """How far the judgement is, and the attack under way."""
    cells = len(state.attacks) * len(state.checkpoints)
    done = sum(len(row) for row in state.table.values())
    lines = [
        _meter(f"judging {done} of {cells} cells", done / max(1, cells), f"{100 * done / max(1, cells):3.0f} %", width)
    ]
    attack = state.attack
    if isinstance(attack, AttackProgressed):
        part = f" {attack.part}" if attack.part not in ("", attack.attack) else ""
        said = one_line(f"{attack.checkpoint} {report.title(attack.attack)}{part}", max(12, width // 2))
        after = f"{count(attack.done)}/{count(attack.total)}"
        after += f"  {percent(attack.robust)} % stand" if width >= 50 else ""
        lines.append(_meter(said, attack.done / max(1, attack.total), after, width))
    elif attack is not None:
        lines.append(Text(f"{attack.checkpoint} {report.title(attack.attack)} begins", "dim"))
    return lines


def _warnings(state: RunState, width: int) -> list[Text]:
    latest = list(dict.fromkeys(one_line(w.message, 2 * width) for w in state.warnings))[-2:]
    return [Text(f"! {message}", "yellow") for message in latest]
