"""A screen, `crdnd compare` and a paper's table show the same digits, which the number of images decides."""

import re

import pytest

from crdnd_tui.core.palette import DARK
from crdnd_tui.tui.widgets import result_grid
from crdnd_tui.tui.widgets.result_grid import View
from crdnd_tui.write import data, render, tables
from crdnd_tui.write.comparison_summary import ComparisonPlan, summarize
from tests.compare.runs import cell, compared_document, side

MINUS = "\N{MINUS SIGN}"


@pytest.mark.parametrize(("n", "decimals"), [(597, 1), (10_000, 2), (10_001, 2)])
def test_every_medium_has_the_same_digits(n: int, decimals: int) -> None:
    right = {"base": round(0.6213 * n), "other": round(0.5643 * n)}
    runs = [side(run, [cell("clean", n - 1, n), cell("autoattack", k, n)]) for run, k in right.items()]
    numbers = {f"{100 * k / n:.{decimals}f}" for k in right.values()}
    difference = f"{100 * (right['other'] - right['base']) / n:+.{decimals}f}".replace("-", MINUS)
    document = compared_document(runs, baseline="base")
    found = summarize(runs, ComparisonPlan(baseline="base"))
    grids = {
        deltas: "\n".join(line.plain for line in result_grid.lines(
            found, View(colours={}, attack="autoattack", deltas=deltas), DARK, 140)) for deltas in (False, True)
    }  # fmt: skip
    page = "\n".join(line.plain for line in tables.document_lines(document, 140))
    media = {
        "screen": grids[False], "page": page, "latex": render.latex(document).replace("$-$", MINUS),
        "markdown": render.markdown(document), "html": render.html(document), "json": shown(data.json_value(document)),
    }  # fmt: skip
    for name, content in media.items():
        found_numbers = set(re.findall(r"(?<![\d.])(?:62|56)\.\d+", content))
        assert numbers <= found_numbers and {len(one.partition(".")[2]) for one in found_numbers} == {decimals}, name
        assert difference in content, name
    assert difference in grids[True] and f"{100 * right['base'] / n:.{decimals}f}" in grids[True]


def shown(value: dict) -> str:
    """What JSON says that tables show."""
    cells = [cell for table in value["tables"] for row in table["rows"] for cell in row["cells"]]
    return "\n".join(cell["shown"] for cell in cells)
