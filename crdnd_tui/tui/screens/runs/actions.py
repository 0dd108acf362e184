"""What the keys of a list of runs do to the runs: each asks first where it cannot be taken back."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType

from crdnd_tui.core import notes
from crdnd_tui.core.notes import RunNotes
from crdnd_tui.core.run_status import LIVING, Summary
from crdnd_tui.core.scan import ListedRun
from crdnd_tui.tui.dialogs.question import Ask, Question
from crdnd_tui.tui.runs.run_rows import label
from crdnd_tui.tui.screen import LabScreen
from engine.spec.errors import CrdndError
from engine.spec.rundir import RunDir

FAILED = {"resume": "resumed", "ask_to_stop": "stopped", "kill": "killed"}  # of run_actions
SOON = 0.5  # seconds after which a key that is still at work says so


class RunActions(LabScreen):
    """A screen that knows which runs are meant gives `targets`, and looks again when `rescan` is called."""

    CHANGES: ClassVar[frozenset[str]] = frozenset(
        {"resume", "stop", "kill", "tags", "note", "pin", "trash", "undo_trash"}
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "resume", "Resume", show=False, tooltip="stopped, killed and failed runs go on"),
        Binding("X", "kill", "Kill", show=False, tooltip="at once; what came after the last checkpoint is lost"),
        Binding("C", "clone", "Clone", show=False, tooltip="its preset on the New screen"),
        Binding("number_sign", "tags", "Tags", show=False, key_display="#"),
        Binding("m", "note", "Note", show=False),
        Binding("p", "pin", "Pin", show=False, tooltip="on top of the list, and always compared"),
        Binding("d", "trash", "Trash", show=False, tooltip="moves the folder to .trash; u brings it back"),
        Binding("u", "undo_trash", "Undo trash", show=False),
    ]

    _trashed: tuple[tuple[Path, Path], ...] = ()  # where the last ones lie, and lay

    def targets(self) -> list[ListedRun]:
        """The selected runs, or the one under the cursor."""
        return []

    def under(self) -> list[ListedRun]:
        """The run under the cursor, whatever is selected; of a group, all its runs."""
        return []

    def rescan(self) -> None:
        """Look at the folder now."""

    def say(self, words: str, severity: str = "information") -> None:
        """A short word that goes away by itself."""
        self.app.notify(words, severity=severity, markup=False, timeout=4)  # type: ignore[arg-type]

    def _meant(self, fits: Callable[[Summary], bool], otherwise: str) -> list[ListedRun]:
        rows = self.targets()
        found = [row for row in rows if fits(row.summary)]
        if not found:
            state = f"; {label(rows[0].summary)} is {rows[0].summary.state}" if len(rows) == 1 else ""
            self.say(otherwise + state if rows else "There is no run here.", "warning")
        return found

    async def _sure(self, title: str, rows: Sequence[ListedRun], words: Sequence[str], choice: tuple[str, str]) -> bool:
        names = [label(row.summary) for row in rows[:8]]
        more = [f"and {len(rows) - 8} more"] if len(rows) > 8 else []
        asked: Question = Question(title, [*names, *more, "", *words], [choice])
        return await self.app.push_screen_wait(asked) == choice[1]

    async def _do(self, rows: Sequence[ListedRun], action: str, done: str) -> None:
        """In a thread, one after the other; the first trouble is told and ends it."""
        from crdnd_tui.core import run_actions  # noqa: PLC0415  not needed for the first paint

        for row in rows:
            slow = self.set_timer(SOON, partial(self.say, f"{label(row.summary)}: waiting for the engine \u2026"))
            try:
                await asyncio.to_thread(getattr(run_actions, action), row.summary.path)
            except CrdndError as error:
                await self.app.push_screen_wait(Question(f"Not {FAILED[action]}", str(error).splitlines(), []))
                return
            finally:
                slow.stop()
                self.rescan()
            self.say(f"{label(row.summary)} {done}")

    def action_new(self) -> None:
        """The form."""
        self.lab.show("new")

    def action_export(self) -> None:
        """As a document, a replay elsewhere, or the student itself."""
        from crdnd_tui.tui.dialogs.export import Export  # noqa: PLC0415  not needed for the first paint

        rows = self.targets()
        if rows:
            self.app.push_screen(Export([row.id for row in rows], self.session.runs))
        else:
            self.say("There is no run here.", "warning")

    def action_examples(self) -> None:
        """Of the run under the cursor."""
        rows = self.under()
        if rows:
            self.lab.open_run(rows[0].id, "examples")

    def action_provenance(self) -> None:
        """Of the run under the cursor."""
        from crdnd_tui.tui.dialogs.provenance import ProvenanceDialog  # noqa: PLC0415  not needed for the first paint

        rows = self.under()
        if rows:
            self.app.push_screen(ProvenanceDialog(RunDir(rows[0].summary.path)))

    def action_verify(self) -> None:
        """The run under the cursor; one at work has no last number yet."""
        from crdnd_tui.tui.dialogs.verify import VerifyDialog  # noqa: PLC0415  not needed for the first paint

        rows = self.under()[:1]
        if rows and rows[0].summary.state in LIVING:
            self.say("It is at work; verify it when it is done.", "warning")
        elif rows:
            session, run = self.session, RunDir(rows[0].summary.path)
            self.app.push_screen(VerifyDialog(run, session.data))

    @work(group="deed")
    async def action_resume(self) -> None:
        """Those of the runs meant that have ended early."""
        from crdnd_tui.core.run_actions import RESUMED  # noqa: PLC0415  not needed for the first paint

        rows = self._meant(lambda run: run.state in RESUMED, "Only a run that ended early can go on")
        await self._do(rows, "resume", "goes on")

    @work(group="deed")
    async def action_stop(self) -> None:
        """Ask, then leave the stop file."""
        rows = self._meant(lambda run: run.state in LIVING, "Only a run at work can be stopped")
        words = ["It finishes its step, saves and leaves; r resumes it."]
        if rows and await self._sure("Stop", rows, words, ("x", "stop")):
            await self._do(rows, "ask_to_stop", "was asked to stop")

    @work(group="deed")
    async def action_kill(self) -> None:
        """Ask, then SIGTERM and SIGKILL."""
        rows = self._meant(lambda run: run.state in LIVING, "Only a run at work can be killed")
        words = ["Everything since the last checkpoint is lost. x stops it gently."]
        if rows and await self._sure("Kill", rows, words, ("X", "kill")):
            await self._do(rows, "kill", "was killed")

    @work(group="deed")
    async def action_clone(self) -> None:
        """The preset of one run, to be changed and started anew."""
        from crdnd_tui.core import run_actions  # noqa: PLC0415  not needed for the first paint

        rows = self.targets()[:1]
        if not rows:
            self.say("There is no run here.", "warning")
            return
        try:
            text = await asyncio.to_thread(run_actions.clone, rows[0].summary.path)
        except CrdndError as error:
            self.say(str(error), "warning")
            return
        self.lab.edit_preset(text, None)

    async def _write(self, rows: Sequence[ListedRun], change: Callable[[RunNotes], RunNotes]) -> None:
        for row in rows:
            try:
                await asyncio.to_thread(notes.write, row.summary.path, change(row.notes))
            except OSError as error:
                self.say(f"notes.toml of {label(row.summary)} cannot be written: {error.strerror or error}", "error")
                break
        self.rescan()

    @work(group="deed")
    async def action_tags(self) -> None:
        """One line of words."""
        rows = self.targets()
        if not rows:
            return
        before = " ".join(rows[0].notes.tags) if len(rows) == 1 else ""
        title = "Tags" if len(rows) == 1 else f"Tags of {len(rows)} runs"
        line = await self.app.push_screen_wait(Ask(title, before, "words, e.g. paper baseline; tag:paper finds them"))
        if line is not None:
            await self._write(rows, lambda old: replace(old, tags=notes.clean_tags(line.split())))

    @work(group="deed")
    async def action_note(self) -> None:
        """One line of text."""
        rows = self.targets()
        if not rows:
            return
        before = rows[0].notes.note if len(rows) == 1 else ""
        line = await self.app.push_screen_wait(Ask("Note", before, "what you want to remember of this run"))
        if line is not None:
            text = line.strip()[: notes.MAX_NOTE]
            await self._write(rows, lambda old: replace(old, note=text))

    @work(group="deed")
    async def action_pin(self) -> None:
        """All pinned, or none when all were."""
        rows = self.targets()
        pinned = not all(row.notes.pinned for row in rows)
        await self._write(rows, lambda old: replace(old, pinned=pinned))

    @work(group="deed")
    async def action_trash(self) -> None:
        """Ask, then move the folders away."""
        from crdnd_tui.core import run_actions  # noqa: PLC0415  not needed for the first paint

        rows = self._meant(lambda run: run.state not in LIVING, "A run at work cannot go to the trash")
        words = ["The folder moves to .trash beside the runs; u brings it back."]
        if not rows or not await self._sure("Trash", rows, words, ("d", "to the trash")):
            return
        moved: list[tuple[Path, Path]] = []
        for row in rows:
            try:
                target = await asyncio.to_thread(run_actions.trash, row.summary.path)
            except CrdndError as error:
                self.say(str(error), "error")
                continue
            moved.append((target, row.summary.path))
        if moved:
            self._trashed = tuple(moved)
            self.say(f"{len(moved)} in the trash; u brings back")
        self.rescan()

    @work(group="deed")
    async def action_undo_trash(self) -> None:
        """The last ones come back."""
        from crdnd_tui.core import run_actions  # noqa: PLC0415  not needed for the first paint

        if not self._trashed:
            self.say("Nothing was put in the trash in this sitting.", "warning")
        for target, path in self._trashed:
            try:
                await asyncio.to_thread(run_actions.restore, target, path)
            except CrdndError as error:
                self.say(str(error), "error")
        self._trashed = ()
        self.rescan()
