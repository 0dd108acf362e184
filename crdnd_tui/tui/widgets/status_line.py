"""The lines above the panels: what run this is and how it is, how far it has come, where its time goes, what is up."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text
from textual.widget import Widget

from crdnd_tui.core.fast_path import TrainingProfile
from crdnd_tui.core.palette import Palette, named
from crdnd_tui.core.text import one_line
from crdnd_tui.tui.widgets.selectable import SelectableText
from crdnd_tui.tui.widgets.time_bar import ASCII, COLOURED, COLOURLESS, time_line

_FLAT = 20  # rows of a terminal below which the time has no line of its own
_ROLES = ("good", "warn", "bad", "accent")
_TITLES = {
    "curves": "Curves", "acm": "ACM", "table": "Table", "log": "Log", "loss": "Loss", "accuracy": "Validation",
    "pace": "Pace", "bars": "Classes", "map": "Epochs", "matrix": "M", "fate": "Why",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What the lines say. Of `facts` and `after` as many as fit are shown, from the left."""

    state: str = ""  # running, stalled, ...
    sign: str = ""
    role: str = ""  # the palette's word for its colour
    head: str = ""  # the method, in bold
    facts: Sequence[str] = ()
    right: Sequence[str] = ()  # device, process, age of the last event; where room is short, the process goes first
    late: bool = False  # the age is a reason to worry
    meter: str = ""  # before the bar
    share: float | None = None
    after: Sequence[tuple[str, bool]] = ()  # behind the bar; whether it is the number that matters
    spent: TrainingProfile | None = None  # where the time goes; None has no line
    paused: bool = False


class StatusLine(SelectableText):
    """Sign, state and facts; then the bar; then where the time goes, once that is known."""

    DEFAULT_CSS = "StatusLine { height: 2; padding: 0 1; }"

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._standing = Standing()

    def on_mount(self) -> None:
        """Redraw with another theme."""
        self.watch(self.app, "theme", self._themed, init=False)

    def _themed(self, _theme: str) -> None:
        self.refresh()

    def show(self, standing: Standing) -> None:
        """How it stands now."""
        self.styles.height = 2 + self._timed(standing)
        if standing != self._standing:
            self._standing = standing
            self.refresh()

    def _timed(self, standing: Standing) -> bool:
        return standing.spent is not None and self.app.size.height >= _FLAT

    def render(self) -> Text:
        """All lines."""
        palette, width, standing = named(self.app.theme), self.size.width, self._standing
        lines = [_first(standing, palette, width), _second(standing, palette, width)]
        if standing.spent is not None and self._timed(standing):
            letters = getattr(getattr(self.app, "session", None), "ascii_only", False)
            marks = ASCII if letters else COLOURLESS if self.app.no_color else COLOURED
            lines.append(time_line(standing.spent, marks, palette, width))
        for line in lines:
            line.truncate(width, overflow="ellipsis")
        return Text("\n").join(lines)


def colour_of(role: str, palette: Palette) -> str:
    """Of good, warn, bad, accent; quiet for all others."""
    return str(getattr(palette, role)) if role in _ROLES else palette.muted


def _first(standing: Standing, palette: Palette, width: int) -> Text:
    line = Text(no_wrap=True)
    if standing.paused:
        line.append(" VIEW PAUSED ", f"bold reverse {palette.warn}")
        line.append(" ")
    if standing.state:
        line.append(f"{standing.sign} {standing.state}", f"bold {colour_of(standing.role, palette)}")
    if standing.head:
        line.append(f"  {standing.head}", f"bold {palette.text}")
    right = _right(standing, width - cell_len(line.plain))
    for fact in standing.facts:
        words = f" \u00b7 {fact}" if standing.head else f"  {fact}"
        room = width - cell_len(line.plain) - (cell_len(right) + 2 if right else 0)
        if cell_len(words) > room:
            words = f" \u00b7 {one_line(fact, room - 3)}" if room > 18 else ""
        line.append(words, palette.text)
    if right:
        line.append(" " * max(1, width - cell_len(line.plain) - cell_len(right)))
        age = standing.right[-1]
        line.append(right.removesuffix(age), palette.muted)
        line.append(age, f"bold {palette.warn}" if standing.late else palette.muted)
    return line


def _right(standing: Standing, room: int) -> str:
    """All of it when the facts keep their room; else its two ends, or its end."""
    facts = sum(cell_len(fact) + 3 for fact in standing.facts)
    for kept in (standing.right, (*standing.right[:1], *standing.right[2:])):
        words = " \u00b7 ".join(kept)
        if facts + cell_len(words) + 2 <= room:
            return words
    last = standing.right[-1] if standing.right else ""
    return last if cell_len(last) + 20 < room else ""


def _second(standing: Standing, palette: Palette, width: int) -> Text:
    line = Text(standing.meter, palette.text, no_wrap=True)
    if standing.share is None:
        return line
    share = min(1.0, max(0.0, standing.share))
    percent = f"{100 * share:.0f} %".rjust(5)
    shown: list[tuple[str, bool]] = [(f"  {percent}", False)]
    least = 10 if width >= 60 else 6
    for full_words, strong in standing.after:
        used = cell_len(line.plain) + sum(cell_len(words) for words, _ in shown) + least + 4
        words = next((w for w in (full_words, full_words.split(" (")[0]) if used + cell_len(w) <= width), None)
        if words is None:
            break
        if words:
            shown.append((f"   {words}", strong))
    room = max(least, width - cell_len(line.plain) - sum(cell_len(words) for words, _ in shown) - 1)
    room = min(room, 60)
    full = round(share * room)
    line.append(" " if standing.meter else "")
    line.append("\u2501" * full, palette.accent)
    line.append("\u2500" * (room - full), palette.faint)
    for words, strong in shown:
        line.append(words, f"bold {palette.text}" if strong else palette.muted)
    return line


class Notice(SelectableText):
    """One line that is there only while something is up."""

    DEFAULT_CSS = "Notice { height: 1; padding: 0 1; display: none; }"

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._words, self._role = "", ""

    def on_mount(self) -> None:
        """Redraw with another theme."""
        self.watch(self.app, "theme", self._themed, init=False)

    def _themed(self, _theme: str) -> None:
        self.refresh()

    def say(self, words: str, role: str = "") -> None:
        """These words in the colour of this role; nothing hides the line."""
        if (words, role) != (self._words, self._role):
            self._words, self._role = words, role
            self.display = bool(words)
            self.refresh()

    def render(self) -> Text:
        """One line."""
        palette = named(self.app.theme)
        line = Text(self._words, colour_of(self._role, palette), no_wrap=True)
        line.truncate(self.size.width, overflow="ellipsis")
        return line


class PageBar(Widget):
    """The pages of a narrow terminal; the one in front is lit."""

    ALLOW_SELECT = False
    DEFAULT_CSS = "PageBar { height: 1; padding: 0 1; }"

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._pages: tuple[str, ...] = ()
        self._here = ""

    def on_mount(self) -> None:
        """Redraw with another theme."""
        self.watch(self.app, "theme", self._themed, init=False)

    def _themed(self, _theme: str) -> None:
        self.refresh()

    def show(self, pages: Sequence[str], here: str) -> None:
        """These pages, this one in front."""
        if (tuple(pages), here) != (self._pages, self._here):
            self._pages, self._here = tuple(pages), here
            self.refresh()

    def render(self) -> Text:
        """Names, and the key that turns."""
        palette, width = named(self.app.theme), self.size.width
        titles = [_TITLES.get(page, page) for page in self._pages]
        if sum(len(title) + 2 for title in titles) + 8 > width and self._here in self._pages:
            here = self._pages.index(self._here)
            titles = [titles[here], f"{here + 1} of {len(titles)}"]
        line = Text(no_wrap=True)
        for title in titles:
            lit = title == _TITLES.get(self._here, self._here)
            line.append(f" {title} ", f"bold {palette.accent_text} on {palette.accent}" if lit else palette.muted)
        line.append(" " * max(1, width - cell_len(line.plain) - 6) + "w next", palette.muted)
        line.truncate(width)
        return line
