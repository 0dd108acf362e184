"""Figures of one run: losses, validation, what the teacher knows of each class, confusions, the matrices M."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from crdnd_tui.core import per_class, report
from crdnd_tui.core.judged import Judged
from crdnd_tui.core.per_class import History
from crdnd_tui.core.state import RunState
from crdnd_tui.core.text import one_line
from crdnd_tui.write.document import Bar, Figure, Series
from engine.spec.events import Evaluated
from engine.spec.outcomes import Outcome, wilson

_CURVES = 10  # classes whose curves can be told apart
_BARS = 20  # classes that are drawn as bars
_COLOURS = 8
_PREFERRED = (report.WORST, "autoattack", "cw_inf", "pgd_sat")


def figures(state: RunState, chosen: str, records: Judged) -> list[Figure]:
    """Those that have something to show."""
    found = [
        _loss(state), _validation(state), *_histories(state), _bars(state, chosen, records),
        *_confusions(state, records), *_matrices(state),
    ]  # fmt: skip
    notes = report.Notes(state)
    return [_legended(figure, notes) for figure in found if figure is not None]


def _legended(figure: Figure, notes: report.Notes) -> Figure:
    """With the sentences of its letters."""
    used = "".join(one.marks for one in figure.shown)
    return replace(figure, notes=tuple(note for note in notes.sentences() if note[0] in used))


def _loss(state: RunState) -> Figure | None:
    epochs = state.epochs
    if not epochs:
        return None
    x = tuple(float(event.epoch) for event in epochs)
    terms = list(dict.fromkeys(name for event in epochs for name in event.terms))
    series = [Series(label="loss", x=x, y=_numbers(event.loss for event in epochs))]
    series += [
        Series(label=one_line(name, 24), x=x, y=_numbers(event.terms.get(name) for event in epochs), colour=k + 1)
        for k, name in enumerate(terms)
    ]
    said = "Means over each epoch: the whole loss and its terms." if terms else ""
    return Figure(
        key="loss", title="Training loss", kind="lines", x="epoch", y="loss", series=tuple(series),
        caption=said or "Means over each epoch.",
    )  # fmt: skip


def _numbers(values: Iterable[float | None]) -> tuple[float, ...]:
    return tuple(math.nan if value is None else value for value in values)


def _validation(state: RunState) -> Figure | None:
    events = state.validations
    if not events:
        return None
    x = tuple(float(event.epoch) for event in events)
    attacks = list(dict.fromkeys(attack for event in events for attack in event.accuracy))
    notes = report.Notes(state)
    series = tuple(
        Series(
            label=report.title(attack), x=x, y=_shares(event.accuracy.get(attack) for event in events), colour=k,
            marks=found.letters, severity=found.severity,
        )
        for k, attack in enumerate(attacks)
        for found in [notes.of("", attack)]
    )  # fmt: skip
    best = state.best
    chosen = f"; epoch {best.epoch} was the best by {report.title(best.by)}" if best else ""
    return Figure(
        key="validation", title="Validation", kind="lines", x="epoch", y="accuracy, %", series=series,
        caption=f"{events[-1].n} validation images, none of them from the test split{chosen}.",
    )  # fmt: skip


def _shares(values: Iterable[float | None]) -> tuple[float, ...]:
    return tuple(math.nan if value is None else 100 * value for value in values)


def _histories(state: RunState) -> list[Figure | None]:
    """On clean and adversarial images; one figure where there is only one kind."""
    found = [per_class.history(state, "clean"), per_class.history(state, "adversarial")]
    return [_history(found[0]), _history(found[1]) if found[1] != found[0] else None]


def _history(history: History | None) -> Figure | None:
    if history is None or len(history.epochs) < 2:
        return None
    order = sorted(range(len(history.rows)), key=lambda k: _value(history.rows[k][-1]))[:_CURVES]
    few = len(history.rows) > _CURVES
    series = tuple(
        Series(
            label=history.names[k], x=tuple(map(float, history.epochs)), y=_shares(history.rows[k]),
            colour=place % _COLOURS, dashed=place >= _COLOURS,
        )
        for place, k in enumerate(sorted(order))
    )  # fmt: skip
    of = f"The {_CURVES} of {len(history.rows)} classes that fare worst at the end. " if few else ""
    return Figure(
        key=f"{history.who}-{history.images}",
        title=f"{history.who.capitalize()} per class, {history.images} training images", kind="lines", x="epoch",
        y="accuracy, %", series=series,
        caption=f"{of}Counted while the student trains"
        + (", on the images that the student is attacked with." if history.images == "adversarial" else "."),
    )  # fmt: skip


def _value(value: float | None) -> float:
    return math.inf if value is None else value


def _strongest(row: dict[str, Evaluated]) -> str:
    """The attack whose numbers per class are shown beside the clean ones."""
    known = [a for a, cell in row.items() if a != report.CLEAN and cell.per_class and report.is_within(a, cell)]
    return next((attack for attack in _PREFERRED if attack in known), known[-1] if known else "")


def _bars(state: RunState, chosen: str, records: Judged) -> Figure | None:
    """Clean and under attack, class by class, with Wilson intervals where the counts are known."""
    row = dict(state.table.get(chosen, {}))
    strongest = _strongest(row)
    shown = [a for a in (report.CLEAN, strongest) if a in row and row[a].per_class]
    if not shown:
        return None
    notes = report.Notes(state)
    found = {attack: notes.of(chosen, attack) for attack in shown}
    values = row[shown[-1]].per_class
    order = sorted(range(len(values)), key=values.__getitem__)[:_BARS]
    names = per_class.names(state, len(values))
    bars = [
        replace(
            _bar(names[k], place, row[attack].per_class, k, records.outcomes.get(attack)),
            series=report.title(attack, row[attack]), marks=found[attack].letters, severity=found[attack].severity,
        )
        for k in sorted(order)
        for place, attack in enumerate(shown)
        if k < len(row[attack].per_class)
    ]  # fmt: skip
    few = f"The {_BARS} of {len(values)} classes that fare worst. " if len(values) > _BARS else ""
    intervals = "95 % Wilson intervals." if any(bar.low is not None for bar in bars) else ""
    return Figure(
        key="classes", title=f"Classes, {' and '.join(report.title(a, row[a]) for a in shown)}", kind="bars", x="class",
        y="accuracy, %", bars=tuple(bars), caption=few + intervals,
        series=tuple(Series(label=report.title(a, row[a]), x=(), y=(), colour=k) for k, a in enumerate(shown)),
    )  # fmt: skip


def _bar(name: str, colour: int, values: Sequence[float], k: int, record: Outcome | None) -> Bar:
    if record is None or len(record.counts) != len(values) or not record.counts[k]:
        return Bar(label=name, value=100 * values[k], colour=colour)
    low, high = wilson(record.confusion[k][k], record.counts[k])
    return Bar(label=name, value=100 * values[k], low=100 * low, high=100 * high, colour=colour)


def _confusions(state: RunState, records: Judged) -> list[Figure | None]:
    """Of clean images, and under the strongest attack that was recorded."""
    strongest = next((attack for attack in _PREFERRED if attack in records.outcomes), "")
    return [_confusion(state, records.outcomes.get(attack)) for attack in (report.CLEAN, strongest)]


def _confusion(state: RunState, record: Outcome | None) -> Figure | None:
    if record is None:
        return None
    lost = sum(record.counts) - sum(map(sum, record.confusion))
    found = report.Notes(state).of(record.checkpoint, record.attack)
    none = f" {lost} had no finite answer." if lost else ""
    return Figure(
        key=f"confusion-{record.attack}", marks=found.letters, severity=found.severity,
        title=f"Confusion, {report.title(record.attack)}", kind="matrix",
        x="predicted class", y="true class", labels=per_class.names(state, len(record.counts)),
        matrix=tuple(tuple(map(float, row)) for row in record.confusion),
        caption=f"Images of the test split, {record.n} in all; right answers are on the diagonal.{none}",
    )  # fmt: skip


def _matrices(state: RunState) -> list[Figure | None]:
    """M1 and M2 of the adaptive compensation module."""
    return [_matrix(state, "clean"), _matrix(state, "adversarial")]


def _matrix(state: RunState, images: per_class.Images) -> Figure | None:
    found = per_class.matrix(state, images)
    if found is None:
        return None
    name = "M1" if images == "clean" else "M2"
    return Figure(
        key=f"acm-{images}", title=f"{name} of the compensation module, {images} images", kind="matrix",
        x="column", y="row", labels=found.names, matrix=found.rows,
        caption=f"After epoch {found.epoch}: the student's logits pass this matrix before they meet the teacher's. "
        "Cells without a number are below 0.005.",
    )  # fmt: skip
