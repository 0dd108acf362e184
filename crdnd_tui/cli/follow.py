"""A run that is followed in the shell: its engine started or only watched, shown as it works, and told how it ended.

Three views: a progress bar with the latest figures and the robustness table as it grows, for a terminal; plain lines,
for pipes, logs and dumb terminals; events as JSON lines, for scripts. The engine never needs us: our death does not
reach it. Ctrl-C once touches `stop`, twice kills; whoever only watches just leaves.
"""

import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType

import msgspec
from rich.console import Console
from rich.text import Text

from crdnd_tui.cli import output
from crdnd_tui.cli.live_bars import Bar, LiveBars
from crdnd_tui.cli.output import FAILED, INTERRUPTED, OK, STOPPED, USAGE
from crdnd_tui.core import advice, engine_process, fast_path, narrate, run_reader, run_status
from crdnd_tui.core.attack_names import PARTS, attack_title
from crdnd_tui.core.format import count, duration, number, percent, size
from crdnd_tui.core.run_facts import read_facts
from crdnd_tui.core.run_reader import RunReader, believed_events
from crdnd_tui.core.state import RunState
from crdnd_tui.core.text import display, one_line
from crdnd_tui.write import run_tables, tables
from engine.spec.crashes import Death
from engine.spec.events import AttackProgressed, Event
from engine.spec.rundir import RunDir

POLL_SECONDS = 0.1
LOCK_SECONDS = 1.0  # between looks at a lock that is not our child's
FRAME_SECONDS = 0.25
TABLE_WIDTH = 100  # cells; a wider table is harder to read


class PlainView:
    """One line on stderr for each thing worth telling."""

    def __init__(self) -> None:
        self._narrators = narrate.Narrator(), narrate.Narrator(prefix="teacher: ")
        self._flaws: list[str] = []

    def show(self, state: RunState, events: Sequence[Event], *, teacher: bool = False) -> None:
        """New events, which `state` has in it already; of the run, or of its teacher's while that is trained."""
        for line in self._narrators[teacher].lines(events, state):
            self.say(line)
        if not teacher and state.flaws != self._flaws:
            self._flaws = state.flaws
            self.say(f"warning: events.jsonl: {', '.join(self._flaws)}")

    def say(self, words: str) -> None:
        """A word of the program itself."""
        output.say(words)

    def close(self) -> None:
        """Give the terminal back."""


class JsonView(PlainView):
    """The run's own events, not its teacher's: on stdout, one JSON object per line, in ASCII."""

    def show(self, state: RunState, events: Sequence[Event], *, teacher: bool = False) -> None:
        for event in () if teacher else events:
            output.show_json(msgspec.to_builtins(event), indent=None)


class ProgressView(PlainView):
    """Redrawn four times a second at the foot of the terminal; it leaves nothing behind."""

    def __init__(self, console: Console, title: str, keys: str) -> None:
        self._console, self._title, self._foot = console, display(title), Text(keys, "dim")
        self._drawn = 0.0
        self._state = RunState()
        self._teacher: RunState | None = None
        self._bars = LiveBars(console)
        self._bars.start()

    def show(self, state: RunState, events: Sequence[Event], *, teacher: bool = False) -> None:
        if teacher:
            self._teacher = state
            return
        self._state = state
        self._teacher = self._teacher if state.teacher_run else None
        if time.monotonic() - self._drawn >= FRAME_SECONDS:
            self._draw()

    def say(self, words: str) -> None:
        self._foot = Text(words, "yellow")
        self._draw()

    def close(self) -> None:
        self._bars.stop()

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        state = self._teacher or self._state
        title = f"the teacher comes first; then {self._title}" if self._teacher else self._title
        width, height = self._console.size
        bars_, below = bars(state, time.time()), latest(state)
        room, wide = height - len(bars_) - len(below) - 5, min(width, TABLE_WIDTH)
        results = run_tables.results_table(state, run_tables.chosen_checkpoint(state), planned=True)
        table = tables.body_lines(results, wide, room, run_tables.SPARE) if results and room > 2 else []
        head = f"{one_line(state.run or 'the engine starts', 60)}  {one_line(state.stage or 'starting', 15)}"
        below += [*([Text()] if table else []), *table, Text(), self._foot]
        self._bars.draw(bars_, [Text(head, "bold"), Text(title, "dim")], below)


def bars(state: RunState, now: float) -> list[Bar]:
    """What is under way: the teacher's table, the training, or the evaluation and its present attack."""
    if state.filled is not None:
        return [("teacher's table", state.filled, 1.0, "")]
    if state.evaluation is None and not state.table:
        if state.training is None:
            return []
        per_epoch, epochs = max(1, state.training.steps_per_epoch), state.training.epochs
        epoch = min(epochs, state.step // per_epoch + (state.step < state.total_steps))
        pace = state.steps[-1].images_per_second if state.steps else 0.0
        after = f"{duration(state.eta_seconds)} left" + (f"  {pace:,.0f} images/s" if pace else "")
        return [(f"epoch {count(epoch)}/{count(epochs)}", state.step, state.total_steps, after)]
    rows = len(state.attacks) * len(state.checkpoints)
    done = sum(len(row) for row in state.table.values())
    found: list[Bar] = [(f"judged {done}/{rows}", done, rows, "")]
    attack = state.attack
    if attack is not None:
        where = f"{attack.checkpoint} " if len(state.checkpoints) > 1 else ""
        title, over, total, robust = attack_title(attack.attack), 0, state.evaluation.n if state.evaluation else 0, ""
        if isinstance(attack, AttackProgressed):
            part = PARTS.get(attack.part, attack.part) if attack.part not in ("", attack.attack) else ""
            title, over, total = f"{title} {part}".rstrip(), attack.done, attack.total
            robust = f"{percent(attack.robust)} % stand  "
        after = f"{robust}{duration(max(0.0, now - state.attack_since))}"
        found.append((one_line(f"{where}{title}", 40), over, total, after))
    return found


def latest(state: RunState) -> list[Text]:
    """The last losses and validation, the teacher, times and switches, the device, the last warnings; a line each."""
    lines = []
    if state.steps and state.evaluation is None:
        step = state.steps[-1]
        terms = [f"{one_line(name, 16)} {number(value, fixed=True)}" for name, value in step.terms.items()]
        lines.append(("loss", [number(step.loss, fixed=True), *terms, f"lr {number(step.learning_rate)}"]))
    if state.validations:
        best = [f"best epoch {state.best.epoch}"] if state.best else []
        lines.append(("validation", [*narrate.validated(state.validations[-1], state), *best]))
    if (t := state.teacher) is not None:
        lines.append(("teacher", [f"clean {percent(t.clean)}", f"PGD-10 {percent(t.robust)}", one_line(t.model, 24)]))
    if state.training is not None and state.evaluation is None:
        lines += [(name, [told]) for name, told in fast_path.facts(state.training, state.steps)]
    if (d := state.device) is not None:
        busy = [f"busy {d.utilisation} %"] if d.utilisation is not None else []
        lines.append(("device", [one_line(d.name, 30), f"{size(d.used)} of {size(d.total)}", *busy]))
    warnings = [] if state.table else state.warnings  # the table has its own below it
    warned = list(dict.fromkeys(one_line(w.message, 300) for w in warnings))[-2:]
    flaws = [f"events.jsonl: {', '.join(state.flaws)}"] if state.flaws else []
    return [
        *(Text.assemble((f"{name:<11} ", "dim"), "   ".join(told)) for name, told in lines),
        *(Text(f"! {one_line(message, 300)}", "yellow") for message in (*flaws, *warned)),
    ]


@dataclass(frozen=True)
class RunExit:
    """How it ended: the last state, and the exit code that says so."""

    state: RunState
    code: int
    killed: bool = False  # the engine died without a word


class RunFollower:
    """Shows a run until its engine leaves. With `process` it is the run's owner: Ctrl-C stops the run, not the view."""

    def __init__(self, run: RunDir, view: PlainView, process: "subprocess.Popen[bytes] | None" = None) -> None:
        self._run, self._view, self._process = run, view, process
        self.reader = RunReader(run)
        self._teacher: RunReader | None = None
        self._presses = self._handled = 0
        self._looked, self._locked = 0.0, True

    def follow(self) -> RunExit:
        """Until the engine has left, or the user has."""
        before = signal.signal(signal.SIGINT, self._pressed)
        try:
            while True:
                living = self._living()  # asked before the last read, so that no last word is missed
                self._show(self.reader)
                self._show_teacher()
                if not living:
                    return self._outcome()
                if self._presses > self._handled:
                    self._handled += 1
                    if self._process is None:
                        return RunExit(self.reader.state, INTERRUPTED)
                    self._interrupt(self._process)
                if self._handled == 1 and not self._run.stop.exists():
                    engine_process.ask_to_stop(self._run)  # an engine that was just starting cleared it away
                time.sleep(POLL_SECONDS)
        finally:
            signal.signal(signal.SIGINT, before)
            self._view.close()

    def _pressed(self, _number: int, _frame: FrameType | None) -> None:
        self._presses += 1

    def _show(self, reader: RunReader, *, teacher: bool = False) -> None:
        news = reader.read()
        self._view.show(reader.state, believed_events(news, reader.state), teacher=teacher)

    def _living(self) -> bool:
        if self._process is not None:
            return self._process.poll() is None
        if time.monotonic() - self._looked >= LOCK_SECONDS:
            self._looked, self._locked = time.monotonic(), engine_process.alive(self._run)
        return self._locked

    def _show_teacher(self) -> None:
        teacher = self.reader.teacher()
        if teacher is not None:
            if teacher is not self._teacher and self.reader.state.teacher_waiting:
                teacher.read()  # what it did before is no news
            self._show(teacher, teacher=True)
        self._teacher = teacher

    def _interrupt(self, process: "subprocess.Popen[bytes]") -> None:
        if self._handled == 1:
            engine_process.ask_to_stop(self._run)
            self._view.say("Stopping after this step, then saving. Ctrl-C again kills.")
            return
        self._view.say("Killing the engine.")
        if not engine_process.kill(self._run, patience=0.0):
            process.kill()
        engine_process.kill_teacher(self._run, self.reader.state)

    def _outcome(self) -> RunExit:
        state = self.reader.state
        if self._process is None:
            spoken = {"finished": OK, "stopped": STOPPED, "failed": FAILED}.get(state.phase)
            return RunExit(state, FAILED if spoken is None else spoken, killed=spoken is None)
        code = engine_process.ended(self._run, self._process)
        killed = code not in (OK, FAILED, USAGE, STOPPED)
        if self._presses and (code == STOPPED or killed):
            return RunExit(state, INTERRUPTED, killed=killed)
        return RunExit(state, FAILED if killed else code, killed=killed)


def watch(folder: RunDir, *, as_json: bool) -> int:
    """Look on until the engine leaves; Ctrl-C leaves the run alone. Returns the exit code."""
    outcome = RunFollower(folder, _view(folder, as_json, "Ctrl-C: leave; the run goes on")).follow()
    if outcome.code == INTERRUPTED:
        output.say(f"{folder.id} goes on without a watcher.")
        return INTERRUPTED
    return _finish(folder, outcome, as_json)


def go(folder: RunDir, *, detach: bool, as_json: bool, again: bool = False) -> int:
    """Start the engine of a run folder and follow it, or leave it alone once it has spoken. Returns the exit code."""
    before = engine_process.log_stamp(folder)
    process = engine_process.start(folder)
    if not detach:
        view = _view(folder, as_json, "Ctrl-C: stop after this step and save; twice: kill")
        follower = RunFollower(folder, view, process)
        if again:
            follower.reader.read()  # history is no news
        outcome = follower.follow()
        return _finish(folder, outcome, as_json, spoke=engine_process.log_stamp(folder) != before)
    code = engine_process.wait_started(folder, process)
    if code is not None:
        engine_process.ended(folder, process)
    if not code:
        output.show_paths([folder.id])
        return OK
    spoke = engine_process.log_stamp(folder) != before
    output.say_all(_trouble(folder, RunExit(run_reader.load(folder), code, code < 0), spoke=spoke))
    return code if code in (FAILED, USAGE, STOPPED) else FAILED


def _view(folder: RunDir, as_json: bool, keys: str) -> PlainView:
    console = output.narration()
    if as_json:
        return JsonView()
    return ProgressView(console, read_facts(folder).title, keys) if output.is_lively(console) else PlainView()


def results(folder: RunDir) -> list[Text]:
    """What a run's numbers say and its robustness table, as wide as stdout; nothing before there is one."""
    told = run_tables.shell_document(run_reader.load(folder), title=read_facts(folder).title)
    if not told.tables:
        return []
    return tables.document_lines(told, min(output.data().width, TABLE_WIDTH), spare=run_tables.SPARE)


def _finish(folder: RunDir, outcome: RunExit, as_json: bool, *, spoke: bool = True) -> int:
    """The table, the run's id and where it lies; or what went wrong and how to go on."""
    if outcome.code in (FAILED, USAGE) or outcome.killed:
        output.say_all(_trouble(folder, outcome, spoke=spoke))
    elif outcome.code in (STOPPED, INTERRUPTED):
        reason = f" ({outcome.state.reason})" if outcome.state.reason else ""
        at = f"stopped at step {outcome.state.step:,}{reason} and saved"
        output.say(f"{at}; {advice.on('resume', folder)} goes on", "yellow")
    if not as_json:
        if lines := results(folder):
            output.show([Text(), *lines, Text()])
        output.show([Text(f"run     {display(folder.id)}"), Text(f"folder  {display(str(folder.path))}")])
    return outcome.code


def _trouble(folder: RunDir, outcome: RunExit, *, spoke: bool) -> list[tuple[str, str]]:
    """Why the engine left, in lines and their styles: its own last event if there is one, else the end of its log."""
    state, code = outcome.state, outcome.code
    if state.phase == "failed" and spoke:
        return [(f"failed: {state.reason}", "red"), *([(f"  {state.hint}", "")] if state.hint else [])]
    if code == INTERRUPTED:
        return [(f"killed; {advice.on('resume', folder)} goes on from the last checkpoint", "yellow")]
    death = run_status.death_of(folder) if outcome.killed else Death("")
    what = "the engine refused the run" if code == USAGE else death.text
    last_words = run_status.log_tail(folder)
    where = f"the end of {folder.log}:" if last_words else f"its log is {folder.log}"
    todo = [(run_status.todo(folder, death), "")] if code != USAGE else []
    return [(f"{what}; {where}", "red"), *((f"  {line}", "") for line in last_words), *todo]
