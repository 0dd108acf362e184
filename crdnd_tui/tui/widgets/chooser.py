"""A list of runs of which several are taken: arrows, space, Enter. Draws only the rows that are seen."""

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from crdnd_tui.compare.runs import RunChoice
from crdnd_tui.core.palette import named
from crdnd_tui.core.text import one_line, pad

_RESULT, _ID = 60, 16  # cells from which a result, and an id, are shown


class Chooser(Widget, can_focus=True):
    """Two runs and more, up to `most`."""

    ALLOW_SELECT = False
    DEFAULT_CSS = "Chooser { height: 1fr; text-wrap: nowrap; text-overflow: clip; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("home", "move(-1000000)", "First", show=False),
        Binding("end", "move(1000000)", "Last", show=False),
        Binding("space", "take_or_leave", "Take", tooltip="or leave"),
        Binding("enter", "accept", "Compare", tooltip="those that are taken"),
        Binding("escape", "leave", "Back", show=False),
    ]

    cursor: reactive[int] = reactive(0)

    class Chosen(Message):
        """These ids, in the order in which they were taken."""

        def __init__(self, ids: tuple[str, ...]) -> None:
            super().__init__()
            self.ids = ids

    class Left(Message):
        """Nothing was chosen."""

    def __init__(self, *, most: int, id: str | None = None) -> None:
        super().__init__(id=id, classes="panel")
        self._most = most
        self._choices: tuple[RunChoice, ...] | None = None
        self._problem = ""  # why the folder could not be listed
        self._taken: list[str] = []
        self._top = 0
        self.border_title = "Compare which runs?"

    def on_mount(self) -> None:
        """Redraw with another theme."""
        self.watch(self.app, "theme", self._entitle, init=False)

    def show(self, choices: Sequence[RunChoice], problem: str = "", *, whole: bool = True) -> None:
        """The runs there are; the cursor stays on its run, what was taken and is gone from the whole is forgotten."""
        self._problem = problem
        here = self._choices[self.cursor].id if self._choices and self.cursor < len(self._choices) else ""
        self._choices = tuple(choices)
        ids = [choice.id for choice in choices]
        self._taken = [run for run in self._taken if run in ids or not whole]
        self.cursor = ids.index(here) if here in ids else 0
        self._entitle()

    def take(self, ids: Sequence[str]) -> None:
        """These are taken from the start."""
        self._taken = list(ids)
        self._entitle()

    def _entitle(self) -> None:
        self.border_subtitle = Content(f"{len(self._taken)} of at most {self._most} taken")
        self.refresh()

    def render(self) -> Text:
        """As many rows as fit, around the cursor."""
        palette, width, height = named(self.app.theme), self.size.width, self.size.height
        if self._choices is None:
            return Text("Reading the runs ...", palette.muted)
        if self._problem:
            return Text(f"The runs folder cannot be read: {one_line(self._problem)}", palette.bad)
        if not self._choices:
            words = Text("No run has been started yet.\n\n", palette.text)
            words.append("2", f"bold {palette.accent}").append("  New run\n", palette.muted)
            words.append("1", f"bold {palette.accent}").append("  Runs, which also has a demo", palette.muted)
            return words
        self._top = max(min(self._top, self.cursor), self.cursor - height + 1, 0)
        lines = [self._line(k, width) for k in range(self._top, min(len(self._choices), self._top + height))]
        text = Text("\n").join(lines)
        text.no_wrap, text.overflow = True, "crop"
        return text

    def _line(self, place: int, width: int) -> Text:
        palette, choice = named(self.app.theme), (self._choices or ())[place]
        taken, here = choice.id in self._taken, place == self.cursor
        line = Text(style=palette.text)
        mark = str(self._taken.index(choice.id) + 1) if taken else "\u00b7"
        line.append(f" {mark} ", f"bold {palette.accent}" if taken else palette.faint)
        line.append(f"{choice.sign} {pad(choice.state, 9)} ", palette.muted)
        result = max(len(other.result) for other in self._choices or ()) if width >= _RESULT else 0
        room = max(8, width - 16 - result)
        longest = min(room, max(len(other.text) for other in self._choices or ()))
        line.append(pad(one_line(choice.text, longest), longest), f"bold {palette.text}" if taken else palette.text)
        rest = room - longest - 2
        shown = "" if rest < _ID else one_line(choice.id, rest) if len(choice.id) <= rest else _made(choice.id)
        line.append("  " + pad(shown, rest) if rest > 0 else " " * (room - longest), palette.muted)
        line.append(" " + choice.result.rjust(result), palette.muted)
        line.truncate(width, pad=True)
        if here:
            line.stylize(f"on {palette.selection}")
        return line

    def action_move(self, by: int) -> None:
        """To another run."""
        self.cursor = max(0, min(len(self._choices or ()) - 1, self.cursor + by))

    def action_page(self, by: int) -> None:
        """A screenful."""
        self.action_move(by * max(1, self.size.height - 1))

    def action_take_or_leave(self) -> None:
        """Take the run, or leave it; at most so many."""
        if not self._choices:
            return
        run = self._choices[self.cursor].id
        if run in self._taken:
            self._taken.remove(run)
        elif len(self._taken) < self._most:
            self._taken.append(run)
        else:
            self.notify(f"At most {self._most} runs can be told apart.", severity="warning", markup=False)
        self._entitle()
        self.action_move(1)

    def action_accept(self) -> None:
        """With two and more."""
        if len(self._taken) < 2:
            self.notify("Take two runs or more: space.", severity="warning", markup=False)
            return
        self.post_message(self.Chosen(tuple(self._taken)))

    def action_leave(self) -> None:
        """Back to where one came from."""
        self.post_message(self.Left())


def _made(run: str) -> str:
    """When a run was made, by its id."""
    return one_line(f"{run[:4]}-{run[4:6]}-{run[6:8]} {run[9:11]}:{run[11:13]}", _ID)
