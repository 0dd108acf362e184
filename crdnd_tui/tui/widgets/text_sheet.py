"""A panel of text that is made anew for every width, and scrolls. Keeps its words while nothing changes."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.geometry import Size

from crdnd_tui.tui.widgets.selectable import SelectableText

Build = Callable[[int], Sequence[Text]]


class _Page(SelectableText):
    """The text itself, as tall as its lines."""

    DEFAULT_CSS = "_Page { height: auto; width: 1fr; text-wrap: nowrap; text-overflow: clip; }"

    def __init__(self) -> None:
        super().__init__()
        self._build: Build = lambda _width: ()
        self._made: tuple[int, list[Text]] | None = None

    def make(self, build: Build) -> None:
        """Other words."""
        self._build, self._made = build, None
        self.refresh(layout=True)

    def again(self) -> None:
        """The same words, made anew."""
        self._made = None
        self.refresh(layout=True)

    def lines(self, width: int) -> list[Text]:
        """For this width."""
        if self._made is None or self._made[0] != width:
            self._made = (width, list(self._build(width)) if width > 0 else [])
        return self._made[1]

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """One row for each line."""
        return max(1, len(self.lines(width)))

    def render(self) -> Text:
        """All lines; the panel shows a part of them."""
        text = Text("\n").join(self.lines(self.size.width))
        text.no_wrap, text.overflow = True, "crop"
        return text


class TextSheet(VerticalScroll, inherit_bindings=False):
    """Scrolls with the arrows when it has the focus."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "scroll_down", "Scroll down", show=False),
        Binding("up", "scroll_up", "Scroll up", show=False),
        Binding("pagedown", "page_down", "Page down", show=False),
        Binding("pageup", "page_up", "Page up", show=False),
        Binding("home", "scroll_home", "Top", show=False),
        Binding("end", "scroll_end", "End", show=False),
    ]

    def __init__(self, **names: Any) -> None:  # noqa: ANN401  id and classes
        super().__init__(**names)
        self._page = _Page()

    def compose(self) -> ComposeResult:
        yield self._page

    def show(self, build: Build) -> None:
        """The words from now on, for any width."""
        self._page.make(build)

    def on_resize(self) -> None:
        """What is said may depend on the height, too."""
        self._page.again()

    def take_focus(self) -> None:
        """The keys go here."""
        self.focus()


class RowSheet(TextSheet, inherit_bindings=False):
    """A sheet whose arrows belong to the screen, which moves a row in it; pages still scroll."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pagedown", "page_down", "Page down", show=False),
        Binding("pageup", "page_up", "Page up", show=False),
    ]

    def reveal(self, mark: str) -> None:
        """Scroll as little as brings the line that begins so into sight."""
        self.call_after_refresh(self._reveal, mark)

    def _reveal(self, mark: str) -> None:
        lines = self._page.lines(self._page.size.width)
        place = next((y for y, line in enumerate(lines) if line.plain.startswith(mark)), 0)
        top, room = self.scroll_offset.y, max(1, self.scrollable_content_region.height)
        if not top <= place < top + room:
            self.scroll_to(y=place if place < top else place - room + 1, animate=False)
