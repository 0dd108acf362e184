"""The words around the examples: where one stands, what a cell counts, and why something is not there."""

from collections.abc import Mapping, Sequence

from rich.text import Text
from textual.geometry import Size

from crdnd_tui.core import confusion, marks
from crdnd_tui.core.attack_names import TITLES, attack_title
from crdnd_tui.core.confusion import CheckpointRecords, ConfusionMatrix, Mode
from crdnd_tui.core.gallery import STEPS, Examples
from crdnd_tui.core.palette import Palette
from crdnd_tui.core.text import bar, one_line, pad
from crdnd_tui.tui.gallery import shows
from crdnd_tui.tui.gallery.shows import Show
from crdnd_tui.tui.gallery.visit import Visit
from crdnd_tui.tui.widgets.confusion import Spot, number
from crdnd_tui.tui.widgets.specimen import Specimen

_DOT = " \u00b7 "
_FIRST = ("pgd_sat", "pgd", "pgd_trades")  # what is looked at first, when it is there


def inside(size: Size) -> bool:
    """Whether bars have no panel of their own; examples.tcss hides it at the same sizes."""
    return size.width < 100 or size.height < 34


def film(size: Size) -> bool:
    """Whether there is room for thumbnails below the picture."""
    return not inside(size) and size.height >= 46


def first(examples: Mapping[str, object]) -> str:
    """The attack that is shown first."""
    return next((attack for attack in _FIRST if attack in examples), next(iter(examples), ""))


def attacks(found: CheckpointRecords) -> list[str]:
    """All that were judged, in the suite's order, the worst case last."""
    known = [name for name in TITLES if name in found.outcomes and name not in ("clean", "worst")]
    others = [name for name in found.outcomes if name not in known and name not in ("clean", "worst")]
    return [*known, *others, *(["worst"] if "worst" in found.outcomes else [])] or list(found.outcomes)


def judged_attack(found: CheckpointRecords, wanted: str) -> str:
    """The wanted one, or the first that has a record."""
    known = attacks(found)
    return wanted if wanted in known or wanted in found.troubles or not known else known[0]


def run(show: Show, width: int = 44) -> str:
    """The run and its checkpoint."""
    name = one_line(shows.short(show.run), max(8, width - len(_DOT) - len(show.checkpoint)))
    return _DOT.join(part for part in (name, show.checkpoint) if part)


def place(visit: Visit) -> str:
    """`17 of 20`."""
    of = len(visit.rows)
    return f"{visit.place} of {of}" if visit.place else f"passed over{_DOT}{of} others" if of else "none"


def title(visit: Visit, show: Show, width: int) -> str:
    """`17 of 20 . filter: flips . PGD-SAT . epsilon 40/255`, the last words first to go."""
    bounds = confusion.bounds(show.judged, visit.attack, show.epsilon)
    budget = f"epsilon {bounds.words}" if bounds.bounded and bounds.words else ""
    if not bounds.bounded:
        budget = f"L2 radius {bounds.radius:g}" if bounds.radius else "any L2"
    hall, chosen = show.hall, f"filter: {visit.filter}"
    if hall and visit.label is not None:
        chosen += f", class {hall.name(visit.label)}"
    if hall and visit.cell:
        way = "clean" if visit.cell.clean else "adversarial"
        chosen = f"cell: {hall.name(visit.cell.true)} \u2192 {hall.name(visit.cell.predicted)}, {way}"
    parts = [place(visit), chosen, attack_title(visit.attack), budget]
    while len(parts) > 1 and len(_DOT.join(part for part in parts if part)) > width:
        parts.pop()
    return _DOT.join(part for part in parts if part)


def below(specimen: Specimen, show: Show, width: int) -> str:
    """How far teacher and student are apart, where there is room for it beside the run."""
    whole = _DOT.join(part for part in (specimen.divergence, run(show)) if part)
    return whole if len(whole) <= width else run(show, width)


def none_left(visit: Visit, hall: Examples) -> str:
    """Why no example is in front."""
    only = visit.filter if visit.filter != "all" else "examples"
    of = f" of class {hall.name(visit.label)}" if visit.label is not None else ""
    keys = " or ".join(key for key, on in (("F", visit.filter != "all"), ("c", visit.label is not None)) if on) or "esc"
    return f"no {only}{of} under {attack_title(visit.attack)}: {keys} lets others through"


def amplified(k: int, way: int) -> int | None:
    """The next step up or down; None fits it to the picture."""
    if way > 0:
        return next((step for step in STEPS if step > k), STEPS[-1])
    return next((step for step in reversed(STEPS) if step < k), STEPS[0]) if way < 0 else None


def names(show: Show, attack: str) -> list[str]:
    """Of the classes; numbers where no gallery names them."""
    record = show.judged.outcomes.get(attack) or next(iter(show.judged.outcomes.values()), None)
    count = len(record.counts) if record else 0
    if show.hall and len(show.hall.classes) == count:
        return list(show.hall.classes)
    return [str(k) for k in range(count)]


def matrix_title(matrix: ConfusionMatrix, attack: str, show: Show, width: int) -> str:
    """Which matrix of which attack on how many images."""
    what = {
        "clean": "clean",
        "adversarial": attack_title(attack),
        "difference": f"{attack_title(attack)} \u2212 clean",
    }[matrix.mode]
    record = show.judged.outcomes.get("clean" if matrix.mode == "clean" else attack)
    sign = marks.SIGNS[marks.worst(record.marks)] if record else ""
    parts = [f"{matrix.mode}: {what}{sign and ' '}{sign}", "rows true, columns read as", f"{sum(matrix.counts)} images"]
    room = width - (6 if width < 100 else 42)  # examples.tcss: beside a note on the cell, which names the run
    if width < 100:
        parts.insert(1, run(show, 30))
    while len(parts) > 1 and len(_DOT.join(parts)) > room:
        parts.pop()
    return _DOT.join(parts)


def cell_line(matrix: ConfusionMatrix, spot: Spot, names: Sequence[str]) -> str:
    """The cell under the cursor in a few words."""
    value, count = matrix.rows[spot.true][spot.predicted], matrix.counts[spot.true]
    share = 100 * matrix.share(spot.true, spot.predicted)
    says = f"{number(value, matrix.mode).replace(chr(0xB7), '0')} of {count}"
    percent = f"{share:+.1f} points" if matrix.mode == "difference" else f"{share:.1f} %"
    return f"{names[spot.true]} read as {names[spot.predicted]}: {says} = {percent}".replace("-", "\u2212")


def cell_note(show: Show, attack: str, spot: Spot, names: Sequence[str], palette: Palette) -> Text:
    """One cell in all three matrices, and what its class is mistaken for."""
    note = Text().append("true    ", palette.muted).append(f"{names[spot.true]}\n", f"bold {palette.text}")
    note.append("read as ", palette.muted).append(f"{names[spot.predicted]}\n\n", f"bold {palette.text}")
    for mode in confusion.MODES:
        matrix = confusion.matrix(show.judged, attack, mode)
        if isinstance(matrix, str):
            note.append(f"{pad(mode, 12)} none\n", palette.muted)
            continue
        value, share = matrix.rows[spot.true][spot.predicted], 100 * matrix.share(spot.true, spot.predicted)
        shown = f"{value:+d}".replace("-", "\u2212") if mode == "difference" else f"{value}"
        note.append(pad(mode, 12), palette.muted).append(f"{shown:>5}", palette.text)
        points = f" {share:+6.1f} pt\n".replace("-", "\u2212")
        note.append(points if mode == "difference" else f" {share:6.1f} %\n", palette.muted)
    found = confusion.matrix(show.judged, attack, "adversarial")
    if not isinstance(found, str):
        count = found.counts[spot.true]
        right, longest = found.rows[spot.true][spot.true], max(len(name) for name in names)
        note.append(f"\nof {count} images, under attack\n", palette.muted)
        for k, value in [(spot.true, right), *confusion.worst(found, spot.true)]:
            share = value / count if count else 0.0
            tone = palette.good if k == spot.true else palette.above
            note.append(f"{pad(names[k], min(10, longest))} {bar(share, 10)} ", tone)
            note.append(f"{value:>4}\n", palette.text)
        lost = count - sum(found.rows[spot.true])
        note.append(f"no finite answer {lost}\n" if lost else "", palette.warn)
    return note


def kept(chosen: Visit | None, hall: Examples | None) -> str:
    """How many examples of the cell the gallery holds."""
    if hall is None:
        return "\nthis run keeps no examples"
    if chosen is None:
        return "\nno examples of this attack are kept"
    count, of = len(chosen.rows), len(hall.examples(chosen.attack))
    return f"\n{count} of {of} examples are here" + (": enter opens them" if count else "")


def none_kept(show: Show, attack: str, mode: Mode, spot: Spot) -> str:
    """Why a cell opens nothing."""
    which: Mode = "clean" if mode == "clean" else "adversarial"
    matrix, called = confusion.matrix(show.judged, attack, which), names(show, attack)
    count = 0 if isinstance(matrix, str) else matrix.rows[spot.true][spot.predicted]
    where = "clean" if which == "clean" else f"under {attack_title(attack)}"
    says = f"{count} test images of {called[spot.true]} are read as {called[spot.predicted]}, {where}"
    if show.hall is None:
        return f"{says}; this run keeps no examples."
    of = len(next(iter(show.hall.sets.values())).examples)
    return f"{says}; the gallery keeps {of} seeded images, none of these."


def no_matrix(show: Show) -> str:
    """Why there is no matrix at all."""
    return next(iter(show.judged.troubles.values()), "nothing has been judged yet, so there is no matrix")


def only(show: Show) -> str:
    """Why there is no other checkpoint."""
    return f"only {show.checkpoint} has been judged" if show.checkpoint else "no checkpoint has been judged"


def choice(run: str, palette: Palette) -> Text:
    """A run in the list: its name, and when it was made."""
    made = f"  {run[:4]}-{run[4:6]}-{run[6:8]} {run[9:11]}:{run[11:13]}"
    return Text().append(pad(one_line(shows.short(run), 44), 44), palette.text).append(made, palette.muted)
