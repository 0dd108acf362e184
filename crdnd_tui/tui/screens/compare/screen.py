"""Runs side by side: curves, robustness tables, tests, keys that differ, classes that differ."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import on, work
from textual.binding import Binding, BindingType
from textual.events import DescendantFocus
from textual.widget import Widget
from textual.worker import get_current_worker

from crdnd_tui.compare.runs import MAX_RUNS, ComparedRun, ComparedRuns, RunChoice, choices
from crdnd_tui.core.scan import Scanner
from crdnd_tui.tui.comparison_view import PAGES, ComparisonLook, ComparisonView
from crdnd_tui.tui.screens.compare.actions import CompareActions
from crdnd_tui.tui.widgets.chooser import Chooser
from crdnd_tui.tui.widgets.comparison_panels import ComparisonPanels
from crdnd_tui.tui.widgets.page_bar import PageBar
from crdnd_tui.write.comparison_summary import ComparisonPlan, ComparisonSummary, SummaryCache

REFRESH = 1.0  # seconds


class CompareScreen(CompareActions):
    """Two runs and more; those that are seeds of one experiment make one row."""

    NAME = "Compare"
    SAYS = "Runs side by side. Numbers of different questions are never subtracted: they are marked as not comparable."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("v", "view", "View", tooltip="overview, tests, gap, best and last, trade-off"),
        Binding("a", "attack", "Attack", tooltip="under which rows are tested and classes compared"),
        Binding("b", "baseline", "Baseline", tooltip="the row under the cursor"),
        Binding("g", "group", "Seeds", tooltip="seeds of one experiment as mean \u00b1 sample deviation, or each run"),
        Binding("n", "choose", "Runs", tooltip="add runs and leave runs out"),
        Binding("e", "export", "Export", tooltip="this comparison: tables, plots, a report"),
        Binding("i", "provenance", "Provenance", tooltip="code, data, hashes of the run under the cursor"),
        Binding("V", "verify", "Verify", tooltip="judges its saved student again: do the numbers hold?"),
        Binding("m,right,l", "measure(1)", "Measure", key_display="m", show=False, tooltip="what the curves show"),
        Binding("M,left,h", "measure(-1)", "Measure before", show=False),
        Binding("u", "unit", "Unit", show=False, tooltip="accuracies, or points more than the baseline"),
        Binding("T", "turn('tests')", "Tests", show=False, tooltip="every row under every attack: interval and p"),
        Binding("G", "turn('gap')", "Gap", show=False, tooltip="PGD on the cross-entropy minus stronger attacks"),
        Binding("L", "turn('ends')", "Best and last", show=False, tooltip="robust overfitting"),
        Binding("P", "turn('tradeoff')", "Trade-off", show=False, tooltip="clean against robust"),
        Binding("d", "all_keys", "Keys", show=False, tooltip="only those that differ, or all"),
        Binding("f", "fold", "Fold", show=False, tooltip="keys that only some runs have, as one line or one by one"),
        Binding("w", "checkpoint", "Checkpoint", show=False, tooltip="best or last"),
        Binding("o", "apart", "Overlay", show=False, tooltip="curves in one chart, or one chart for each run"),
        Binding("space", "hide", "Hide", show=False, tooltip="or show the curve of the run under the cursor"),
        Binding("R", "remove", "Remove", show=False, tooltip="the run under the cursor from the comparison"),
        Binding("enter", "open", "Open", show=False, tooltip="the run under the cursor on Live"),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("tab", "panel(1)", "Next panel", show=False),
        Binding("shift+tab", "panel(-1)", "Panel before", show=False),
        Binding("escape", "back", "Back", show=False),
    ]
    LOOKS: ClassVar[frozenset[str]] = frozenset({  # actions that need a comparison
        "measure", "unit", "baseline", "group", "all_keys", "fold", "checkpoint", "attack", "apart", "hide", "remove",
        "open", "move", "panel", "export", "view", "turn", "provenance", "verify",
    })  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self._ids: tuple[str, ...] = ()
        self._look = ComparisonLook()
        self._shown: ComparisonView | None = None
        self._found: ComparisonSummary | None = None
        self._choosing = False
        self._reading = False

    def body(self) -> Iterable[Widget]:
        """The list to choose from, or the panels."""
        yield Chooser(most=MAX_RUNS, id="chooser")
        yield ComparisonPanels(id="panels")

    def on_mount(self) -> None:
        """The readers live as long as the screen."""
        self._compared = ComparedRuns(self.session)
        self._finder = SummaryCache()
        self._scanner = Scanner(self.session.runs)
        self.watch(self.app, "theme", self._themed, init=False)
        self.set_interval(REFRESH, self._tick)

    # What comes in

    def on_screen_resume(self) -> None:
        """At once, not with the next tick."""
        if not self._ids and not self._choosing:
            self._choose(True)
        self._tick()

    def _compare(self, ids: tuple[str, ...]) -> None:
        """These runs from now on; fewer than two, and others have to be chosen."""
        if not set(ids) <= set(self._ids):
            self._look.grouped, self._look.left_out = None, 0  # runs tell anew whether they are seeds
        self._ids, self._shown = ids, None
        self.lab.compared = ids
        self._choose(len(ids) < 2)

    def _choose(self, choosing: bool) -> None:
        self._choosing = choosing
        if choosing:
            self._shown = None
        self.set_class(choosing, "-choosing")
        self.refresh_bindings()
        chooser, panels = self.query_one(Chooser), self.query_one(ComparisonPanels)
        panels.turn(self._look.page)
        if choosing:
            chooser.take(self._ids)
        else:
            panels.wait()
        self.call_after_refresh(chooser.focus if choosing else panels.panel(self._look.page).take_focus)
        self._tick()

    def _tick(self) -> None:
        if not self.is_current:
            return
        asked = tuple(dict.fromkeys(self.lab.compared))
        if asked[:MAX_RUNS] != self._ids:
            self._compare(asked[:MAX_RUNS])
            self._leave_out(len(asked) - MAX_RUNS)
        if not self._reading:
            self._reading = True
            if self._choosing:
                self._read_choices()
            else:
                self._read(self._ids, self._plan)

    def _leave_out(self, many: int) -> None:
        """More runs than are compared here: never without a word."""
        if many > 0:
            self._look.left_out = many
            words = f"{MAX_RUNS} runs are compared, the rest is left out ({many}): `crdnd compare` takes any number."
            self.notify(words, severity="warning", markup=False, timeout=8)

    @property
    def _plan(self) -> ComparisonPlan:
        look = self._look
        return ComparisonPlan(checkpoint=look.checkpoint, baseline=look.baseline, grouped=look.grouped)

    @work(thread=True, group="compare")
    def _read(self, ids: tuple[str, ...], plan: ComparisonPlan) -> None:
        """The only place where runs are read, and where what they say of each other is worked out."""
        runs, changed = self._compared.read(ids)
        found = self._finder.of(runs, plan)
        if not get_current_worker().is_cancelled:
            self.app.call_from_thread(self._arrived, ids, plan, runs, found, changed)

    @work(thread=True, group="compare")
    def _read_choices(self) -> None:
        for scan in self._scanner.look(self.session.now()):
            if get_current_worker().is_cancelled:
                return
            found = choices(row.summary for row in scan.rows)
            self.app.call_from_thread(self._listed, found, scan.problem, scan.whole)

    def _arrived(
        self,
        ids: tuple[str, ...],
        plan: ComparisonPlan,
        runs: Sequence[ComparedRun],
        found: ComparisonSummary,
        changed: bool,
    ) -> None:
        self._reading = False
        if ids != self._ids or plan != self._plan or self._choosing:
            self._tick()
        elif changed or self._shown is None or found is not self._found:
            self._look.grouped, self._found = found.plan.grouped, found
            self._draw(runs)

    def _listed(self, found: Sequence[RunChoice], problem: str, whole: bool) -> None:
        self._reading = not whole
        if self._choosing:
            self.query_one(Chooser).show(found, problem, whole=whole)
        elif whole:
            self._tick()

    # What is shown

    def _draw(self, runs: Sequence[ComparedRun]) -> None:
        """From what was read and how the user looks at it."""
        first, found = self._shown is None, self._found
        if found is None:
            return
        self._shown = ComparisonView(runs, self._look, found.comparison)
        self.query_one(ComparisonPanels).draw(self._shown, found, self.palette)
        if first:
            self.refresh_bindings()

    def _again(self) -> None:
        """At once where no number changes; else when another thread has worked them out."""
        if self._shown and self._found and self._plan == self._found.plan:
            self._draw(self._shown.runs)
        elif self._shown:
            self._tick()

    def _themed(self, _theme: str) -> None:
        self._again()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While runs are chosen, the keys are the list's."""
        if action in self.LOOKS and self._shown is None:
            return False
        if action == "choose" and self._choosing:
            return False
        return super().check_action(action, parameters)

    # What the user may do

    @on(Chooser.Chosen)
    def _chosen(self, event: Chooser.Chosen) -> None:
        self._look.left_out = 0
        self._compare(event.ids)

    @on(Chooser.Left)
    def _left(self) -> None:
        self.action_back()

    @on(PageBar.Chosen)
    def _page_chosen(self, event: PageBar.Chosen) -> None:
        self.action_turn(event.page)

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """The page in front is the one with the focus."""
        pages = [node.id for node in event.widget.ancestors_with_self if node.id in PAGES]
        if pages and pages[0] and pages[0] != self._look.page:
            self._look.page = pages[0]
            self.query_one(ComparisonPanels).turn(pages[0])
