"""What the keys of the Studies screen do. Whatever reads or writes runs in a thread."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from textual import work

from crdnd_tui.core.text import display, one_line
from crdnd_tui.study.progress import CellStatus, StudyProgress
from crdnd_tui.tui.dialogs.question import Ask, Question
from crdnd_tui.tui.screen import LabScreen
from crdnd_tui.tui.screens.studies import plan, saying
from crdnd_tui.tui.screens.studies.desk import Asked, Seen
from crdnd_tui.tui.widgets.study_matrix import StudyMatrix
from crdnd_tui.tui.widgets.study_panels import PAGES, StudyPanels
from engine.spec.errors import ConfigError, CrdndError
from engine.spec.rundir import RunDir

NOT_RUN = "This one has not run: s starts what is missing."


class StudyActions(LabScreen):
    """Mixed into the screen; it gives what is shown, and looks again."""

    _asked: Asked
    _opened: list[Path]
    _page: str
    _turning: bool

    def look(self) -> None:
        """Read again, soon."""
        raise NotImplementedError

    def _choose(self, key: str) -> None:
        """Another study in front."""
        raise NotImplementedError

    @property
    def _front(self) -> Seen | None:
        """The study that is shown."""
        raise NotImplementedError

    @property
    def _progress(self) -> StudyProgress | None:
        return self._front.progress if self._front else None

    @property
    def _cell_status(self) -> CellStatus | None:
        """Of the run under the cursor."""
        key, progress = self.query_one(StudyMatrix).key, self._progress
        return next((s for s in progress.statuses if s.cell.config_hash == key), None) if progress else None

    def _tell(self, words: str, *, bad: bool = False) -> None:
        self.notify(words, severity="warning" if bad else "information", markup=False, timeout=5)

    @work(group="deed")
    async def _do(self, act: Callable[[], str]) -> None:
        """Off the event loop; what went wrong is told, and what went right in a word."""
        try:
            words = await asyncio.to_thread(act)
        except (CrdndError, OSError) as error:
            self._tell(display(str(error)), bad=True)
        else:
            if words:
                self._tell(words)
        self.look()

    # Begin, go on, hold, leave

    def action_start(self) -> None:
        """Begin the study, or go on with it; asks first."""
        front, progress = self._front, self._progress
        if front is None or progress is None:
            self._tell("This study cannot be read: its file must be mended first.", bad=True)
            return
        if not saying.to_start(progress):
            self._tell(_nothing(progress))
            return
        many = sum(saying.to_start(progress).values())
        words = saying.question(progress, front.cost)
        title = f"Start {many} {'run' if many == 1 else 'runs'} of {one_line(progress.study.name, 30)}?"
        other = "go on after a failure" if progress.stops else "stop at the first failure"

        def answered(word: str | None) -> None:
            if word:
                stops = None if word == "start" else not progress.stops
                self._do(lambda: self._launch(progress, stops=stops))

        self.app.push_screen(Question(title, words, [("y", "start"), ("f", other)]), answered)

    def _launch(self, progress: StudyProgress, *, failed: bool = False, stops: bool | None = None) -> str:
        """In a thread. `failed`: only what failed, once more; `stops`: hold the rest when a run fails."""
        from crdnd_tui.core import launch  # noqa: PLC0415  only a start needs it
        from crdnd_tui.study import conduct  # noqa: PLC0415

        study = progress.study
        cells = tuple(s.cell for s in progress.statuses if s.state == "failed") if failed else study.cells
        part = replace(study, cells=cells)
        here = launch.machine(self.session.machine_with({}))
        begun = conduct.launch(study, here, only=part, stop_on_failure=stops, retry_failed=failed)
        queued = len(begun.made) + len(begun.resumed) + len(begun.retried) + len(begun.released)
        return f"{queued} {'run is' if queued == 1 else 'runs are'} queued. They go on when this terminal is closed."

    def action_retry(self) -> None:
        """What failed is queued again."""
        progress = self._progress
        many = progress.counts["failed"] if progress else 0
        if progress is None or not many:
            self._tell("No run of this study has failed.")
        else:
            self._do(lambda: self._launch(progress, failed=True))

    def action_hold(self) -> None:
        """What waits is held; when nothing waits, what is held is released."""
        from crdnd_tui.queue import actions  # noqa: PLC0415  with the keys of the queue only

        progress, runs = self._progress, self.session.runs
        if progress is None or not (progress.counts["waiting"] or progress.counts["held"]):
            self._tell("No run of this study waits.")
        elif progress.counts["waiting"]:
            self._do(lambda: f"{actions.change_study(runs, progress.study.name, 'hold')} held; space releases them.")
        else:
            self._do(lambda: f"{actions.change_study(runs, progress.study.name, 'release')} released.")

    def action_cancel(self) -> None:
        """What waits or is held leaves the queue; asks first."""
        from crdnd_tui.queue import actions  # noqa: PLC0415

        progress, runs = self._progress, self.session.runs
        many = progress.counts["waiting"] + progress.counts["held"] if progress else 0
        if progress is None or not many:
            self._tell("No run of this study waits.")
            return

        def answered(word: str | None) -> None:
            if word:
                self._do(lambda: f"{actions.change_study(runs, progress.study.name, 'cancel')} taken off the queue.")

        words = [
            f"{many} {'run waits or is' if many == 1 else 'runs wait or are'} held.",
            "What was begun keeps its folder; what never started goes to .trash.",
            "What is at work goes on: x on Runs stops it.",
        ]
        title = f"Take the rest of {one_line(progress.study.name, 30)} off the queue?"
        self.app.push_screen(Question(title, words, [("y", "take it off")]), answered)

    def action_slots(self, by: int) -> None:
        """Runs at once on a device."""
        from crdnd_tui.queue.tickets import SLOTS, Queue  # noqa: PLC0415

        queue = Queue(self.session.runs)

        def change() -> str:
            count = min(max(queue.at_once + by, SLOTS[0]), SLOTS[-1])
            queue.set_at_once(count)
            return f"{count} at once on each device."

        self._do(change)

    # Look, compare, write down

    def action_open(self) -> None:
        """From the list to the plan; from there the run on Live."""
        if self._page == "list":
            self._turn("plan" if self._progress else "report")
            return
        cell_status = self._cell_status
        if cell_status is None or not cell_status.run:
            self._tell(NOT_RUN)
        else:
            self.lab.open_run(cell_status.run)

    def action_compare(self) -> None:
        """The judged runs of this table, seeds together."""
        progress = self._progress
        ids = plan.compared(progress, self.query_one(StudyMatrix).key) if progress else []
        if len(ids) < 2:
            self._tell("Two judged runs are needed to compare.")
        else:
            self.lab.compare_runs(ids)

    def action_export(self) -> None:
        """The report as a file."""
        from crdnd_tui.tui.dialogs.export import Export  # noqa: PLC0415  asked for rarely

        if self._front is None or self._progress is None:
            self._tell("This study cannot be read: its file must be mended first.", bad=True)
        else:
            self.app.push_screen(Export((self._front.entry.name,), self.session.runs, self._asked.checkpoint))

    def action_provenance(self) -> None:
        """Of the run under the cursor."""
        from crdnd_tui.tui.dialogs.provenance import ProvenanceDialog  # noqa: PLC0415  asked for rarely

        run = self._run
        if run is not None:
            self.app.push_screen(ProvenanceDialog(run))

    def action_verify(self) -> None:
        """The run under the cursor; one at work has no last number yet."""
        from crdnd_tui.tui.dialogs.verify import VerifyDialog  # noqa: PLC0415  asked for rarely

        run, cell_status = self._run, self._cell_status
        if run is None or cell_status is None:
            return
        if cell_status.state == "running":
            self._tell("It is at work; verify it when it is done.", bad=True)
        else:
            session = self.session
            self.app.push_screen(VerifyDialog(run, session.data))

    @property
    def _run(self) -> RunDir | None:
        """The run under the cursor of the plan; says so where there is none."""
        cell_status = self._cell_status
        if cell_status is not None and cell_status.run:
            return RunDir(self.session.runs / cell_status.run)
        self._tell(NOT_RUN if cell_status is not None else "No run is under the cursor.", bad=True)
        return None

    def action_dry_run(self) -> None:
        """All runs in words, and the estimate; nothing is started."""
        from crdnd_tui.tui.widgets.sheets import Sheet  # noqa: PLC0415

        if self._front is not None and self._progress is not None:
            study = self._progress.study
            self.app.push_screen(Sheet(one_line(study.title, 60), saying.dry_run(self._front, self.palette)))

    def action_checkpoint(self) -> None:
        """The report of the other checkpoint."""
        progress = self._progress
        if progress is not None:
            shown = self._asked.checkpoint or progress.study.layout.checkpoint
            self._asked = replace(self._asked, checkpoint="last" if shown == "best" else "best")
            self.look()

    def action_file(self) -> None:
        """A study of another place."""

        def answered(name: str | None) -> None:
            if name and name.strip():
                self._open(name.strip())

        self.app.push_screen(Ask("Open a study", hint="path of a study's .toml, or a shipped name"), answered)

    @work(group="deed")
    async def _open(self, name: str) -> None:
        from crdnd_tui.core import presets  # noqa: PLC0415

        try:
            path = await asyncio.to_thread(lambda: presets.resolve_study(name).resolve())
        except (CrdndError, OSError, ValueError) as error:
            words = "\n".join(error.problems) if isinstance(error, ConfigError) else str(error)
            self._tell(display(words), bad=True)
            return
        self._opened.append(path)
        self._choose(str(path))

    # Where the keys go

    def action_panel(self, by: int) -> None:
        """The focus to another panel, which is the page in front where there is room for one only."""
        pages = PAGES if self._progress else ("list", "report")
        place = pages.index(self._page) if self._page in pages else 0
        self._turn(pages[(place + by) % len(pages)])

    def _turn(self, page: str) -> None:
        """A panel that is hidden loses the focus to some other one, which is not meant."""
        self._page, self._turning = page, True
        self.query_one(StudyPanels).turn(page)
        self.call_after_refresh(self._turned)

    def _turned(self) -> None:
        self._turning = False
        self.query_one(StudyPanels).panel(self._page).focus()

    def action_zoom(self) -> None:
        """The panel in focus alone, or all again."""
        self.toggle_class("-zoomed")

    def action_back(self) -> None:
        """To the list, then to the runs."""
        if self._page == "list":
            self.lab.show("runs")
        else:
            self._turn("list")


def _nothing(progress: StudyProgress) -> str:
    counts = progress.counts
    if counts["running"] or counts["waiting"]:
        return "All that is missing is at work or waits already; 6 shows the queue."
    if counts["held"]:
        return "What is missing is held: space releases it."
    if counts["failed"]:
        return "All but what failed is done: R retries that."
    return "Every run of this study is done."
