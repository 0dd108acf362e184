"""What can be done to the run in front: stop, kill, resume, clone. Signals are sent from threads, after asking."""

import subprocess

from textual import work

from crdnd_tui.core import engine_process, run_actions
from crdnd_tui.core.text import display
from crdnd_tui.tui.dialogs.question import Question
from crdnd_tui.tui.monitor.tracking import Look
from crdnd_tui.tui.screen import LabScreen
from engine.spec.errors import CrdndError, RunFolderError
from engine.spec.rundir import RunDir

NO_ENGINE = "no engine is at work here"
NO_RUN = "no run is in front"


class RunActions(LabScreen):
    """Mixed into the screen that shows one run; `look` is what is known of it."""

    look: Look | None = None
    _engines: list[subprocess.Popen[bytes]]

    def look_again(self) -> None:
        """Read at once what an action changed."""
        raise NotImplementedError

    def _folder(self) -> RunDir | None:
        return RunDir(self.look.path) if self.look is not None and self.look.summary is not None else None

    def _say(self, words: str, *, bad: bool = False) -> None:
        self.notify(display(words, 400), markup=False, severity="warning" if bad else "information", timeout=5)

    def action_export(self) -> None:
        """As a document, a replay elsewhere, or the student itself."""
        from crdnd_tui.tui.dialogs.export import Export  # noqa: PLC0415  asked for rarely

        folder = self._folder()
        if folder is None:
            self._say(NO_RUN, bad=True)
        else:
            self.app.push_screen(Export([folder.id], folder.path.parent))

    def action_provenance(self) -> None:
        """Where its numbers come from, and the line that repeats it."""
        from crdnd_tui.tui.dialogs.provenance import ProvenanceDialog  # noqa: PLC0415  asked for rarely

        folder = self._folder()
        if folder is None:
            self._say(NO_RUN, bad=True)
        else:
            self.app.push_screen(ProvenanceDialog(folder))

    def action_verify(self) -> None:
        """One at work has no last number yet."""
        from crdnd_tui.tui.dialogs.verify import VerifyDialog  # noqa: PLC0415  asked for rarely

        look, folder = self.look, self._folder()
        if look is None or folder is None:
            self._say(NO_RUN, bad=True)
        elif look.living:
            self._say("it is at work; verify it when it is done", bad=True)
        else:
            session = self.session
            self.app.push_screen(VerifyDialog(folder, session.data))

    def action_stop(self) -> None:
        """Graceful first; when that was asked already, kill."""
        look = self.look
        if look is None or not look.living:
            self._say(NO_ENGINE if look else NO_RUN, bad=True)
            return
        if look.summary is not None and look.summary.state == "stopping":
            self.action_kill()
            return

        def answered(word: str | None) -> None:
            folder = self._folder()
            if word == "stop" and folder is not None:
                self._ask_to_stop(folder)

        words = [look.id, "", "The engine finishes its step, saves and leaves; r goes on from there."]
        self.app.push_screen(Question("Stop this run", words, [("s", "stop")]), answered)

    @work(thread=True, group="signals")
    def _ask_to_stop(self, folder: RunDir) -> None:
        try:
            engine_process.ask_to_stop(folder)
        except OSError as error:
            self.app.call_from_thread(self._say, f"it cannot be asked: {error.strerror}", bad=True)
            return
        self.app.call_from_thread(self._say, "asked to stop; it saves after this step")
        self.app.call_from_thread(self.look_again)

    def action_kill(self) -> None:
        """What was done since the last checkpoint is lost, and done again on resume."""
        look = self.look
        if look is None or not look.living:
            self._say(NO_ENGINE if look else NO_RUN, bad=True)
            return

        def answered(word: str | None) -> None:
            folder = self._folder()
            if word == "kill" and folder is not None:
                self._kill(folder, look)

        words = [look.id, "", "What it did since its last checkpoint is lost; r does it again."]
        self.app.push_screen(Question("Kill this run", words, [("k", "kill")]), answered)

    @work(thread=True, group="signals")
    def _kill(self, folder: RunDir, look: Look) -> None:
        try:
            engine_process.ask_to_stop(folder)
            gone = engine_process.kill(folder)
            if gone:
                engine_process.kill_teacher(folder, look.state)
        except OSError as error:
            self.app.call_from_thread(self._say, f"it cannot be killed: {error.strerror}", bad=True)
            return
        elsewhere = "its engine is no process of this machine, so it was asked to stop: it saves and leaves"
        words = "killed; r goes on from its last checkpoint" if gone else elsewhere
        self.app.call_from_thread(self._say, words, bad=not gone)
        self.app.call_from_thread(self.look_again)

    def action_resume(self) -> None:
        """A run that ended before it was done goes on from its last checkpoint."""
        look, folder = self.look, self._folder()
        state = look.summary.state if look and look.summary else ""
        if look is None or folder is None:
            self._say(NO_RUN, bad=True)
        elif look.living:
            self._say("it is at work already", bad=True)
        elif state in ("done", "damaged", "lost"):
            reasons = {
                "done": "it is done already",
                "damaged": "it is damaged",
                "lost": "its engine may live elsewhere",
            }
            self._say(reasons[state], bad=True)
        else:
            self._start(folder)

    @work(thread=True, group="signals")
    def _start(self, folder: RunDir) -> None:
        try:
            engine = engine_process.start(folder)
        except (RunFolderError, OSError) as error:
            self.app.call_from_thread(self._say, str(error), bad=True)
            return
        self._engines = [old for old in self._engines if old.poll() is None] + [engine]  # reaped when they left
        self.app.call_from_thread(self._say, "the engine starts")
        self.app.call_from_thread(self.look_again)

    def action_clone(self) -> None:
        """A new run with this run's configuration, to be changed first."""
        folder = self._folder()
        if folder is None:
            self._say(NO_RUN, bad=True)
            return
        self._clone(folder)

    @work(thread=True, group="signals")
    def _clone(self, folder: RunDir) -> None:
        try:
            text = run_actions.clone(folder.path)
        except CrdndError as error:
            self.app.call_from_thread(self._say, str(error), bad=True)
            return
        self.app.call_from_thread(self.lab.edit_preset, text)
