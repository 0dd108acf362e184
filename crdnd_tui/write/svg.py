"""Figures as SVG, without any package: the same bytes for the same figure.

`figure` makes a file that stands alone; `inline` a part of an HTML page, whose colours follow it into light and dark.
"""

from collections.abc import Sequence

from crdnd_tui.core import palette
from crdnd_tui.write import numbers, svg_bars, svg_curves, svg_ink, svg_matrix
from crdnd_tui.write.document import Figure, Origin
from crdnd_tui.write.escape import clean
from crdnd_tui.write.svg_ink import Ink, escaped, number
from crdnd_tui.write.wrap import wrap

TITLE = 15.0  # font size
NOTHING = "nothing was measured"
_LEGEND = 22.0  # pixels
_NOTE, _LETTER = 15.0, 6.4  # pixels from line to line of the notes, and of one of their letters


def figure(
    what: Figure, *, width: float = 720, height: float | None = None, dark: bool = False, origins: Sequence[Origin] = ()
) -> str:  # fmt: skip
    """A whole file with title, ground and metadata; without a height, as high as its kind needs."""
    ink = svg_ink.resolved(palette.DARK if dark else palette.LIGHT)
    pad = 16.0
    inner = width - 2 * pad
    tall = height - 2 * pad - 10 if height else _height(what, inner, _top(what, 24))
    title = svg_ink.text(0, 14, numbers.titled(what), fill=ink.text, size=TITLE, more=' font-weight="600"')
    notes = [line for words in numbers.below(what) for line in wrap(clean(words), int(inner / _LETTER))]
    body = [title, *_drawn(what, inner, tall, _top(what, 24), ink)]
    body += [svg_ink.text(0, tall + 24 + k * _NOTE, line, fill=ink.muted, size=11) for k, line in enumerate(notes)]
    total = tall + 2 * pad + 10 + (len(notes) * _NOTE + 8 if notes else 0)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{number(width)}" height="{number(total)}" '
        f'viewBox="0 0 {number(width)} {number(total)}" role="img" font-family="{FONT}">\n'
        f"<title>{escaped(what.title)}</title>\n<desc>{escaped(what.caption, 2000)}</desc>\n"
        f"<metadata>{_sources(origins)}</metadata>\n"
        f"{svg_ink.rectangle(0, 0, width, total, ink.background)}\n"
        f'<g transform="translate({number(pad)} {number(pad)})">\n' + "\n".join(filter(None, body)) + "\n</g>\n</svg>\n"
    )


def inline(what: Figure, *, width: float = 600, height: float | None = None) -> str:
    """An svg element without title and ground; its colours are the page's variables."""
    ink = svg_ink.themed()
    tall = height or _height(what, width, _top(what, 0))
    body = "\n".join(filter(None, _drawn(what, width, tall, _top(what, 0), ink)))
    return (
        f'<svg viewBox="0 0 {number(width)} {number(tall)}" role="img" aria-label="{escaped(what.title)}">\n'
        f"{body}\n</svg>"
    )


FONT = svg_ink.FONT.replace("'", "&apos;")


def _top(what: Figure, title: float) -> float:
    return title + 12 + _LEGEND * bool(what.kind == "bars" and what.series)


def _height(what: Figure, width: float, top: float) -> float:
    match what.kind:
        case "bars":
            return svg_bars.height_of(what, top)
        case "matrix":
            return svg_matrix.height_of(what, width, top)
        case _:
            return round(0.56 * width) + top


def _drawn(what: Figure, width: float, height: float, top: float, ink: Ink) -> list[str]:
    if is_empty(what):
        return [svg_ink.text(width / 2, height / 2, NOTHING, fill=ink.muted, anchor="middle")]
    match what.kind:
        case "lines":
            return svg_curves.lines(what, width, height, top, ink)
        case "scatter":
            return svg_curves.scatter(what, width, height, top, ink)
        case "bars":
            return [*_legend(what, top, ink), *svg_bars.bars(what, width, height, top, ink)]
        case "matrix":
            return svg_matrix.matrix(what, width, height, top, ink)


def is_empty(what: Figure) -> bool:
    """Whether there is nothing to draw."""
    match what.kind:
        case "bars":
            return not what.bars
        case "matrix":
            return not what.matrix
        case _:
            return not any(series.x for series in what.series)


def _legend(what: Figure, top: float, ink: Ink) -> list[str]:
    """What the colours of bars mean."""
    drawn, x, y = [], 0.0, top - 16
    for series in what.series:
        drawn.append(svg_ink.rectangle(x, y - 10, 11, 11, ink.of(series.colour)))
        drawn.append(svg_ink.text(x + 17, y, series.label, fill=ink.text, size=12))
        x += 17 + svg_ink.width_of(series.label, 12) + 22
    return drawn


def _sources(origins: Sequence[Origin]) -> str:
    return "crdnd; " + "; ".join(f"run {escaped(o.run)} config {escaped(o.config_hash)}" for o in origins)
