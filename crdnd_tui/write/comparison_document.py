"""Several runs, as they are compared, as a document: tables, figures, and what the numbers say."""

from collections.abc import Sequence
from importlib import metadata

from crdnd_tui.compare.comparison import Comparison
from crdnd_tui.compare.significance import Contrast
from crdnd_tui.compare.stats import LEVEL
from crdnd_tui.core import marks
from crdnd_tui.core.format import p_value, points
from crdnd_tui.write import comparison_details, comparison_figures, comparison_tables
from crdnd_tui.write.document import Document, Origin

_NAMED = 6  # rows, in one sentence


def comparison_document(
    comparison: Comparison, *, origins: Sequence[Origin] = (), made: float = 0.0
) -> Document:  # fmt: skip
    """Tables and figures that have something to say, those that matter most first; `made` in unix seconds."""
    many = len(comparison.rows) > 1
    tables = [
        comparison_tables.results_table(comparison) if comparison.attacks else None,
        comparison_tables.differences_table(comparison) if many and comparison.attacks else None,
        comparison_details.masking_table(comparison),
        comparison_details.overfitting_table(comparison),
        comparison_details.worst_class_table(comparison),
        comparison_details.classes_table(comparison) if many else None,
        comparison_tables.config_table(comparison) if many else None,
    ]
    return Document(
        title=_title(comparison),
        lead=lead(comparison),
        tables=tuple(table for table in tables if table is not None and table.rows),
        figures=comparison_figures.figures(comparison),
        origins=tuple(origins),
        made=made,
        version=metadata.version("crdnd-tui"),
        warnings=tuple(f"{row.label}: {why}" for row in comparison.others if (why := comparison.whole_refusal(row))),
    )


def _title(comparison: Comparison) -> str:
    """The baseline and the rows that are compared with it."""
    names = [row.label for row in comparison.others]
    if not names:
        return comparison.base.label
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"{shown} compared with {comparison.base.label}"


def lead(comparison: Comparison) -> tuple[str, ...]:
    """What the tables say of the order, what the tests leave of it, and whose numbers are not believed."""
    order, said = comparison.order.text, _tested(comparison)
    if order:
        is_name = any(order.startswith(row.label) for row in comparison.rows)
        said = [f"{order if is_name else order[:1].upper() + order[1:]}.", *said]
    struck = []
    for row in comparison.rows:
        cells = ((attack, comparison.cells.get((row.id, attack))) for attack in comparison.attacks)
        under = ", ".join(comparison.title(attack) for attack, cell in cells if cell and cell.is_struck)
        is_base = row is comparison.base and comparison.others
        claim = "no difference from it is a claim" if is_base else "it leads in none"
        struck += [f"{row.label} is not believed under {under}: {claim}."] if under else []
    return tuple(words for words in (*said, marks.explained(said), *struck) if words)


def _tested(comparison: Comparison) -> list[str]:
    """What the tests say of the differences under the strongest judgement."""
    attack = comparison.strongest
    found = [(row, comparison.contrasts[row.id, attack]) for row in comparison.others if attack]
    tested = [(row.label, one) for row, one in found if one.adjusted is not None and not one.is_struck]
    if not tested:
        return []
    shown = {
        row.label: points(100 * one.difference, one.n) + comparison.difference_marked(row, attack).sign
        for row, one in found
        if one.difference is not None
    }
    where = f"to {comparison.base.label} under {comparison.title(attack)}"
    if len(tested) == 1:
        label, one = tested[0]
        said = f"The difference of {label} {where}, {shown[label]} points, is "
        said += f"{'' if one.is_significant else 'not '}significant ({_p(one.adjusted or 0.0)})"
    else:
        sure = [f"{label} ({shown[label]})" for label, one in tested if one.is_significant]
        which = f"{len(sure)} {'is' if len(sure) == 1 else 'are'} significant" if sure else "none is significant"
        more = f" and {len(sure) - _NAMED} more" if len(sure) > _NAMED else ""
        named = f": {', '.join(sure[:_NAMED])}{more}" if sure else ""
        said = f"Of {len(tested)} differences {where} {which} after Holm's correction{named}"
    return [f"{said}{_floor(tested)}.", *_few_seeds(tested)]


def _floor(tested: Sequence[tuple[str, Contrast]]) -> str:
    """How small p could have been at all, where that is no less than 0.05."""
    floors = [(c.smallest, c.kind, c.pairs) for _, c in tested if c.smallest is not None and c.smallest >= LEVEL]
    if not floors:
        return ""
    smallest, kind, pairs = max(floors)
    which = f"with {pairs} seeds the sign-flip test" if kind == "seeds" else "with so few runs the permutation test"
    return f"; {which} cannot go below p = {smallest:.3g}, whatever the difference"


def _few_seeds(tested: Sequence[tuple[str, Contrast]]) -> list[str]:
    """Where the exact test cannot say anything: what t tests say, and which networks differ image by image."""
    mute = [(label, one) for label, one in tested if (one.smallest or 0.0) >= LEVEL]
    known = [(label, one.t_p) for label, one in mute if one.t_p is not None]
    below = ", ".join(f"{label} ({_p(p)})" for label, p in known if p < LEVEL)
    indicated = f"Indicative only, for so few seeds: uncorrected t tests put {below} below 0.05."
    said = [indicated if below else "Nor is any t test over these seeds below 0.05."] if known else []
    if networks := ", ".join(f"{label} {c.apart} of {c.pairs}" for label, c in mute if c.apart is not None):
        apart = "networks that McNemar's test tells apart on their images, in the mean's direction"
        said.append(f"Seed by seed, {apart}: {networks}.")
    return said


def _p(value: float) -> str:
    words = p_value(value)
    return f"p {words}" if words.startswith("<") else f"p = {words}"
