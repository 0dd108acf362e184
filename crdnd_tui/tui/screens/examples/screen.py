"""Examples: what the attacks do to single images, and which classes they confuse."""

from asyncio import to_thread
from dataclasses import replace
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType

from crdnd_tui.core import confusion
from crdnd_tui.tui.dialogs.pick import Pick
from crdnd_tui.tui.gallery import shows
from crdnd_tui.tui.screens.examples import captions
from crdnd_tui.tui.screens.examples.exhibit import Exhibit, Mode
from crdnd_tui.tui.widgets.confusion import Confusion
from crdnd_tui.tui.widgets.sheet import Sheet
from crdnd_tui.tui.widgets.specimen import SpecimenPanel

_ONLY: dict[str, tuple[Mode, ...]] = {
    "matrix": ("matrix",), "overview": ("matrix",), "open": ("sheet", "matrix"), "filter": ("single", "sheet"),
    "class": ("single", "sheet"), "amplify": ("single",), "swap": ("single",),
}  # fmt: skip


class ExamplesScreen(Exhibit):
    """One run's gallery, one example at a time, all at once, or by the cells of the confusion matrix."""

    NAME = "Examples"
    SAYS = "What the attacks do to single images, and which classes they confuse."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,l", "move(0, 1)", "Next image", tooltip="in the matrix: one column right", show=False),
        Binding("left,h", "move(0, -1)", "Previous image", tooltip="in the matrix: one column left", show=False),
        Binding("down,j", "move(1, 0)", "Down", tooltip="next image, or one row down in sheet and matrix", show=False),
        Binding("up,k", "move(-1, 0)", "Up", tooltip="previous image, or one row up", show=False),
        Binding("home", "far(-1)", "First image", tooltip="in the matrix: the first cell", show=False),
        Binding("end", "far(1)", "Last image", tooltip="in the matrix: the last cell", show=False),
        Binding("a", "attack(1)", "Attack", tooltip="the next attack on the same image"),
        Binding("A", "attack(-1)", "Previous attack", show=False),
        Binding("F", "filter", "Filter", tooltip="all, flips (fooled), standing"),
        Binding("c", "class", "Class", tooltip="only one true class; round and round", show=False),
        Binding("plus,equals_sign", "amplify(1)", "Amplify", tooltip="the difference, up to 64 times", show=False),
        Binding("minus", "amplify(-1)", "Amplify less", show=False),
        Binding("0", "amplify(0)", "Amplify to fit", tooltip="the largest change just fills the range", show=False),
        Binding("v", "swap", "Difference or clean", tooltip="where only two pictures fit", show=False),
        Binding("g", "mode('sheet')", "Sheet", tooltip="all of them as thumbnails"),
        Binding("m", "mode('matrix')", "Matrix", tooltip="confusion matrix; its cells open their examples"),
        Binding("d", "matrix", "Difference", tooltip="then clean, then adversarial again"),
        Binding("z", "overview", "Overview", tooltip="all of a large matrix, or its numbers", show=False),
        Binding("b", "checkpoint", "Best or last", tooltip="the other checkpoint", show=False),
        Binding("o", "other", "Run", tooltip="choose among the runs that keep examples"),
        Binding("enter", "open", "Open", show=False, tooltip="the thumbnail, or the examples of a cell"),
        Binding("escape", "back", "Back", show=False),
    ]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that would do nothing in this mode, or without examples, are not offered."""
        if action in _ONLY and self.page not in _ONLY[action]:
            return False
        if self.page == "nothing" and (action in ("attack", "far") or parameters == ("sheet",)):
            return False
        return super().check_action(action, parameters)

    def action_move(self, down: int, right: int) -> None:
        """An arrow."""
        if self.mode == "matrix":
            self._walk(down, right)
        else:
            across = self.query_one("#sheet", Sheet).across if self.mode == "sheet" else 1
            self.visit = self.visit.step(down * across + right)
        self.paint()

    def action_far(self, way: int) -> None:
        """The first or the last."""
        if self.mode == "matrix":
            self._walk(way * 10_000, way * 10_000)
        else:
            self.visit = self.visit.step(way * 10_000)
        self.paint()

    def _walk(self, down: int, right: int) -> None:
        """The cursor of the matrix, inside it."""
        found = confusion.matrix(self.shown.judged, self.judged_attack, self.kind)
        if not isinstance(found, str):
            self.spot = self.spot.moved(down, right, found.classes)

    def action_attack(self, by: int) -> None:
        """The same image under the next attack; in the matrix, all that were judged."""
        if self.mode == "matrix":
            names = captions.attacks(self.shown.judged)
            here = names.index(self.judged_attack) if self.judged_attack in names else 0
            self.judged_attack = names[(here + by) % len(names)] if names else ""
            if self.judged_attack in self.visit.examples:
                self.visit = replace(self.visit, attack=self.judged_attack)
        else:
            self.visit = self.visit.turn(by)
            self.judged_attack = captions.judged_attack(self.shown.judged, self.visit.attack)
        self.read_pixels()
        self.paint()

    def action_filter(self) -> None:
        """all, flips, standing."""
        self.visit = self.visit.filtered()
        self.paint()

    def action_class(self) -> None:
        """The next true class."""
        self.visit = self.visit.classed()
        self.paint()

    def action_amplify(self, way: int) -> None:
        """Up or down the steps; 0 fits again."""
        specimen = self.specimen(self.shown.hall) if self.shown.hall else ""
        if not isinstance(specimen, str):
            self.amplification = captions.amplified(specimen.k, way)
            self.paint()

    def action_swap(self) -> None:
        """What stands on the left where two pictures fit."""
        panel = self.query_one(SpecimenPanel)
        panel.delta_first = not panel.delta_first
        self.paint()

    def action_mode(self, mode: Mode) -> None:
        """The key of a mode, pressed in it, leaves it."""
        if mode == "matrix" and not self.shown.judged.outcomes:
            self.notify(captions.no_matrix(self.shown), severity="warning", markup=False)
            return
        self.mode = "single" if self.mode == mode else mode
        self.paint()

    def action_matrix(self) -> None:
        """The next of the three matrices."""
        self.kind = confusion.MODES[(confusion.MODES.index(self.kind) + 1) % len(confusion.MODES)]
        self.paint()

    def action_overview(self) -> None:
        """Numbers or squares."""
        panel = self.query_one(Confusion)
        panel.overview = not panel.whole
        self.paint()

    def action_checkpoint(self) -> None:
        """The other one, when both were judged."""
        others = [name for name in self.shown.checkpoints if name != self.shown.checkpoint]
        if others:
            self.read(self.shown.run, others[0])
        else:
            self.notify(captions.only(self.shown), markup=False)

    def action_open(self) -> None:
        """From a thumbnail to its picture; from a cell to its examples."""
        if self.mode == "sheet":
            self.mode = "single"
        elif self.mode == "matrix":
            chosen = self.of_cell()
            if chosen is None or not chosen.rows:
                words = captions.none_kept(self.shown, self.judged_attack, self.kind, self.spot)
                self.notify(words, markup=False)
                return
            self.visit, self.mode = chosen.settled(), "single"
            self.read_pixels()
        self.paint()

    def action_back(self) -> None:
        """Sheet and matrix lead to the picture, a cell's examples to the matrix, the picture to the runs."""
        if self.mode != "single":
            self.mode = "single"
        elif self.visit.cell is not None:
            self.visit, self.mode = replace(self.visit, cell=None), "matrix"
        else:
            self.lab.show("runs")
            return
        self.paint()

    @work(exclusive=True, group="other")
    async def action_other(self) -> None:
        """A list of the runs that keep examples."""
        found = await to_thread(shows.runs_with_examples, self.session.runs)
        if not found:
            self.notify("no run keeps examples yet", markup=False)
            return
        choices = [(run, captions.choice(run, self.palette)) for run in found]
        chosen = await self.app.push_screen_wait(Pick("Examples of", choices, self.shown.run))
        if chosen:
            self.mode = "single"
            self.lab.open_run(chosen, "examples")
