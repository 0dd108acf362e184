"""Runs: every run folder of the sitting as a table, live ones first, and a preview of the one under the cursor."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, cast

from textual import on, work
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal
from textual.content import Content
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input, Static

from crdnd_tui.core.scan import ListedRun, Scan, shared
from crdnd_tui.tui.runs import glance, run_list
from crdnd_tui.tui.runs.glance import Glance
from crdnd_tui.tui.runs.run_list import RunList
from crdnd_tui.tui.runs.run_rows import CHOICES, NEWEST
from crdnd_tui.tui.screens.runs.actions import RunActions
from crdnd_tui.tui.widgets.run_preview import RunPreview
from crdnd_tui.tui.widgets.run_table import RunTable

EVERY = 2.0  # seconds between looks at the folder
EXAMPLE = "method:rslad aa>48 not state:failed"
REST = 0.15  # seconds that the cursor rests before a run is read


class RunsScreen(RunActions):
    """The home screen."""

    NAME = "Runs"
    SAYS = "Every run folder, live ones first. Keys act on the selected runs, or on the one under the cursor."
    AUTO_FOCUS = "RunTable"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "select", "Select", tooltip="on a group: all its runs"),
        Binding("c", "compare", "Compare", tooltip="the selected runs, or this one with the pinned ones"),
        Binding("n", "new", "New", show=False),
        Binding("x", "stop", "Stop", tooltip="after its step, with everything saved"),
        Binding(
            "e", "export", "Export", tooltip="the selected runs, or this one: tables, plots, a report, the student"
        ),
        Binding("slash", "filter", "Filter", key_display="/", tooltip=f"e.g. {EXAMPLE}", priority=True),  # typed ahead
        Binding("i", "provenance", "Provenance", tooltip="code, data, hashes; the line that repeats the run"),
        Binding("V", "verify", "Verify", tooltip="judges the saved student again: do the numbers hold?"),
        Binding("s", "sort", "Sort by the next column", show=False),
        Binding("S", "turn", "Turn the order round", show=False),
        Binding("g", "group", "Group", show=False, tooltip="seeds of one experiment with mean \u00b1 deviation"),
        Binding("v", "columns", "Columns", show=False),
        Binding("E", "examples", "Examples", show=False, tooltip="adversarial images of this run"),
        Binding("D", "demo", "Demo", show=False, tooltip="a recorded run, played again; once more: back"),
        Binding("escape", "back", "Back", show=False, tooltip="leaves the filter, then clears it, then the selection"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._list = RunList()
        self._scanning = self._again = False
        self._previewed: ListedRun | None = None
        self._glance: Glance | None = None
        self._resting: Timer | None = None

    def body(self) -> Iterable[Widget]:
        """Filter, table and preview, or a card in their place."""
        with Horizontal(id="filter"):
            yield Static("/", id="slash", markup=False)
            yield Input(id="query", compact=True, placeholder=EXAMPLE, select_on_focus=False)
            yield Static("enter keep   esc leave", id="hint", classes="muted", markup=False)
        yield Static(id="problem", markup=False)
        with Container(id="list"):
            table = RunTable(id="table")
            table.add_class("panel")
            table.border_title, table.border_subtitle = "Runs", "reading \u2026"
            yield table
            yield RunPreview(id="preview")
        with Container(id="middle"):
            yield Static(id="card", classes="panel", markup=False)

    @property
    def table(self) -> RunTable:
        """All runs in sight."""
        return self.query_one(RunTable)

    @property
    def field(self) -> Input:
        """Where the filter is written."""
        return self.query_one("#query", Input)

    def on_mount(self) -> None:
        """Look at once, and again and again."""
        self.set_interval(EVERY, self._look_if_in_front)
        self.watch(self.app, "theme", self._themed, init=False)

    def on_screen_resume(self) -> None:
        """Much may have happened."""
        self.rescan()

    def _themed(self, _theme: str) -> None:
        self._previewed = None
        self._show()

    def _look_if_in_front(self) -> None:
        if self in self.app.screen_stack:
            self.rescan()

    def rescan(self) -> None:
        """One look at a time; one that is asked for meanwhile comes after it."""
        if self._scanning:
            self._again = True
        else:
            self._scanning = True
            self._look()

    @work(thread=True, group="scan")
    def _look(self) -> None:
        from crdnd_tui.queue.tickets import OPEN, Queue  # noqa: PLC0415  not needed for the first paint

        for scan in shared(self.session.runs).look(self.session.now()):
            places: dict[str, str] = {}
            if any(row.summary.state == "queued" for row in scan.rows):
                tickets = [ticket for ticket in Queue(self.session.runs).tickets() if ticket.state in OPEN]
                places = {t.run: "held" if t.state == "held" else f"#{t.place}" for t in tickets}
            self.app.call_from_thread(self._found, scan, places)

    def _found(self, scan: Scan, places: Mapping[str, str]) -> None:
        if self.is_attached and self._list.found(scan, places):
            self._show()
        if scan.whole:
            self._scanning = False
            if self._again:
                self._again = False
                self.rescan()

    def _show(self) -> None:
        runs = self._list
        if runs.scan is None:
            return
        runs.arrange(self.session.now())
        self.table.show(runs.keys, runs.columns, runs.line, (runs.column, runs.falling))
        self.table.border_subtitle = Content(runs.caption())
        self.query_one("#list").display = not runs.is_empty
        self.query_one("#middle").display = runs.is_empty
        self.refresh_bindings()
        if runs.is_empty:
            words = run_list.card(runs.scan, self.session.runs, self.field.value, self.palette)
            self.query_one("#card", Static).update(words)
        elif self.focused is None:
            self.table.focus()
        self._rest()

    @on(RunTable.Moved)
    def _rest(self) -> None:
        """What is known at once, and more when the cursor has rested."""
        before, row = self._previewed, next(iter(self._list.under(self.table.key)), None)
        if row is None or row == before:
            return
        self._previewed = row
        if before is None or row.id != before.id:
            self._preview(glance.at_once(row))
        if self._resting is not None:
            self._resting.stop()
        self._resting = self.set_timer(REST, lambda: self._read(row))

    @work(thread=True, exclusive=True, group="preview")
    def _read(self, row: ListedRun) -> None:
        found = glance.look(row)
        self.app.call_from_thread(self._seen, found)

    def _seen(self, found: Glance) -> None:
        if self._previewed is not None and found.run.id == self._previewed.id:
            self._preview(found)

    def _preview(self, found: Glance) -> None:
        self._glance = found
        preview, run = self.query_one(RunPreview), found.run
        first, last = preview.widths
        n = f"n = {run.status.results_n:,}" if run.status and run.accuracies else ""
        results = glance.results(found, self.palette, last)
        preview.show(glance.title(found), glance.facts(found, self.palette, first), results, n)
        preview.curve.show(found.loss, found.log, "no step yet" if found.whole else "reading \u2026")

    @on(RunPreview.Sized)
    def _sized(self) -> None:
        if self._glance is not None:
            self._preview(self._glance)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Where there are no runs, nothing is offered that needs one. The slash is asked for before the focus is."""
        if action in ("select", "compare", "stop", "export", "provenance", "verify") and self._list.is_empty:
            return False
        if action == "filter" and (self._list.has_no_runs or isinstance(self.focused, Input)):
            return False  # in there it is a letter
        return super().check_action(action, parameters)

    def targets(self) -> list[ListedRun]:
        """The selected runs, or those under the cursor."""
        return self._list.targets(self.table.key)

    def under(self) -> list[ListedRun]:
        """The run under the cursor, whatever is selected; of a group, all its runs."""
        return self._list.under(self.table.key)

    @on(RunTable.Opened)
    def _opened(self, event: RunTable.Opened) -> None:
        if self._list.is_group(event.key):
            self._fold(event.key, None)
        else:
            self.lab.open_run(event.key)

    @on(RunTable.Folded)
    def _folded(self, event: RunTable.Folded) -> None:
        self._fold(event.key, event.is_open)

    def _fold(self, key: str, is_open: bool | None) -> None:
        if head := self._list.fold(key, is_open):
            self._show()
            self.table.go(head)

    @on(RunTable.TitlePressed)
    def _title_pressed(self, event: RunTable.TitlePressed) -> None:
        self._list.sort_by(event.column)
        self._show()

    def action_demo(self) -> None:
        """Nobody needs a GPU, nor any patience, to see what this is. In the demo: back to one's own runs."""
        app = cast(Any, self.app)
        app.leave_demo() if app.in_demo else app.start_demo()

    def action_select(self) -> None:
        """And one row down, so that many are quickly selected."""
        key = self.table.key
        self._list.select(key)
        self._show()
        if not self._list.is_group(key):
            self.table.action_move(1)

    def action_compare(self) -> None:
        """Two runs at least."""
        ids = self._list.compared(self.table.key)
        if len(ids) < 2:
            self.say("Compare needs two runs: select them with space, or pin one with p.", "warning")
            return
        self.lab.compare_runs(ids)

    def action_sort(self) -> None:
        """By one of the columns in sight."""
        self._list.sort_next(self.table.shown_columns)
        self._show()

    def action_turn(self) -> None:
        """High to low, low to high."""
        if self._list.column == NEWEST:
            self.say("s sorts by a column; S turns it round.")
            return
        self._list.sort_by(self._list.column)
        self._show()

    def action_group(self) -> None:
        """Seeds together, and apart again."""
        self._list.in_groups = not self._list.in_groups
        self._show()

    @work(group="deed")
    async def action_columns(self) -> None:
        """Which ones are wanted; the width decides how many of them fit."""
        from crdnd_tui.tui.dialogs.choose import Choose  # noqa: PLC0415  not needed for the first paint

        shown = await self.app.push_screen_wait(Choose("Columns", CHOICES, set(CHOICES) - self._list.hidden))
        if shown is not None:
            self._list.hidden = frozenset(CHOICES) - shown
            self._show()

    def action_filter(self) -> None:
        """Write one, or change it. What is typed at once goes into it: the focus waits for nobody."""
        self.add_class("filtering")
        self.set_focus(self.field)

    @on(Input.Changed, "#query")
    def _filter_changed(self, event: Input.Changed) -> None:
        self._list.filter(event.value)
        problem = self.query_one("#problem", Static)
        problem.display = bool(self._list.complaint)
        problem.update(self._list.complaint)
        self._show()

    @on(Input.Submitted, "#query")
    def _filter_taken(self) -> None:
        self.set_class(bool(self.field.value.strip()), "filtering")
        self.table.focus()

    def action_back(self) -> None:
        """One thing at a time."""
        if self.field.has_focus:
            self._filter_taken()
        elif self.field.value:
            self.field.value = ""
            self.remove_class("filtering")
        elif self._list.selected:
            self._list.selected = frozenset()
            self._show()
