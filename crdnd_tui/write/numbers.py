"""The text of cells, their marks and the notes below tables, for every medium. A value that is not finite is none."""

from collections.abc import Callable
from dataclasses import dataclass

from crdnd_tui.core.format import MINUS, MISSING, count, duration, finite, p_value, percentage, points
from crdnd_tui.core.marks import DISBELIEVED, STRUCK
from crdnd_tui.write.document import Bar, Cell, Figure, Row, Series, Table, Unit

BARRED = "not comparable"
DAGGER = "\u2020"
PLUS_MINUS = "\u00b1"


@dataclass(frozen=True, kw_only=True)
class CellText:
    """A cell in words, apart so that a writer may set the parts apart; empty parts are not shown."""

    number: str  # 84.1, +0.7, < 0.001, an en dash, not comparable, or the words that stand here
    std: str = ""  # 0.2, without its sign
    count: str = ""  # (3): seeds, where they are not the same all over the table
    interval: str = ""  # [83.1, 85.1]
    is_number: bool = False

    @property
    def text(self) -> str:
        """All of it: `84.1 +- 0.2 (3) [83.1, 85.1]`, with a true plus-minus sign."""
        return " ".join(part for part in (self.mean, self.count, self.interval) if part)

    @property
    def mean(self) -> str:
        """`84.1 +- 0.2`, or the number alone."""
        return f"{self.number} {PLUS_MINUS} {self.std}" if self.std else self.number


def cell_text(cell: Cell, unit: Unit, *, counted: bool = False) -> CellText:
    """The cell as it is read; `counted` puts the number of seeds into it."""
    if cell.barred:
        return CellText(number=BARRED)
    value = finite(cell.value)
    if value is None:
        return CellText(number=cell.text or MISSING)
    std, low, high = finite(cell.std), finite(cell.low), finite(cell.high)
    say = _speaker(unit, cell.n)
    said_interval = f"[{say(low)}, {say(high)}]" if low is not None and high is not None else ""
    spread = _speaker("percent" if unit == "points" else unit, cell.n)
    return CellText(
        number=say(value),
        std=spread(std) if std is not None else "",
        count=f"({cell.runs})" if counted and _counts(cell, unit) else "",
        interval=said_interval,
        is_number=True,
    )


def _speaker(unit: Unit, n: int) -> Callable[[float], str]:
    speakers: dict[Unit, Callable[[float], str]] = {
        "percent": lambda value: percentage(value, n), "points": lambda value: points(value, n), "p": p_value,
        "count": count, "seconds": duration, "words": lambda value: f"{value:.4g}".replace("-", MINUS),
    }  # fmt: skip
    return speakers[unit]


def _counts(cell: Cell, unit: Unit) -> bool:
    """Whether a number of seeds belongs to this cell: always to a mean, and to an accuracy even of one."""
    return finite(cell.value) is not None and (cell.runs > 1 or unit == "percent")


def seed_counts(table: Table) -> set[int]:
    """The numbers of seeds that the table's measured numbers stand on."""
    return {
        cell.runs
        for row in table.rows
        if not row.quiet
        for cell, column in zip(row.cells, table.columns, strict=True)
        if _counts(cell, row.unit or column.unit) and not cell.barred
    }


def cell_texts(table: Table) -> list[tuple[CellText, ...]]:
    """Every row in words; seeds are counted in each cell only where they are not the same all over the table."""
    counted = len(seed_counts(table)) > 1
    return [
        tuple(
            cell_text(cell, row.unit or column.unit, counted=counted and not row.quiet)
            for cell, column in zip(row.cells, table.columns, strict=True)
        )
        for row in table.rows
    ]


def legend(table: Table, *, best: str) -> list[str]:
    """Sentences on how numbers and signs are to be read; `best` is how the writer shows the best."""
    return [*spread_notes(table), *sign_notes(table, best=best)]


def _numbers(table: Table) -> list[Cell]:
    return [cell for row in table.rows for cell in row.cells if finite(cell.value) is not None and not cell.barred]


def spread_notes(table: Table) -> list[str]:
    """What stands beside the numbers: the deviation over how many seeds, and intervals."""
    cells, said = _numbers(table), []
    if any(finite(cell.std) is not None for cell in cells):
        counts = seed_counts(table) - {1}
        over = f"over {next(iter(counts))} seeds" if len(counts) == 1 and len(seed_counts(table)) == 1 else "over seeds"
        said.append(f"Mean {PLUS_MINUS} sample standard deviation {over}.")
    if len(seed_counts(table)) > 1:
        said.append("In parentheses: the number of seeds.")
    if any(finite(cell.low) is not None and finite(cell.high) is not None for cell in cells):
        said.append("In brackets: 95\u00a0% interval.")
    return said


def sign_notes(table: Table, *, best: str) -> list[str]:
    """What the best and the dagger mean, where there are any."""
    cells, said = _numbers(table), []
    if any(cell.best for cell in cells):
        said.append(f"{best}: the best of its column, and what cannot be told from it.")
    if any(cell.significant for cell in cells):
        from_it = f" from {table.baseline}" if table.baseline else " from the baseline"
        said.append(f"{DAGGER} differs{from_it}: p below 0.05 after Holm's correction.")
    if any(cell.struck for row in table.rows for cell in row.cells):
        said.append(DISBELIEVED)
    return said


def marks(what: Cell | Series | Bar | Figure) -> str:
    """The sign of a struck number, then the letters of its notes: `!!ab`."""
    return (STRUCK if what.severity == "red" else "") + what.marks


def figure_title(figure: Figure) -> str:
    """A figure's title with the marks of a whole matrix."""
    return f"{figure.title} {marks(figure)}" if marks(figure) else figure.title


def below(figure: Figure) -> list[str]:
    """Sentences under a figure: what its letters mean, and its struck numbers."""
    said = [f"{letter} {sentence}".strip() for letter, sentence in figure.notes]
    return [*said, *([DISBELIEVED] if any(one.severity == "red" for one in figure.shown) else [])]


def refusal_notes(table: Table) -> list[str]:
    """Why cells are not comparable, one sentence for each row and reason."""
    said: list[str] = []
    for row in table.rows:
        where: dict[str, list[str]] = {}  # reason -> titles of columns
        for column, cell in zip(table.columns, row.cells, strict=True):
            if cell.barred:
                where.setdefault(cell.text, []).append(column.title)
        for why, titles in where.items():
            columns = "" if len(titles) == len(table.columns) else f", {', '.join(titles)}"
            said.append(f"{row.label}{columns}: {BARRED}{': ' + why if why else ''}")
    return said


def row_label(row: Row, table: Table) -> str:
    """The row's label, and that it is the baseline."""
    return f"{row.label} (baseline)" if table.baseline and row.label == table.baseline and not row.quiet else row.label
