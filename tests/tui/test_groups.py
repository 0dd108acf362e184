"""Seeds of one experiment: who belongs together, and mean and deviation by hand."""

from dataclasses import replace
from pathlib import Path

import pytest

from crdnd_tui.core.notes import NONE
from crdnd_tui.core.run_status import Summary
from crdnd_tui.core.scan import ListedRun
from crdnd_tui.tui.runs import run_rows
from crdnd_tui.tui.runs.groups import grouped, spread
from engine.spec.status import Status


def run(name: str, group: str, aa: float | None = None, state: str = "done", seed: int | None = None) -> Summary:
    results = {"best": {"autoattack": aa}} if aa is not None else {}
    number = ord(name[0]) if seed is None else seed
    status = Status(run=name, phase="done", heartbeat=0.0, group_hash=group, results=results, seed=number)
    return Summary(id=name, path=Path(name), state=state, status=status)


def test_mean_and_sample_deviation_by_hand() -> None:
    found = spread([0.50, 0.52, 0.57])
    assert found is not None
    assert (found.n, found.mean) == (3, pytest.approx(0.53))
    assert found.deviation == pytest.approx(((0.03**2 + 0.01**2 + 0.04**2) / 2) ** 0.5)
    alone = spread([0.5])
    assert alone is not None and alone.deviation is None
    assert spread([]) is None


def test_groups_come_in_the_order_of_their_first_runs() -> None:
    groups = grouped([run("a", "x"), run("b", "y"), run("c", "x"), run("d", ""), run("e", "")])
    assert [[member.id for member in group.runs] for group in groups] == [["a", "c"], ["b"], ["d"], ["e"]]


def test_only_runs_that_are_done_count() -> None:
    (group,) = grouped([run("a", "x", 0.5), run("b", "x", 0.9, state="running"), run("c", "x")])
    found = group.spread("aa")
    assert found is not None and (found.n, found.mean) == (1, 0.5)
    assert group.spread("clean") is None


def test_two_runs_of_one_seed_are_one_draw() -> None:
    (group,) = grouped([run("a", "x", 0.40, seed=0), run("b", "x", 0.50, seed=0), run("c", "x", 0.49, seed=1)])
    found = group.spread("aa")
    assert found is not None
    assert (found.n, found.mean) == (2, pytest.approx(0.47))  # of .45 and .49
    assert found.deviation == pytest.approx(0.04 / 2**0.5)


def test_by_their_means_the_unmeasured_last() -> None:
    runs = [run("a", "x"), run("b", "y", 0.4), run("c", "z", 0.6), run("d", "y", 0.9)]
    assert [g.key for g in grouped(runs, "aa", falling=True)] == ["y", "z", "x"]
    assert [g.key for g in grouped(runs, "aa", falling=False)] == ["z", "y", "x"]


def test_a_struck_figure_strikes_the_mean_and_equal_weights_count_once() -> None:
    red = replace(run("a", "x", 0.9), marks=(("zero_gradient", "best", ""),))
    amber = replace(run("b", "x", 0.5), marks=(("subset", "best", ""),))
    (group,) = grouped([red, amber, replace(run("c", "x", 0.5), same_weights_as="b")])
    assert (group.severity("aa"), group.struck("aa"), group.twins) == ("red", (1, 2), 1)
    found = group.spread("aa")
    assert found is not None and (found.n, found.mean) == (2, pytest.approx(0.7))
    line = run_rows.group_line(group, run_rows.View(now=0.0, signs=2), is_open=True)
    assert line.cells["aa"].struck and not line.cells["aa"].strong and line.cells["aa"].text.endswith("!!")
    assert "1 equal" in line.cells["state"].text


def test_a_struck_figure_is_last_in_its_column_and_never_its_best() -> None:
    red = replace(run("a", "", 0.9), marks=(("above_worst_case", "best", "autoattack"),))
    rows = [ListedRun(red, NONE), ListedRun(run("b", "", 0.5), NONE), ListedRun(run("c", "", 0.6), NONE)]
    assert [row.id for row in run_rows.ordered(rows, "aa", falling=True)] == ["c", "b", "a"]
    assert run_rows.best(rows) == {"aa": 0.6}
    cell = run_rows.line(rows[0], run_rows.View(now=0.0, signs=2, best={"aa": 0.6})).cells["aa"]
    assert (cell.text, cell.struck, cell.strong) == ("90.0!!", True, False)
