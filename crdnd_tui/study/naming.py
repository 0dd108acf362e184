"""What a report calls the rows and tables of a study, and which runs of the grid belong to each. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from crdnd_tui.core.text import one_line
from crdnd_tui.study.study import Cell, Study

_WIDTH = 40  # cells of a label


@dataclass(frozen=True, kw_only=True)
class Block:
    """A row or a table of the report: its labels on the axes, what it is called, and the runs wanted for it."""

    place: Mapping[str, str]  # axis -> label
    title: str
    cells: tuple[Cell, ...]


def tables(study: Study) -> list[Block]:
    """One for each combination of the axes in `tables` that has runs; the whole study when there are none."""
    return _blocks(study, study.layout.tables, study.cells) or [Block(place={}, title="", cells=study.cells)]


def rows(study: Study, table: Block) -> list[Block]:
    """One for each combination of the axes in `rows` in this table; a study of nothing but seeds is one row."""
    return _blocks(study, study.layout.rows, table.cells) or [
        Block(place={}, title=one_line(study.name, _WIDTH), cells=table.cells)
    ]


def _blocks(study: Study, axes: Sequence[str], cells: Sequence[Cell]) -> list[Block]:
    gathered: dict[tuple[str, ...], list[Cell]] = {}
    for cell in cells if axes else ():
        gathered.setdefault(tuple(cell.place[axis] for axis in axes), []).append(cell)
    order = sorted(gathered, key=lambda key: [study.axes[a].index(w) for a, w in zip(axes, key, strict=True)])
    words = {axis: _words(study, axis) for axis in axes}
    return [
        Block(
            place=dict(zip(axes, key, strict=True)),
            title=one_line(", ".join(words[a][w] for a, w in zip(axes, key, strict=True)), _WIDTH),
            cells=tuple(gathered[key]),
        )
        for key in order
    ]


def _words(study: Study, axis: str) -> dict[str, str]:
    """Label -> what it is called: the data set's or student's title, a preset's own name, `key label` of a number."""
    titles = {
        label: _title(axis, label, [c for c in study.cells if c.place[axis] == label]) for label in study.axes[axis]
    }
    return titles if len(set(titles.values())) == len(titles) else {label: label for label in study.axes[axis]}


def _title(axis: str, label: str, cells: Sequence[Cell]) -> str:
    match axis:
        case "data":
            return _same((cell.config.data.title for cell in cells), label)
        case "student":
            return _same((cell.config.student.title for cell in cells), label)
        case "method":
            return _same((cell.config.name.partition(",")[0].strip() for cell in cells), label)
        case _ if "." in axis:
            return f"{axis.rpartition('.')[2]} {label}"
        case _:
            return label


def _same(words: Iterable[str], otherwise: str) -> str:
    """The word that all share."""
    found = set(words)
    return found.pop() or otherwise if len(found) == 1 else otherwise
