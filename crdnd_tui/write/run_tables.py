"""The tables of one run and what they say, made of its state alone: Live and `crdnd show` draw the same ones.

A number that cannot be believed bears a letter, and each letter has its sentence below the table.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from crdnd_tui.core import per_class
from crdnd_tui.core.attack_names import CLEAN, PARTS, SCALE_BLIND, TITLES, WORST, attack_title, is_within
from crdnd_tui.core.format import count, number, percent, signed
from crdnd_tui.core.marks import Footnotes, Marked
from crdnd_tui.core.state import RunState
from crdnd_tui.core.text import one_line
from crdnd_tui.write.document import Cell, Column, Document, Row, Table, mark_fields
from engine.spec.events import Evaluated

SPARE = ("settings", "seconds", "worst-class-name", "worst-class")
"""Columns of the results that a narrow terminal does without, the first one first."""
_ELSEWHERE = frozenset({"name", "norm", "epsilon", "seed", "batch_size", "label", "attacks"})  # keys of a spec
_GLUE = "\N{NO-BREAK SPACE}"


class RunFootnotes(Footnotes):
    """Of all marks of one run, attack by attack."""

    def __init__(self, state: RunState) -> None:
        super().__init__(measured=True)
        self._state, self._others = state, Footnotes(measured=True)
        for attack in state.attacks:
            for checkpoint in ("", *state.checkpoints):
                self.of(checkpoint, attack)
        self._others.marked(warning for warning in state.warnings if warning not in self)

    def of(self, checkpoint: str, attack: str) -> Marked:
        """Beside one figure; an empty checkpoint is that of validation."""
        return self.marked(self._state.marks(checkpoint, attack))

    @property
    def sentences(self) -> tuple[tuple[str, str], ...]:
        """Letters with their sentences, then warnings that concern no figure, without a letter."""
        return (*self.notes(), *(("", said) for _, said in self._others.notes()))


def chosen_checkpoint(state: RunState) -> str:
    """The best one, or the only one that was judged."""
    return "best" if "best" in state.table else next(iter(state.table), "best")


def shell_document(state: RunState, title: str = "", flaws: Sequence[str] = ()) -> Document:
    """As a shell tells it: with what is still to be run, what each checkpoint rests on, and each warning apart."""
    chosen, notes = chosen_checkpoint(state), RunFootnotes(state)
    loose = [said for letter, said in notes.sentences if not letter]
    results = results_table(state, chosen, planned=True)
    is_due = state.table.get(chosen) or state.evaluation is not None  # else its first sentence tells the obvious
    lead = [*_lead(state, chosen)][not is_due :]
    for other in (name for name, row in state.table.items() if row and name != chosen):
        signs = {attack: notes.of(other, attack).signs for attack in state.table[other]}
        lead += [f"{said} ({one_line(other, 20)})." for said in [_gaps(state.table[other], signs)] if said]
    if results is None:
        return Document(title=title, lead=tuple(lead), warnings=(*loose, *flaws))
    told = [note for note in results.notes if note[0] or note[1] not in loose]
    told += [
        ("", f"{words.replace(': ', f' ({one_line(other, 20)}): ', 1)}.")
        for other, row in state.table.items() if other != chosen for words in map(_detail, row.values()) if words
    ]  # fmt: skip
    told += [("", f"{TITLES[WORST]}: worst case per image.")] * any(WORST in row for row in state.table.values())
    places = [
        k for k, column in enumerate(results.columns)
        if column.key != "settings" and any(row.cells[k] != Cell() for row in results.rows)
    ]  # fmt: skip
    results = replace(
        results, notes=tuple(told), columns=tuple(results.columns[k] for k in places),
        rows=tuple(replace(row, cells=tuple(row.cells[k] for k in places)) for row in results.rows),
    )  # fmt: skip
    return Document(title=title, lead=tuple(lead), tables=(results,), warnings=(*loose, *flaws))


def state_document(state: RunState, checkpoint: str = "", title: str = "") -> Document:
    """What the numbers say and the table of results, as far as the run is; an empty checkpoint: the best."""
    chosen = checkpoint or chosen_checkpoint(state)
    results = results_table(state, chosen)
    return Document(title=title, lead=tuple(_lead(state, chosen)), tables=(results,) if results else ())


def _lead(state: RunState, chosen: str) -> Iterator[str]:
    row, notes = state.table.get(chosen, {}), RunFootnotes(state)
    signs = {attack: notes.of(chosen, attack).signs for attack in row}
    if said := _accuracies(state, chosen, signs):
        yield said
    if said := _gaps(row, signs):
        reads_high = any(row["pgd_sat"].accuracy > row[other].accuracy for other in SCALE_BLIND if other in row)
        yield f"{said}{': how far the cross-entropy attack reads too high' if reads_high else ''}."
    if (teacher := state.teacher) is not None:
        robust = f"{percent(teacher.clean)}{_GLUE}% clean, {percent(teacher.robust)}{_GLUE}%"
        yield f"Its teacher {teacher.model} reaches {robust} under PGD-10 on {count(teacher.n)} images."
    if (best := state.best) is not None and state.training is not None:
        by = f"by {attack_title(best.by)} on {count(best.n)} validation images"
        yield f"Epoch {best.epoch} of {state.training.epochs} was the best, {by}."


def _accuracies(state: RunState, chosen: str, signs: Mapping[str, str]) -> str:
    """Clean and the worst that was tried, with its interval and its marks; and which of them is not believed."""
    row = state.table.get(chosen, {})
    if not row:
        return f"The checkpoint {chosen} has not been judged on the test images yet."
    inside = [cell for attack, cell in row.items() if attack != CLEAN and is_within(attack, cell)]
    clean, worst = row.get(CLEAN), row.get(WORST) or min(inside, key=lambda cell: cell.accuracy, default=None)

    def accuracy(cell: Evaluated) -> str:
        return f"{percent(cell.accuracy, cell.n)}{_GLUE}%{_in_brackets(signs.get(cell.attack, ''), ' ')}"

    parts = []
    if clean is not None:
        parts.append(f"{accuracy(clean)} of {count(clean.n)} {one_line(clean.split, 20)} images as they are")
    if worst is not None:
        joint = "the worst of all attacks within the threat model"
        name = joint if worst.attack == WORST else attack_title(worst.attack, worst)
        ends = f"{percent(worst.low, worst.n)} to {percent(worst.high, worst.n)}"
        parts.append(f"{accuracy(worst)} under {name} (95{_GLUE}% interval {ends})")
    struck = [cell for cell in (clean, worst) if cell is not None and state.severity(chosen, cell.attack) == "red"]
    beware = f" Not believed: {' and '.join(attack_title(cell.attack, cell) for cell in struck)}." if struck else ""
    return f"The student ({chosen}) is right on {', and on '.join(parts)}.{beware}" if parts else ""


def _gaps(row: Mapping[str, Evaluated], signs: Mapping[str, str] = MappingProxyType({})) -> str:
    """PGD on the cross-entropy minus the attacks that are blind to the scale of logits, in points, with their marks."""
    if "pgd_sat" not in row:
        return ""
    found = [
        f"{TITLES[other]} {signed(100 * (row['pgd_sat'].accuracy - row[other].accuracy))}"
        f"{_in_brackets(signs.get(other, ''))}"
        for other in SCALE_BLIND
        if other in row
    ]
    own = f"{TITLES['pgd_sat']}{_in_brackets(signs.get('pgd_sat', ''))}"
    return f"{own} minus {', '.join(found)}{_GLUE}points" if found else ""


def _in_brackets(signs: str, space: str = _GLUE) -> str:
    """Marks of a figure in a sentence: ` (!!a)`."""
    return f"{space}({signs})" if signs else ""


def results_table(state: RunState, chosen: str, *, planned: bool = False) -> Table | None:
    """Attacks as rows, those too that are still to be run if `planned`; a column for each checkpoint, the chosen one
    first; None without results."""
    checkpoints = sorted((name for name, row in state.table.items() if row), key=lambda name: name != chosen)
    known = {attack for c in checkpoints for attack in state.table[c]} | {attack for _, attack in state.disputed}
    attacks = [attack for attack in state.attacks if attack in known or planned]
    if not known:
        return None
    notes, title = RunFootnotes(state), "accuracy, {}" if len(checkpoints) > 1 else "accuracy, %"
    first = {a: next((state.table[c][a] for c in checkpoints if a in state.table[c]), None) for a in attacks}
    within = [attack for attack in attacks if is_within(attack, first[attack])]
    beyond = [attack for attack in attacks if attack not in within]
    rows = [
        Row(
            label=attack_title(attack, cell), runs=(state.run,) if state.run else (),
            rule=attack == WORST or attack in beyond[:1],
            cells=(
                *(_accuracy_cell(state, checkpoint, attack, notes) for checkpoint in checkpoints),
                *_worst_class_cells(state, cell, notes),
                Cell(value=cell.seconds if cell else None), Cell(text=_settings(cell) if cell else ""),
            ),
        )
        for attack in (*within, *beyond)
        for cell in [first[attack]]
    ]  # fmt: skip
    below = [f"checks for figures that mislead: {_checks(state)}", *map(_detail, state.table.get(chosen, {}).values())]
    if beyond:
        below.append(f"{', '.join(map(attack_title, beyond))}: another threat model, left out of the worst case")
    return Table(
        key="results", title="Robustness", head="attack", rows=tuple(rows), caption=f"{_conditions(state)}.",
        columns=(
            *(Column(key=f"accuracy-{c}", title=title.replace("{}", c)) for c in checkpoints),
            Column(key="worst-class", title="worst class, %"),
            Column(key="worst-class-name", title="which", unit="words"),
            Column(key="seconds", title="time", unit="seconds"),
            Column(key="settings", title="settings", unit="words"),
        ),
        notes=(*notes.sentences, *(("", f"{words[0].upper()}{words[1:]}.") for words in below if words)),
    )  # fmt: skip


def _conditions(state: RunState) -> str:
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


def _checks(state: RunState) -> str:
    """How many checks the figures were put to: what has no mark passed these, and no others."""
    found: dict[str, list[str]] = {}
    for checkpoint in state.checkpoints:
        found.setdefault(state.checks(checkpoint), []).append(one_line(checkpoint, 20))
    return "; ".join(f"{', '.join(of)}: {words}" if len(found) > 1 else words for words, of in found.items())


def _detail(cell: Evaluated) -> str:
    """What a number rests on: distance and budget of CW_2, version and parts of AutoAttack, steps of a named PGD."""
    details, name = cell.details, cell.spec.get("name", cell.attack)
    if name == "cw_2":
        found, median = details.get("found"), details.get("median_l2")
        words = [f"median L2 distance {number(median)}"] if median is not None else []
        words += [f"a mistake found for {percent(found)}{_GLUE}%"] if found is not None else []
        return f"{attack_title(cell.attack, cell)}: {', '.join(words)}" if words else ""
    if name != "pgd" and cell.attack not in TITLES and "steps" in cell.spec:
        climb = f"{cell.spec.get('steps')} steps of {cell.spec.get('step_size')}, {cell.spec.get('start')} start"
        return f"{attack_title(cell.attack)}: {one_line(climb, 80)}"
    if name == "autoattack":
        after = [f"{words} {percent(details[f'after_{part}'], cell.n)}" for part, words in PARTS.items()
                 if f"after_{part}" in details]  # fmt: skip
        kind = " of ".join(one_line(str(cell.spec[key]), 30) for key in ("version", "package") if key in cell.spec)
        return f"{attack_title(cell.attack)} {kind}: after {', '.join(after)}" if after else ""
    return ""


def _accuracy_cell(state: RunState, checkpoint: str, attack: str, notes: RunFootnotes) -> Cell:
    cell, found = state.table[checkpoint].get(attack), notes.of(checkpoint, attack)
    if cell is None:
        is_disputed = (checkpoint, attack) in state.disputed
        return Cell(text="does not agree", **mark_fields(found)) if is_disputed else Cell()
    low, high = 100 * cell.low, 100 * cell.high
    return Cell(value=100 * cell.accuracy, low=low, high=high, n=cell.n, **mark_fields(found))


def _worst_class_cells(state: RunState, cell: Evaluated | None, notes: RunFootnotes) -> tuple[Cell, Cell]:
    """Its accuracy; its name, its images, and how many classes fare no better."""
    if cell is None or not cell.per_class:
        return Cell(), Cell()
    place, tied = per_class.worst_class(cell.per_class)
    n = state.images_of(cell.checkpoint, place)
    words = per_class.class_name(state, place, 24) + (f", n {n}" if n else "") + (f", {tied} tied" if tied > 1 else "")
    return _share(cell.per_class, place, notes.of(cell.checkpoint, cell.attack)), Cell(text=words)


def _settings(cell: Evaluated) -> str:
    """What was asked for beyond ball and seed."""

    def plain(value: object) -> str:
        if isinstance(value, list):
            return "(" + ", ".join(map(plain, value[:12])) + ")"
        return f"{value:g}" if isinstance(value, float) else str(value)

    asked = {key: value for key, value in cell.spec.items() if key not in _ELSEWHERE and value != ""}
    said = (f"{k.replace('_', ' ')} {plain(v)}" for k, v in asked.items() if isinstance(v, str | int | float | list))
    return one_line(", ".join(said), 160)


def classes_table(state: RunState, chosen: str, counted: Iterable[Sequence[int]]) -> Table | None:
    """Classes as rows, attacks as columns; None without accuracies per class. `counted`: images of each class."""
    row = {attack: cell for attack, cell in state.table.get(chosen, {}).items() if cell.per_class}
    attacks, notes = [attack for attack in state.attacks if attack in row], RunFootnotes(state)
    many = max((len(row[attack].per_class) for attack in attacks), default=0)
    if not many:
        return None
    signs = {attack: notes.of(chosen, attack) for attack in attacks}
    counts = next((counts for counts in counted if len(counts) == many), ())
    return Table(
        key="classes", title="Accuracy per class", head="class",
        columns=(
            *([Column(key="images", title="images", unit="count")] if counts else []),
            *(Column(key=attack, title=attack_title(attack, row[attack])) for attack in attacks),
        ),
        rows=tuple(
            Row(
                label=name,
                cells=(
                    *([Cell(value=float(counts[k]))] if counts else []),
                    *(_share(row[attack].per_class, k, signs[attack]) for attack in attacks),
                ),
            )
            for k, name in enumerate(per_class.names(state, many))
        ),
        caption=f"% right of each class's images, checkpoint {one_line(chosen, 40)}.",
        notes=tuple(notes.notes("".join(found.letters for found in signs.values()))),
    )  # fmt: skip


def _share(values: Sequence[float], k: int, found: Marked) -> Cell:
    return Cell(value=100 * values[k], **mark_fields(found)) if k < len(values) else Cell()
