"""The keys that work here, made from the bindings themselves, so that it cannot lie."""

import textwrap
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, NamedTuple

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.dom import DOMNode
from textual.geometry import Size
from textual.screen import ModalScreen, Screen
from textual.widget import Widget
from textual.widgets import Static

from crdnd_tui.core.palette import Palette, named
from crdnd_tui.core.text import pad

TWO = 100  # columns of text from which the groups stand side by side
GAP = 4  # between them
FRAME = 6  # rows of the dialog that are not the list
_KEYS = 15  # columns of the keys, at most


class Row(NamedTuple):
    """One action."""

    keys: str
    words: str
    works: bool  # not while only reading is allowed


Groups = list[tuple[str, list[Row]]]


class Keys(Widget):
    """All groups, in as many columns as the width carries."""

    DEFAULT_CSS = "Keys { height: auto; }"

    def __init__(self, says: str, groups: Groups) -> None:
        super().__init__()
        self._says, self._groups = says, groups

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many rows as there are lines."""
        return len(self.lines_in(width))

    def render(self) -> Text:
        """The lines for the width that is."""
        return Text("\n").join(self.lines_in(self.size.width))

    def lines_in(self, width: int) -> list[Text]:
        """What is said, line by line."""
        palette, two = named(self.app.theme), width >= TWO
        column = (width - GAP) // 2 if two else width
        groups = [_lines(title, rows, column, palette) for title, rows in self._groups]
        lines = _beside(groups, column) if two else [line for group in groups for line in [*group, Text()]][:-1]
        says = [Text.assemble((line, palette.muted)) for line in textwrap.wrap(self._says, max(12, width))]
        return [*says, *([Text()] if says else []), *lines]


class HelpScreen(ModalScreen[None]):
    """Screen keys first, then those of its panels, then those that work everywhere."""

    HORIZONTAL_BREAKPOINTS = [(0, "-one"), (112, "-two")]  # noqa: RUF012  as in Textual's Screen
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q", "dismiss(None)", "Close", key_display="esc"),
        Binding("j", "move(1)", "Down", show=False),
        Binding("k", "move(-1)", "Up", show=False),
    ]

    def __init__(self, of: Screen[Any]) -> None:
        super().__init__()
        self._of = of

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = Content(f"Keys on {getattr(self._of, 'NAME', '') or 'this screen'}")
            with VerticalScroll(can_focus=True):
                yield Keys(getattr(self._of, "SAYS", ""), self.groups())
            yield Static("esc back   \u2191 \u2193 scroll", classes="keys", markup=False)

    def on_mount(self) -> None:
        """The scroll keys work at once."""
        self.query_one(VerticalScroll).focus()

    def on_resize(self, event: events.Resize) -> None:
        """As high as the terminal allows."""
        self.query_one(VerticalScroll).styles.max_height = max(3, event.size.height * 9 // 10 - FRAME)

    def action_move(self, rows: int) -> None:
        """Scroll by a row."""
        self.query_one(VerticalScroll).scroll_relative(y=rows, animate=False)

    def groups(self) -> Groups:
        """Titles, and the actions under each; a group that says nothing new is left out."""
        found: dict[str, dict[str, Row]] = {}
        said: set[str] = set()
        for title, bindings, node in self._parts():
            for row in self._rows(bindings, node):
                if f"{row.keys} {row.words}" not in said:
                    said.add(f"{row.keys} {row.words}")
                    found.setdefault(title, {})[row.words] = row
        return [(title, list(rows.values())) for title, rows in found.items()]

    def _parts(self) -> Iterator[tuple[str, list[Binding], DOMNode]]:
        yield "On this screen", own(self._of), self._of
        panels = [node for node in self._of.query("*") if own(node)]
        for node in sorted(panels, key=lambda node: not node.has_focus_within):
            title = _title(node)
            yield f"In {title}" if title else "In its panels", own(node), node
        focused = self._of.focused
        if focused is not None and not own(focused):
            title = _title(focused)
            yield f"In {title}" if title else f"In the {type(focused).__name__.lower()}", _all(focused), focused
        everywhere = own(self.app)
        yield "Screens", [one for one in everywhere if one.action.startswith("show(")], self.app
        general = [one for one in _all(self._of) if one not in own(self._of)]
        yield "Everywhere", [one for one in everywhere if not one.action.startswith("show(")] + general, self.app

    def _rows(self, bindings: Iterable[Binding], node: DOMNode) -> Iterator[Row]:
        """Keys of one action on one line, with what it does."""
        actions: dict[tuple[str, str], list[Binding]] = {}
        for binding in bindings:
            if binding.description and "super+" not in binding.key:
                actions.setdefault((binding.action, binding.description), []).append(binding)
        locked = self._locked(node)
        for (action, description), same in actions.items():
            keys = dict.fromkeys(_key(self.app.get_key_display(binding)) for binding in same)
            tooltip = next((binding.tooltip for binding in same if binding.tooltip), "")
            yield Row(" ".join(keys), f"{description}: {tooltip}" if tooltip else description, action not in locked)

    def _locked(self, node: DOMNode) -> frozenset[str]:
        """Actions that write, while only reading is allowed."""
        session = getattr(self.app, "session", None)
        changes: frozenset[str] = getattr(node, "CHANGES", frozenset())
        return changes if session is not None and session.readonly else frozenset()


def _all(node: DOMNode) -> list[Binding]:
    """Every binding of a node, those of its base classes with it."""
    return [binding for many in node._bindings.key_to_bindings.values() for binding in many]


def own(node: DOMNode) -> list[Binding]:
    """The bindings that our classes declare; what Textual's bring along, such as scrolling, is not said."""
    ours = [kind for kind in type(node).__mro__ if not kind.__module__.startswith("textual.")]
    declared = [one for kind in ours for one in Binding.make_bindings(vars(kind).get("BINDINGS", []))]
    keys = {(binding.key, binding.action) for binding in declared}
    return [binding for binding in _all(node) if (binding.key, binding.action) in keys]


def deeds(screen: Screen[Any]) -> Iterator[tuple[DOMNode, Binding]]:
    """What can be done on this screen now, for the palette: each action once, with the node that does it."""
    said: set[tuple[str, str]] = set()
    for node, binding, enabled, _ in screen.active_bindings.values():
        everywhere = binding.action in ("leave", "help", "command_palette") or binding.action.startswith("show(")
        same = binding.action, binding.description
        if not enabled or not binding.description or everywhere or same in said:
            continue
        if (binding.key, binding.action) not in {(one.key, one.action) for one in own(node)}:  # Textual's
            continue
        said.add(same)
        yield node, binding


def _key(shown: str) -> str:
    return "enter" if shown == "\u23ce" else shown  # few fonts have that sign, ASCII has none like it


def _title(node: Widget) -> str:
    """Of the panel that a widget is, or lies in."""
    titles = (one.border_title for one in node.ancestors_with_self if isinstance(one, Widget))
    return next((Content.from_markup(title).plain for title in titles if title), "")


def _lines(title: str, rows: list[Row], width: int, palette: Palette) -> list[Text]:
    """A group: its title, and a line or more for each action."""
    keys = min(_KEYS, max(len(row.keys) for row in rows)) + 2
    lines = [Text.assemble((title, f"bold {palette.text}"))]
    for row in rows:
        words = row.words if row.works else f"{row.words} (read only: off)"
        first, *more = textwrap.wrap(words, max(12, width - keys - 2)) or [""]
        style = palette.text if row.works else palette.muted
        if len(row.keys) >= keys:
            lines.append(Text.assemble("  ", (row.keys, palette.accent)))
            more, first = [first, *more], ""
        else:
            lines.append(Text.assemble("  ", (pad(row.keys, keys), palette.accent), (first, style)))
        lines += [Text.assemble(" " * (keys + 2), (line, style)) for line in more]
    return lines


def _beside(groups: list[list[Text]], width: int) -> list[Text]:
    """The groups in two columns, cut where both are about as high."""
    heights = [len(group) + 1 for group in groups]
    cut = min(range(1, len(groups) + 1), key=lambda cut: max(sum(heights[:cut]), sum(heights[cut:])))
    left, right = ([line for group in half for line in [*group, Text()]][:-1] for half in (groups[:cut], groups[cut:]))
    lines = []
    for place in range(max(len(left), len(right))):
        line = left[place].copy() if place < len(left) else Text()
        if place < len(right):
            line.pad_right(width + GAP - line.cell_len)
            line.append_text(right[place])
        lines.append(line)
    return lines
