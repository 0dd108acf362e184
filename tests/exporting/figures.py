"""One figure of each kind, for tests; every word in them may be replaced by a hostile one."""

import math

from crdnd_tui.write.document import Bar, Figure, Series

HOSTILE = '</text></svg><script>alert(\'1\')</script>" onload="x" & $\\frac{1}$ \x00\x1b[31m \ufffe \u202e _a 日本'


def every_kind(words: str = "") -> list[Figure]:
    """Curves, points, bars below and above zero, a confusion matrix, a difference of two."""

    def say(plain: str) -> str:
        return f"{words} {plain}" if words else plain

    x = tuple(map(float, range(1, 11)))
    y = (*(10.0 * k for k in range(1, 5)), math.nan, *(50 + 4.0 * k for k in range(5)))
    curves = tuple(
        Series(
            label=say(name), x=x, y=tuple(v - 9 * k for v in y), low=tuple(v - 9 * k - 3 for v in y),
            high=tuple(v - 9 * k + 3 for v in y), colour=k, dashed=k == 1,
        )
        for k, name in enumerate(("clean", "PGD-SAT"))
    )  # fmt: skip
    points = tuple(
        Series(label=say(f"run {k}"), x=(80.0 + k,), y=(45.0 + k % 2,), low=(43.0,), high=(48.0,), colour=k)
        for k in range(4)
    )
    bars = (
        Bar(label=say("ARD"), value=1.5, low=-0.5, high=3.5), Bar(label=say("IAD"), value=-4.0, low=-5.0, high=-3.0),
        Bar(label=say("IAD"), value=0.0, colour=1), Bar(label=say("none"), value=math.nan),
    )  # fmt: skip
    counts = ((9.0, 1.0, 0.0), (0.0, 8.0, 2.0), (3.0, 0.0, 7.0))
    names = tuple(say(name) for name in ("airplane", "automobile", "bird"))
    titles = {"title": say("Title"), "x": say("x, epochs"), "y": say("y, %"), "caption": say("caption")}
    return [
        Figure(key="lines", kind="lines", series=curves, **titles),
        Figure(key="scatter", kind="scatter", series=points, **titles),
        Figure(key="bars", kind="bars", bars=bars, series=(Series(label=say("clean"), x=(), y=()),), **titles),
        Figure(key="matrix", kind="matrix", matrix=counts, labels=names, **titles),
        Figure(
            key="difference", kind="matrix", labels=names, **titles,
            matrix=tuple(tuple(v - 4 for v in row) for row in counts),
        ),
    ]  # fmt: skip
