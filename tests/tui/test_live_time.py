"""Live says where the time of a run goes and what is switched on, whatever its log says of it."""

import pytest

from crdnd_tui.tui.widgets.status_line import StatusLine
from tests.tui.live_runs import (
    FAST,
    TEACHER,
    cut,
    events,
    fail,
    held,
    legend,
    look,
    one,
    part,
    standing,
    step,
    timed,
    write_events,
)
from tests.tui.pilot import settle


def lines(run, size=(120, 36), *more, **flags):
    """The lines above the panels, and how many rows they have; at several sizes, several of them."""

    async def story(app, pilot):
        found = []
        for each in (size, *more):
            await pilot.resize_terminal(*each)
            await settle(pilot)
            found.append((standing(app).splitlines(), app.screen.query_one(StatusLine).size.height))
        return found if more else found[0]

    return look(run, story, size=size, **flags)


@pytest.fixture
def run(tmp_path):
    return timed(cut(one(tmp_path / "runs"), step(400)))


def test_a_run_at_work_has_a_line_for_its_time(run):
    with held(run):
        (told, rows), (wide, _), (narrow, low) = lines(run, (120, 36), (180, 50), (80, 24))
        assert rows == len(told) == 3
        assert "teacher 27 %  inner 54 %  outer 19 %  data <1 %" in told[2] and "images/s" in told[1]
        assert told[2].endswith("teacher, inner bf16 · table lazy · folded · paired")
        assert "inner maximisation 54 %  outer step 19 %" in wide[2] and "teacher, inner bfloat16" in wide[2]
        assert "teacher 27 inner 54 outer 19 data <1 %" in narrow[2] and low == 3 and max(map(len, narrow)) <= 78


def test_a_flat_terminal_keeps_its_rows_for_the_panels(run):
    with held(run):
        assert lines(run, size=(80, 19))[1] == 2


def test_a_terminal_that_grows_gets_the_line(run):
    async def story(app, pilot):
        await pilot.resize_terminal(100, 30)
        await settle(pilot)
        app.screen._tick()  # what the clock would do each second
        await pilot.pause()
        return standing(app), app.screen.query_one(StatusLine).size.height

    with held(run):
        told, rows = look(run, story, size=(100, 16))
    assert rows == 3 and "time " in told


def test_an_exact_run_says_so_and_an_old_one_nothing(tmp_path):
    run = timed(cut(one(tmp_path / "runs"), step(400)), switches={})
    old = cut(one(tmp_path / "old"), step(400))
    with held(run), held(old):
        assert lines(run)[0][2].endswith("   exact")
        assert lines(old)[1] == 2


def test_switches_stand_alone_before_the_first_step(tmp_path):
    run = timed(cut(one(tmp_path / "runs"), lambda event: event["event"] == "training_started"))
    with held(run):
        assert lines(run)[0][2].startswith("teacher, inner bfloat16")


def test_a_table_that_is_filled_before_the_first_step_has_the_bar(tmp_path):
    run = cut(one(tmp_path / "runs"), lambda event: event["event"] == "teacher_checked")
    told = events(run)
    more = [{"event": "stage_started", "stage": "table"}, {"event": "table_filled", "filled": 0.25}]
    write_events(run, [*told, *(told[-1] | {"seq": told[-1]["seq"] + 1 + k} | event for k, event in enumerate(more))])
    with held(run):
        said, rows = lines(run)
    assert rows == 2 and said[1].startswith("filling the teacher's table ━") and said[1].split()[-2:] == ["25", "%"]


def test_a_run_that_is_judged_needs_the_row_and_one_that_is_done_looks_back(tmp_path):
    judged = timed(cut(one(tmp_path / "runs"), part("fab-t"), phase="evaluation"))
    with held(judged):
        assert lines(judged)[1] == 2
    assert "inner 54 %" in lines(timed(one(tmp_path / "done")))[0][2]
    assert "inner 54 %" in lines(fail(timed(cut(one(tmp_path / "bad"), step(300))), "no"))[0][2]


def test_a_teacher_that_comes_first_has_its_own_line(tmp_path):
    runs = tmp_path / "runs"
    timed(cut(one(runs, TEACHER), step(200)), shares={"inner": 0.75, "outer": 0.25})
    run = timed(cut(one(tmp_path / "other"), lambda e: e["event"] == "teacher_run_started", phase="teacher"))
    run = run.rename(runs / run.name)
    with held(run):
        assert "inner maximisation 75 %  outer step 25 %" in lines(run, size=(140, 36))[0][2]


@pytest.mark.parametrize(
    ("shares", "switches", "seen"),
    [
        ({"teacher": 1.0, "inner": 1.0, "outer": 1.0}, FAST, "teacher, inner bfloat16"),
        ({"[red]x": 0.5, "inner": 0.5}, {}, "inner maximisation 50 %  other 50 %"),
        ({"inner": 1.0}, {"table": "[bold]\x1b[2Jx", "\n": "on"}, "table [bold]"),
        ({"inner": 0.0}, {"inner": ""}, ""),
    ],
)
def test_what_cannot_be_true_is_not_drawn(tmp_path, shares, switches, seen):
    run = timed(cut(one(tmp_path / "runs"), step(40)), switches, shares)
    with held(run):
        told, _ = lines(run, size=(180, 50))
    assert seen in told[-1] and "\x1b" not in "".join(told) and "300 %" not in told[-1]


def test_shares_over_the_steps_are_one_of_the_small_charts(run):
    async def story(app, pilot):
        await settle(pilot)
        await pilot.press("u")
        await settle(pilot)
        return legend(app, "pace")

    with held(run):
        told = look(run, story, size=(180, 50))
    assert "teacher" in told and "27 %" in told and "inner" in told
