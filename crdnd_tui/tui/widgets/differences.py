"""Keys that differ, and classes that differ, as lines of text."""

from collections.abc import Mapping, Sequence

from rich.text import Text

from crdnd_tui.compare.config import MISSING, ConfigKey
from crdnd_tui.compare.rows import ClassDifference, ComparisonRow, WorstClass
from crdnd_tui.core.format import percent, signed
from crdnd_tui.core.marks import UNMARKED, Marked
from crdnd_tui.core.palette import Palette
from crdnd_tui.core.text import one_line, pad, wrapped

_VALUE = 8  # cells that a value needs at least to stand in a column
_PATH, _ENOUGH = 16, 14  # cells of a key's path at least, and of a value before it shortens the path
_TWO = 52  # cells from which classes stand in two columns
_BOTH, _ARM, _LONGEST = 15, 5, 24  # cells of both accuracies, of a bar at least and at most


def key_lines(
    keys: Sequence[ConfigKey], rows: Sequence[ComparisonRow], colours: Mapping[str, str], palette: Palette, width: int
) -> list[Text]:
    """A line for each key with one column for each row; or, where these find no room, its values on lines below."""
    if not keys:
        return [Text("The runs were asked for the same.", palette.muted)]
    longest, needed = max(len(key.path) for key in keys), _needed(keys, rows)
    path = min(longest, max(_PATH, width - len(rows) * (min(needed, _ENOUGH) + 2)))
    room = min(needed, (width - path) // max(1, len(rows)) - 2)
    if room < _VALUE:
        return _stacked(keys, rows, colours, palette, width)
    path = min(longest, width - len(rows) * (room + 2))
    head = Text(" " * path)
    for row in rows:
        head.append("  " + pad(one_line(row.label, room), room), colours.get(row.id, palette.text))
    made = [head]
    for key in keys:
        line = Text(pad(one_line(key.path, path), path), palette.text if key.differs else palette.muted)
        for value in key.values:
            style = palette.faint if value == MISSING else palette.text if key.differs else palette.muted
            line.append("  " + pad(one_line(value, room), room), style)
        made.append(line)
    return made


def _needed(keys: Sequence[ConfigKey], rows: Sequence[ComparisonRow]) -> int:
    """Cells at which no value and no label is cut."""
    return max([_VALUE, *(len(v) for key in keys for v in key.values), *(len(row.label) for row in rows)])


def _stacked(
    keys: Sequence[ConfigKey], rows: Sequence[ComparisonRow], colours: Mapping[str, str], palette: Palette, width: int
) -> list[Text]:
    made: list[Text] = []
    for key in keys:
        made.append(Text(one_line(key.path, width), palette.text if key.differs else palette.muted))
        for value in dict.fromkeys(key.values):
            line = Text("  " + one_line(value, max(8, width // 2)), palette.faint if value == MISSING else palette.text)
            if key.differs:
                for row, own in zip(rows, key.values, strict=True):
                    line.append(f"  {row.label}" if own == value else "", colours.get(row.id, palette.muted))
            line.truncate(width, overflow="ellipsis")
            made.append(line)
    return made


def worst_lines(named: Sequence[tuple[str, WorstClass | None]], palette: Palette, width: int) -> list[Text]:
    """The worst class of each row, with the interval of one run or the deviation over seeds, as far as it is known."""
    known = [(label, worst) for label, worst in named if worst is not None]
    label = min(max((len(label) for label, _ in known), default=0), max(8, width - 40))
    made = []
    for name, worst in known:
        line = Text("worst of ", palette.muted)
        line.append(pad(one_line(name, label), label) + "  ", palette.text)
        line.append(f"{worst.title}  ", palette.text)
        struck = worst.marked.struck
        line.append(percent(worst.mean), f"strike {palette.muted}" if struck else f"bold {palette.text}")
        line.append(worst.marked.signs, palette.bad if struck else palette.warn)
        line.append(_around(worst), palette.muted)
        line.truncate(width, overflow="ellipsis")
        made.append(line)
    return made


def _around(worst: WorstClass) -> str:
    """What bears the number."""
    if worst.std is not None:
        n = f", n {worst.count}" if worst.count else ""
        return f" \u00b1 {100 * worst.std:.1f}, {len(worst.values)} seeds{n}"
    if worst.interval is not None:
        return f" [{percent(worst.interval.low)}, {percent(worst.interval.high)}], n {worst.count}"
    return ""


def class_lines(
    known: Sequence[ClassDifference], why: str, palette: Palette, width: int, height: int = 0, marked: Marked = UNMARKED
) -> list[Text]:
    """A bar for each class, left of zero in blue and right of it in orange, with its signed number and its marks.

    In two columns where one would be higher than `height` and there is room.
    """
    if not known:
        return wrapped(why, max(1, width), palette.muted, indent="", hang="")
    two = width >= _TWO and len(known) > max(1, height)
    bars = _bars(known, palette, (width - 3) // 2 if two else width, marked)
    if not two:
        return bars
    half = -(-len(bars) // 2)
    for left, right in zip(bars, bars[half:], strict=False):
        left.append("   ")
        left.append_text(right)
    return bars[:half]


def _bars(known: Sequence[ClassDifference], palette: Palette, width: int, marked: Marked) -> list[Text]:
    """Name, bar, signed points with their marks, and `28.3 -> 23.2`, the accuracies, where there is room.

    Zero stands where it must.
    """
    label = max(len(one.name) for one in known)
    room = width - label - 8 - len(marked.signs) - _BOTH
    beside = room >= 2 * _ARM
    room = min(2 * _LONGEST, room if beside else room + _BOTH)
    low, high = (max(0.0, *(sign * one.points for one in known)) for sign in (-1, 1))
    scale = max(1.0, low + high) / max(2, room - 2)  # points in a cell
    left, right = (-int(-end // scale) if end else 0 for end in (low, high))
    made = []
    for one in known:
        whole, rest = divmod(round(2 * abs(one.points) / scale), 2)
        ahead = one.points < 0
        bar = ("\u2590" * rest + "\u2588" * whole) if ahead else ("\u2588" * whole + "\u258c" * rest)
        line = Text(pad(one.name, label) + " ", palette.text)
        line.append(bar[-left:].rjust(left) if ahead and left else " " * left, palette.below)
        line.append("\u2502", palette.faint)
        line.append(" " * right if ahead else bar[:right].ljust(right), palette.above)
        points = signed(one.points)
        line.append(" " * (6 - len(points)))
        line.append(points, f"strike {palette.muted}" if marked.struck else palette.text)
        line.append(marked.signs, palette.bad if marked.struck else palette.warn)
        if beside:
            line.append(f"  {percent(one.baseline):>5} \u2192 {percent(one.here):>5}", palette.muted)
        made.append(line)
    return made
