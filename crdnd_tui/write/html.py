"""A document as one HTML file that opens anywhere: no script, no request, its pictures inside, light or dark.

Whatever comes from a file is escaped, and the page's own policy forbids a browser to load or run anything.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files

from crdnd_tui.core import palette
from crdnd_tui.write import html_tables, numbers, origins, svg, svg_ink
from crdnd_tui.write.document import Document, Figure, Picture, Table
from crdnd_tui.write.html_tables import words
from crdnd_tui.write.png import data_address

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_LONG = 60  # rows from which a table stands after the figures
_WIDE = 560.0  # of a figure, in its own pixels


def text(document: Document) -> str:
    """The whole file."""
    parts = list(_parts(document))
    return "\n".join(
        [
            "<!DOCTYPE html>", '<html lang="en">', _head(document), "<body>", "<main>", _opening(document, parts),
            *(part.section() for part in parts), "</main>", _foot(document), "</body>", "</html>", "",
        ]
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A section of the page, and its name in links."""

    name: str
    title: str
    body: str

    def section(self) -> str:
        return f'<section id="{self.name}"><h2>{words(self.title)}</h2>\n{self.body}</section>'


def _parts(document: Document) -> Iterator[_Part]:
    """In their order: tables, figures, pictures, long tables, where all that comes from."""
    numbered = list(enumerate(document.tables, start=1))
    yield from (_table(place, table) for place, table in numbered if not _is_late(table))
    if document.figures:
        drawn = "\n".join(map(_figure, document.figures))
        yield _Part(name="figures", title="Figures", body=f'<div class="figures">\n{drawn}\n</div>')
    if document.pictures:
        yield _Part(name="examples", title="Adversarial examples", body=_pictures(document.pictures))
    yield from (_table(place, table) for place, table in numbered if _is_late(table))
    runs = origins.table(document)
    if runs is not None:
        yield _Part(name="provenance", title="Provenance", body=html_tables.drawn(runs) + _facts(document))


def _is_late(table: Table) -> bool:
    return table.appendix or len(table.rows) >= _LONG


def _table(place: int, table: Table) -> _Part:
    return _Part(name=f"table-{place}", title=table.title, body=html_tables.whole(table))


def _head(document: Document) -> str:
    sources = [
        f'<meta name="crdnd:run" content="{words(origin.run)} {words(origin.config_hash)}">'
        for origin in document.origins
    ]
    light, dark = svg_ink.variables(palette.LIGHT), svg_ink.variables(palette.DARK)
    style = files(__package__).joinpath("report.css").read_text("utf-8")
    return "\n".join(
        [
            "<head>", '<meta charset="utf-8">', f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">', '<meta name="referrer" content="no-referrer">',
            f'<meta name="generator" content="{words(("crdnd " + document.version).strip())}">', *sources,
            f"<title>{words(document.title)}</title>",
            f"<style>\n:root{{{light}}}",
            f"@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}",
            f"{style}</style>",
            "</head>",
        ]
    )  # fmt: skip


def _opening(document: Document, parts: Sequence[_Part]) -> str:
    lead = "".join(f"<p>{words(sentence)}</p>\n" for sentence in document.lead)
    return (
        f'<header>\n<p class="made">{words(origins.made(document))}</p>\n<h1>{words(document.title)}</h1>\n'
        f'<div class="lead">{lead}</div>\n{_warnings(document)}{_contents(parts)}</header>'
    )


def _warnings(document: Document) -> str:
    if not document.warnings:
        return ""
    said = "".join(f"<li>{words(sentence)}</li>" for sentence in document.warnings)
    return f'<aside class="warnings" role="note"><ul>{said}</ul></aside>\n'


def _contents(parts: Sequence[_Part]) -> str:
    """Links, where there are enough parts to get lost in."""
    links = "".join(f'<li><a href="#{part.name}">{words(part.title)}</a></li>' for part in parts)
    return f'<nav aria-label="Contents"><ul>{links}</ul></nav>\n' if len(parts) > 2 else ""


def _figure(figure: Figure) -> str:
    said = [sentence for sentence in (figure.caption, *numbers.below(figure)) if sentence]
    caption = f"<figcaption>{'<br>'.join(map(words, said))}</figcaption>" if said else ""
    return (
        f"<figure><h3>{words(numbers.titled(figure))}</h3>\n"
        f'<div class="scroll">{svg.inline(figure, width=_WIDE)}</div>{caption}</figure>'
    )


def _pictures(pictures: Sequence[Picture]) -> str:
    shown = "\n".join(map(_picture, pictures))
    return (
        '<p class="caption">Each from left to right: the image x, the perturbation amplified about grey, '
        f'and x\N{PRIME}, the image under attack.</p>\n<div class="examples">\n{shown}\n</div>'
    )


def _picture(picture: Picture) -> str:
    sides = (("x", picture.clean), ("perturbation", picture.perturbation), ("x\N{PRIME}", picture.adversarial))
    images = "".join(
        f'<img src="{data_address(picture.width, picture.height, pixels)}" alt="{name}">' for name, pixels in sides
    )
    return f'<figure class="example"><div>{images}</div><figcaption>{words(picture.caption)}</figcaption></figure>'


def _facts(document: Document) -> str:
    """Provenance: what holds for all runs, and for which of them the rest does."""
    everybody = len(document.origins)
    listed = "".join(
        f"<dt>{words(key)}</dt><dd><code>{words(value)}</code>{_holders(holders, everybody)}</dd>"
        for key, value, holders in origins.facts(document)
    )
    return f'\n<dl class="facts">{listed}</dl>' if listed else ""


def _holders(runs: tuple[str, ...], everybody: int) -> str:
    if not runs:
        return ""
    named = f"{len(runs)} of {everybody} runs" if len(runs) > 3 else ", ".join(runs)
    return f' <span class="of">{words(named)}</span>'


def _foot(document: Document) -> str:
    return f"<footer>{words(origins.made(document))}</footer>"
