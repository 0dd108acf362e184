"""Adversarial examples of a run as pictures for a page: those that fool first, one class after the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crdnd_tui.core import gallery, judged, raster, report
from crdnd_tui.core.gallery import GalleryError, Hall
from crdnd_tui.core.judged import Bounds, Judged
from crdnd_tui.core.raster import Raster
from crdnd_tui.write.document import Picture
from engine.spec.gallery import Example

_PREFERRED = ("autoattack", "cw_inf", "pgd_rescaled", "pgd_sat")
_VERDICTS = ("fooled", "stands", "wrong before")


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Pictures, or why there are none."""

    pictures: tuple[Picture, ...] = ()
    troubles: tuple[str, ...] = ()


def examples(folder: Path, records: Judged, most: int) -> Examples:
    """Of the strongest attack that has any; none, and no trouble, where no gallery was made."""
    if most < 1 or not (folder / "gallery.json").exists():
        return Examples()
    try:
        hall = gallery.load(folder)
        attack = next((a for a in _PREFERRED if a in hall.shelves), next(iter(hall.shelves), ""))
        if not attack:
            return Examples()
        pixels = gallery.pixels(hall, attack)
    except GalleryError as error:
        return Examples(troubles=(f"Adversarial examples: {error}.",))
    bounds = judged.bounds(records, attack)
    chosen = _chosen(hall.examples(attack), most)
    return Examples(pictures=tuple(_picture(hall, attack, example, pixels.pair(example), bounds) for example in chosen))


def _chosen(examples: Sequence[Example], most: int) -> list[Example]:
    """The first of each class before the second of any."""
    seen: dict[int, int] = {}
    ranked = []
    for example in sorted(examples, key=lambda e: (_VERDICTS.index(gallery.verdict(e)), e.index)):
        turn = seen[example.label] = seen.get(example.label, 0) + 1
        ranked.append((_VERDICTS.index(gallery.verdict(example)), turn, example.label, example.index, example))
    return [row[-1] for row in sorted(ranked, key=lambda row: row[:-1])[:most]]


def _picture(
    hall: Hall, attack: str, example: Example, pair: tuple[gallery.Picture, gallery.Picture], bounds: Bounds
) -> Picture:
    clean, adversarial = pair
    linf = gallery.linf(clean, adversarial)
    k = raster.fitting(linf)
    before, after = hall.name(example.predicted_clean), hall.name(example.predicted_adversarial)
    verdict = {
        "fooled": f"{hall.name(example.label)}, read as {after} under {report.title(attack)}",
        "stands": f"{hall.name(example.label)}, still read so under {report.title(attack)}",
        "wrong before": f"{hall.name(example.label)}, read as {before} before any attack, as {after} under it",
    }[gallery.verdict(example)]
    share = f", {linf / bounds.epsilon:.2f} epsilon" if bounds.bounded and bounds.epsilon else ""
    return Picture(
        height=clean.height,
        width=clean.width,
        clean=_bytes(raster.raster(clean)),
        perturbation=_bytes(raster.amplified(clean, adversarial, k)),
        adversarial=_bytes(raster.raster(adversarial)),
        caption=f"{verdict}; L-inf {255 * linf:.1f}/255{share}; perturbation times {k}",
    )


def _bytes(rows: Raster) -> bytes:
    return bytes(part for row in rows for pixel in row for part in pixel)
