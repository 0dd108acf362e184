"""Runs side by side: curves, robustness tables, keys that differ, classes that differ."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import on, work
from textual.binding import Binding, BindingType
from textual.events import DescendantFocus
from textual.widget import Widget
from textual.worker import get_current_worker

from crdnd_tui import report
from crdnd_tui.comparing.compared import MAX_RUNS, Compared, choices
from crdnd_tui.comparing.comparison_side import Choice, Side
from crdnd_tui.comparing.comparison_view import PAGES, Look, Shown
from crdnd_tui.home.scan import Scanner
from crdnd_tui.screen import LabScreen
from crdnd_tui.widgets.chooser import Chooser
from crdnd_tui.widgets.comparison_panels import ComparisonPanels

REFRESH = 1.0  # seconds


class CompareScreen(LabScreen):
    """Two to eight runs."""

    NAME = "Compare"
    SAYS = "Runs side by side. Numbers of different questions are never subtracted: they are marked as not comparable."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("m,right,l", "measure(1)", "Measure", key_display="m", tooltip="what the curves show"),
        Binding("M,left,h", "measure(-1)", "Measure before", show=False),
        Binding("u", "unit", "Unit", tooltip="accuracies, or points more than the baseline"),
        Binding("b", "baseline", "Baseline", tooltip="the run under the cursor"),
        Binding("g", "group", "Seeds", tooltip="seeds of one experiment as mean \u00b1 sample deviation"),
        Binding("d", "all_keys", "Keys", tooltip="only those that differ, or all"),
        Binding("n", "choose", "Runs", tooltip="add runs and leave runs out"),
        Binding("f", "fold", "Fold", show=False, tooltip="keys that only some runs have, as one line or one by one"),
        Binding("w", "checkpoint", "Checkpoint", show=False, tooltip="best or last"),
        Binding("a", "attack", "Attack", show=False, tooltip="whose accuracies per class are compared"),
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
        "open", "move", "panel",
    })  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self._ids: tuple[str, ...] = ()
        self._look = Look()
        self._shown: Shown | None = None
        self._choosing = False
        self._reading = False

    def body(self) -> Iterable[Widget]:
        """The list to choose from, or the panels."""
        yield Chooser(most=MAX_RUNS, id="chooser")
        yield ComparisonPanels(id="panels")

    def on_mount(self) -> None:
        """The readers live as long as the screen."""
        self._compared = Compared(self.session)
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
        panels.turn(self._look.page, self.palette)
        if choosing:
            chooser.take(self._ids)
        self.call_after_refresh(chooser.focus if choosing else panels.panel(self._look.page).take_focus)
        self._tick()

    def _tick(self) -> None:
        if not self.is_current:
            return
        ids = tuple(dict.fromkeys(self.lab.compared))[:MAX_RUNS]
        if ids != self._ids:
            self._compare(ids)
        if not self._reading:
            self._reading = True
            if self._choosing:
                self._read_choices()
            else:
                self._read(self._ids)

    @work(thread=True, group="compare")
    def _read(self, ids: tuple[str, ...]) -> None:
        """The only place where runs are read."""
        sides, changed = self._compared.read(ids)
        if not get_current_worker().is_cancelled:
            self.app.call_from_thread(self._arrived, ids, sides, changed)

    @work(thread=True, group="compare")
    def _read_choices(self) -> None:
        for scan in self._scanner.look(self.session.now()):
            if get_current_worker().is_cancelled:
                return
            found = choices(row.summary for row in scan.rows)
            self.app.call_from_thread(self._listed, found, scan.problem, scan.whole)

    def _arrived(self, ids: tuple[str, ...], sides: Sequence[Side], changed: bool) -> None:
        self._reading = False
        if ids != self._ids or self._choosing:
            self._tick()
        elif changed or self._shown is None:
            self._draw(sides)

    def _listed(self, found: Sequence[Choice], problem: str, whole: bool) -> None:
        self._reading = not whole
        if self._choosing:
            self.query_one(Chooser).show(found, problem, whole=whole)
        elif whole:
            self._tick()

    # What is shown

    def _draw(self, sides: Sequence[Side]) -> None:
        """From what was read and how the user looks at it."""
        first = self._shown is None
        self._shown = Shown(sides, self._look)
        self.query_one(ComparisonPanels).draw(self._shown, self.palette)
        if first:
            self.refresh_bindings()

    def _again(self) -> None:
        if self._shown:
            self._draw(self._shown.sides)

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
        self._compare(event.ids)

    @on(Chooser.Left)
    def _left(self) -> None:
        self.action_back()

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """The page in front is the one with the focus."""
        pages = [node.id for node in event.widget.ancestors_with_self if node.id in PAGES]
        if pages and pages[0] and pages[0] != self._look.page:
            self._look.page = pages[0]
            self.query_one(ComparisonPanels).turn(pages[0], self.palette)

    def action_measure(self, by: int) -> None:
        """Another measure for the curves."""
        if self._shown:
            self._look.measure = self._shown.measure_after(by)
            self._again()

    def action_unit(self) -> None:
        """Absolute, or minus the baseline."""
        self._look.deltas = not self._look.deltas
        self._again()

    def action_baseline(self) -> None:
        """The row under the cursor."""
        if self._shown:
            self._look.baseline = self._look.cursor = self._shown.row.id
            self._again()

    def action_group(self) -> None:
        """Seeds as one row, or each on its own."""
        if self._shown and not self._shown.has_seeds:
            self.notify("No two of these runs are seeds of one experiment.", markup=False, timeout=3)
            return
        self._look.grouped = not self._look.grouped
        self._again()

    def action_all_keys(self) -> None:
        """Equal keys, too, or not."""
        self._look.all_keys = not self._look.all_keys
        self._again()

    def action_fold(self) -> None:
        """Keys that only some runs have: as one line, or each on its own."""
        if self._shown and not self._shown.has_folds:
            self.notify("No keys are folded: every run has nearly all of them.", markup=False, timeout=3)
            return
        self._look.unfolded = not self._look.unfolded
        self._again()

    def action_checkpoint(self) -> None:
        """The other one, as far as somebody was judged there."""
        if self._shown:
            known = self._shown.checkpoints
            if len(known) < 2:
                self.notify(f"All were judged at their {known[0]} checkpoint only.", markup=False, timeout=3)
                return
            place = known.index(self._look.checkpoint) if self._look.checkpoint in known else -1
            self._look.checkpoint = known[(place + 1) % len(known)]
            self._again()

    def action_attack(self) -> None:
        """Classes under the next attack."""
        if self._shown:
            known = self._shown.attacks
            if len(known) < 2:
                self.notify(f"Only {report.title(known[0])} has been judged.", markup=False, timeout=3)
            self._look.attack = known[(known.index(self._shown.attack) + 1) % len(known)]
            self._again()

    def action_apart(self) -> None:
        """One chart, or one for each run."""
        self._look.apart = not self._look.apart
        self._again()

    def action_hide(self) -> None:
        """The curve of the row under the cursor, or show it again."""
        if self._shown:
            row = self._shown.row
            ids = {side.id for side in row.sides}
            if row.id in self._shown.hidden:
                self._look.hidden -= ids
            else:
                self._look.hidden |= ids
            self._again()

    def action_remove(self) -> None:
        """The row under the cursor leaves the comparison; the run stays where it is."""
        if self._shown:
            gone = {side.id for side in self._shown.row.sides}
            self._compare(tuple(run for run in self._ids if run not in gone))

    def action_open(self) -> None:
        """The run under the cursor on Live."""
        if self._shown:
            self.lab.open_run(self._shown.row.id, "live")

    def action_move(self, by: int) -> None:
        """The cursor to another row."""
        if self._shown:
            self._look.cursor = self._shown.beside(by).id
            self._again()
            self.query_one(ComparisonPanels).reveal()

    def action_panel(self, by: int) -> None:
        """The focus to another panel, which is the page in front where there is room for one only."""
        page = PAGES[(PAGES.index(self._look.page) + by) % len(PAGES)]
        panels = self.query_one(ComparisonPanels)
        self._look.page = page
        panels.turn(page, self.palette)
        self.call_after_refresh(panels.panel(page).take_focus)

    def action_choose(self) -> None:
        """Add runs and leave runs out."""
        self._choose(True)

    def action_back(self) -> None:
        """From the list to the comparison, if there is one; else to the runs."""
        if self._choosing and len(self._ids) >= 2:
            self._choose(False)
        else:
            self.lab.show("runs")
