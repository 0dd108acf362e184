"""The robustness table as text: one row for each attack, one column for each checkpoint.

A number that cannot be believed bears a mark, and each mark has its sentence below the table.
"""

from collections.abc import Mapping, Sequence
from typing import get_args

from rich.text import Text

from crdnd_tui.state import RunState
from crdnd_tui.text import count, footnote, number, one_line, pad, percent, plain
from engine.spec.attacks import AttackSpec
from engine.spec.events import Evaluated, Warned

CLEAN, WORST = "clean", "worst"
TITLES: Mapping[str, str] = {
    CLEAN: "clean",
    WORST: "worst case",
    **{kind.model_fields["name"].default: kind.title for kind in get_args(get_args(AttackSpec)[0])},
}


def title(attack: str, cell: Evaluated | None = None) -> str:
    """How the table calls an attack: its name in papers, or the label that the preset gave it."""
    return one_line(TITLES.get(attack, attack), 16)


def table(state: RunState, width: int = 80, *, ascii_only: bool = False) -> list[Text]:
    """The robustness table with its notes; nothing when there is no cell yet."""
    if not any(state.table.values()):
        return []
    notes = _Notes(state, ascii_only)
    columns = state.checkpoints
    class_room = width >= 30 + 22 * len(columns)
    body = [(attack, [_cell(state, c, attack, notes) for c in columns]) for attack in state.attacks]
    roomy = width >= 18 + 22 * len(columns)
    widths = [
        max([len(c), *(len(cells[i][0] + (cells[i][1] if roomy else "")) for _, cells in body)])
        for i, c in enumerate(columns)
    ]
    label = max(len(title(attack)) for attack, _ in body)
    worst = {attack: _worst_class(state, columns, attack) for attack, _ in body} if class_room else {}

    head = Text("  " + pad("", label))
    for name, column in zip(columns, widths, strict=True):
        head.append("   " + pad(name.rjust(5), column), "bold")
    if any(worst.values()):
        head.append("   worst class", "dim")
    rule = Text("  " + "\u2500" * min(width - 2, max(head.cell_len, _longest(worst, label, widths)) - 2), "dim")

    lines = [head, rule]
    for attack, cells in body:
        if attack == WORST and len(body) > 1:
            lines.append(rule)
        line = Text("  ")
        line.append(pad(title(attack), label), "bold" if attack == WORST else "")
        for (value, interval), column in zip(cells, widths, strict=True):
            line.append("   ")
            line.append(value, "bold" if attack in (CLEAN, WORST) else "")
            line.append(pad(interval if roomy else "", column - len(value)), "dim")
        if worst.get(attack):
            line.append("   " + worst[attack], "dim")
        line.rstrip()
        lines.append(line)
    lines += [Text(), *_below(state, columns, width), *notes.lines(width)]
    return [Text.assemble(*_ascii_parts(line)) for line in lines] if ascii_only else lines


def _ascii_parts(line: Text) -> list[tuple[str, str]]:
    """The same spans with glyphs that every terminal has."""
    return [
        (plain(part.plain), str(part.spans[0].style if part.spans else part.style)) for part in line.divide(_cuts(line))
    ]


def _cuts(line: Text) -> list[int]:
    return sorted({edge for span in line.spans for edge in (span.start, span.end)})


def _longest(worst: Mapping[str, str], label: int, widths: Sequence[int]) -> int:
    last = max((len(text) for text in worst.values()), default=0)
    return 2 + label + sum(3 + width for width in widths) + (3 + last if last else 0)


def _cell(state: RunState, checkpoint: str, attack: str, notes: "_Notes") -> tuple[str, str]:
    """The number with its marks, and its interval."""
    cell = state.table.get(checkpoint, {}).get(attack)
    if cell is None:
        return "    \u2013", ""
    value = percent(cell.accuracy, cell.n)
    digits = 6 if cell.n >= 10_000 else 5
    marks = "".join(footnote(i, ascii_only=notes.ascii_only) for i in notes.of(checkpoint, attack))
    low, high = percent(cell.low, cell.n), percent(cell.high, cell.n)
    return value.rjust(digits) + marks.ljust(notes.room), f" [{low}, {high}]"


def _worst_class(state: RunState, columns: Sequence[str], attack: str) -> str:
    """Name and accuracy of the class that fares worst, of the first checkpoint that was judged."""
    cell = next((state.table[c][attack] for c in columns if attack in state.table.get(c, {})), None)
    if cell is None or not cell.per_class:
        return ""
    index = min(range(len(cell.per_class)), key=cell.per_class.__getitem__)
    return f"{percent(cell.per_class[index]).rjust(5)} {class_name(state, index, 12)}"


def class_name(state: RunState, index: int, width: int = 14) -> str:
    """Of the data set, or its number."""
    names = state.training.classes if state.training else []
    name = names[index] if index < len(names) else str(index)
    return f"class {name}" if name.isdecimal() else one_line(name, width)


def _below(state: RunState, columns: Sequence[str], width: int) -> list[Text]:
    """On which images, in which ball; how far the margin attack goes below the cross-entropy attack."""
    cells = [cell for row in state.table.values() for cell in row.values()]
    n, of = max((cell.n, cell.of) for cell in cells)
    epsilon = next((str(e) for cell in cells if (e := cell.spec.get("epsilon"))), "")
    images = (
        f"all {count(n)} {cells[0].split} images" if n == of else f"{count(n)} of {count(of)} {cells[0].split} images"
    )
    radius = f"Linf, epsilon {one_line(epsilon, 12)} \u00b7 " if epsilon else ""
    lines = _wrapped(f"{radius}% right of {images}, 95 % intervals", width, "dim")
    gaps = [(c, _gap(state.table.get(c, {}))) for c in columns]
    if any(gap is not None for _, gap in gaps):
        said = ", ".join(f"{gap:+.1f} points ({c})" for c, gap in gaps if gap is not None)
        lines += _wrapped(f"PGD-SAT minus CW-inf: {said}", width, "dim")
    for column in columns:
        for attack in state.attacks:
            cell = state.table.get(column, {}).get(attack)
            if cell is not None and cell.details and attack == "cw_2":
                said = ", ".join(f"{one_line(k, 30).replace('_', ' ')} {number(v)}" for k, v in cell.details.items())
                lines += _wrapped(f"{title(attack)} ({column}): {said}", width, "dim")
    return lines


def _gap(row: Mapping[str, Evaluated]) -> float | None:
    """PGD on the cross-entropy minus PGD on the margin, in points."""
    if "pgd_sat" not in row or "cw_inf" not in row:
        return None
    return 100 * (row["pgd_sat"].accuracy - row["cw_inf"].accuracy)


def _wrapped(text: str, width: int, style: str = "", indent: str = "  ") -> list[Text]:
    lines: list[Text] = []
    line = indent
    for word in text.split():
        if len(line) + len(word) + 1 > width and line.strip():
            lines.append(Text(line, style))
            line = "    "
        line += (" " if line.strip() else "") + word
    return [*lines, Text(line, style)]


class _Notes:
    """Footnotes: equal sentences share a number, in the order in which they are met."""

    def __init__(self, state: RunState, ascii_only: bool) -> None:
        self.ascii_only = ascii_only
        self._state = state
        self._numbers: dict[tuple[str, str], int] = {}
        for attack in state.attacks:
            for checkpoint in state.checkpoints:
                for warning in state.marks(checkpoint, attack):
                    self._number(warning)
        cells = [(c, a) for c in state.checkpoints for a in state.attacks]
        self.room = max(
            (sum(len(footnote(i, ascii_only=ascii_only)) for i in self.of(*cell)) for cell in cells), default=0
        )

    def _number(self, warning: Warned) -> int:
        return self._numbers.setdefault((warning.code, warning.message), len(self._numbers) + 1)

    def of(self, checkpoint: str, attack: str) -> list[int]:
        """Numbers beside one cell."""
        return sorted({self._number(warning) for warning in self._state.marks(checkpoint, attack)})

    def lines(self, width: int) -> list[Text]:
        """Each mark with its sentence, then the warnings that concern no cell."""
        shown: list[Text] = []
        for (_, message), index in self._numbers.items():
            mark = footnote(index, ascii_only=self.ascii_only)
            shown += _wrapped(f"{mark} {one_line(message, 600)}", width, "yellow")
        cells = {(w.code, w.message) for w in self._state.warnings if (w.code, w.message) in self._numbers}
        for warning in self._state.warnings:
            if (warning.code, warning.message) not in cells:
                cells.add((warning.code, warning.message))
                shown += _wrapped(f"! {one_line(warning.message, 600)}", width, "yellow")
        return shown
