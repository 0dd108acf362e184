"""The panels of the Studies screen: list, run, plan, trade-off, report. They are handed values."""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.widgets import Static

from crdnd_tui.core.palette import Palette, named
from crdnd_tui.core.text import one_line
from crdnd_tui.tui.widgets import study_report
from crdnd_tui.tui.widgets.study_list import StudyList
from crdnd_tui.tui.widgets.study_matrix import StudyMatrix
from crdnd_tui.tui.widgets.text_sheet import Build, TextSheet
from crdnd_tui.write.document import Document, Figure

PAGES = ("list", "plan", "report", "plot")
HINT = 50  # columns for a bar of pages that tells its key
_TITLES = {"list": "Studies", "plan": "Plan", "report": "Report", "plot": "Trade-off"}


class StudyPanels(Container):
    """All at once where there is room, else one page after the other under a bar that names them."""

    DEFAULT_CSS: ClassVar[str] = "StudyPanels { height: 1fr; }"

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._shown: dict[str, object] = {}

    def compose(self) -> ComposeResult:
        yield Static(id="pages", markup=False)
        with Container(id="desk"):
            yield StudyList(id="list")
            yield TextSheet(id="run", classes="panel")
            yield StudyMatrix(id="plan")
            yield TextSheet(id="plot", classes="panel")
            yield TextSheet(id="report", classes="panel")

    def on_mount(self) -> None:
        """Nothing is known yet."""
        self.query_one("#list", StudyList).entitle("Studies", "o opens another file")
        self.say("report", "", lambda _width: [Text("Reading the studies ...", self.palette.muted)])

    @property
    def palette(self) -> Palette:
        """Of the theme that is on."""
        return named(self.app.theme)

    def turn(self, page: str) -> None:
        """Which page is in front where there is room for one only."""
        text = Text(" ")
        for name in PAGES:
            here = name == page
            look = f"bold underline {self.palette.accent}" if here else self.palette.muted
            text.append(f" {_TITLES[name]} ", look)
            self.set_class(here, f"-{name}")
        text.append("  tab next" if self.size.width >= HINT else "", self.palette.muted)
        if self._shown.get("pages") != (text.plain, page, self.palette):
            self._shown["pages"] = text.plain, page, self.palette
            self.query_one("#pages", Static).update(text)

    def panel(self, page: str) -> StudyList | StudyMatrix | TextSheet:
        """What a page shows."""
        found = self.query_one(f"#{page}")
        assert isinstance(found, StudyList | StudyMatrix | TextSheet)
        return found

    def entitle(self, page: str, title: str, more: str = "") -> None:
        """Words in the border of a panel; drawn again only when they are others."""
        words = one_line(title, 120), one_line(more, 120)
        if self._shown.get(f"title {page}") != words:
            self._shown[f"title {page}"] = words
            panel = self.panel(page)
            panel.border_title, panel.border_subtitle = map(Content, words)

    def say(self, page: str, mark: object, build: Build) -> None:
        """The words of a sheet for any width; made anew only when `mark`, or the palette, is another one."""
        if self._shown.get(page) != (mark, self.palette):
            self._shown[page] = mark, self.palette
            self.query_one(f"#{page}", TextSheet).show(build)

    def report(self, document: Document) -> None:
        """Tables and sentences."""
        palette = self.palette
        self.say("report", document, lambda w: study_report.lines(document, w, palette))

    def trade(self, figure: Figure) -> None:
        """The plot, for any size."""
        palette, sheet = self.palette, self.query_one("#plot", TextSheet)

        def build(width: int) -> list[Text]:
            made = study_report.plot(figure, (width, sheet.size.height), palette)
            return made or [Text("The plot needs more room.", palette.muted)]

        self.say("plot", figure, build)
