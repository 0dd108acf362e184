"""A preset as it is, with quiet colours: comments muted, tables bold, the line of the focused field marked."""

import re
from collections.abc import Collection

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from crdnd_tui.core.palette import Palette, named
from crdnd_tui.core.text import display

_STRING = r'"(?:[^"\\]|\\.)*"|\'[^\']*\''
_COMMENT = re.compile(rf"^(?P<code>(?:[^#\"']|{_STRING})*)(?P<comment>#.*)?$")
_VALUE = re.compile(rf"(?P<string>{_STRING})|(?P<word>\b(?:true|false)\b|(?<![\w\"])[+-]?\d[\w.+-]*)")


class TomlView(VerticalScroll, can_focus=True):
    """The text of the preset; arrows scroll it."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id, classes="panel")
        self.border_title = "Preset (TOML)"
        self._text, self._wrong, self._here = "", frozenset[int](), 0
        self._height = -1  # rows that were drawn
        self._rows: list[int] = []  # of the drawn text, where each line begins

    def compose(self) -> ComposeResult:
        yield Static(id="toml-text", markup=False)

    def on_mount(self) -> None:
        """Colours follow the theme."""
        self.watch(self.app, "theme", self._draw, init=False)

    def on_resize(self) -> None:
        """Lines wrap anew."""
        self._draw()

    def show(self, text: str, wrong: Collection[int], here: int | None) -> None:
        """This text; lines count from 1. Without a line to mark, another text is shown from its first key on."""
        state = (text, frozenset(wrong), here or 0)
        if state == (self._text, self._wrong, self._here):
            return
        moved = here != self._here if here else not self._text
        self._text, self._wrong, self._here = state
        self._draw()
        if moved:
            self.call_after_refresh(self._reveal)

    def _reveal(self) -> None:
        """The marked line, or the first key."""
        lines = self._text.split("\n")
        first = next((place for place, line in enumerate(lines, 1) if line.strip() and line[0] != "#"), 1)
        at = self._rows[min(self._here or first, len(self._rows)) - 1] if self._rows else 0
        if not self._here:
            self.scroll_to(y=at, animate=False)
        elif not self.scroll_offset.y <= at < self.scroll_offset.y + self.size.height - 1:
            self.scroll_to(y=max(0, at - self.size.height // 2), animate=False)

    def _draw(self) -> None:
        palette, text = named(self.app.theme), Text()
        width = max(20, self.size.width - 4)
        before, self._rows = self._height, []
        row = 0
        for number, line in enumerate(display(self._text, 1 << 17).rstrip("\n").split("\n"), 1):
            wrong, here = number in self._wrong, number == self._here
            self._rows.append(row)
            mark = "\u2717 " if wrong else "\u203a " if here else "  "
            for part in _coloured(line.replace("\t", "    "), palette).wrap(self.app.console, width) or [Text()]:
                text.append(mark, palette.bad if wrong else palette.accent)
                text.append_text(part)
                text.append("\n")
                mark, row = "  ", row + 1
        text.rstrip()
        self._height = row
        self.query_one("#toml-text", Static).update(text, layout=row != before)


def _coloured(line: str, palette: Palette) -> Text:
    match = _COMMENT.match(line)
    code, comment = (match["code"], match["comment"] or "") if match else (line, "")
    text = Text()
    if code.lstrip().startswith("["):
        text.append(code, f"bold {palette.text}")
    else:
        key, equals, value = code.partition("=")
        text.append(key, palette.text)
        text.append(equals, palette.muted)
        text.append_text(_values(value, palette))
    text.append(comment, palette.muted)
    return text


def _values(value: str, palette: Palette) -> Text:
    text, end = Text(), 0
    for match in _VALUE.finditer(value):
        text.append(value[end : match.start()], palette.text)
        text.append(match[0], palette.good if match["string"] else palette.accent)
        end = match.end()
    text.append(value[end:], palette.text)
    return text
