"""What the keys of a comparison do: how it is looked at, and which runs lie in it."""

from crdnd_tui.compare.rows import has_seeds
from crdnd_tui.core.attack_names import attack_title
from crdnd_tui.core.run_status import LIVING
from crdnd_tui.tui.comparison_view import OVERVIEW, PAGES, ComparisonLook, ComparisonView
from crdnd_tui.tui.screen import LabScreen
from crdnd_tui.tui.widgets.comparison_panels import ComparisonPanels
from engine.spec.rundir import RunDir

_MOST = 16  # rows that can be told apart


class CompareActions(LabScreen):
    """Mixed into the screen; it gives what is compared, how it is looked at, and what is shown of it."""

    _ids: tuple[str, ...]
    _look: ComparisonLook
    _shown: ComparisonView | None
    _choosing: bool

    def _again(self) -> None:
        """Draw what is shown anew."""
        raise NotImplementedError

    def _compare(self, ids: tuple[str, ...]) -> None:
        """These runs from now on."""
        raise NotImplementedError

    def _choose(self, choosing: bool) -> None:
        """The list to choose from in front, or the comparison."""
        raise NotImplementedError

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
        apart = len(self._shown.runs) if self._shown else 0
        if self._look.grouped and apart > _MOST:
            words = f"{apart} rows are more than can be told apart ({_MOST}): R takes the row under the cursor out."
            self.notify(words, markup=False, timeout=4)
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
        """Tests and classes under the next attack."""
        if self._shown:
            known = self._shown.attacks
            if len(known) < 2:
                self.notify(f"Only {attack_title(known[0])} has been judged.", markup=False, timeout=3)
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
            ids = set(row.ids)
            if row.id in self._shown.hidden:
                self._look.hidden -= ids
            else:
                self._look.hidden |= ids
            self._again()

    def action_remove(self) -> None:
        """The row under the cursor leaves the comparison; the run stays where it is."""
        if self._shown:
            gone = set(self._shown.row.ids)
            self._compare(tuple(run for run in self._ids if run not in gone))

    def action_open(self) -> None:
        """The run under the cursor on Live."""
        if self._shown:
            self.lab.open_run(self._shown.row.id, "live")

    def action_provenance(self) -> None:
        """Of the run under the cursor."""
        from crdnd_tui.tui.dialogs.provenance import ProvenanceDialog  # noqa: PLC0415  asked for rarely

        if self._shown:
            self.app.push_screen(ProvenanceDialog(RunDir(self.session.runs / self._shown.row.id)))

    def action_verify(self) -> None:
        """The run under the cursor; one at work has no last number yet."""
        from crdnd_tui.tui.dialogs.verify import VerifyDialog  # noqa: PLC0415  asked for rarely

        if self._shown is None:
            return
        side, session = self._shown.row.runs[0], self.session
        if side.status in LIVING:
            self.notify("It is at work; verify it when it is done.", severity="warning", markup=False, timeout=4)
        else:
            run = RunDir(session.runs / side.id)
            self.app.push_screen(VerifyDialog(run, session.data))

    def action_move(self, by: int) -> None:
        """The cursor to another row."""
        if self._shown:
            self._look.cursor = self._shown.beside(by).id
            self._again()
            self.query_one(ComparisonPanels).reveal()

    def action_panel(self, by: int) -> None:
        """The focus to another panel, which is the page in front where there is room for one only."""
        pages = list(PAGES)
        self.action_turn(pages[(pages.index(self._look.page) + by) % len(pages)])

    def action_view(self) -> None:
        """The overview, then each page that stands alone, round and round."""
        views = ["results", *(page for page in PAGES if page not in OVERVIEW)]
        here = "results" if self._look.page in OVERVIEW else self._look.page
        self.action_turn(views[(views.index(here) + 1) % len(views)])

    def action_turn(self, page: str) -> None:
        """This page in front."""
        panels = self.query_one(ComparisonPanels)
        self._look.page = page
        self.set_focus(None)  # a panel that is hidden with the focus gives it away late, after another has taken it
        panels.turn(page)
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

    def action_export(self) -> None:
        """The comparison as it is looked at, as a document; or its runs elsewhere."""
        from crdnd_tui.tui.dialogs.export import Export  # noqa: PLC0415  asked for rarely

        look, shown = self._look, self._shown
        if shown is None:
            return
        checkpoint = "" if look.checkpoint == "best" else look.checkpoint
        baseline = look.baseline if look.baseline in self._ids[1:] else ""
        grouped = None if look.grouped == has_seeds(shown.runs) else look.grouped
        self.app.push_screen(Export(self._ids, self.session.runs, checkpoint, baseline=baseline, grouped=grouped))
