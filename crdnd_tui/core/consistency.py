"""Whether a figure agrees with what else its run says: its count, its interval, its record, its neighbours. Pure.

A figure that does not is never shown as it stands: its record's figure is shown in its place, with a mark, or none.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from crdnd_tui.core.format import count
from crdnd_tui.core.result_files import Images, Place, ResultRecord
from engine.spec.events import Evaluated
from engine.spec.outcomes import is_count, near, same
from engine.spec.statistics import wilson
from engine.spec.status import Status

CODE = "does_not_agree"  # of the mark
BOUNDED = ("fgsm", "pgd", "pgd_sat", "pgd_trades", "cw_inf", "pgd_rescaled", "autoattack")
# parts of the worst case: the bounded ones of the registry, which brings pydantic, and no first paint waits for that
_NEAR = 1e-6  # of a fraction
_SHARES = ("found", "largest_change")  # details that are fractions, beside `after_<part>`
_COMPARED = ("accuracy", "n", "of", "low", "high", "per_class", "details", "spec", "split", "seconds")


class CheckedFigures(NamedTuple):
    """The figures that may be shown, and of which places something does not agree, in words."""

    table: dict[str, dict[str, Evaluated]]
    disputed: dict[Place, str]


def check_figures(
    told: Mapping[str, Mapping[str, Evaluated]], records: Mapping[Place, ResultRecord], classes: int = 0
) -> CheckedFigures:
    """Hold what the log tells against the records beside it; the record beats the log.

    A figure without a record has only itself: its count, its interval, its classes (`classes` of them, 0 where that is
    unknown), and the other figures of its checkpoint.
    """
    table: dict[str, dict[str, Evaluated]] = {name: {} for name in told}
    disputed: dict[Place, str] = {}
    owners = _owners(records)
    counts = {r.images.n: r.images.counts for r in records.values() if r.images is not None}
    for place in dict.fromkeys([*((name, attack) for name, row in told.items() for attack in row), *records]):
        name, attack = place
        shown, record, why = told.get(name, {}).get(attack), records.get(place), ""
        if record is None and shown is not None:
            why = contradiction(shown, counts.get(shown.n, ()), classes)
            shown = None if why else shown
        elif record is not None and record.cell is None:
            shown, why = None, record.trouble
        elif record is not None and owners[name] != _owner(record):
            shown, why = None, "its record is of other images or weights than the other records beside it"
        elif record is not None and record.cell is not None:
            apart = [key for key in _COMPARED if shown and not same(getattr(shown, key), getattr(record.cell, key))]
            why = f"the log and its record differ in {', '.join(apart)}" if apart else ""
            shown = record.cell if apart or shown is None else shown
        if why:
            disputed[place] = why
        if shown is not None:
            table.setdefault(name, {})[attack] = shown
    for name, row in table.items():
        for attack, why in _crossed(row, {a for a in row if (name, a) in records}).items():
            disputed.setdefault((name, attack), why)
            if (name, attack) not in records:
                del row[attack]
    return CheckedFigures({name: row for name, row in table.items() if row}, disputed)


def _owners(records: Mapping[Place, ResultRecord]) -> dict[str, tuple[str, ...] | None]:
    """Of each checkpoint, the images and weights that most of its records are of; None where no most are."""
    found: dict[str, Counter[tuple[str, ...]]] = {}
    for (name, _), record in records.items():
        if record.cell is not None:
            found.setdefault(name, Counter())[_owner(record)] += 1
    most = {name: counts.most_common(2) for name, counts in found.items()}
    return {name: first[0] if not rest or rest[0][1] < first[1] else None for name, (first, *rest) in most.items()}


def _owner(record: ResultRecord) -> tuple[str, ...]:
    """Hashes of the images, the data and the weights that it is of."""
    of = record.images or Images(n=0)
    return of.indices, of.data, of.weights


def contradiction(cell: Evaluated, counts: tuple[int, ...] = (), classes: int = 0) -> str:
    """Why a figure contradicts itself; empty when it does not. `counts`: images per class, where they are known."""
    n, accuracy, per_class = cell.n, cell.accuracy, cell.per_class
    if not 0 < n <= cell.of:
        return "so many images cannot have been judged"
    if not is_count(accuracy, n):
        return f"its accuracy is no share of {count(n)} images"
    if not all(map(near, (cell.low, cell.high), wilson(round(accuracy * n), n))):
        return f"its interval is not that of its accuracy on {count(n)} images"
    if per_class and ((classes and len(per_class) != classes) or not all(0 <= share <= 1 for share in per_class)):
        return "its accuracies per class are not those of so many classes"
    if per_class and len(counts) == len(per_class):
        right = sum(share * images for share, images in zip(per_class, counts, strict=True))
        if not near(right / n, accuracy):
            return "its accuracy is not the mean of its classes"
    if per_class and max(per_class) < accuracy - _NEAR:
        return "no class is right as often as all together"
    if any(not 0 <= cell.details[key] <= 1 for key in cell.details if key.startswith("after_") or key in _SHARES):
        return "its details are no fractions"
    return ""


def _crossed(row: Mapping[str, Evaluated], backed: set[str]) -> dict[str, str]:
    """Figures of one checkpoint that contradict each other; where only one has no record, it is that one."""
    found: dict[str, str] = {}
    parts = row["worst"].spec.get("attacks") if "worst" in row else None
    accuracies = {attack: cell.accuracy for attack, cell in row.items()}
    for low, high in _pairs(accuracies, [*parts] if isinstance(parts, list) else BOUNDED):
        if row[low].n == row[high].n:
            found |= dict.fromkeys(sorted({low, high} - backed or {low, high}), f"{low} cannot be above {high}")
    return found


def _pairs(accuracies: Mapping[str, float], parts: list[Any] | tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """(attack, attack) of which the first is above the second, though it cannot be.

    Right under an attack is right before and after, so none is above clean; the worst case is not above its parts.
    """
    clean, worst = accuracies.get("clean"), accuracies.get("worst")
    for attack, accuracy in accuracies.items():
        if clean is not None and accuracy > clean + _NEAR:
            yield attack, "clean"
        if worst is not None and attack in parts and worst > accuracy + _NEAR:
            yield "worst", attack


def of_status(status: Status) -> dict[Place, str]:
    """Figures of a status that contradict themselves or each other; `run_status.held` asks their records, too."""
    n, found = status.results_n, dict[Place, str]()
    for name, row in status.results.items():
        for attack, share in row.items():
            if not (is_count(share, n) if n > 0 else 0 <= share <= 1):
                found[name, attack] = f"it is no share of {count(n)} images"
        known = {attack: share for attack, share in row.items() if (name, attack) not in found}
        for low, high in _pairs(known, BOUNDED):
            found |= {(name, attack): f"{low} cannot be above {high}" for attack in (low, high)}
    return found
