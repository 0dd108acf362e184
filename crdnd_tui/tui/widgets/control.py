"""Controls of one line: a choice among words, a switch, a line of text. Each says what was done; none keeps a value."""

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import Reactive
from textual.widget import Widget
from textual.widgets import Input

from crdnd_tui.core.palette import Palette, named
from crdnd_tui.core.text import one_line
from crdnd_tui.tui.form.kinds import Option

LONGEST = 400  # characters of one value
ASIDE = 12  # cells; less room shows none of it


class Edited(Message):
    """A value was typed or chosen."""

    def __init__(self, control: Widget, value: str) -> None:
        super().__init__()
        self.sender, self.value = control, value

    @property
    def control(self) -> Widget:
        return self.sender


class ListWanted(Message):
    """All the choices, please."""

    def __init__(self, control: "Choice") -> None:
        super().__init__()
        self.choice = control


class Control(Widget, can_focus=True):
    """One line that can be focused; `muted` while it only shows a default."""

    ALLOW_SELECT = False

    muted = False

    def on_mount(self) -> None:
        """Colours follow the theme."""
        self.watch(self.app, "theme", self._recolour, init=False)

    def _recolour(self) -> None:
        self.refresh()

    @property
    def palette(self) -> Palette:
        """Of the theme that is on."""
        return named(self.app.theme)


class Choice(Control):
    """One of several words. Left and right go through them, Enter lists them with what they mean."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "step(-1)", "Previous choice", show=False),
        Binding("right,l", "step(1)", "Next choice", show=False),
        Binding("enter,space", "list", "List the choices", show=False),
    ]

    def __init__(self, options: Sequence[Option], value: str, *, muted: bool = False, id: str | None = None) -> None:
        super().__init__(id=id)
        self.options, self.value, self.muted = list(options), value, muted

    def show(self, options: Sequence[Option], value: str, *, muted: bool) -> None:
        """Another value, or other choices."""
        if (list(options), value, muted) == (self.options, self.value, self.muted):
            return
        self.options, self.value, self.muted = list(options), value, muted
        self.refresh()

    def render(self) -> Text:
        palette, focused = self.palette, self.has_focus
        option = next((option for option in self.options if option.value == self.value), None)
        title = one_line(option.title if option else self.value or "choose", max(4, self.size.width - 4))
        ends = palette.accent if focused else palette.faint
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append("\u2039 ", ends)
        text.append(
            title, palette.muted if self.muted and not focused else f"bold {palette.text}" if focused else palette.text
        )
        text.append(" \u203a", ends)
        room = self.size.width - text.cell_len - 2
        if option is not None and option.aside and room > ASIDE:
            text.append("  " + one_line(option.aside, 200), palette.muted)
            text.truncate(self.size.width, overflow="ellipsis")
        return text

    def action_step(self, by: int) -> None:
        """The next or previous word; the ends do not meet."""
        values = [option.value for option in self.options]
        place = values.index(self.value) + by if self.value in values else 0
        if values and 0 <= place < len(values) and values[place] != self.value:
            self.value = values[place]
            self.refresh()
            self.post_message(Edited(self, self.value))

    def action_list(self) -> None:
        """Whoever owns this control shows the list."""
        self.post_message(ListWanted(self))

    def on_click(self, event: events.Click) -> None:
        """A click lists."""
        event.stop()
        self.focus()
        self.action_list()


class Toggle(Control):
    """Yes or no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,space", "flip", "Switch", show=False),
        Binding("left,h", "put(False)", "Off", show=False),
        Binding("right,l", "put(True)", "On", show=False),
    ]

    def __init__(self, value: bool, *, muted: bool = False) -> None:
        super().__init__()
        self.value, self.muted = value, muted

    def show(self, value: bool, *, muted: bool) -> None:
        """Another value."""
        self.value, self.muted = value, muted
        self.refresh()

    def render(self) -> Text:
        palette = self.palette
        colour = palette.muted if self.muted and not self.has_focus else palette.text
        sign = "\u25cf on" if self.value else "\u25cb off"
        return Text(sign, f"bold {palette.accent}" if self.has_focus else colour, no_wrap=True)

    def action_flip(self) -> None:
        """The other one."""
        self.action_put(not self.value)

    def action_put(self, value: bool) -> None:
        """On or off."""
        if value != self.value:
            self.value = value
            self.refresh()
            self.post_message(Edited(self, "true" if value else "false"))

    def on_click(self, event: events.Click) -> None:
        """A click switches."""
        event.stop()
        self.focus()
        self.action_flip()


class Tick(Control):
    """An attack of a checklist: ticked or not, its settings folded or not."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "tick", "Take in or out", show=False),
        Binding("enter,right,left,l,h", "unfold", "Settings", show=False),
        Binding("plus", "copy", "Once more", show=False, key_display="+", tooltip="with other settings and a label"),
        Binding("minus", "drop", "Take out", show=False, key_display="-"),
    ]

    class Copied(Message):
        """Once more, with other settings."""

        def __init__(self, tick: "Tick") -> None:
            super().__init__()
            self.tick = tick

    class Ticked(Message):
        """In or out."""

        def __init__(self, tick: "Tick") -> None:
            super().__init__()
            self.tick = tick

    class Unfolded(Message):
        """Its settings, or not any more."""

        def __init__(self, tick: "Tick") -> None:
            super().__init__()
            self.tick = tick

    def __init__(self, label: str, note: str, *, value: bool, opened: bool) -> None:
        super().__init__()
        self.show(label, note, value=value, opened=opened)

    def show(self, label: str, note: str, *, value: bool, opened: bool) -> None:
        """As it is now."""
        self.label, self.note, self.value, self.opened = label, note, value, opened
        self.refresh()

    def render(self) -> Text:
        palette, focused = self.palette, self.has_focus
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append("\u2713 " if self.value else "\u25cb ", palette.accent if self.value else palette.faint)
        colour = palette.text if self.value else palette.muted
        text.append(self.label.ljust(15), f"bold {palette.accent}" if focused else colour)
        fold = (" \u25be " if self.opened else " \u25b8 ") if self.value else "   "
        text.append(fold, palette.accent if focused else palette.faint)
        text.append(one_line(self.note, 200), palette.muted)
        text.truncate(self.size.width, overflow="ellipsis")
        return text

    def action_tick(self) -> None:
        """In or out."""
        self.post_message(self.Ticked(self))

    def action_copy(self) -> None:
        """A second one of its kind."""
        self.post_message(self.Copied(self))

    def action_drop(self) -> None:
        """Out, if it is in."""
        if self.value:
            self.post_message(self.Ticked(self))

    def action_unfold(self) -> None:
        """Settings of an attack that is in; one that is out is taken in first."""
        self.post_message(self.Unfolded(self) if self.value else self.Ticked(self))

    def on_click(self, event: events.Click) -> None:
        """A click upon the tick takes in or out, one beside it unfolds."""
        event.stop()
        self.focus()
        if event.x < 17:
            self.action_tick()
        else:
            self.action_unfold()


class Line(Input):
    """A line of text among other fields: up, down and Escape leave it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Leave the field", show=False),
        Binding("up", "screen.field(-1)", "Previous field", show=False),
        Binding("down,enter", "screen.field(1)", "Next field", show=False),
        Binding("ctrl+e", "screen.editor", "Edit as text", show=False),  # Input has its own use for both
        Binding("ctrl+w", "screen.write", "Write", show=False),
    ]
    virtual_size = Reactive(Size(0, 0), layout=False)  # how long its text is moves nothing else

    def __init__(self, value: str, placeholder: str, *, wordless: bool = False) -> None:
        super().__init__(value, placeholder=placeholder, compact=True, max_length=LONGEST, select_on_focus=False)
        self._wordless = wordless  # numbers: brackets are no part of them, and turn the tabs here, too
        self.cursor_blink = False
        self._said = value  # an Input tells its first value as a change, which nobody made

    async def _on_key(self, event: events.Key) -> None:
        by = {"[": -1, "]": 1}.get(event.character or "", 0) if self._wordless else 0
        if by:
            event.stop()
            event.prevent_default()
            await self.screen.run_action(f"tab({by})")

    def on_input_changed(self, event: Input.Changed) -> None:
        """Each key counts."""
        event.stop()
        if event.value != self._said:
            self._said = event.value
            self.post_message(Edited(self, event.value))

    def put(self, value: str, placeholder: str) -> None:
        """Another value, unless it is being typed right now."""
        self.placeholder = placeholder
        if not self.has_focus and self.value != value:
            self._said = value
            self.value = value

    def empty(self) -> None:
        """Nothing typed any more, though it has the focus."""
        self._said = ""
        self.value = ""

    def action_leave(self) -> None:
        """To the form around it, where letters are keys."""
        around = (node for node in self.ancestors if isinstance(node, Widget) and node.can_focus)
        self.screen.set_focus(next(around, None))
