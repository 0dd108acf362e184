"""A run that is followed in the shell: its engine started or only watched, shown as it works, and told how it ended.

Three views: a progress bar with the latest figures and the robustness table as it grows, for a terminal; plain lines,
for pipes, logs and dumb terminals; events as JSON lines, for scripts.
"""

import subprocess
import sys
import time
from collections.abc import Iterable, Sequence

import msgspec
from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from crdnd_tui.cli import output
from crdnd_tui.core import advice, engine_process, fast_path, marks, report, run_reader, run_status
from crdnd_tui.core.attach import DONE, FAILED, INTERRUPTED, STOPPED, USAGE, Attachment, RunExit, RunView
from crdnd_tui.core.attack_names import PARTS, attack_title
from crdnd_tui.core.format import count, duration, number, percent, size
from crdnd_tui.core.narrate import Narrator
from crdnd_tui.core.state import RunState
from crdnd_tui.core.text import display, one_line, plain
from engine.spec import files, toml
from engine.spec.config import JudgeConfig, RunConfig
from engine.spec.deaths import Death
from engine.spec.errors import ConfigError
from engine.spec.events import AttackProgressed, Event
from engine.spec.rundir import RunDir

OWNER_KEYS = "Ctrl-C: stop after this step and save; twice: kill"
WATCHER_KEYS = "Ctrl-C: leave; the run goes on"
FRAME_SECONDS = 0.25
TABLE_WIDTH = 100  # cells; a wider table is harder to read
Bar = tuple[str, float, float, str]  # description, done, total, and what stands behind the bar


class ProgressView(RunView):
    """Redrawn four times a second at the foot of the terminal; it leaves nothing behind."""

    def __init__(self, console: Console, title: str, keys: str) -> None:
        self._console, self._title, self._keys = console, display(title), keys
        self._ascii = output.is_ascii(console)
        self._said, self._drawn = "", 0.0
        self._state = RunState()
        self._teacher: RunState | None = None
        self._progress = LinedProgress(console)
        self._progress.start()

    def show(self, state: RunState, events: Sequence[Event]) -> None:
        self._state = state
        if not state.teacher_run:
            self._teacher = None
        if time.monotonic() - self._drawn >= FRAME_SECONDS:
            self._draw()

    def show_teacher(self, state: RunState, events: Sequence[Event]) -> None:
        self._teacher = state

    def say(self, words: str) -> None:
        self._said = words
        self._draw()

    def close(self) -> None:
        self._progress.stop()

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        state = self._teacher or self._state
        title = f"the teacher comes first; then {self._title}" if self._teacher else self._title
        width, height = self._console.size
        bars_ = bars(state, time.time())
        below = latest(state)
        room = height - len(bars_) - len(below) - 5
        table = report.table(state, min(width, TABLE_WIDTH), ascii_only=self._ascii, height=room) if room > 2 else []
        head = f"{one_line(state.run or 'the engine starts', 60)}  {one_line(state.stage or 'starting', 15)}"
        lines = [Text(head, "bold"), Text(title, "dim")]
        foot = [Text(self._said or self._keys, "yellow" if self._said else "dim")]
        self._progress.draw(bars_, lines, [*below, *([Text()] if table else []), *table, Text(), *foot], self._ascii)


class LinedProgress(Progress):
    """Bars between lines of text."""

    def __init__(self, console: Console) -> None:
        cropped = [Column(no_wrap=True, overflow="crop") for _ in range(3)]  # an ellipsis is not in every encoding
        columns = (
            TextColumn("{task.description}", markup=False, table_column=cropped[0]),
            BarColumn(None),
            TextColumn("{task.percentage:>3.0f} %", markup=False, table_column=cropped[1]),
            TextColumn("{task.fields[after]}", markup=False, table_column=cropped[2]),
        )
        self._above: Sequence[Text] = ()
        self._below: Sequence[Text] = ()
        self._bars: list[TaskID] = []
        super().__init__(*columns, console=console, auto_refresh=False, transient=True)
        self.live.vertical_overflow = "crop"

    def draw(self, bars: Sequence[Bar], above: Sequence[Text], below: Sequence[Text], ascii_only: bool) -> None:
        """These bars, with lines above and below them."""
        width = self.console.size.width
        self._above, self._below = ([_fitted(line, width, ascii_only) for line in part] for part in (above, below))
        while len(self._bars) < len(bars):
            self._bars.append(self.add_task("", after=""))
        for k, task in enumerate(self._bars):
            if k < len(bars):
                said, done, total, after = bars[k]
                self.update(task, description=said, completed=done, total=total or 1.0, after=after)
            self.update(task, visible=k < len(bars))
        self.refresh()

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from self._above
        yield self.make_tasks_table(self.tasks)
        yield from self._below


def _fitted(line: Text, width: int, ascii_only: bool) -> Text:
    shown = Text(plain(line.plain), line.style) if ascii_only and not line.plain.isascii() else line.copy()
    shown.truncate(width, overflow="crop" if ascii_only else "ellipsis")
    return shown


def bars(state: RunState, now: float) -> list[Bar]:
    """What is under way: the teacher's table, the training, or the evaluation and its present attack."""
    if state.filled is not None:
        return [("teacher's table", state.filled, 1.0, "")]
    if state.evaluation is not None or state.table:
        return _evaluation_bars(state, now)
    if state.training is None:
        return []
    per_epoch, epochs = max(1, state.training.steps_per_epoch), state.training.epochs
    epoch = min(epochs, state.step // per_epoch + (state.step < state.total_steps))
    pace = state.steps[-1].images_per_second if state.steps else 0.0
    after = f"{duration(state.eta_seconds)} left" + (f"  {pace:,.0f} images/s" if pace else "")
    return [(f"epoch {count(epoch)}/{count(epochs)}", state.step, state.total_steps, after)]


def _evaluation_bars(state: RunState, now: float) -> list[Bar]:
    rows = len(state.attacks) * len(state.checkpoints)
    done = sum(len(row) for row in state.table.values())
    found: list[Bar] = [(f"judged {done}/{rows}", done, rows, "")]
    attack = state.attack
    if attack is None:
        return found
    where = f"{attack.checkpoint} " if len(state.checkpoints) > 1 else ""
    title, over, total, stand = attack_title(attack.attack), 0, state.evaluation.n if state.evaluation else 0, ""
    if isinstance(attack, AttackProgressed):
        part = PARTS.get(attack.part, attack.part) if attack.part not in ("", attack.attack) else ""
        title, over, total = f"{title} {part}".rstrip(), attack.done, attack.total
        stand = f"{percent(attack.robust)} % stand  "
    after = f"{stand}{duration(max(0.0, now - state.attack_since))}"
    return [*found, (one_line(f"{where}{title}", 40), over, total, after)]


def latest(state: RunState) -> list[Text]:
    """The last losses and validation, the teacher, times and switches, the device, the last warnings; a line each."""
    lines = []
    if state.steps and state.evaluation is None:
        step = state.steps[-1]
        terms = [f"{one_line(name, 16)} {number(value, fixed=True)}" for name, value in step.terms.items()]
        told = [number(step.loss, fixed=True), *terms, f"lr {number(step.learning_rate)}"]
        lines.append(("loss", "   ".join(told)))
    if state.validations:
        last, best = state.validations[-1], state.best
        told = [
            f"{attack_title(attack)} {percent(value)}{marks.SIGNS[state.severity('', attack)]}"
            for attack, value in last.accuracy.items()
        ]
        lines.append(("validation", "   ".join([*told, *([f"best epoch {best.epoch}"] if best else [])])))
    if state.teacher is not None:
        t = state.teacher
        lines.append(("teacher", f"clean {percent(t.clean)}   PGD-10 {percent(t.robust)}   {one_line(t.model, 24)}"))
    if state.training is not None and state.evaluation is None:
        lines += fast_path.facts(state.training, state.steps)
    if state.device is not None:
        busy = f"   busy {state.device.utilisation} %" if state.device.utilisation is not None else ""
        memory = f"{size(state.device.used)} of {size(state.device.total)}"
        lines.append(("device", f"{one_line(state.device.name, 30)}   {memory}{busy}"))
    warnings = [] if state.table else state.warnings  # the table has its own below it
    warned = list(dict.fromkeys(one_line(w.message, 300) for w in warnings))[-2:]
    flaws = [f"events.jsonl: {', '.join(state.flaws)}"] if state.flaws else []
    return [
        *(Text.assemble((f"{name:<11} ", "dim"), told) for name, told in lines),
        *(Text(f"! {one_line(message, 300)}", "yellow") for message in (*flaws, *warned)),
    ]


class PlainView(RunView):
    """One line for each thing worth telling."""

    def __init__(self) -> None:
        self._narrator, self._teacher = Narrator(), Narrator(prefix="teacher: ")
        self._flaws: list[str] = []

    def show(self, state: RunState, events: Sequence[Event]) -> None:
        for line in self._narrator.lines(events, state):
            self.say(line)
        if state.flaws != self._flaws:
            self._flaws = state.flaws
            self.say(f"warning: events.jsonl: {', '.join(self._flaws)}")

    def show_teacher(self, state: RunState, events: Sequence[Event]) -> None:
        for line in self._teacher.lines(events, state):
            self.say(line)

    def say(self, words: str) -> None:
        output.say(words)


class JsonView(RunView):
    """The run's own events, not its teacher's: on stdout, one JSON object per line, in ASCII."""

    def show(self, state: RunState, events: Sequence[Event]) -> None:
        for event in events:
            output.show_json(msgspec.to_builtins(event), indent=None)

    def say(self, words: str) -> None:
        output.say(words)


def watch(folder: RunDir, *, as_json: bool) -> int:
    """Look on until the engine leaves; Ctrl-C leaves the run alone. Returns the exit code."""
    outcome = Attachment(folder, _view(folder, as_json, WATCHER_KEYS), from_start=True).follow()
    if outcome.code == INTERRUPTED:
        output.say(f"{folder.id} goes on without a watcher.")
        return INTERRUPTED
    return _finish(folder, outcome, as_json)


def go(folder: RunDir, *, detach: bool, as_json: bool, again: bool = False) -> int:
    """Start the engine of a run folder and follow it, or leave it alone once it has spoken. Returns the exit code."""
    before = _stamp(folder)
    process = engine_process.start(folder)
    if detach:
        return _detached(folder, process, before)
    view = _view(folder, as_json, OWNER_KEYS)
    outcome = Attachment(folder, view, process, from_start=not again).follow()
    return _finish(folder, outcome, as_json, spoke=_stamp(folder) != before)


def _stamp(folder: RunDir) -> tuple[int, int]:
    """Changes when an engine says something; the last words of an earlier engine are not this one's."""
    try:
        found = folder.events.stat(follow_symlinks=False)
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


def _detached(folder: RunDir, process: "subprocess.Popen[bytes]", before: tuple[int, int]) -> int:
    code = engine_process.wait_started(folder, process)
    if code is not None:
        engine_process.ended(folder, process)
    if code in (None, DONE):
        sys.stdout.write(folder.id + "\n")
        sys.stdout.flush()
        return DONE
    _complain(folder, code or 0, spoke=_stamp(folder) != before)
    return code if code in (FAILED, USAGE, STOPPED) else FAILED


def _view(folder: RunDir, as_json: bool, keys: str) -> RunView:
    console = output.narration()
    if as_json:
        return JsonView()
    if output.is_lively(console):
        return ProgressView(console, title(folder), keys)
    return PlainView()


def title(folder: RunDir) -> str:
    """What the run is, in one line: method, student, teacher, data, radius, seed; empty without a config."""
    try:
        config: RunConfig | JudgeConfig = toml.read(folder.config)
    except ConfigError:
        return ""
    epsilon = f"epsilon {config.threat_model.epsilon}"
    if isinstance(config, JudgeConfig):
        parts = [f"evaluation of {config.name}" if config.name else "evaluation", config.data.title, epsilon]
    else:
        of = f" \u2190 {config.teacher_title}" if config.teacher else ""
        parts = [config.method.title, f"{config.student.title}{of}", config.data.title, epsilon, f"seed {config.seed}"]
    return one_line(" \u00b7 ".join(parts), 160)


def table(folder: RunDir) -> list[Text]:
    """The robustness table of a run, as wide as stdout."""
    console = output.data()
    state = run_reader.load(folder)
    return report.table(state, min(console.width, TABLE_WIDTH), ascii_only=output.is_ascii(console))


def _finish(folder: RunDir, outcome: RunExit, as_json: bool, *, spoke: bool = True) -> int:
    """The table, the run's id and where it lies; or what went wrong and how to go on."""
    if outcome.code in (FAILED, USAGE) or outcome.killed:
        _complain(folder, outcome.code, outcome, spoke=spoke)
    elif outcome.code in (STOPPED, INTERRUPTED):
        reason = f" ({outcome.state.reason})" if outcome.state.reason else ""
        at = f"stopped at step {outcome.state.step:,}{reason} and saved"
        output.say(f"{at}; {advice.on('resume', folder)} goes on", "yellow")
    if not as_json:
        lines = table(folder)
        if lines:
            output.show([Text(), Text(f"  {title(folder)}", "bold"), Text(), *lines, Text()])
        output.show([Text(f"run     {display(folder.id)}"), Text(f"folder  {display(str(folder.path))}")])
    return outcome.code


def _complain(folder: RunDir, code: int, outcome: RunExit | None = None, *, spoke: bool) -> None:
    """Why the engine left: its own last event where there is one, else the end of its log."""
    state = outcome.state if outcome else run_reader.load(folder)
    if state.phase == "failed" and spoke:
        output.say(f"failed: {state.reason}", "red")
        if state.hint:
            output.say(f"  {state.hint}")
        return
    if outcome is not None and outcome.code == INTERRUPTED:
        output.say(f"killed; {advice.on('resume', folder)} goes on from the last checkpoint", "yellow")
        return
    killed = outcome.killed if outcome else code < 0
    death = run_status.death_of(folder) if killed else Death("")
    what = "the engine refused the run" if code == USAGE else death.text
    last_words = run_status.log_tail(folder)
    output.say(f"{what}; " + (f"the end of {folder.log}:" if last_words else f"its log is {folder.log}"), "red")
    for line in last_words:
        output.say(f"  {line}")
    if code != USAGE:
        output.say(death.advice(advice.named(folder), files.read(folder.machine)))
