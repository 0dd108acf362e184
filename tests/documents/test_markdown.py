"""Markdown, read back with a parser: the same words, and nothing else."""

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from crdnd_tui.write import render
from crdnd_tui.write.document import Document
from crdnd_tui.write.escape import clean, markdown_line
from crdnd_tui.write.escape import markdown as escaped
from tests.documents.small import CURVE, DOCUMENT, PIECES, TABLE, nasty, tabled

GOLDEN = """\
## Results

| method           |                  AutoAttack |          difference |        p | note             |
| ---------------- | --------------------------: | ------------------: | -------: | ---------------- |
| **CIFAR-10**     |                             |                     |          |                  |
| RSLAD (baseline) |                  51.2 ± 0.3 |                   – |        – | best of \\[a\\|b\\] |
"""  # noqa: RUF001  a true minus, a dash
ONE = render.markdown(Document(title="T", tables=(TABLE,))).partition("\n\n")[2]
PARSER = MarkdownIt("gfm-like", {"linkify": False})


def words(tokens: list[Token]) -> str:
    """What a reader sees of inline tokens."""
    said = {"text": "content", "code_inline": "content", "html_inline": ""}
    return "".join(getattr(t, said[t.type]) if said.get(t.type) else "" for t in tokens)


def cells(source: str) -> list[list[str]]:
    """Cells of all tables, as a browser shows them, row by row."""
    made: list[list[str]] = []
    tokens = PARSER.parse(source)
    for before, token in pairwise(tokens):
        if before.type == "tr_open":
            made.append([])
        if before.type in ("th_open", "td_open"):
            made[-1].append(words(token.children or []))
    return made


def test_the_table_to_the_letter() -> None:
    assert ONE.splitlines()[:6] == GOLDEN.splitlines()


def test_a_parser_reads_the_numbers_back() -> None:
    read = cells(ONE)
    assert read[0] == ["method", "AutoAttack", "difference", "p", "note"]
    assert read[2] == ["RSLAD (baseline)", "51.2 \u00b1 0.3", "\u2013", "\u2013", "best of [a|b]"]
    assert read[3] == ["CRDND_1", "51.9\u2020a \u00b1 0.2", "\u22120.7 [\u22121.5, +0.2]", "< 0.001", "=1+1"]
    assert read[5] == ["ARD", "not comparable", "\u2013", "0.250", "50 %"]


def test_the_document_names_runs_hashes_facts_and_figures() -> None:
    said = render.markdown(DOCUMENT, figures={"curve": "figures/my loss.svg"})
    for piece in ("# Two methods", "CRDND leads.", "> One run failed.", "![Loss](figures/my%20loss.svg)", "torch: 2.15",
                  "data: x\\_1 (r1)", "crdnd 0.1.0, 1970-01-02 00:00 UTC", "epsilon 0.031 \\& 8/255"):  # fmt: skip
        assert piece in said
    runs = cells(said)[-3:]
    assert [line[0] for line in runs] == ["r1", "r2", "r3"]
    assert [line[-1] for line in runs] == ["a" * 12, "b" * 12, "c" * 12]
    assert CURVE.title not in render.markdown(DOCUMENT)


@pytest.mark.parametrize("piece", PIECES)
def test_each_dangerous_piece_is_read_back_as_itself(piece: str) -> None:
    for said in (piece, f"a{piece}b", f"{piece}b{piece}", f"{piece} b", f"a {piece}"):
        assert read_line(said) == clean(said)
        assert read_cell(said) == clean(said)


@pytest.mark.parametrize("sign", "\\`*_[]<>|~&$")
def test_signs_that_only_some_readers_take_for_markup_are_escaped_too(sign: str) -> None:
    assert escaped(f"a{sign}") == f"a\\{sign}"


def test_addresses_do_not_become_links() -> None:
    assert escaped("https://a.b WWW.a.b ftp://c a:b") == r"https\://a.b WWW\.a.b ftp\://c a:b"


@settings(max_examples=150, deadline=None)
@given(nasty)
def test_any_words_are_read_back_as_themselves(said: str) -> None:
    assert read_line(said) == clean(said)
    assert read_cell(said) == clean(said)


def read_line(said: str) -> str:
    """As a paragraph of its own between two others."""
    tokens = PARSER.parse(f"x\n\n{markdown_line(said)}\n\ny")
    assert {token.type for token in tokens} <= {"paragraph_open", "inline", "paragraph_close"}
    inner = [child.type for token in tokens for child in token.children or []]
    assert set(inner) <= {"text"}
    return "".join(words(token.children or []) for token in tokens[3:-3])


def read_cell(said: str) -> str:
    """As a cell between two others."""
    source = f"| a | b | c |\n| --- | --- | --- |\n| x | {escaped(said)} | y |"
    tokens = PARSER.parse(source)
    assert {child.type for token in tokens for child in token.children or []} <= {"text"}
    (_, (first, second, third)) = cells(source)
    assert (first, third) == ("x", "y")
    return second


@settings(max_examples=40, deadline=None)
@given(st.lists(nasty, min_size=1, max_size=4))
def test_no_words_change_the_shape_of_a_document(said: list[str]) -> None:
    source = render.markdown(tabled(said))
    lines = cells(source)
    grouped = bool(said[1 % len(said)])
    assert [len(line) for line in lines] == [3] * (3 + grouped) + [5, 5]
    tokens = PARSER.parse(source)
    assert not {"html_block", "code_block", "fence", "hr", "ordered_list_open"} & {token.type for token in tokens}
    inner = {child.type for token in tokens for child in token.children or []}
    assert inner <= {"text", "strong_open", "strong_close", "em_open", "em_close", "html_inline"}
    tags = re.findall(r"<[^ ]*?>", re.sub(r"\\.", "", source))
    assert set(tags) <= {"<sup>", "</sup>"}
