"""The panels of the Live screen: where each lies now, and what each is handed. The screen hands in looks at a run."""

from dataclasses import replace

from textual.app import ComposeResult
from textual.containers import Container, Vertical

from crdnd_tui.core import per_class
from crdnd_tui.core.palette import named
from crdnd_tui.tui.monitor.live_plan import PAGES, PANELS, Ask, Page, Places, page_of, plan
from crdnd_tui.tui.monitor.run_curves import Curves
from crdnd_tui.tui.monitor.tracking import Look
from crdnd_tui.tui.screens.live import words
from crdnd_tui.tui.screens.live.charts import accuracy_lines, best_line, loss_lines, pace_lines, quantities
from crdnd_tui.tui.widgets.chart import Chart
from crdnd_tui.tui.widgets.chart_sheet import Line
from crdnd_tui.tui.widgets.class_bars import ClassBars
from crdnd_tui.tui.widgets.fate import Fate
from crdnd_tui.tui.widgets.heat_map import HeatMap
from crdnd_tui.tui.widgets.log_tail import LogTail
from crdnd_tui.tui.widgets.matrix import MatrixMap
from crdnd_tui.tui.widgets.robustness import Judged, Robustness
from crdnd_tui.tui.widgets.status_line import PageBar

_OF_TRAINING = ("curves", "loss", "accuracy", "pace", "map", "matrix")
_FIRST_OF = {"curves": "loss", "acm": "bars", "table": "table", "log": "log"}  # of a page, where one panel is a page


class Panels(Vertical):
    """`show` draws a look; only what changed since the last is drawn again."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.look: Look | None = None
        self._reading = True  # until the first look, or until it is known that there is no run
        self.places: Places = {}
        self.images: per_class.Images = "adversarial"
        self._curves, self._teacher = Curves(), Curves()
        self._now = 0.0
        self._page = ""  # the one that was asked for
        self._only = ""  # the panel that is maximised
        self._acm = 0  # what stands in the place of the classes
        self._quantity = 0
        self._asked: Ask | None = None
        self._drawn: dict[str, tuple[object, ...]] = {}
        self._best: tuple[object, list[Line]] = (None, [])

    def compose(self) -> ComposeResult:
        yield PageBar(id="pages")
        with Container(id="places"):
            yield Fate(id="fate")
            yield Chart("Loss", id="loss")
            yield Chart(
                "Validation", x_label="epoch", percent=True, empty="waiting for the first validation", id="accuracy"
            )
            yield Chart("Pace", id="pace")
            yield ClassBars(id="bars")
            yield HeatMap(id="map")
            yield MatrixMap(id="matrix")
            yield Robustness(id="table")
            yield LogTail(id="log")

    def on_mount(self) -> None:
        """Lines carry the palette's colours."""
        self.watch(self.app, "theme", self._themed, init=False)

    def _themed(self, _theme: str) -> None:
        self._best = (None, [])
        self.paint()

    def on_resize(self) -> None:
        """Other places."""
        self.paint()

    def forget(self) -> None:
        """Another run is in front."""
        self._page, self._only, self._drawn, self._best = "", "", {}, (None, [])
        self._acm = self._quantity = 0

    def show(self, look: Look | None, curves: Curves, teacher: Curves, now: float) -> None:
        """The run as it is now, in unix seconds."""
        self.look, self._curves, self._teacher, self._now = look, curves, teacher, now
        self._reading = False
        self.paint()

    def paint(self) -> None:
        """Places first, then what stands in them."""
        if not self.is_mounted or not self.size.width:
            return
        self._arrange()
        if self.look is None:
            self.query_one(Fate).show(words.READING if self._reading else words.EMPTY)
            return
        for chart in self.query(Chart):
            chart.ended = not self.look.living
        for name in self.places:
            self._show(name, self.look)

    def tick(self, now: float) -> None:
        """Clocks inside the panels."""
        self._now = now
        if "table" in self.places and self.look is not None and self.look.state.attack is not None:
            self._show("table", self.look)

    # --- places

    @property
    def _flat(self) -> bool:
        return self.app.size.height < 20

    @property
    def _paged(self) -> bool:
        return self._flat or self.app.size.width < 100

    def _arrange(self) -> None:
        ask = self._ask()
        bar = self.query_one(PageBar)
        bar.display = self._paged and self.look is not None and self.size.height > 4
        bar.show(self._pages(), self._only or self._shown_page(ask))
        height = self.size.height - bar.display
        places = {self._slot(name, ask): box for name, box in plan(self.size.width, height, ask).items()}
        if places == self.places:
            return
        self.places, self._drawn = places, {}
        for panel in self.query_one("#places").children:
            box = places.get(panel.id or "")
            panel.display = box is not None
            if box is not None:
                panel.styles.offset = (box.x, box.y)
                panel.styles.width, panel.styles.height = box.width, box.height

    def _ask(self) -> Ask:
        look = self.look
        if look is None:
            return Ask(kind="empty")
        known = per_class.latest(words.shown_state(look))
        trains = not look.facts.is_evaluation
        begun = bool(look.state.epochs) or not look.living
        ask = Ask(
            kind=words.kind(look), trains=trains, classes=len(known.names) if known else 10,
            knows_classes=known is not None or (trains and not begun), judged=bool(look.state.table),
            living=look.living,
        )  # fmt: skip
        if self._only:
            return replace(ask, only=self._only)
        page = self._shown_page(ask)
        if self._flat:
            return replace(ask, only=page)
        return replace(ask, page=page) if page in PAGES else ask

    def _pages(self) -> tuple[str, ...]:
        """In a flat terminal each panel is a page. A judgement without a training has fewer."""
        trouble = self.look is not None and words.kind(self.look) == "trouble"
        without: tuple[str, ...] = () if trouble else ("fate",)
        if self.look is not None and self.look.facts.is_evaluation:
            without += _OF_TRAINING
        return tuple(name for name in (PANELS if self._flat else PAGES) if name not in without)

    def _shown_page(self, ask: Ask) -> Page:
        """The one that was asked for, else the one that tells most."""
        if self._page in self._pages():
            return self._page  # type: ignore[return-value]
        page = page_of(ask)
        if not self._flat:
            return page
        return "fate" if ask.kind == "trouble" else _FIRST_OF[page]  # type: ignore[return-value]

    def _slot(self, name: str, ask: Ask) -> str:
        """What stands in the place of the classes; M turns it where there is one place only."""
        if ask.only or self._has("matrix", ask):
            return name
        if name == "map":
            return "matrix" if self._acm == 2 else "map"
        return ("bars", "map", "matrix")[self._acm] if name == "bars" and not self._has("map", ask) else name

    def _has(self, name: str, ask: Ask) -> bool:
        return name in plan(self.size.width, self.size.height - 1, ask)

    # --- what stands in them

    def _show(self, name: str, look: Look) -> None:
        """One panel."""
        palette, curves = named(self.app.theme), self._curves
        state = words.shown_state(look)
        if state is not look.state:
            curves = self._teacher
        match name:
            case "loss":
                lines = loss_lines(curves, palette, teacher=curves is self._teacher)
                self.query_one("#loss", Chart).show(lines)
            case "accuracy":
                if self._best[0] is not state.validations:
                    self._best = (state.validations, best_line(state, palette))
                self.query_one("#accuracy", Chart).show([*accuracy_lines(curves, palette, state), *self._best[1]])
            case "pace":
                known = quantities(curves)
                lines = pace_lines(curves, palette, known[self._quantity % len(known)])
                self.query_one("#pace", Chart).show(lines)
            case "table":
                judged = Judged(state=look.state, suite=look.facts.suite, living=look.living, now=self._now)
                self.query_one(Robustness).show(judged)
            case "fate":
                self.query_one(Fate).show(words.reason(look))
            case "log":
                self.query_one(LogTail).show(look.log)
            case _:
                self._show_classes(name, look)

    def _show_classes(self, name: str, look: Look) -> None:
        """Worked out once an epoch. A teacher that comes first is the one that learns."""
        state = words.shown_state(look)
        who = "student" if state is look.state else "teacher"
        key = (state.epochs, state.validations, state.table, state.warnings, self.images, who)
        before = self._drawn.get(name, ())
        if len(before) == len(key) and all(a is b for a, b in zip(before, key, strict=True)):
            return
        self._drawn[name] = key
        match name:
            case "bars":
                self.query_one(ClassBars).show(per_class.latest(state), self.images, who)
            case "map":
                known = per_class.class_history(state, self.images)
                self.query_one(HeatMap).show(
                    replace(known, who=who) if known and who == "teacher" else known, self.images
                )
            case "matrix":
                self.query_one(MatrixMap).show(per_class.acm_matrix(state, self.images), self.images)

    # --- what keys change

    def turn_page(self, step: int) -> str:
        """The next page; returns its name."""
        pages = self._pages()
        here = self._shown_page(self._ask())
        self._page = pages[(pages.index(here) + step) % len(pages)] if here in pages else pages[0]
        self._only = ""
        self.paint()
        return self._page

    def maximise(self, name: str) -> bool:
        """This panel alone; what was maximised before goes back. Whether one is maximised now."""
        self._only = "" if self._only == name or not name else name
        self.paint()
        return bool(self._only)

    @property
    def maximised(self) -> str:
        """The panel that fills the screen."""
        return self._only

    def main(self) -> str:
        """The panel that tells most, where none is in focus."""
        for name in ("fate", "table") if self.look and words.kind(self.look) != "training" else ("loss",):
            if name in self.places:
                return name
        return next(iter(self.places), "")

    def other_images(self) -> str:
        """Clean or adversarial; returns which."""
        self.images = "clean" if self.images == "adversarial" else "adversarial"
        self.paint()
        return self.images

    def turn_acm(self) -> str:
        """Heat map, matrix, and bars where there is one place for all three; returns the name."""
        ask = self._ask()
        if not ask.trains:
            return "bars"
        if self._only in ("bars", "map", "matrix") or (self._flat and ask.only in ("bars", "map", "matrix")):
            order = ("bars", "map", "matrix")
            self._only = order[(order.index(ask.only) + 1) % 3]
            self.paint()
            return self._only
        if self._has("matrix", ask):
            return "matrix"
        self._acm = (self._acm + 1) % 3 if not self._has("map", ask) else 0 if self._acm == 2 else 2
        self.paint()
        return ("bars", "map", "matrix")[self._acm]

    def next_quantity(self) -> str:
        """Of the small chart; returns its name."""
        known = quantities(self._curves)
        self._quantity = (self._quantity + 1) % len(known)
        self.paint()
        return known[self._quantity]
