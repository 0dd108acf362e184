"""What the Examples screen shows of a run, without its keys: reading, and painting what was read."""

from asyncio import to_thread
from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from rich.text import Text
from textual import work
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import ContentSwitcher, Static

from crdnd_tui.core import confusion, gallery
from crdnd_tui.core.attack_names import attack_title
from crdnd_tui.core.gallery import Examples, GalleryError, PixelFile
from crdnd_tui.tui.gallery import shows
from crdnd_tui.tui.gallery.shows import Show
from crdnd_tui.tui.gallery.visit import Cell, Visit
from crdnd_tui.tui.screen import LabScreen
from crdnd_tui.tui.screens.examples import captions
from crdnd_tui.tui.widgets import probabilities
from crdnd_tui.tui.widgets.confusion import Confusion, Spot
from crdnd_tui.tui.widgets.probabilities import Probabilities
from crdnd_tui.tui.widgets.sheet import Sheet
from crdnd_tui.tui.widgets.specimen import Specimen, SpecimenPanel

Mode = Literal["single", "sheet", "matrix"]
_LOOK_AGAIN = 3.0  # seconds until a run that is being judged is looked at again


class Exhibit(LabScreen):
    """One run's gallery: one example, all of them, or the confusion matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.shown = Show()
        self.visit = Visit()
        self.mode: Mode = "single"
        self.page = "nothing"  # what is to be seen: a mode, or words
        self.kind: confusion.Mode = "adversarial"
        self.judged_attack = ""
        self.spot = Spot()
        self.amplification: int | None = None  # None: to fit
        self.pixels: dict[str, PixelFile | str] = {}  # by attack; words where they cannot be read
        self.asked: str | None = None

    def body(self) -> Iterable[Widget]:
        beliefs = Horizontal(Probabilities(id="student"), Probabilities(id="teacher"), id="beliefs")
        with ContentSwitcher(initial="nothing", id="modes"):
            yield Vertical(SpecimenPanel(id="specimen"), Sheet(id="film"), beliefs, id="single")
            yield Sheet(id="sheet")
            cell = Static(id="cell", classes="panel", markup=False)
            cell.border_title = "cell"
            yield Horizontal(Confusion(id="confusion"), cell, id="matrix")
            yield Static(id="nothing", classes="panel", markup=False)

    def on_mount(self) -> None:
        """Words are coloured by the theme; a run at work gathers examples."""
        self.watch(self.app, "theme", self.paint, init=False)
        self.set_interval(_LOOK_AGAIN, self.look_again)

    def on_screen_resume(self) -> None:
        """The run in front may be another one by now."""
        if self.asked != self.lab.current:
            self.asked = self.lab.current
            self.read(self.asked, "")

    def on_resize(self) -> None:
        """Bars move into the pictures' panel where there is no room for their own."""
        self.call_after_refresh(self.paint)

    @work(exclusive=True, group="show")
    async def read(self, run: str, checkpoint: str) -> None:
        """All of a run but its pixels."""
        shown = await to_thread(shows.load, self.session.runs, run, checkpoint, self.session.now())
        if (shown.run, shown.checkpoint) != (self.shown.run, self.shown.checkpoint):
            self.visit = Visit()
        if shown.hall is None or self.shown.hall is None or shown.hall.sets != self.shown.hall.sets:
            self.pixels = {}
        self.shown = shown
        examples = {attack: shelf.examples for attack, shelf in shown.hall.sets.items()} if shown.hall else {}
        attack = self.visit.attack if self.visit.attack in examples else captions.first(examples)
        self.visit = replace(self.visit, examples=examples, attack=attack)
        self.visit = self.visit if self.visit.current else self.visit.settled()
        self.judged_attack = captions.judged_attack(shown.judged, self.judged_attack or attack)
        self.read_pixels()
        self.paint()

    @work(exclusive=True, group="again")
    async def look_again(self) -> None:
        """Read anew when the engine has written more."""
        if not self.is_current or not self.shown.run:
            return
        signature = await to_thread(shows.signature, self.session.runs, self.shown.run)
        if signature != self.shown.signature:
            self.read(self.shown.run, self.shown.checkpoint)

    @work(exclusive=True, group="pixels")
    async def read_pixels(self) -> None:
        """Of the attack in front, once."""
        hall, attack = self.shown.hall, self.visit.attack
        if hall is None or attack in self.pixels or attack not in hall.sets:
            return
        found: PixelFile | str
        try:
            found = await to_thread(gallery.pixels, hall, attack)
        except GalleryError as error:
            found = str(error)
        if hall is self.shown.hall:
            self.pixels[attack] = found
            self.paint()

    def paint(self) -> None:
        """Everything that is to be seen."""
        hall = self.shown.hall
        if self.mode == "matrix" and self.shown.judged.outcomes:
            page = "matrix"
            self._paint_matrix()
        elif hall is None:
            page = "nothing"
            self._paint_nothing()
        else:
            page = "sheet" if self.mode == "sheet" else "single"
            film = self.query_one("#film", Sheet)
            film.display = page == "single" and captions.film(self.size)
            if page == "single":
                self._paint_single(hall)
            if page == "sheet" or film.display:
                self._paint_sheet(hall, page if page == "sheet" else "film")
        self.query_one("#modes", ContentSwitcher).current = page
        if self.page != page:  # the footer is built anew
            self.page = page
            self.refresh_bindings()

    def _paint_nothing(self) -> None:
        panel, shown = self.query_one("#nothing", Static), self.shown
        if not shown.why:
            panel.update(Text("reading", self.palette.muted, justify="center"))
            return
        sign = Text("\u2717 ", self.palette.bad) if shown.damaged else Text()
        words = sign.append(shown.why, f"bold {self.palette.text}").append(f"\n\n{shown.how}", self.palette.muted)
        words.justify = "center"
        panel.update(words)
        panel.border_title = Content(captions.run(shown))

    def specimen(self, hall: Examples) -> Specimen | str:
        """The example in front, or why there is none to see."""
        example, pixels = self.visit.current, self.pixels.get(self.visit.attack)
        if not self.visit.rows:
            return captions.none_left(self.visit, hall)
        if example is None or pixels is None:
            return "reading pixels"
        if isinstance(pixels, str):
            return f"\u2717 {pixels}"
        clean, adversarial = pixels.pair(example)
        bounds = confusion.bounds(self.shown.judged, self.visit.attack, self.shown.epsilon)
        k = self.amplification or gallery.fitting(gallery.linf(clean, adversarial))
        return Specimen(hall=hall, example=example, clean=clean, adversarial=adversarial, bounds=bounds, k=k)

    def _paint_single(self, hall: Examples) -> None:
        panel, specimen = self.query_one(SpecimenPanel), self.specimen(hall)
        panel.inside = captions.inside(self.size)
        panel.place = captions.place(self.visit)
        panel.border_title = Content(captions.title(self.visit, self.shown, self.size.width - 4))
        panel.border_subtitle = Content(captions.run(self.shown))
        student, teacher = self.query_one("#student", Probabilities), self.query_one("#teacher", Probabilities)
        if isinstance(specimen, str):
            panel.show(None, specimen)
            student.show(None)
            teacher.show(None)
            return
        panel.show(specimen)
        if panel.inside:
            panel.border_subtitle = Content(captions.below(specimen, self.shown, self.size.width - 8))
        believed = probabilities.beliefs(hall, specimen.example, 100, (self.palette.accent, self.palette.above))
        student.border_title, teacher.border_title = "student S(x), S(x')", "teacher T(x), T(x')"
        teacher.border_subtitle = Content(specimen.divergence)
        student.show(believed[0] if believed else None, "no probabilities were kept")
        teacher.show(believed[1] if len(believed) > 1 else None)
        teacher.display = len(believed) > 1
        student.border_subtitle = "" if teacher.display else "no teacher"

    def _paint_sheet(self, hall: Examples, page: str) -> None:
        """All of them as thumbnails; as a film below the picture, where there is room for one."""
        sheet, pixels, rows = self.query_one(f"#{page}", Sheet), self.pixels.get(self.visit.attack), self.visit.rows
        words = captions.none_left(self.visit, hall)
        images = [pixels.pair(e)[1] for e in rows] if isinstance(pixels, PixelFile) else []
        if rows and not images:
            words, rows = (f"\u2717 {pixels}" if pixels else "reading pixels"), []
        sheet.border_title = Content("x' \u00b7 " + captions.title(self.visit, self.shown, self.size.width - 9))
        sheet.border_subtitle = Content("enter opens \u00b7 " + captions.run(self.shown, self.size.width - 22))
        if page == "film":
            sheet.border_title, sheet.border_subtitle, words = "all x'", "g sheet", ""
        sheet.show(hall, rows, images, self.visit.place - 1, words)

    def _paint_matrix(self) -> None:
        panel, found = self.query_one(Confusion), confusion.matrix(self.shown.judged, self.judged_attack, self.kind)
        names = captions.names(self.shown, self.judged_attack)
        if isinstance(found, str):
            panel.show(None, names, self.spot, found)
            panel.border_title = Content(f"{self.kind}: {attack_title(self.judged_attack)}")
            panel.border_subtitle = ""
            self.query_one("#cell", Static).update("")
            return
        self.spot = self.spot.moved(0, 0, found.classes)
        panel.show(found, names, self.spot, captions.cell_line(found, self.spot, names))
        panel.border_title = Content(captions.matrix_title(found, self.judged_attack, self.shown, self.size.width))
        kept = self.of_cell()
        opens = f" \u00b7 enter: {len(kept.rows)} of them" if kept and kept.rows and self.size.width < 100 else ""
        panel.border_subtitle = Content(panel.words + opens)
        note = captions.cell_note(self.shown, self.judged_attack, self.spot, names, self.palette)
        note.append(captions.kept(kept, self.shown.hall), self.palette.muted)
        cell = self.query_one("#cell", Static)
        cell.update(note)
        cell.border_subtitle = Content(captions.run(self.shown, 28))

    def of_cell(self) -> Visit | None:
        """The examples of the cell under the cursor, when the gallery holds this attack."""
        attack = self.judged_attack if self.judged_attack in self.visit.examples else ""
        if self.kind == "clean" and not attack:
            attack = self.visit.attack
        if not attack:
            return None
        cell = Cell(clean=self.kind == "clean", true=self.spot.true, predicted=self.spot.predicted)
        return replace(self.visit, attack=attack, filter="all", label=None, cell=cell)
