"""The pages of a screen on one line, the one in front underlined; where there is little room those around it."""

from collections.abc import Mapping

from rich.text import Text
from textual import events
from textual.message import Message
from textual.widget import Widget

from crdnd_tui.core.palette import named


class PageBar(Widget):
    """A click on a name asks for that page; keys are the screen's."""

    ALLOW_SELECT = False
    DEFAULT_CSS = "PageBar { height: 1; }"

    class Chosen(Message):
        """This page is to be in front."""

        def __init__(self, page: str) -> None:
            super().__init__()
            self.page = page

    def __init__(self, pages: Mapping[str, str], *, id: str) -> None:
        super().__init__(id=id)
        self._pages, self._front = dict(pages), next(iter(pages))

    def on_mount(self) -> None:
        """Redraw with another theme."""
        self.watch(self.app, "theme", self._themed, init=False)

    def _themed(self, _theme: str) -> None:
        self.refresh()

    def show(self, front: str) -> None:
        """Which is in front."""
        if front != self._front:
            self._front = front
            self.refresh()

    def render(self) -> Text:
        palette, text = named(self.app.theme), Text(no_wrap=True, overflow="crop")
        for page, words in self._laid():
            here = page == self._front
            text.append(words, f"bold underline {palette.accent}" if here else palette.muted)
            text.append(self._gap)
        text.rstrip()
        return Text(" ").append_text(text)

    @property
    def _gap(self) -> str:
        whole = sum(map(len, self._pages.values()))
        return "   " if self.size.width >= whole + 3 * len(self._pages) else "  "

    def _laid(self) -> list[tuple[str, str]]:
        """All names; or as many around the one in front as fit."""
        pages = list(self._pages.items())
        while len(pages) > 1 and 1 + sum(len(words) + len(self._gap) for _, words in pages) > self.size.width + 2:
            place = [page for page, _ in pages].index(self._front)
            pages.pop(0 if place > len(pages) // 2 else -1)
        return pages

    def on_click(self, event: events.Click) -> None:
        """A click upon a name."""
        event.stop()
        at = 1
        for page, words in self._laid():
            at += len(words) + len(self._gap)
            if event.x < at:
                self.post_message(self.Chosen(page))
                return
