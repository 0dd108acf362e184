"""Figures as pgfplots: every kind is set by TeX itself, words stay words, and thinning keeps what the eye sees."""

import math
import re
import shutil
import subprocess
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pylatexenc.latexwalker import LatexWalker

from crdnd_tui.write import latex
from crdnd_tui.write.document import Bar, Document, Figure, Series, Table
from crdnd_tui.write.latex_figures import NEEDS, figure
from crdnd_tui.write.thinning import pieces, thinned
from tests.documents.small import DOCUMENT, PIECES, TABLE, nasty
from tests.documents.test_latex import environments, tabulars
from tests.exporting.figures import every_kind

finite = st.floats(-1e6, 1e6)
KINDS = {one.key: one for one in every_kind()}


@settings(deadline=None)
@given(st.lists(finite, min_size=1, max_size=3000), st.integers(4, 400))
def test_a_thinned_curve_keeps_its_ends_its_extremes_and_its_order(y: list[float], most: int) -> None:
    kept = thinned(range(len(y)), y, most)
    assert kept == sorted(set(kept)) and {0, len(y) - 1} <= set(kept)
    assert len(kept) <= most
    assert {min(y), max(y)} <= {y[k] for k in kept}


def test_a_short_curve_is_whole() -> None:
    assert thinned(range(5), [3.0, 1.0, 2.0, 5.0, 4.0], 400) == [0, 1, 2, 3, 4]


@given(st.lists(st.one_of(finite, st.just(math.nan), st.just(math.inf), st.just(1e200)), max_size=60))
def test_pieces_hold_each_drawable_point_once_and_no_other(y: list[float]) -> None:
    found = pieces(range(len(y)), y)
    assert [k for piece in found for k in piece] == [k for k, v in enumerate(y) if math.isfinite(v) and abs(v) < 1e16]
    assert all(piece == list(range(piece[0], piece[-1] + 1)) for piece in found)
    assert all(after[0] > before[-1] + 1 for before, after in pairwise(found))


def test_a_curve_is_broken_at_a_gap_and_named_once() -> None:
    said = figure(KINDS["lines"])
    curves = [line for line in said.splitlines() if r"\addplot" in line and "fill=" not in line]
    assert [len(re.findall(r"\(", line)) for line in curves] == [4, 5, 4, 5]
    assert said.count(r"\addlegendentry{clean}") == said.count(r"\addlegendentry{PGD-SAT}") == 1
    assert said.count("-- cycle;") == 4 and "densely dashed" in said


def test_points_have_their_error_bars_and_marks_of_their_own() -> None:
    said = figure(KINDS["scatter"])
    assert "(80,45) += (0,3) -= (0,2)" in said
    marks = re.findall(r"mark=([^,]+),", said)
    assert len(set(marks)) == len(marks) == 4


def test_bars_of_one_name_stand_together_and_what_is_no_number_is_not_drawn() -> None:
    said = figure(KINDS["bars"])
    assert said.count(r"\addplot") == 3 and "nan" not in said
    assert "(1.5,0) += (2,0) -= (2,0)" in said and "{$-4.0$}" in said
    assert "yticklabels={{ARD},{IAD},{none}}" in said


def test_a_matrix_writes_no_number_that_rounds_to_nothing() -> None:
    said = figure(replace(KINDS["matrix"], matrix=((0.98, 0.004), (-0.001, 0.5)), labels=("a", "b")))
    assert re.findall(r"\{\$(.*?)\$\}", said) == ["0.98", "0.50"]


@pytest.mark.parametrize("kind", ["lines", "scatter", "bars", "matrix"])
def test_nothing_measured_is_no_figure(kind: str) -> None:
    empty = Figure(key="e", title="t", kind=kind, series=(Series(label="a", x=(math.nan,), y=(1.0,)),),
                   bars=(Bar(label="b", value=math.inf),), matrix=((math.nan,),))  # fmt: skip
    assert figure(empty) == ""


@settings(max_examples=25, deadline=None)
@given(nasty)
def test_no_words_change_the_shape_of_a_figure(words: str) -> None:
    for one in every_kind(words):
        source = figure(one)
        nodes, _, _ = LatexWalker(source, tolerant_parsing=False).get_latex_nodes()
        assert environments(nodes) == ["figure", "tikzpicture", "axis"]
        assert source.count(r"\addplot") == figure(KINDS[one.key]).count(r"\addplot")


@pytest.mark.parametrize("standalone", [False, True])
def test_a_document_says_what_its_figures_need(*, standalone: bool) -> None:
    said = latex.text(DOCUMENT, standalone=standalone)
    assert r"\begin{axis}" in said and r"\label{fig:curve}" in said
    assert any(NEEDS in line and line.startswith("%") != standalone for line in said.splitlines())
    assert "pgfplots" not in latex.text(replace(DOCUMENT, figures=()), standalone=standalone)


def test_a_table_longer_than_a_page_goes_on_in_the_next_one() -> None:
    row = replace(TABLE.rows[0], group="")
    rows = tuple(replace(row, label=f"class {k}") for k in range(100))
    said = latex.table(replace(TABLE, rows=rows))
    assert said.count(r"\begin{table}") == said.count(r"\end{table}") > 1
    labels = [cells[0].strip() for rows in tabulars(said) for cells in rows[1:]]
    assert labels == [f"class {k}" for k in range(100)]
    assert said.count("(continued)") == said.count(r"\begin{table}") - 1
    assert said.count("Believe AutoAttack.") == 1 and len(set(re.findall(r"\\label\{.*?\}", said))) > 1


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no TeX here")
def test_tex_itself_sets_every_kind_with_any_words(tmp_path: Path) -> None:
    if subprocess.run(["kpsewhich", "pgfplots.sty"], capture_output=True, check=False).returncode:
        pytest.skip("no pgfplots here")
    words = "".join(p for p in PIECES if not any(c > "\u2e7f" or c == "\u0301" for c in p))
    long = Series(label="long", x=tuple(map(float, range(5000))), y=tuple(math.sin(k / 50) for k in range(5000)))
    lone = Series(label="lone", x=(1.0,), y=(1e-9,), colour=9)
    curves = Figure(key="c", title="", kind="lines", series=(long, lone))
    figures = (*every_kind(), *every_kind(words), curves)
    document = Document(title="t", figures=figures, tables=(Table(key="t", title="t", head="h", columns=(), rows=()),))
    (tmp_path / "all.tex").write_text(latex.text(document, standalone=True), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
