"""One row of a form: what it is called, its control, what holds by itself, and what is wrong with it."""

from typing import Any

from rich.text import Text
from textual.app import ComposeResult
from textual.widget import Widget

from crdnd_tui.core.palette import named
from crdnd_tui.core.text import one_line, pad
from crdnd_tui.tui.form import kinds
from crdnd_tui.tui.form.form import NONE, Entry
from crdnd_tui.tui.widgets.control import Choice, Control, Line, Tick, Toggle

LABEL = 30  # cells; half of the row where that is little
CONTROL = 24
ROOM = 52  # cells of a row that has room for both


class Field(Widget):
    """A row for an Entry. It is drawn around its control; a message takes lines of their own."""

    ALLOW_SELECT = False

    def __init__(self, entry: Entry, message: str = "", *, opened: bool = False) -> None:
        super().__init__(classes=f"-{entry.kind}")
        self.entry, self.message, self._opened = entry, message, opened
        self._height, self._indented = 1, LABEL

    def compose(self) -> ComposeResult:
        made = self._made()
        if made is not None:
            yield made

    def on_mount(self) -> None:
        """Room for the message; colours follow the theme."""
        self._fit()
        self.watch(self.app, "theme", self._recolour, init=False)

    def _recolour(self) -> None:
        self.refresh()

    def on_resize(self) -> None:
        """A message may need more lines; a short row has a short label."""
        self._fit()
        label, control = self._label, self.control
        if isinstance(control, Line | Choice | Toggle) and label != self._indented:
            self._indented = label
            sign = 2 if isinstance(control, Line) else 0  # cells before the value of other controls
            short = label < LABEL or isinstance(control, Choice)
            control.styles.width = "1fr" if short else CONTROL - sign
            control.styles.margin = (0, 0, 0, label + 1 + sign)

    @property
    def _label(self) -> int:
        """Cells of the label."""
        width = self.size.width
        return LABEL if width >= ROOM or not width else width // 2

    @property
    def control(self) -> Widget | None:
        """What can be focused; a heading has none."""
        return next(iter(self.children), None)

    def show(self, entry: Entry, message: str, *, opened: bool) -> None:
        """The same row with another value, default or message."""
        if (entry, message, opened) == (self.entry, self.message, self._opened):
            return
        self.entry, self.message, self._opened = entry, message, opened
        match self.control:
            case Line() as line:
                line.put(kinds.shown(entry.value), _placeholder(entry))
            case Choice() as choice:
                choice.show(entry.options, _value(entry), muted=entry.value is None)
            case Toggle() as toggle:
                toggle.show(_value(entry) == "true", muted=entry.value is None)
            case Tick() as tick:
                tick.show(entry.label, entry.note, value=bool(entry.value), opened=opened)
        self._fit()
        self.refresh()

    def render(self) -> Text:
        palette, entry = named(self.app.theme), self.entry
        text = Text(no_wrap=True)
        if entry.kind == "heading":
            text.append(entry.label, f"bold {palette.text}")
        elif entry.kind == "attack":
            text.append(" ")
        else:
            mark = "\u2717 " if self.message else "\u2022 " if entry.value is not None else "  "
            text.append("  " * min(entry.depth, 2) + mark, palette.bad if self.message else palette.accent)
            text.append(
                one_line(entry.label, self._label - 2 - 2 * min(entry.depth, 2)),
                palette.text if entry.value is not None else palette.muted,
            )
            self._say_default(text, palette.muted)
        for line in self._lines():
            text.append("\n" + " " * 4 + line, palette.bad)
        return text

    def _say_default(self, text: Text, style: str) -> None:
        """At the right end: what would hold without this value."""
        entry, room = self.entry, self.size.width - LABEL - CONTROL - 4
        if entry.value is None or entry.default is None or room < 14 or entry.kind in ("kind", "source"):
            return
        default = one_line(kinds.shown(entry.default, short=True) or "empty", room - 8)
        line = pad(text.plain, LABEL + CONTROL + 3)
        text.append(" " * (len(line) - len(text.plain)))
        text.append(f"default {default}", style)

    def _lines(self) -> list[str]:
        if not self.message:
            return []
        width = max(16, self.size.width - 5)
        wrapped = Text(self.message).wrap(self.app.console, width)
        return [line.plain.rstrip() for line in wrapped[:3]]

    def _fit(self) -> None:
        """As many lines as label and message need; a new height costs a layout, so only when it is another."""
        height = 1 + len(self._lines())
        if self._height != height:
            self._height = self.styles.height = height

    def _made(self) -> Control | Line | None:
        entry = self.entry
        muted = entry.value is None
        match entry.kind:
            case "heading":
                return None
            case "attack":
                return Tick(entry.label, entry.note, value=bool(entry.value), opened=self._opened)
            case "switch":
                return Toggle(_value(entry) == "true", muted=muted)
            case "choice" | "kind" | "source":
                return Choice(entry.options, _value(entry), muted=muted)
        wordless = entry.kind in ("number", "radius", "list")
        return Line(kinds.shown(entry.value), _placeholder(entry), wordless=wordless)


def _value(entry: Entry) -> str:
    """What a choice shows: the preset's own word, or else the default."""
    value: Any = entry.value if entry.value is not None else entry.default
    return NONE if value is None else kinds.shown(value)


def _placeholder(entry: Entry) -> str:
    default = kinds.shown(entry.default, short=True)
    return default if default else "must be given" if entry.required else "none"
