"""Class x epoch in colour. The value under the cursor is said in words, for colours alone say too little."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType

from crdnd_tui.core.format import percent
from crdnd_tui.core.palette import sequence
from crdnd_tui.core.per_class import ClassHistory, Images, at
from crdnd_tui.core.text import one_line, pad
from crdnd_tui.tui.widgets.cells import Cells, Part, Row

WORDS = {"clean": "clean x", "adversarial": "adversarial x'"}
_RAMP = ".:-=+*#%@"  # low to high


class HeatMap(Cells):
    """One row for each class, or half of one where room is short; the run's whole length is the width."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "epoch(-1)", "Epoch before", show=False),
        Binding("right,l", "epoch(1)", "Epoch after", show=False),
    ]

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, title="Accuracy per class, by epoch")
        self._known: ClassHistory | None = None
        self._wanted: Images = "adversarial"
        self._class = -1  # under the cursor; -1: the worst at the last epoch
        self._column = -1  # place among the known epochs; -1: the last

    def show(self, known: ClassHistory | None, images: Images) -> None:
        """The history of one kind of images."""
        if known != self._known or images != self._wanted:
            self._known, self._wanted = known, images
            self.redraw()

    def action_move(self, rows: int) -> None:
        """Another class."""
        if self._known is not None:
            many = len(self._known.rows)
            self._class = min(many - 1, max(0, self._cursor()[0] + rows))
            self.redraw()

    def action_epoch(self, columns: int) -> None:
        """Another epoch."""
        if self._known is not None:
            self._column = min(len(self._known.epochs) - 1, max(0, self._cursor()[1] + columns))
            self.redraw()

    def _cursor(self) -> tuple[int, int]:
        """Class and place of the epoch."""
        known = self._known
        if known is None or not known.rows:
            return 0, 0
        column = len(known.epochs) - 1 if self._column < 0 else min(self._column, len(known.epochs) - 1)
        if self._class >= 0:
            return min(self._class, len(known.rows) - 1), column
        values = [at(row, column) for row in known.rows]
        return min(range(len(values)), key=lambda k: 2.0 if values[k] is None else float(values[k] or 0)), column

    def draw(self, width: int, height: int) -> list[Row]:
        known, palette = self._known, self.palette
        if known is None or not known.rows:
            self.name_it("Accuracy per class, by epoch")
            return [[("waiting for the end of the first epoch", palette.muted)]]
        label = min(10, max(map(len, known.names)))
        cells = max(1, width - label - 1)
        chosen, column = self._cursor()
        low, high = _range(known.rows)
        self._entitle(chosen, column, low, high)
        columns = _columns(known, cells)
        colours = [[_colour(self, at(row, c), low, high) if c >= 0 else "" for c in columns] for row in known.rows]
        axis = height > 2 and height != len(known.rows)  # a row that all classes need is theirs
        room = max(1, height - axis)
        if len(known.rows) <= room:
            tall = max(1, min(3, room // len(known.rows)))
            rows = [row for k in range(len(known.rows)) for row in self._whole(k, colours, label, chosen, tall)]
        else:
            rows = [self._pair(k, colours, label, chosen) for k in range(0, len(known.rows), 2)]
            first = min(max(0, chosen // 2 - room // 2), max(0, len(rows) - room))
            rows = rows[first : first + room]
        return [*rows, self._axis(known, columns, column, label, cells)] if axis else rows

    def _entitle(self, chosen: int, column: int, low: float, high: float) -> None:
        known = self._known
        if known is None:
            return
        who = known.who.title()
        value = percent(at(known.rows[chosen], column))
        where = f"{_called(known.names[chosen])}, epoch {known.epochs[column]}: {value}"
        self.name_it(f"{who} on {WORDS[known.images]}, by epoch", f"{where}   {100 * low:.0f} to {100 * high:.0f} %")

    def _whole(self, k: int, colours: Sequence[Sequence[str]], label: int, chosen: int, tall: int) -> list[Row]:
        known = self._known
        name = known.names[k] if known else ""
        row = [*self._label(name, label, k == chosen), *self._run(colours[k], None)]
        return [row, *([[(" " * (label + 1), ""), *self._run(colours[k], None)]] * (tall - 1))]

    def _pair(self, k: int, colours: Sequence[Sequence[str]], label: int, chosen: int) -> Row:
        lower = colours[k + 1] if k + 1 < len(colours) else [""] * len(colours[k])
        shown = chosen if chosen in (k, k + 1) else k
        name = self._known.names[shown] if self._known else ""
        return [*self._label(name, label, shown == chosen), *self._run(colours[k], lower)]

    def _label(self, name: str, width: int, chosen: bool) -> list[Part]:
        palette = self.palette
        return [
            (
                pad(one_line(name, width), width) + ("\u25b8" if chosen else " "),
                palette.accent if chosen else palette.muted,
            )
        ]

    def _run(self, upper: Sequence[str], lower: Sequence[str] | None) -> list[Part]:
        """Neighbours of one look are one part. A look of one letter stands for itself, where there are no colours."""
        made: list[Part] = []
        for place, colour in enumerate(upper):
            below = lower[place] if lower is not None else colour
            if not colour and not below:
                words, look = "." if self.ascii_only else "\u00b7", self.palette.faint
            elif len(colour) == 1:
                words, look = colour, self.palette.text
            elif colour == below:
                words, look = "\u2588", colour
            else:
                words, look = "\u2580", f"{colour} on {below}" if below else colour
            if made and made[-1][1] == look and made[-1][0][0] == words:
                made[-1] = (made[-1][0] + words, look)
            else:
                made.append((words, look))
        return made

    def _axis(self, known: ClassHistory, columns: Sequence[int], column: int, label: int, cells: int) -> Row:
        """First and last epoch, and where the cursor stands."""
        palette = self.palette
        places = [place for place, c in enumerate(columns) if c == column]
        middle = places[len(places) // 2] if places else 0
        first, last = str(known.epochs[0]), str(known.total)
        line = list(first.ljust(cells - len(last)) + last)[:cells]
        here = f"\u25b2{known.epochs[column]}" if middle + 8 < cells else f"{known.epochs[column]}\u25b2"
        start = middle if middle + 8 < cells else max(0, middle - len(here) + 1)
        end = min(cells, start + len(here))
        before = "" if start < len(first) + 1 else "".join(line[:start])
        after = "".join(line[end:])
        if end > cells - len(last) - 1:
            after = ""
        return [
            (" " * (label + 1), ""),
            (before or " " * start, palette.muted),
            (here[: end - start], palette.accent),
            (after, palette.muted),
        ]


def _called(name: str) -> str:
    return f"class {name}" if name.isdecimal() else name


def _range(rows: Sequence[Sequence[float | None]]) -> tuple[float, float]:
    """Whole steps of five per cent around all values."""
    values = [value for row in rows for value in row if value is not None]
    low = int(min(values, default=0.0) * 20) / 20
    high = -int(-max(values, default=1.0) * 20 - 0.999999) / 20
    return low, max(low + 0.05, min(1.0, high))


def _columns(known: ClassHistory, cells: int) -> list[int]:
    """For each cell the place of its epoch, -1 where the run has not come to; the last epoch of those in a cell."""
    epochs = sorted((epoch, place) for place, epoch in enumerate(known.epochs))
    total = max(1, known.total)
    made: list[int] = []
    for cell in range(cells):
        first, last = cell * total // cells + 1, max((cell + 1) * total // cells, cell * total // cells + 1)
        after = bisect_right(epochs, last, key=lambda pair: pair[0])
        made.append(epochs[after - 1][1] if after and epochs[after - 1][0] >= first else -1)
    return made


def _colour(widget: HeatMap, value: float | None, low: float, high: float) -> str:
    """Or a letter of the ramp, where there are no colours."""
    if value is None:
        return ""
    share = (value - low) / (high - low)
    if widget.app.no_color or widget.ascii_only:
        return _RAMP[min(len(_RAMP) - 1, max(0, int(share * len(_RAMP))))]
    return sequence(widget.palette, share)
