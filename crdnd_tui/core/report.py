"""The robustness table as text: one row for each attack, one column for each checkpoint.

A number that cannot be believed bears a letter, and each letter has its sentence below the table.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from types import MappingProxyType

from rich.text import Text

from crdnd_tui.core import marks
from crdnd_tui.core.attack_names import CLEAN, PARTS, TITLES, WORST, attack_title, is_within
from crdnd_tui.core.format import count, number, percent, signed
from crdnd_tui.core.marks import Marked
from crdnd_tui.core.per_class import class_name, worst_class
from crdnd_tui.core.state import RunState
from crdnd_tui.core.text import DISPUTED, bar, one_line, pad, plain, wrapped
from engine.spec.events import Evaluated
from engine.spec.marks import MARKS

_READ_OFF = frozenset({"margin_below_ce", "suite_below_pgd", "rescaled_below_ce", "fgsm_below_pgd", "subset"})
_NUMBER = re.compile(r"\d")
_BARS = 24  # cells of the longest bar
_GLUE = "\u00a0"  # a space at which no line is broken


@dataclass(frozen=True, kw_only=True)
class _Row:
    """One line of the table; `cells` holds one cell, or None, for each checkpoint."""

    attack: str
    title: str
    cells: tuple[Evaluated | None, ...]
    marks: tuple[Marked, ...]

    @property
    def first(self) -> Evaluated | None:
        return next((cell for cell in self.cells if cell is not None), None)


def table(state: RunState, width: int = 80, *, ascii_only: bool = False, height: int = 1000) -> list[Text]:
    """The robustness table with its notes, shortened to `height` lines; nothing when there is no cell yet."""
    if not any(state.table.values()) and not state.disputed:
        return []
    notes = Notes(state)
    rows, beyond = _rows(state, notes)
    lines = _body(state, [*rows, *beyond], len(beyond), width, ascii_only=ascii_only)
    below = [Text(), *wrapped(conditions(state), width, "dim"), *notes.lines(width), *_below(state, notes, width)]
    if len(lines) + len(below) > height:
        below = below[: height - len(lines)] if len(lines) + 1 < height else []
    if len(lines) > height:
        known = [row for row in rows if row.first is not None]
        lines = _body(state, known, 0, width, ascii_only=ascii_only, rules=False)
        lines = [*lines[:2], *lines[2:][-max(1, height - 2) :]][:height] if len(lines) > height else lines
    lines += below
    return [Text.assemble(*_ascii_parts(line)) for line in lines] if ascii_only else lines


def _rows(state: RunState, notes: "Notes") -> tuple[list[_Row], list[_Row]]:
    """Rows within the threat model, the worst case last; and those of another one."""
    within: list[_Row] = []
    beyond: list[_Row] = []
    for attack in state.attacks:
        cells = tuple(state.table.get(checkpoint, {}).get(attack) for checkpoint in state.checkpoints)
        cell = next((cell for cell in cells if cell is not None), None)
        found = tuple(notes.of(checkpoint, attack) for checkpoint in state.checkpoints)
        row = _Row(attack=attack, title=attack_title(attack, cell), cells=cells, marks=found)
        (within if is_within(attack, cell) else beyond).append(row)
    return within, beyond


def _body(
    state: RunState, rows: Sequence[_Row], beyond: int, width: int, *, ascii_only: bool, rules: bool = True
) -> list[Text]:
    """Head, rule, attacks, rule, worst case, and what lies beyond the ball; bars where there is room for them."""
    columns = state.checkpoints
    label = max(len(row.title) for row in rows)
    room = max((len(mark.signs) for row in rows for mark in row.marks), default=0)
    digits = 6 if any(cell.n >= 10_000 for row in rows for cell in row.cells if cell) else 5
    value = digits + (1 + room if room else 0)
    interval = 2 * digits + 4 if width >= 2 + label + len(columns) * (3 + value + 2 * digits + 4) else 0
    used = 2 + label + len(columns) * (3 + value + interval)
    classes = {row.attack: _worst_class(state, row) for row in rows} if interval else {}
    class_width = max((len(text) for text in classes.values()), default=0)
    if used + 3 + class_width > width:
        classes, class_width = {}, 0
    used += 3 + max(class_width, len("worst class")) if class_width else 0
    length = min(_BARS, width - used - 3) if len(columns) == 1 else 0
    used += 3 + length if length >= 8 else 0

    head = Text("  " + " " * label)
    for name in columns:
        head.append("   " + pad(" " * (digits - 4) + name, value + interval), "bold")
    head.append("   worst class" if class_width else "", "dim")
    head.rstrip()
    rule = [Text("  " + "\u2500" * (used - 2), "dim")] if rules else []
    lines = [head, *rule]
    common = set.intersection(*({letter for mark in row.marks for letter in mark.letters} for row in rows))
    for index, row in enumerate(rows):
        if row.attack == WORST and index:
            lines += rule
        line = Text("  ")
        line.append(pad(row.title, label), "bold" if row.attack == WORST else "")
        for name, cell, mark in zip(columns, row.cells, row.marks, strict=True):
            line.append("   ")
            line.append_text(_figure(row.attack, cell, mark, digits, disputed=(name, row.attack) in state.disputed))
            line.append(" " + mark.signs.ljust(room) if room else "", "red" if mark.struck else "yellow")
            line.append(pad(_interval(cell) if interval else "", interval), "dim")
        line.append("   " + classes.get(row.attack, "").ljust(max(class_width, 11)) if class_width else "", "dim")
        if length >= 8 and row.first is not None:
            own = any(set(mark.letters) - common for mark in row.marks)  # what is said of all rows lights none
            style = "yellow" if own else "dim" if index >= len(rows) - beyond else "bright_blue"
            line.append("   " + bar(row.first.accuracy, length, ascii_only=ascii_only), style)
        line.rstrip()
        lines.append(line)
    return lines


def _figure(attack: str, cell: Evaluated | None, mark: Marked, digits: int, *, disputed: bool) -> Text:
    """The accuracy, with a line through it where it is not believed; a red sign where files contradict it."""
    if cell is None:
        return Text((DISPUTED if disputed else "\u2013").rjust(digits), "bold red" if disputed else "dim")
    number = percent(cell.accuracy, cell.n)
    style = "dim strike" if mark.struck else "bold" if attack in (CLEAN, WORST) else ""
    return Text.assemble(" " * (digits - len(number)), (number, style))


def _ascii_parts(line: Text) -> list[tuple[str, str]]:
    """The same spans with glyphs that every terminal has."""
    return [
        (plain(part.plain), str(part.spans[0].style if part.spans else part.style)) for part in line.divide(_cuts(line))
    ]


def _cuts(line: Text) -> list[int]:
    return sorted({edge for span in line.spans for edge in (span.start, span.end)})


def _interval(cell: Evaluated | None) -> str:
    if cell is None:
        return ""
    digits = 6 if cell.n >= 10_000 else 5
    low, high = percent(cell.low, cell.n).rjust(digits - 1), percent(cell.high, cell.n).rjust(digits - 1)
    return f" [{low}, {high}]"


def _worst_class(state: RunState, row: _Row) -> str:
    """Accuracy and name of the class that fares worst, of the first checkpoint that was judged."""
    cell = row.first
    if cell is None or not cell.per_class:
        return ""
    index, tied = worst_class(cell.per_class)
    n = state.images_of(cell.checkpoint, index)
    more = (f", n {n}" if n else "") + (f", {tied} tied" if tied > 1 else "")
    return f"{percent(cell.per_class[index]).rjust(5)} {class_name(state, index, 12)}{more}"


def conditions(state: RunState) -> str:
    """In which ball, on which images; nothing while no figure stands."""
    cells = [cell for row in state.table.values() for cell in row.values()]
    if not cells:
        return "no figure stands"
    n, of = max((cell.n, cell.of) for cell in cells)
    epsilon = next((str(e) for cell in cells if (e := cell.spec.get("epsilon"))), "")
    split = one_line(cells[0].split, 20)
    images = f"all {count(n)} {split} images" if n == of else f"{count(n)} of {count(of)} {split} images"
    radius = f"L-inf, epsilon {one_line(epsilon, 12)} \u00b7 " if epsilon else ""
    return f"{radius}% right of {images}, 95{_GLUE}% intervals"


def checked(state: RunState) -> str:
    """How many checks the figures were put to: what has no mark passed these, and no others."""
    found: dict[str, list[str]] = {}
    for checkpoint in state.checkpoints:
        found.setdefault(state.checks(checkpoint), []).append(one_line(checkpoint, 20))
    told = [f"{', '.join(of)}: {words}" if len(found) > 1 else words for words, of in found.items()]
    return f"checks for figures that mislead: {'; '.join(told)}"


def _below(state: RunState, notes: "Notes", width: int) -> list[Text]:
    """What was checked; what the rows mean; how far the cross-entropy attack reads too high; what numbers rest on."""
    cells = [cell for row in state.table.values() for cell in row.values()]
    said = [checked(state)]
    beyond = sorted({attack_title(cell.attack) for cell in cells if not is_within(cell.attack, cell)})
    if any(cell.attack == WORST for cell in cells):
        apart = f"; another threat model and left out: {', '.join(beyond)}" if beyond else ""
        said.append(f"{TITLES[WORST]}: worst case per image{apart}")
    for checkpoint in state.checkpoints:
        row = state.table.get(checkpoint, {})
        of_it = f" ({one_line(checkpoint, 20)})" if len(state.checkpoints) > 1 else ""
        signs = {attack: notes.of(checkpoint, attack).signs for attack in row}
        details = (detail(cell, of_it) for cell in row.values())
        said += [words for words in (gaps(row, of_it, signs), *details) if words]
    return [line for words in said for line in wrapped(words, width, "dim")]


def gaps(row: Mapping[str, Evaluated], of_it: str = "", signs: Mapping[str, str] = MappingProxyType({})) -> str:
    """PGD on the cross-entropy minus the attacks that are blind to the scale of logits, in points.

    `signs` are the marks of each attack's figure: PGD's own is what the gap is about, those of the others are shown.
    """
    if "pgd_sat" not in row:
        return ""
    gaps = [
        f"{TITLES[other]} {signed(100 * (row['pgd_sat'].accuracy - row[other].accuracy))}"
        f"{_in_brackets(signs.get(other, ''))}"
        for other in ("cw_inf", "pgd_rescaled", "autoattack")
        if other in row
    ]
    return (
        f"{TITLES['pgd_sat']}{_in_brackets(signs.get('pgd_sat', ''))}{of_it} minus {', '.join(gaps)}{_GLUE}points"
        if gaps
        else ""
    )


def _in_brackets(signs: str) -> str:
    """Marks of a figure in a sentence: ` (!!a)`."""
    return f"{_GLUE}({signs})" if signs else ""


def detail(cell: Evaluated, of_it: str = "") -> str:
    """What a number rests on: distance and budget of CW_2, version and parts of AutoAttack, steps of a PGD."""
    details, name = cell.details, cell.spec.get("name", cell.attack)
    if name == "cw_2":
        found, median = details.get("found"), details.get("median_l2")
        words = [f"median L2 distance {number(median)}"] if median is not None else []
        words += [f"a mistake found for {percent(found)}{_GLUE}%"] if found is not None else []
        return f"{attack_title(cell.attack, cell)}{of_it}: {', '.join(words)}" if words else ""
    if name == "pgd" or (cell.attack not in TITLES and "steps" in cell.spec):
        climb = f"{cell.spec.get('steps')} steps of {cell.spec.get('step_size')}, {cell.spec.get('start')} start"
        return f"{attack_title(cell.attack)}{of_it}: {one_line(climb, 80)}"
    if name == "autoattack":
        after = [f"{words} {percent(details[f'after_{part}'], cell.n)}" for part, words in PARTS.items()
                 if f"after_{part}" in details]  # fmt: skip
        kind = " of ".join(one_line(str(cell.spec[key]), 30) for key in ("version", "package") if key in cell.spec)
        return f"{attack_title(cell.attack)} {kind}{of_it}: after {', '.join(after)}" if after else ""
    return ""


class Notes:
    """Footnotes: one letter for each kind of mark, in the order in which they are met; its figures are gathered."""

    def __init__(self, state: RunState) -> None:
        self._state = state
        self._figures: dict[tuple[str, str], list[str]] = {}  # (code, sentence) -> what was measured
        self._loose: dict[tuple[str, str], list[str]] = {}
        for attack in state.attacks:
            for checkpoint in ("", *state.checkpoints):
                for warning in state.marks(checkpoint, attack):
                    self._note(self._figures, warning.code, warning.message)
        for warning in state.warnings:
            if _sentence(warning.code, warning.message) not in self._figures:
                self._note(self._loose, warning.code, warning.message)

    @staticmethod
    def _note(notes: dict[tuple[str, str], list[str]], code: str, message: str) -> None:
        said = notes.setdefault(_sentence(code, message), [])
        figures = _figures(code, message)
        if figures and figures not in said and code not in _READ_OFF:
            said.append(figures)

    def of(self, checkpoint: str, attack: str) -> Marked:
        """Letters and severity of one cell; an empty checkpoint is that of validation."""
        order, found = list(self._figures), self._state.marks(checkpoint, attack)
        keys = (_sentence(w.code, w.message) for w in found)
        letters = "".join(marks.letter(order.index(key)) for key in keys if key in self._figures)
        return marks.joined([Marked(letters, marks.worst(w.code for w in found))])

    def sentences(self) -> list[tuple[str, str]]:
        """Each letter with its sentence, then the warnings that concern no cell, marked `!`."""
        lettered = [(marks.letter(place), note) for place, note in enumerate(self._figures.items())]
        return [
            (letter, one_line((f"{'; '.join(figures)}. " if figures else "") + sentence, 600))
            for letter, ((_, sentence), figures) in [*lettered, *(("!", note) for note in self._loose.items())]
        ]

    @property
    def struck(self) -> bool:
        """Whether some figure is not believed."""
        table = self._state.table
        return any(self.of(checkpoint, attack).struck for checkpoint, row in table.items() for attack in row)

    def lines(self, width: int) -> list[Text]:
        """The sentences, as wide as they may be."""
        shown: list[Text] = []
        for letter, sentence in self.sentences():
            lines = wrapped(f"{letter} {sentence}", width)
            lines[0].stylize("yellow", 2, 3)
            shown += lines
        if self.struck:
            shown += wrapped(marks.DISBELIEVED, width)
            shown[-1].stylize("red", 2, 4)
        return shown


def _sentence(code: str, message: str) -> tuple[str, str]:
    """The code, and what is always said of it, also where an older engine worded it otherwise."""
    return code, MARKS.get(code, message)


def _figures(code: str, message: str) -> str:
    """What was measured: the beginning of the message, before what is always said; of another wording, its numbers."""
    known = MARKS.get(code)
    if known is None:
        return ""
    if message.endswith(known):
        return message.removesuffix(known).strip().rstrip(".")
    return ". ".join(takewhile(_NUMBER.search, message.split(". "))).strip().rstrip(".")
