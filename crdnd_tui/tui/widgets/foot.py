"""The keys of a screen on its last line, drawn: Textual's footer is built anew at every step of the focus.

As many as fit, in the order in which they are declared; help and leaving are always the last. Keys that the widget in
focus would swallow are left out; greyed keys do nothing now.
"""

from dataclasses import dataclass

from rich.style import Style
from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Footer

from crdnd_tui.core.palette import named

LAST = ("help", "leave")  # actions whose keys are kept, however narrow the line


@dataclass(frozen=True)
class _Item:
    action: str
    key: str
    display: str
    description: str
    tooltip: str
    enabled: bool

    @property
    def width(self) -> int:
        return len(self.display) + len(self.description) + 3


class Foot(Footer):
    """The footer as one widget: another focus costs a line, not a layout."""

    def __init__(self) -> None:
        super().__init__(show_command_palette=False)
        self._items: list[_Item] = []

    def compose(self) -> ComposeResult:
        """Nothing: it is drawn."""
        return iter(())

    def on_mount(self) -> None:
        """Colours follow the theme."""
        self.watch(self.app, "theme", self._recolour, init=False)

    def _recolour(self) -> None:
        self.refresh()

    def bindings_changed(self, screen: Screen[object]) -> None:
        """Drawn anew only when other keys are to be seen."""
        if not self.is_attached or screen is not self.screen:
            return
        found: dict[str, _Item] = {}
        for _, binding, enabled, tooltip in screen.active_bindings.values():
            if binding.show and binding.action not in found:
                display = self.app.get_key_display(binding)
                words = tooltip or binding.description
                found[binding.action] = _Item(binding.action, binding.key, display, binding.description, words, enabled)
        items = list(found.values())
        if items != self._items:
            self._items = items
            self.refresh()

    def render(self) -> Text:
        palette, text = named(self.app.theme), Text(no_wrap=True, overflow="ellipsis")
        for item in self._fitting():
            dim = not item.enabled
            text.append(f" {item.display} ", Style.parse(f"bold {palette.accent}") + Style(dim=dim))
            text.append(f"{item.description} ", Style.parse(palette.muted) + Style(dim=dim))
        if text.cell_len > self.size.width:
            text.rstrip()  # where the keys fill the line, the last space would cut off the last letter
        return text

    def _fitting(self) -> list[_Item]:
        """What is drawn; the last item may do without its last space."""
        last = [item for item in self._items if item.action in LAST]
        first = [item for item in self._items if item.action not in LAST]
        room = self.size.width + 1 - sum(item.width for item in last)
        for place, item in enumerate(first):
            room -= item.width
            if room < 0:
                return [*first[:place], *last]
        return [*first, *last]

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """What the key under the pointer does."""
        item = self._at(event.x)
        self.tooltip = item.tooltip if item else None

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """A key that is clicked is pressed."""
        item = self._at(event.x)
        if item is None:
            return
        if item.enabled:
            self.app.simulate_key(item.key)
        else:
            self.app.bell()

    def _at(self, x: int) -> _Item | None:
        for item in self._fitting():
            if x < item.width:
                return item
            x -= item.width
        return None
