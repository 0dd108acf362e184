"""The HTML report: one file, no request, nothing that could run, and all that the document says."""

import base64
import io
import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser

import pytest
from PIL import Image

from crdnd_tui.core import palette
from crdnd_tui.write import render
from crdnd_tui.write.document import Cell, Column, Document, Figure, Origin, Picture, Row, Table
from crdnd_tui.write.figures import render as draw
from tests.exporting.figures import HOSTILE, every_kind

VOID = {"meta", "img", "br", "link", "input", "source"}


class Page(HTMLParser):
    """Tags with their attributes, and that every one is closed; the text that a reader sees."""

    def __init__(self, content: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(content)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open and data.strip():
            self.texts.append(data.strip())

    def of(self, tag: str, **wanted: str) -> list[dict[str, str]]:
        return [a for name, a in self.tags if name == tag and all(a.get(k) == v for k, v in wanted.items())]


def table(words: str = "", rows: int = 2) -> Table:
    columns = (Column(key="aa", title=f"{words}AutoAttack"), Column(key="why", title="why", unit="words"))
    first = Row(
        label=f"{words}CRDND", group=f"{words}digits", rule=True,
        cells=(Cell(value=46.21, low=42.1, high=50.2, n=597, best=True, significant=True, marks="a"),
               Cell(text=f"{words}masked")),
    )  # fmt: skip
    rest = [
        Row(label=f"RSLAD {k}", cells=(Cell(text=f"{words}epsilon 8/255, not 4/255", barred=True), Cell()), quiet=True)
        for k in range(rows - 1)
    ]
    return Table(
        key="results", title=f"{words}Results", head=f"{words}method", columns=columns, rows=(first, *rest),
        caption=f"{words}597 images", notes=(("a", f"{words}a note"), ("", f"{words}another")), baseline="RSLAD 0",
    )  # fmt: skip


def document(words: str = "", **more) -> Document:
    picture = Picture(
        height=2, width=3, clean=bytes(range(18)), perturbation=bytes([128] * 18), adversarial=bytes(range(18, 36)),
        caption=f"{words}3, read as 5",
    )  # fmt: skip
    origin = Origin(
        run=f"{words}20300101-crdnd", label=f"{words}crdnd s0", state="done", config_hash=f"{words}abcdef012345",
        seed=0, facts=(("versions", f"{words}torch 2.15.0, https://example.org"),),
    )  # fmt: skip
    parts = {
        "title": f"{words}A report", "lead": (f"{words}One sentence.",), "tables": (table(words),), "made": 1e9,
        "figures": tuple(every_kind(words)), "pictures": (picture,), "origins": (origin,), "version": "0.1.0",
        "warnings": (f"{words}The run is stopped.",),
    }  # fmt: skip
    return Document(**(parts | more))


@cache
def rendered(words: str = "") -> str:
    return render.html(document(words))


def test_everything_is_said():
    page = Page(rendered())
    said = " ".join(page.texts)
    for words in ("A report", "One sentence.", "The run is stopped.", "AutoAttack", "46.2", "[42.1, 50.2]", "masked",
                  "not comparable", "epsilon 8/255, not 4/255", "a note", "another", "597 images", "3, read as 5",
                  "20300101-crdnd", "crdnd 0.1.0, 2001-09-09 01:46 UTC", "torch 2.15.0", "RSLAD 0 (baseline)",
                  "digits"):  # fmt: skip
        assert words in said or words.removesuffix(" (baseline)") in said, words
    assert page.of("meta", name="crdnd:run") == [{"name": "crdnd:run", "content": "20300101-crdnd abcdef012345"}]


def test_the_best_is_bold_and_what_differs_bears_a_dagger():
    content = rendered()
    assert "<strong>46.2</strong>" in content
    assert "<sup>\N{DAGGER}a</sup>" in content


@pytest.mark.parametrize("words", ["", HOSTILE])
def test_the_page_asks_for_nothing_and_runs_nothing(words):
    content = rendered(words)
    page = Page(content)
    names = {name for name, _ in page.tags}
    assert not names & {"script", "link", "iframe", "object", "embed", "form", "base", "audio", "video", "svg"}
    for _, attributes in page.tags:
        assert not [key for key in attributes if key.startswith("on") or key in ("style", "action")]
        assert attributes.get("href", "#").startswith("#")
        for source in {"src", "srcset"} & set(attributes):
            assert re.fullmatch(r"data:image/(png|svg\+xml);base64,[A-Za-z0-9+/=]+", attributes[source])
    assert not re.findall(r"url\(|@import|expression\(", content)
    (policy,) = page.of("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy["content"].split("; ")[0] == "default-src 'none'"
    assert "script-src" not in policy["content"]


def test_addresses_stay_plain_text():
    page = Page(rendered())
    assert any("https://example.org" in words for words in page.texts)
    assert not [a for _, attributes in page.tags for a in attributes.values() if "http" in a]


def test_hostile_words_are_read_as_they_were_written():
    said = " ".join(Page(rendered(HOSTILE)).texts)
    assert "<script>alert('1')</script>" in said
    assert "\x1b" not in said


def test_links_lead_to_parts_that_are_there():
    page = Page(rendered())
    targets = [attributes["href"][1:] for attributes in page.of("a")]
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert targets == ["table-1", "figures", "examples", "provenance"]
    assert set(targets) <= set(ids)
    assert len(ids) == len(set(ids))


def test_long_tables_stand_after_the_figures():
    page = render.html(document(tables=(table(rows=60),), figures=tuple(every_kind()[:1])))
    assert page.index('id="figures"') < page.index('id="table-1"')


def test_long_and_wide_tables_scroll_by_themselves_and_stand_closer():
    wide = table(rows=60)
    wide = replace(wide, columns=wide.columns[:1] * 9, rows=tuple(replace(r, cells=r.cells[:1] * 9) for r in wide.rows))
    page = Page(render.html(Document(title="T", tables=(table(), wide))))
    assert [a["class"] for a in page.of("div") if "scroll" in a["class"]] == ["scroll", "scroll tall dense"]


def test_a_document_of_a_title_is_a_page():
    page = Page(render.html(Document(title="Nothing")))
    assert page.texts.count("Nothing") == 2
    assert not page.of("section")


def test_the_same_document_gives_the_same_bytes():
    assert render.html(document()) == rendered()


def test_two_tables_of_one_key_have_two_names():
    page = Page(render.html(document(tables=(table(), table()), figures=())))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_pictures_come_back_pixel_by_pixel():
    sources = [a["src"] for a in Page(render.html(document(figures=()))).of("img")]
    images = [Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) for source in sources]
    assert [(image.size, image.convert("RGB").tobytes()) for image in images] == [
        ((3, 2), bytes(range(18))), ((3, 2), bytes([128] * 18)), ((3, 2), bytes(range(18, 36)))]  # fmt: skip


def test_figures_stand_inside_the_page_in_its_light_and_dark_colours():
    (figure,) = figures = every_kind()[:1]
    page = Page(render.html(Document(title="T", figures=tuple(figures))))
    (dark,) = [a["srcset"] for a in page.of("source", media="screen and (prefers-color-scheme: dark)")]
    (light,) = [a["src"] for a in page.of("img", alt=figure.title)]
    for source, theme in ((light, palette.LIGHT), (dark, palette.DARK)):
        content = base64.b64decode(source.removeprefix("data:image/svg+xml;base64,"))
        assert content == draw(figure, "svg", palette=theme, bare=True)


def test_a_figure_alone_is_a_page():
    assert "Title" in render.html(Document(title="T", figures=(Figure(key="f", title="Title", kind="bars"),)))
