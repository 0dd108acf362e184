"""Worst classes and confusions of compared runs, by records whose labels are known here."""

import pytest

from crdnd_tui.compare import stats
from crdnd_tui.compare.comparison import compare
from crdnd_tui.write.comparison_figures import figures
from engine.spec.outcomes import summarise
from tests.compare.runs import cell, classified, compared_document, side

LABELS = [0] * 20 + [1] * 20
BASE = [0] * 16 + [1] * 4 + [1] * 12 + [0] * 8  # class 0: 16 of 20, class 1: 12
OTHER = [0] * 18 + [1] * 2 + [0] * 10 + [1] * 8 + [0] * 2  # class 0: 18, class 1: 8, six of them right in BASE no more
WORSE = [1] * 20 + [1] * 20


def run(name, guesses, **more):
    """Judged by AutoAttack, with its record."""
    bits = [a == b for a, b in zip(LABELS, guesses, strict=True)]
    suite = cell("autoattack", sum(bits), 40, per_class=summarise(LABELS, guesses, bits, 2).per_class)
    return side(name, [suite], records={("best", "autoattack"): classified(LABELS, guesses)}, **more)


def worst(document):
    table = next(one for one in document.tables if one.key == "worst-class")
    columns = [column.key for column in table.columns]
    return table, {row.label: dict(zip(columns, row.cells, strict=True)) for row in table.rows}


def test_the_worst_class_is_paired_by_its_own_images():
    table, rows = worst(compared_document([run("base", BASE), run("other", OTHER)]))
    own = rows["other"]
    assert (rows["base"]["difference"].value, rows["base"]["accuracy"].value) == (None, pytest.approx(60.0))
    assert (own["accuracy"].value, own["n"].value) == (pytest.approx(40.0), 20)
    only_here = sum(a == b == 1 != c for a, b, c in zip(LABELS, OTHER, BASE, strict=True))
    only_there = sum(a == c == 1 != b for a, b, c in zip(LABELS, OTHER, BASE, strict=True))
    assert (only_here, only_there) == (6, 10)
    low, high = stats.agresti_min(6, 10, 20)
    found = own["difference"]
    assert (found.value, found.low, found.high) == pytest.approx((-20.0, 100 * low, 100 * high))
    assert "in the row's own worst class, paired by image" in table.caption and table.baseline == "base"


def test_over_seeds_it_is_the_mean_difference_with_its_t_interval():
    base = [run(f"base-{k}", BASE[: 40 - k] + [1] * k, group="b", seed=k) for k in range(3)]
    other = [run(f"other-{k}", OTHER, group="o", seed=k) for k in range(3)]
    table, rows = worst(compared_document([*base, *other], grouped=True))
    found = rows["other-0 (3)"]["difference"]
    classes = [[s.cells["autoattack"].per_class[1] for s in group] for group in (other, base)]
    test = stats.paired_t([one - two for one, two in zip(*classes, strict=True)])
    assert (found.value, found.low, found.high) == pytest.approx([100 * v for v in test[:3]])
    assert found.runs == 3 and "t interval over seeds" in table.caption


def test_one_seed_against_several_says_nothing_of_a_method():
    base = [run(f"base-{k}", BASE, group="b", seed=k) for k in range(2)]
    table, rows = worst(compared_document([*base, run("other", OTHER)], grouped=True))
    assert "difference" not in rows["other"] and table.baseline == ""


def test_the_baseline_and_the_best_other_row_have_a_confusion_matrix():
    compared = compare([run("base", BASE), run("worse", WORSE), run("other", OTHER)])
    found = [figure for figure in figures(compared) if figure.kind == "matrix"]
    assert [(figure.title, figure.runs) for figure in found] == [
        ("Confusion under AutoAttack, base", ("base",)), ("Confusion under AutoAttack, other", ("other",))
    ]  # fmt: skip
    assert found[0].matrix == ((16.0, 4.0), (8.0, 12.0)) and found[0].labels == ("class 0", "class 1")


def test_runs_without_records_have_no_confusion_matrix():
    assert all(figure.kind != "matrix" for figure in figures(compare([side("a", [cell("autoattack", 5)]), side("b")])))
