"""A small table that every writer writes, and words that nobody can vouch for."""

from hypothesis import strategies as st

from crdnd_tui.write.document import Cell, Column, Document, Figure, Origin, Row, Series, Table

COLUMNS = (Column(key="autoattack", title="AutoAttack"), Column(key="gap", title="difference", unit="points"),
           Column(key="p", title="p", unit="p"), Column(key="note", title="note", unit="words"))  # fmt: skip
ROWS = (
    Row(label="RSLAD", runs=("r1",), group="CIFAR-10",
        cells=(Cell(value=51.24, std=0.31, n=1000, runs=3), Cell(), Cell(), Cell(text="best of [a|b]"))),
    Row(label="CRDND_1", runs=("r2", "r3"),
        cells=(Cell(value=51.9, std=0.25, n=1000, runs=3, best=True, significant=True, marks="a"),
               Cell(value=-0.66, low=-1.5, high=0.2), Cell(value=0.0000004), Cell(text="=1+1"))),
    Row(label="paper", quiet=True, cells=(Cell(value=49.88, n=10_000), Cell(), Cell(), Cell())),
    Row(label="ARD", rule=True,
        cells=(Cell(barred=True, text="epsilon 0.031 & 8/255"), Cell(), Cell(value=0.25), Cell(text="50 %"))),
)  # fmt: skip
TABLE = Table(key="results", title="Results", head="method", columns=COLUMNS, rows=ROWS, caption="n = 1,000, L-inf",
              notes=(("a", "Believe AutoAttack."),), baseline="RSLAD")  # fmt: skip
ORIGINS = (
    Origin(run="r1", label="RSLAD s0", state="done", config_hash="aa" * 32, seed=0,
           facts=(("torch", "2.15"), ("data", "x_1"))),
    Origin(run="r2", label="CRDND s0", state="done", config_hash="bb" * 32, seed=0, facts=(("torch", "2.15"),)),
    Origin(run="r3", label="CRDND s1", state="failed", config_hash="cc" * 32, seed=1, facts=(("torch", "2.15"),)),
)  # fmt: skip
CURVE = Figure(key="curve", title="Loss", kind="lines", x="epoch", y="loss",
               series=(Series(label="RSLAD s0", x=(1.0, 2.0), y=(0.5, float("nan"))),))  # fmt: skip
DOCUMENT = Document(title="Two methods", lead=("CRDND leads.",), tables=(TABLE,), figures=(CURVE,), origins=ORIGINS,
                    version="0.1.0", made=86_400.0, warnings=("One run failed.",))  # fmt: skip

PIECES = (
    *"|\\`*_[]<>~&$#{}%^\"'=+-@!aB7. ",
    *"\u00a0\u00e9\u4e2d\u0301\u2212\u00b1\u2020\u03b5\ufffd\U0001f600\x00\x7f\x9b\u202e\u200b\n\t",
    "```", "**", "__", "](x)", "![", "<b>", "</td>", "~~", "&amp;", "&#65;", "<!--", "$$",
    "# ", "- ", "1. ", "1) ", "> ",
    "---", "===", "+ ", "^^M", "''", ",,", "--", "?`", "\r\n", "\x1b[31m", "\ud800", "=cmd|' /C calc'!A0", "@SUM(",
    "\uff1d1", "http://a.b", "www.a.b", "\\input{x}", "\\\\", "\\end{tabular}", "  =",
)  # fmt: skip
nasty = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=4)), max_size=8).map("".join)


def tabled(words: list[str]) -> Document:
    """A document all of whose words are these, in turn."""
    a, b, c, d = (words * 4)[:4]
    rows = (
        Row(label=a, group=b, runs=(c,), cells=(Cell(text=d), Cell(value=1.5, marks=a[:4], best=True))),
        Row(label=b, quiet=True, rule=True, cells=(Cell(text=c), Cell(barred=True, text=d))),
    )
    columns = (Column(key=a, title=b, unit="words"), Column(key=c, title=d))
    table = Table(key=a, title=b, head=c, columns=columns, rows=rows, caption=d, notes=(("a", a), ("", b)), baseline=a)
    origin = Origin(run=c, label=a, state=b, config_hash=d, facts=((a, b),))
    return Document(title=a, lead=(b, c), tables=(table,), origins=(origin,), version=d, warnings=(d,))
