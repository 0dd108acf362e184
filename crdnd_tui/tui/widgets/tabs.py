"""Tabs on one line, each with the count of its mistakes."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from crdnd_tui.tui.widgets.control import Control


class TabLine(Control):
    """`Pair  Data  Method 1\u2717`: the one in front is underlined and bold."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "step(-1)", "Previous tab", show=False),
        Binding("right,l", "step(1)", "Next tab", show=False),
    ]

    class Chosen(Message):
        """This one is to be in front."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self, names: Sequence[str], id: str | None = None) -> None:
        super().__init__(id=id)
        self.names, self.front, self._counts = list(names), names[0], dict[str, int]()
        self._drawn = (self.front, self._counts)

    def show(self, front: str, counts: Mapping[str, int]) -> None:
        """Which is in front, and how many mistakes stand where."""
        self.front, self._counts = front, dict(counts)
        if self._drawn != (front, self._counts):
            self._drawn = (front, self._counts)
            self.refresh()

    def render(self) -> Text:
        palette, text = self.palette, Text(no_wrap=True, overflow="ellipsis")
        for name, label in self._labels():
            wrong = bool(self._counts.get(name))
            if name == self.front:
                colour = palette.bad if wrong else palette.accent if self.has_focus else palette.text
                text.append(label, f"bold underline {colour}")
            else:
                text.append(label, palette.bad if wrong else palette.muted)
            text.append(self._gap)
        return text

    @property
    def _gap(self) -> str:
        longest = sum(len(name) + 4 for name in self.names)
        return "   " if self.size.width >= longest + len(self.names) else "  " if self.size.width > 50 else " "

    def _labels(self) -> list[tuple[str, str]]:
        """Shortened where there is no room."""
        short = self.size.width < sum(len(name) + 1 for name in self.names) + 6
        return [
            (name, (name[:4] if short else name) + (f" {count}\u2717" if (count := self._counts.get(name)) else ""))
            for name in self.names
        ]

    def action_step(self, by: int) -> None:
        """Round and round."""
        place = (self.names.index(self.front) + by) % len(self.names)
        self.post_message(self.Chosen(self.names[place]))

    def on_click(self, event: events.Click) -> None:
        """A click upon a name."""
        event.stop()
        at = 0
        for name, label in self._labels():
            at += len(label) + len(self._gap)
            if event.x < at:
                self.post_message(self.Chosen(name))
                return
