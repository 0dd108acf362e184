"""Several runs, as they are compared, as a document: tables, figures, and what the numbers say."""

from collections.abc import Sequence
from importlib import metadata

from crdnd_tui.compare import comparison, contrasts
from crdnd_tui.compare.comparison_side import Side
from crdnd_tui.compare.comparison_verdict import verdict
from crdnd_tui.compare.contrast import Contrast
from crdnd_tui.compare.stats import LEVEL
from crdnd_tui.core import marks
from crdnd_tui.core.format import p_value, points
from crdnd_tui.write import (
    of_classes,
    of_configs,
    of_confusions,
    of_curves,
    of_differences,
    of_gaps,
    of_results,
    of_worst,
)
from crdnd_tui.write.document import Document, Figure, Origin
from crdnd_tui.write.laid import Laid

_NAMED = 6  # rows, in one sentence


def lay(sides: Sequence[Side], *, wanted: str = "best", baseline: str = "", grouped: bool = False) -> Laid:
    """At least one side. `baseline` is the id of any run of the row to compare with; the first row otherwise."""
    grid = comparison.grid(sides, wanted=wanted, baseline=baseline, grouped=grouped)
    base = next(row for row in grid.rows if row.id == grid.baseline)
    attacks = [a for a in (*grid.columns, *grid.apart) if a != comparison.DROP]
    named = {row.label: row for row in grid.rows}

    def apart(one: str, two: str, attack: str) -> bool | None:
        return contrasts.told_apart(named[one], named[two], wanted, attack, len(grid.rows))

    tied = {(row, attack) for attack in attacks for row in contrasts.leaders(grid.rows, base, wanted, attack)}
    return Laid(
        sides=tuple(sides),
        wanted=wanted,
        grid=grid,
        contrasts=contrasts.contrasts(grid.rows, base, wanted, attacks),
        verdict=verdict(comparison.judged(grid), apart),
        tied=frozenset(tied),
    )


def comparison_document(
    sides: Sequence[Side], *, wanted: str = "best", baseline: str = "", grouped: bool = False,
    origins: Sequence[Origin] = (), made: float = 0.0,
) -> Document:  # fmt: skip
    """The runs laid side by side, as `lay` does it; `made` in unix seconds."""
    return told(lay(sides, wanted=wanted, baseline=baseline, grouped=grouped), origins=origins, made=made)


def told(laid: Laid, *, origins: Sequence[Origin] = (), made: float = 0.0) -> Document:
    """Tables and figures that have something to say, those that matter most first."""
    many = len(laid.rows) > 1
    tables = [
        of_results.results(laid) if laid.attacks else None,
        of_differences.differences(laid) if many and laid.attacks else None,
        of_gaps.masking(laid),
        of_gaps.overfitting(laid),
        of_worst.worst_class(laid),
        of_classes.classes(laid) if many else None,
        of_configs.configs(laid) if many else None,
    ]
    return Document(
        title=title(laid),
        lead=lead(laid),
        tables=tuple(table for table in tables if table is not None and table.rows),
        figures=figures(laid),
        origins=tuple(origins),
        made=made,
        version=metadata.version("crdnd-tui"),
        warnings=tuple(
            f"{row.label}: {why}" for row in laid.others if (why := of_differences.whole_refusal(laid, row))
        ),
    )


def figures(laid: Laid) -> tuple[Figure, ...]:
    """Those that have something to show: the trade-off, attacks, learning curves, classes, confusions."""
    made = [of_curves.tradeoff(laid), of_curves.attacks(laid), *of_curves.validation(laid)]
    made += [*of_classes.class_figures(laid), *of_confusions.confusions(laid)]
    return tuple(figure for figure in made if figure is not None)


def title(laid: Laid) -> str:
    """The baseline and the rows that are compared with it."""
    names = [row.label for row in laid.others]
    if not names:
        return laid.base.label
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"{shown} compared with {laid.base.label}"


def lead(laid: Laid) -> tuple[str, ...]:
    """What the tables say of the order, and what the tests leave of it."""
    order = laid.verdict.words
    named = any(order.startswith(row.label) for row in laid.rows)
    said = [f"{order if named else order[:1].upper() + order[1:]}." if order else "", *_tested(laid)]
    return tuple(words for words in (*said, marks.explained(said), *_struck(laid)) if words)


def _struck(laid: Laid) -> list[str]:
    """Whose numbers are not believed, and so take no part in any order; and that the baseline's are none."""
    said = []
    for row in laid.rows:
        under = [laid.title(a) for a in laid.attacks if (v := laid.grid.values.get((row.id, a))) and v.struck]
        if under:
            claim = "no difference from it is a claim" if row is laid.base and laid.others else "it leads in none"
            said.append(f"{row.label} is not believed under {', '.join(under)}: {claim}.")
    return said


def _tested(laid: Laid) -> list[str]:
    attack = laid.strongest
    found = [(row.label, laid.contrasts[row.id, attack]) for row in laid.others if attack]
    signs = {row.label: of_differences.marked(laid, row, attack).sign for row in laid.others}
    tested = [(label, contrast) for label, contrast in found if contrast.adjusted is not None and not contrast.struck]
    if not tested:
        return []
    where = f"to {laid.base.label} under {laid.title(attack)}"
    if len(tested) == 1:
        label, one = tested[0]
        said = f"The difference of {label} {where}, {_points(one)}{signs[label]} points, is "
        said += f"{'' if one.significant else 'not '}significant ({_p(one.adjusted or 0.0)})"
    else:
        sure = [f"{label} ({_points(contrast)}{signs[label]})" for label, contrast in tested if contrast.significant]
        verb = "is" if len(sure) == 1 else "are"
        which = f"{len(sure)} {verb} significant" if sure else "none is significant"
        more = f" and {len(sure) - _NAMED} more" if len(sure) > _NAMED else ""
        named = f": {', '.join(sure[:_NAMED])}{more}" if sure else ""
        said = f"Of {len(tested)} differences {where} {which} after Holm's correction{named}"
    return [f"{said}{_floor(tested)}.", *_indicated(tested), *_seed_by_seed(tested)]


def _floor(tested: Sequence[tuple[str, Contrast]]) -> str:
    """How small p could have been at all, where that is no less than 0.05."""
    floors = [(c.smallest, c.kind, c.pairs) for _, c in tested if c.smallest is not None and c.smallest >= LEVEL]
    if not floors:
        return ""
    smallest, kind, pairs = max(floors)
    which = f"with {pairs} seeds the sign-flip test" if kind == "seeds" else "with so few runs the permutation test"
    return f"; {which} cannot go below p = {smallest:.3g}, whatever the difference"


def _indicated(tested: Sequence[tuple[str, Contrast]]) -> list[str]:
    """What t tests say where the exact test cannot say anything."""
    mute = [(label, c.t_p) for label, c in tested if (c.smallest or 0.0) >= LEVEL and c.t_p is not None]
    below = [f"{label} ({_p(p)})" for label, p in mute if p < LEVEL]
    if not mute:
        return []
    if not below:
        return ["Nor is any t test over these seeds below 0.05."]
    return [f"Indicative only, for so few seeds: uncorrected t tests put {', '.join(below)} below 0.05."]


def _seed_by_seed(tested: Sequence[tuple[str, Contrast]]) -> list[str]:
    """Which networks differ, image by image, where too few seeds were run to say it of the methods."""
    known = [(label, c) for label, c in tested if c.apart is not None and (c.smallest or 0.0) >= LEVEL]
    if not known:
        return []
    words = ", ".join(f"{label} {c.apart} of {c.pairs}" for label, c in known)
    return [
        f"Seed by seed, networks that McNemar's test tells apart on their images, in the mean's direction: {words}."
    ]


def _points(contrast: Contrast) -> str:
    return points(100 * (contrast.difference or 0.0), contrast.n)


def _p(value: float) -> str:
    words = p_value(value)
    return f"p {words}" if words.startswith("<") else f"p = {words}"
