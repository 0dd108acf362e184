"""Where the panels of the Live screen lie, for any size of terminal and any state of the run. Pure arithmetic.

What is most telling gets the room: curves and classes while a run trains, the table when it is judged,
the reason when it failed.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal["training", "judging", "trouble", "empty"]
Page = Literal["curves", "acm", "table", "log"]
PAGES: tuple[Page, ...] = ("curves", "acm", "table", "log")
PANELS = ("fate", "loss", "accuracy", "pace", "bars", "map", "matrix", "table", "log")


class Box(NamedTuple):
    """Cells: left, top, width, height."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What the places depend on, besides the size."""

    kind: Kind
    page: Page = "curves"
    only: str = ""  # the panel that is maximised
    classes: int = 10
    trains: bool = True  # has curves
    knows_classes: bool = True
    judged: bool = False  # the table has a cell
    living: bool = False  # more is to come
    flat: bool = False


_CHART = 7  # rows of the smallest chart that tells something

Places = dict[str, Box]


def plan(width: int, height: int, ask: Ask) -> Places:
    """A place for each panel that is shown; together they fill the area."""
    if width < 4 or height < 1:
        return {}
    whole = Box(0, 0, width, height)
    if ask.kind == "empty":
        return {"fate": whole}
    if ask.only:
        return {ask.only: whole}
    if width < 100:
        return _page(whole, ask)
    if height < 16:
        return _columns(whole, _page_names(ask)[:3])
    return _huge(whole, ask) if width >= 170 else _wide(whole, ask)


def page_of(ask: Ask) -> Page:
    """The page that tells most of a run, before another one is asked for."""
    return {"trouble": "log", "judging": "table"}.get(ask.kind, "curves")  # type: ignore[return-value]


def _page_names(ask: Ask) -> list[str]:
    match ask.page:
        case "curves":
            return ["loss", "accuracy", "pace"]
        case "acm":
            return ["bars", "map"] if ask.trains else ["bars"]
        case "table":
            return ["table"]
        case "log":
            return ["fate", "log"] if ask.kind == "trouble" else ["log"]


def _page(whole: Box, ask: Ask) -> Places:
    names = _page_names(ask)
    if ask.flat or whole.height < 11:
        return {names[0]: whole}
    if ask.page == "curves":
        top, below = _cut_rows(whole, round(whole.height * 0.55))
        left, right = _cut_columns(below, below.width // 2)
        return {"loss": top, "accuracy": left, "pace": right}
    if ask.page == "acm" and ask.trains:
        top, below = _cut_rows(whole, min(ask.classes + 2, whole.height - 7))
        return {"bars": top, "map": below}
    if len(names) == 2:
        return _rows(whole, names)
    return {names[0]: whole}


def _wide(whole: Box, ask: Ask) -> Places:
    if ask.kind == "trouble":
        return _troubled(whole, ask)
    if ask.kind == "judging":
        left, side = _cut_columns(whole, whole.width - max(60, whole.width // 2 + 2))
        if ask.living and ask.trains and ask.knows_classes and side.height >= 28:
            upper, lower = _cut_rows(side, side.height - 8)
            return {"log": lower} | _beside(left, ask) | {"table": upper}
        return _beside(left, ask) | {"table": side}
    left, side = _cut_columns(whole, whole.width - max(46, round(whole.width * 0.4)))
    log = min(9, max(4, whole.height // 5))
    loss, rest = _cut_rows(left, round((left.height - log) * 0.56))
    below, last = _cut_rows(rest, rest.height - log)
    accuracy, pace = _cut_columns(below, below.width // 2)
    places = {"loss": loss, "accuracy": accuracy, "pace": pace, "log": last}
    return places | _side(side, ask)


def _side(side: Box, ask: Ask) -> Places:
    """Classes, their history, and what will be judged."""
    if not ask.knows_classes:
        return {"table": side}
    table = 7 if side.height >= 26 else 5
    bars = min(ask.classes + 2, (side.height - table) // 2)
    first, rest = _cut_rows(side, bars)
    second, third = _cut_rows(rest, min(rest.height - table, max(8, ask.classes * 2 + 3)))
    return {"bars": first, "map": second, "table": third}


def _beside(left: Box, ask: Ask) -> Places:
    """What stands beside a table that is the point now: curves above, classes below."""
    if not ask.trains:
        return _classes_and_log(left, ask)
    if not ask.knows_classes:
        return _rows(left, ["loss", "accuracy", "log"])
    bars = min(ask.classes + 2, left.height // 2)
    above, below = _cut_rows(left, left.height - bars)
    return _rows(above, ["loss", "accuracy"]) | {"bars": below}


def _classes_and_log(box: Box, ask: Ask) -> Places:
    """What a judgement without a training has to show beside its table."""
    if not ask.knows_classes:
        return {"log": box}
    bars, log = _cut_rows(box, min(ask.classes + 2, box.height - 6))
    return {"bars": bars, "log": log}


def _huge(whole: Box, ask: Ask) -> Places:
    if ask.kind == "trouble":
        return _troubled(whole, ask)
    shares = (0.36, 0.28) if ask.kind == "judging" else (0.42, 0.3)
    left, rest = _cut_columns(whole, round(whole.width * shares[0]))
    middle, right = _cut_columns(rest, round(whole.width * shares[1]))
    log = max(6, right.height // 4 if ask.kind == "judging" else right.height - 7)
    table, last = _cut_rows(right, right.height - log)
    curves = _rows(left, ["loss", "accuracy", "pace"], first=0.44) if ask.trains else {}
    if not ask.trains:
        table = Box(0, 0, whole.width - right.width, whole.height)
        return {"table": table} | _classes_and_log(right, ask)
    if not ask.knows_classes:
        return _rows(Box(0, 0, left.width + middle.width, whole.height), ["loss", "accuracy", "pace"], first=0.5) | {
            "table": table,
            "log": last,
        }
    bars, below = _cut_rows(middle, min(ask.classes + 2, middle.height // 2))
    classes = {"bars": bars, "map": below}
    spare = below.height - 2 * (ask.classes + 3)  # each with a border and an axis
    if spare >= 0:
        first, second = _cut_rows(below, ask.classes + 3 if spare >= _CHART else (below.height + 1) // 2)
        classes |= {"map": first, "matrix": second}
    if spare >= _CHART:
        second, pace = _cut_rows(second, ask.classes + 3)
        classes |= {"matrix": second, "pace": pace}
        curves = _rows(left, ["loss", "accuracy"], first=0.56)
    return curves | classes | {"table": table, "log": last}


def _troubled(whole: Box, ask: Ask) -> Places:
    """The reason and the end of the log, with what was reached beside it."""
    if not ask.trains:
        return {"fate": whole}
    left, side = _cut_columns(whole, whole.width // 2)
    if ask.judged:
        return _rows(left, ["loss", "table"], first=0.35) | {"fate": side}
    if ask.knows_classes and left.height >= 24:
        above, below = _cut_rows(left, left.height - min(ask.classes + 2, left.height // 3 + 2))
        return _rows(above, ["loss", "accuracy"]) | {"bars": below, "fate": side}
    return _rows(left, ["loss", "accuracy"]) | {"fate": side}


def _cut_rows(box: Box, rows: int) -> tuple[Box, Box]:
    rows = min(max(1, rows), box.height - 1)
    return box._replace(height=rows), box._replace(y=box.y + rows, height=box.height - rows)


def _cut_columns(box: Box, columns: int) -> tuple[Box, Box]:
    columns = min(max(1, columns), box.width - 1)
    return box._replace(width=columns), box._replace(x=box.x + columns, width=box.width - columns)


def _rows(box: Box, names: list[str], first: float = 0.0) -> Places:
    """One above the other; the first takes its share, the others are equal."""
    places: Places = {}
    for place, name in enumerate(names):
        left = len(names) - place
        share = first if first and not place else 1 / left
        part, box = _cut_rows(box, round(box.height * share)) if left > 1 else (box, box)
        places[name] = part
    return places


def _columns(box: Box, names: list[str]) -> Places:
    places: Places = {}
    for place, name in enumerate(names):
        left = len(names) - place
        part, box = _cut_columns(box, box.width // left) if left > 1 else (box, box)
        places[name] = part
    return places
