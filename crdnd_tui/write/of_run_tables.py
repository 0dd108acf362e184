"""Tables of one run: every attack with its interval and its price, and the classes."""

from crdnd_tui.core import per_class, report
from crdnd_tui.core.judged import Judged
from crdnd_tui.core.marks import Marked
from crdnd_tui.core.state import RunState
from crdnd_tui.core.text import one_line
from crdnd_tui.write.document import Cell, Column, Row, Table
from engine.spec.events import Evaluated

_SAID = frozenset({"name", "norm", "epsilon", "seed", "batch_size", "label", "attacks"})  # elsewhere, or in the title


def tables(state: RunState, chosen: str, records: Judged) -> list[Table]:
    """Those that have rows."""
    found = [_results(state, chosen), _classes(state, chosen, records)]
    return [table for table in found if table is not None]


def _results(state: RunState, chosen: str) -> Table | None:
    """Attacks as rows; a column for each checkpoint, the chosen one first."""
    checkpoints = sorted((name for name, row in state.table.items() if row), key=lambda name: name != chosen)
    known = {attack for c in checkpoints for attack in state.table[c]} | {attack for _, attack in state.disputed}
    attacks = [attack for attack in state.attacks if attack in known]
    if not attacks:
        return None
    notes = report.Notes(state)
    several = len(checkpoints) > 1
    columns = [
        *(Column(key=f"accuracy-{c}", title=f"accuracy, {c}" if several else "accuracy, %") for c in checkpoints),
        Column(key="worst-class", title="worst class, %"),
        Column(key="worst-class-name", title="which", unit="words"),
        Column(key="seconds", title="time", unit="seconds"),
        Column(key="settings", title="settings", unit="words"),
    ]
    within = [a for a in attacks if report.is_within(a, _first(state, checkpoints, a))]
    beyond = [a for a in attacks if a not in within]
    rows = [_row(state, checkpoints, attack, notes, rule=attack == report.WORST) for attack in within]
    rows += [_row(state, checkpoints, attack, notes, rule=k == 0) for k, attack in enumerate(beyond)]
    lettered = [(letter if letter != "!" else "", sentence) for letter, sentence in notes.sentences()]
    checked = report.checked(state)
    lettered.append(("", f"{checked[0].upper()}{checked[1:]}."))
    return Table(
        key="results", title="Robustness", head="attack", columns=tuple(columns), rows=tuple(rows),
        caption=report.conditions(state) + ".", notes=(*lettered, *_basis(state, chosen, beyond)),
    )  # fmt: skip


def _first(state: RunState, checkpoints: list[str], attack: str) -> Evaluated | None:
    return next((state.table[c][attack] for c in checkpoints if attack in state.table[c]), None)


def _row(state: RunState, checkpoints: list[str], attack: str, notes: report.Notes, *, rule: bool) -> Row:
    first = _first(state, checkpoints, attack)
    return Row(
        label=report.title(attack, first),
        cells=(
            *(_cell(state, c, attack, notes) for c in checkpoints),
            *_worst(state, first, notes),
            Cell(value=first.seconds) if first else Cell(),
            Cell(text=_settings(first)),
        ),
        runs=(state.run,) if state.run else (),
        rule=rule,
    )


def _cell(state: RunState, checkpoint: str, attack: str, notes: report.Notes) -> Cell:
    cell, found = state.table[checkpoint].get(attack), notes.of(checkpoint, attack)
    if cell is None and (checkpoint, attack) not in state.disputed:
        return Cell()
    if cell is None:
        return Cell(text="does not agree", marks=found.letters, severity=found.severity)
    return Cell(
        value=100 * cell.accuracy, low=100 * cell.low, high=100 * cell.high, n=cell.n, marks=found.letters,
        severity=found.severity,
    )  # fmt: skip


def _worst(state: RunState, cell: Evaluated | None, notes: report.Notes) -> tuple[Cell, Cell]:
    """The class that fares worst; its name, its images, and how many fare no better."""
    if cell is None or not cell.per_class:
        return Cell(), Cell()
    place, tied = report.worst_class(cell.per_class)
    n, found = state.images_of(cell.checkpoint, place), notes.of(cell.checkpoint, cell.attack)
    words = report.class_name(state, place, 24) + (f", n {n}" if n else "") + (f", {tied} tied" if tied > 1 else "")
    value = Cell(value=100 * cell.per_class[place], marks=found.letters, severity=found.severity)
    return value, Cell(text=words)


def _settings(cell: Evaluated | None) -> str:
    """What was asked for beyond ball and seed."""
    if cell is None:
        return ""
    said = [
        f"{key.replace('_', ' ')} {_plain(value)}"
        for key, value in cell.spec.items()
        if key not in _SAID and isinstance(value, str | int | float | list) and value != ""
    ]
    return one_line(", ".join(said), 160)


def _plain(value: object) -> str:
    if isinstance(value, list):
        return "(" + ", ".join(map(_plain, value[:12])) + ")"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _basis(state: RunState, chosen: str, beyond: list[str]) -> list[tuple[str, str]]:
    """What single numbers rest on."""
    row = state.table.get(chosen, {})
    said = [words for cell in row.values() if cell.spec.get("name") != "pgd" and (words := report.detail(cell))]
    if beyond:
        named = ", ".join(report.title(attack) for attack in beyond)
        said.append(f"{named}: another threat model, left out of the worst case")
    return [("", f"{words}.") for words in said]


def _classes(state: RunState, chosen: str, records: Judged) -> Table | None:
    """Classes as rows, attacks as columns."""
    row = state.table.get(chosen, {})
    attacks = [attack for attack in state.attacks if attack in row and row[attack].per_class]
    many = max((len(row[attack].per_class) for attack in attacks), default=0)
    if not many:
        return None
    counts = next((list(outcome.counts) for outcome in records.outcomes.values() if len(outcome.counts) == many), [])
    names, notes = per_class.names(state, many), report.Notes(state)
    images = [Column(key="images", title="images", unit="count")] if counts else []
    rows = [
        Row(
            label=names[k],
            cells=(
                *([Cell(value=float(counts[k]))] if counts else []),
                *(_share(row[attack].per_class, k, notes.of(chosen, attack)) for attack in attacks),
            ),
        )
        for k in range(many)
    ]
    used = "".join(notes.of(chosen, attack).letters for attack in attacks)
    return Table(
        key="classes", title="Accuracy per class", head="class",
        columns=(*images, *(Column(key=attack, title=report.title(attack, row[attack])) for attack in attacks)),
        rows=tuple(rows), caption=f"% right of each class's images, checkpoint {one_line(chosen, 40)}.",
        notes=tuple(note for note in notes.sentences() if note[0] in used),
    )  # fmt: skip


def _share(values: list[float], k: int, found: Marked) -> Cell:
    return Cell(value=100 * values[k], marks=found.letters, severity=found.severity) if k < len(values) else Cell()
