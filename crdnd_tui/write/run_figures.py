"""Figures of one run: losses, validation, what the teacher knows of each class, confusions, the matrices M."""

import math
from collections.abc import Iterable
from dataclasses import replace

from crdnd_tui.core import per_class
from crdnd_tui.core.attack_names import CLEAN, WORST, attack_title, is_within
from crdnd_tui.core.confusion import CheckpointRecords
from crdnd_tui.core.per_class import ClassHistory
from crdnd_tui.core.state import RunState
from crdnd_tui.core.text import one_line
from crdnd_tui.write.document import Bar, Figure, Series, mark_fields
from crdnd_tui.write.run_tables import RunFootnotes
from engine.spec.outcomes import Outcome
from engine.spec.statistics import wilson

PREFERRED = ("autoattack", "cw_inf", "pgd_rescaled", "pgd_sat")  # attacks whose examples are shown
_STRONGEST = (WORST, "autoattack", "cw_inf", "pgd_sat")  # attacks whose classes and confusions are shown
_CURVES = 10  # classes whose curves can be told apart
_BARS = 20  # classes that are drawn as bars
_COLOURS = 8


def run_figures(state: RunState, chosen: str, records: CheckpointRecords) -> list[Figure]:
    """Those that have something to show, with the sentences of their letters."""
    notes = RunFootnotes(state)
    strongest = next((attack for attack in _STRONGEST if attack in records.outcomes), "")
    clean, adversarial = per_class.class_history(state, "clean"), per_class.class_history(state, "adversarial")
    found = [
        _loss(state), _validation(state, notes), _history(clean),
        _history(adversarial) if adversarial != clean else None, _class_bars(state, chosen, records, notes),
        *(_confusion(state, records.outcomes.get(attack), notes) for attack in (CLEAN, strongest)),
        _compensation(state, "M1", "clean"), _compensation(state, "M2", "adversarial"),
    ]  # fmt: skip
    return [
        replace(figure, notes=tuple(notes.notes("".join(one.marks for one in figure.shown))))
        for figure in found
        if figure is not None
    ]


def _numbers(values: Iterable[float | None], scale: float = 1.0) -> tuple[float, ...]:
    """NaN where a value is not known."""
    return tuple(math.nan if value is None else scale * value for value in values)


def _loss(state: RunState) -> Figure | None:
    epochs = state.epochs
    if not epochs:
        return None
    x = tuple(float(event.epoch) for event in epochs)
    terms = list(dict.fromkeys(name for event in epochs for name in event.terms))
    series = [Series(label="loss", x=x, y=_numbers(event.loss for event in epochs))]
    series += [
        Series(label=one_line(name, 24), x=x, y=_numbers(event.terms.get(name) for event in epochs), colour=k)
        for k, name in enumerate(terms, 1)
    ]
    return Figure(
        key="loss", title="Training loss", kind="lines", x="epoch", y="loss", series=tuple(series),
        caption="Means over each epoch: the whole loss and its terms." if terms else "Means over each epoch.",
    )  # fmt: skip


def _validation(state: RunState, notes: RunFootnotes) -> Figure | None:
    events, best = state.validations, state.best
    if not events:
        return None
    x = tuple(float(event.epoch) for event in events)
    attacks = dict.fromkeys(attack for event in events for attack in event.accuracy)
    chosen = f"; epoch {best.epoch} was the best by {attack_title(best.by)}" if best else ""
    return Figure(
        key="validation", title="Validation", kind="lines", x="epoch", y="accuracy, %",
        series=tuple(
            Series(
                label=attack_title(attack), x=x, y=_numbers((event.accuracy.get(attack) for event in events), 100),
                colour=k, **mark_fields(notes.of("", attack)),
            )
            for k, attack in enumerate(attacks)
        ),
        caption=f"{events[-1].n} validation images, none of them from the test split{chosen}.",
    )  # fmt: skip


def _history(history: ClassHistory | None) -> Figure | None:
    """Class by class over the epochs, of the classes that fare worst at the end."""
    if history is None or len(history.epochs) < 2:
        return None
    last = {k: math.inf if row[-1] is None else row[-1] for k, row in enumerate(history.rows)}
    shown = sorted(sorted(last, key=lambda k: last[k])[:_CURVES])
    of = f"The {_CURVES} of {len(last)} classes that fare worst at the end. " if len(last) > _CURVES else ""
    on = ", on the images that the student is attacked with" if history.images == "adversarial" else ""
    return Figure(
        key=f"{history.who}-{history.images}", kind="lines", x="epoch", y="accuracy, %",
        title=f"{history.who.capitalize()} per class, {history.images} training images",
        series=tuple(
            Series(
                label=history.names[k], x=tuple(map(float, history.epochs)), y=_numbers(history.rows[k], 100),
                colour=place % _COLOURS, dashed=place >= _COLOURS,
            )
            for place, k in enumerate(shown)
        ),
        caption=f"{of}Counted while the student trains{on}.",
    )  # fmt: skip


def _class_bars(state: RunState, chosen: str, records: CheckpointRecords, notes: RunFootnotes) -> Figure | None:
    """Clean and under attack, class by class, with Wilson intervals where the counts are known."""
    row = {attack: cell for attack, cell in state.table.get(chosen, {}).items() if cell.per_class}
    known = [attack for attack, cell in row.items() if attack != CLEAN and is_within(attack, cell)]
    strongest = next((attack for attack in _STRONGEST if attack in known), known[-1] if known else "")
    shown = {attack: row[attack].per_class for attack in (CLEAN, strongest) if attack in row}
    if not shown:
        return None
    titles = [attack_title(attack, row[attack]) for attack in shown]
    last = list(shown.values())[-1]
    names, worst = per_class.names(state, len(last)), sorted(range(len(last)), key=last.__getitem__)[:_BARS]
    bars = tuple(
        replace(
            _class_bar(values, k, records.outcomes.get(attack)), label=names[k], series=titles[place], colour=place,
            **mark_fields(notes.of(chosen, attack)),
        )
        for k in sorted(worst)
        for place, (attack, values) in enumerate(shown.items())
        if k < len(values)
    )  # fmt: skip
    few = f"The {_BARS} of {len(last)} classes that fare worst. " if len(last) > _BARS else ""
    return Figure(
        key="classes", title=f"Classes, {' and '.join(titles)}", kind="bars", x="class", y="accuracy, %", bars=bars,
        caption=few + ("95 % Wilson intervals." if any(bar.low is not None for bar in bars) else ""),
        series=tuple(Series(label=title, x=(), y=(), colour=place) for place, title in enumerate(titles)),
    )  # fmt: skip


def _class_bar(values: list[float], k: int, record: Outcome | None) -> Bar:
    if record is None or len(record.counts) != len(values) or not record.counts[k]:
        return Bar(label="", value=100 * values[k])
    low, high = wilson(record.confusion[k][k], record.counts[k])
    return Bar(label="", value=100 * values[k], low=100 * low, high=100 * high)


def _confusion(state: RunState, record: Outcome | None, notes: RunFootnotes) -> Figure | None:
    if record is None:
        return None
    lost = sum(record.counts) - sum(map(sum, record.confusion))
    none = f" {lost} had no finite answer." if lost else ""
    return Figure(
        key=f"confusion-{record.attack}", title=f"Confusion, {attack_title(record.attack)}", kind="matrix",
        x="predicted class", y="true class", labels=per_class.names(state, len(record.counts)),
        matrix=tuple(tuple(map(float, row)) for row in record.confusion),
        caption=f"Images of the test split, {record.n} in all; right answers are on the diagonal.{none}",
        **mark_fields(notes.of(record.checkpoint, record.attack)),
    )  # fmt: skip


def _compensation(state: RunState, name: str, images: per_class.Images) -> Figure | None:
    """A matrix of the adaptive compensation module, M1 or M2."""
    found = per_class.acm_matrix(state, images)
    if found is None:
        return None
    return Figure(
        key=f"acm-{images}", title=f"{name} of the compensation module, {images} images", kind="matrix",
        x="column", y="row", labels=found.names, matrix=found.rows,
        caption=f"After epoch {found.epoch}: the student's logits pass this matrix before they meet the teacher's. "
        "Cells without a number are below 0.005.",
    )  # fmt: skip
