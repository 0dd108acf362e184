"""LaTeX, read back with a parser: balanced, as many cells in each row, and the same words."""

import re
import shutil
import subprocess
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pylatexenc.latex2text import LatexNodes2Text, MacroTextSpec, get_default_latex_context_db
from pylatexenc.latexwalker import LatexEnvironmentNode, LatexNode, LatexWalker

from crdnd_tui.write import escape, render
from crdnd_tui.write.document import Cell, Column, Document, Row, Table
from crdnd_tui.write.escape import clean
from crdnd_tui.write.escape import latex as escaped
from tests.documents.small import DOCUMENT, PIECES, TABLE, nasty, tabled

GOLDEN = r"""\begin{table}[!htbp]
  \centering
  \caption{Results. n = 1,000, L-inf. Mean $\pm$ sample standard deviation over 3 seeds. In brackets: 95~\% interval}
  \label{tab:results}
  \resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%
  \begin{tabular}{@{}lrrrl@{}}
    \toprule
    method & AutoAttack & difference & p & note \\
    \midrule
    \multicolumn{5}{@{}l@{}}{\emph{CIFAR-10}} \\
    \cmidrule{1-5}
RSLAD (baseline) & 51.2 {\scriptsize $\pm$ 0.3} & \textendash{} & \textendash{} & best of {[}a\textbar{}b{]} \\
CRDND\_1 & \textbf{51.9}\textsuperscript{\textdagger{}a} {\scriptsize $\pm$ 0.2} & $-$0.7 REST
 &  & {\scriptsize {[}$-$1.5, +0.2{]}} &  &  \\
{\itshape paper} & 49.88 & \textendash{} & \textendash{} & \textendash{} \\
    \midrule
ARD & {\scriptsize not comparable} & \textendash{} & 0.250 & 50 \% \\
    \bottomrule
  \end{tabular}}
""".replace("REST", r"& \textless{} 0.001 & =1+1 \\")
MORE = "\u00b2\u00b3\u00b9\u00b5\u00b0\u00f7\u00ac\u2207\u2202\u2113\u2122"
MORE += "\u2194\u21d2\u2261\u221d\u220f\u2032\u226a\u226b\u2229\u222a\u2216\u03f5\u03d5"
_CONTEXT = get_default_latex_context_db()
_KNOWN = {"textless": "<", "textgreater": ">", "textbar": "|", "textasciicircum": "^", "neg": "\u00ac",
          "allowbreak": "", "textasciigrave": "`"}  # fmt: skip
_CONTEXT.add_context_category("more", macros=[MacroTextSpec(name, said) for name, said in _KNOWN.items()], prepend=True)
READER = LatexNodes2Text(math_mode="text", strict_latex_spaces=True, latex_context=_CONTEXT)
_SAME = {'"': "\u201d", "\ufffd": "?", "\u2010": "-", "\u2011": "-", "\u2212": "-", "\u00b5": "\u03bc", "\u00b2": "^2",
         "\u00b3": "^3", "\u00b9": "^1", "\u00b0": "^\u2218", "\u2032": "'", "\u00a0": " ", "\u2009": " ",
         "\u202f": " ", "\u03bf": "o", **dict(zip(escape._LIKE_LATIN, "ABEZHIKMNOPTYX", strict=True))}  # fmt: skip


def one(table: Table) -> str:
    source = render.latex(Document(title="", tables=(table,)))
    return source[source.index(r"\begin{table}") :]


def whole(document: Document, **how) -> str:
    """As a paper includes it."""
    packages = r"\usepackage[T1]{fontenc}\usepackage[utf8]{inputenc}\usepackage{textcomp,array,booktabs,graphicx}"
    source = render.latex(document, **how)
    return "\n".join([r"\documentclass{article}", packages, r"\begin{document}", source, r"\end{document}", ""])


def expected(words: str) -> str:
    """What LaTeX has for them: a few signs in its own letters, a question mark for what it knows not."""
    return re.sub(r"\s+", "", "".join(_SAME.get(c, c) for c in clean(words)))


def read(source: str) -> str:
    nodes, _, _ = LatexWalker(source, tolerant_parsing=False).get_latex_nodes()
    return re.sub(r"\s+", "", READER.nodelist_to_text(nodes))


def known(words: str) -> str:
    """Without the signs beyond Latin-1 that are no letters and have no command."""
    return "".join(c for c in words if c <= "\u00ff" or unicodedata.category(c)[0] in "LMN" or escaped(c) != "?")


def test_the_table_to_the_letter() -> None:
    assert one(TABLE).split(r"  \par\smallskip")[0] == GOLDEN


def test_the_notes_say_why_and_what_the_signs_mean() -> None:
    said = one(TABLE)
    for words in (r"epsilon 0.031 \& 8/255\par", r"\textsuperscript{a} Believe AutoAttack.\par", r"Bold: the best",
                  r"Mean $\pm$ sample standard deviation over 3 seeds.", r"\textdagger{} differs"):  # fmt: skip
        assert words in said


def test_every_file_names_run_ids_and_config_hashes_where_tex_does_not_look() -> None:
    said = render.latex(DOCUMENT)
    comments = [line for line in said.splitlines() if line.startswith("%")]
    for origin in DOCUMENT.origins:
        assert any(origin.run in line and origin.config_hash in line for line in comments)
    assert said.count(r"\begin{table}") == 1 and r"\begin{figure}" not in said


def test_figures_are_included_from_their_files_with_caption_and_label() -> None:
    said = render.latex(DOCUMENT, figures={"curve": "paper-curve.pdf"})
    for words in (r"\includegraphics[width=\linewidth]{paper-curve.pdf}", r"\caption{Loss}", r"\label{fig:curve}"):
        assert words in said


@pytest.mark.parametrize("piece", PIECES)
def test_each_dangerous_piece_is_read_back_as_itself(piece: str) -> None:
    for said in (piece, f"a{piece}b", f"{piece}{piece}"):
        assert read(escaped(known(clean(said)))) == expected(known(clean(said)))


@settings(max_examples=150, deadline=None)
@given(nasty)
def test_any_words_are_read_back_as_themselves(said: str) -> None:
    words = known(clean(said))
    assert read(escaped(words)) == expected(words)


@given(nasty)
def test_nothing_of_tex_is_left_in_any_words(said: str) -> None:
    source = escaped(said)
    bare = re.sub(r"\\[a-zA-Z]+|\\[{}$&#_%,]|\$[^$]*\$|\{[\[\]*]?\}", "", source)
    assert not set(bare) & set('\\{}$&#_%^<>|"`[]*')
    assert display_safe(source)


def display_safe(source: str) -> bool:
    return not any(unicodedata.category(c) in ("Cc", "Cs", "Cf") for c in source if c != "\n")


def test_greek_and_the_signs_of_tables_need_no_font_of_their_own() -> None:
    greek = [chr(code) for code in (*range(0x391, 0x3AA), *range(0x3B1, 0x3CA)) if code != 0x3A2]
    signs = "\u00b1\u2212\u2013\u2014\u2020\u2021\u00d7\u00b7\u221e\u2190\u2192\u2191\u2193"
    signs += "\u2264\u2265\u2260\u2248\u2208\u2211\u221a\u2026\u201c\u201d\u2018\u2019\u2022\u20ac"
    for sign in (*greek, *signs, *MORE):
        assert escaped(sign).isascii() and escaped(sign) != "?" and escaped(sign) != sign
    assert escaped("\u03b5 \u00b1 \u2212") == r"$\varepsilon$ $\pm$ $-$"
    assert escaped("\u4e2d\u00e9") == "\u4e2d\u00e9" and escaped("\U0001f600\x1b\ufffd") == "???"


def test_blanks_and_hyphens_that_glue_words_do_so_in_tex() -> None:
    assert escaped("95\u00a0% 1\u2009000\u202f000 a\u2010b\u2011c") == r"95~\% 1\,000\,000 a-b-c"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no TeX here")
def test_tex_itself_sets_it_all(tmp_path: Path) -> None:
    words = [piece for piece in PIECES if not any(c > "\u2e7f" or c == "\u0301" for c in piece)] + [*MORE, "[2cm]", "*"]
    tables = tuple(replace(tabled(words[at : at + 4]).tables[0], key=str(at)) for at in range(0, len(words), 8))
    document = replace(tabled(["".join(words)]), lead=(" ".join(words),), tables=(TABLE, *tables))
    (tmp_path / "all.tex").write_text(whole(document), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
    assert (tmp_path / "all.pdf").stat().st_size > 10_000


@pytest.mark.parametrize("pair", ["--", "---", "''", ",,"])
def test_ligatures_are_kept_apart(pair: str) -> None:
    assert pair[0] * 2 not in escaped(f"a{pair}b")


def tabulars(source: str) -> list[list[list[str]]]:
    """Cells of all rows of each tabular, its head first."""
    made = []
    for body in re.findall(r"\\begin\{tabular\}(.*?)\\end\{tabular\}", source, re.DOTALL):
        lines = [line.strip() for line in body.splitlines()[1:] if line.strip().endswith(r"\\")]
        made.append([re.split(r"(?<!\\)&", line.removesuffix(r"\\")) for line in lines])
    return made


@settings(max_examples=30, deadline=None)
@given(st.lists(nasty, min_size=1, max_size=4))
def test_no_words_change_the_shape_of_a_document(said: list[str]) -> None:
    document = tabled(said)
    source = whole(document)
    nodes, _, _ = LatexWalker(source, tolerant_parsing=False).get_latex_nodes()
    found = environments(nodes)
    assert found[0] == "document" and found.count("table") == 1
    assert set(found) == {"document", "table", "tabular", "minipage"}
    for head, *rows in tabulars(source):
        for cells in rows:
            assert len(cells) == len(head) or cells[0].startswith(rf"\multicolumn{{{len(head)}}}")
    assert source.rstrip().endswith(r"\end{document}")


def environments(nodes: list[LatexNode]) -> list[str]:
    made: list[str] = []
    for node in nodes:
        if isinstance(node, LatexEnvironmentNode):
            made.append(node.environmentname)
        made += environments([inner for inner in getattr(node, "nodelist", None) or [] if inner is not None])
    return made


def test_a_row_never_begins_with_an_option_of_the_row_before() -> None:
    rows = tuple(Row(label=label, cells=(Cell(value=1.0),)) for label in ("[2cm]", "*", "(a)"))
    said = one(Table(key="t", title="", head="[h]", columns=(Column(key="c", title="c"),), rows=rows))
    assert not re.search(r"(\\\\|\\toprule|\\midrule)\s*[\[*]", said)


def test_a_long_table_goes_on_in_a_next_float_and_its_notes_stand_below_the_last() -> None:
    rows = tuple(Row(label=f"class {k}", cells=(Cell(value=float(k)),)) for k in range(100))
    said = one(
        Table(key="t", title="T", head="class", columns=(Column(key="c", title="c"),), rows=rows, notes=(("a", "N."),))
    )
    assert said.count(r"\begin{tabular}") == said.count(r"class & c \\") == 3 and said.count("T (continued)") == 2
    assert said.count("N.") == 1 and said.index("N.") > said.index("class 99") and said.count("class 5 ") == 1
    assert [name for name in ("tab:t}", "tab:t-2}", "tab:t-3}") if name in said] == ["tab:t}", "tab:t-2}", "tab:t-3}"]


def test_seeds_stand_apart_from_the_deviation() -> None:
    rows = tuple(Row(label=str(k), cells=(Cell(value=51.2, std=0.3, runs=k),)) for k in (2, 3))
    said = one(Table(key="t", title="", head="m", columns=(Column(key="c", title="c"),), rows=rows))
    assert r"51.2 {\scriptsize $\pm$ 0.3 (3)}" in said


def test_long_words_are_set_in_lines_that_can_be_broken() -> None:
    rows = (Row(label="teachers.robust.path", cells=(Cell(text="a/" * 60),)),)
    said = one(Table(key="t", title="", head="key", columns=(Column(key="c", title="run", unit="words"),), rows=rows))
    assert r">{\raggedright\arraybackslash}p{" in said and r"\allowbreak{}" in said


def test_a_label_is_made_of_harmless_letters() -> None:
    row = Row(label="a", cells=())
    table = Table(key="Worst class_1%", title="", head="", columns=(), rows=(row,))
    assert r"\label{tab:worst-class-1}" in one(table)
