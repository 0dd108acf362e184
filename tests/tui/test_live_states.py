"""The Live screen on runs in every state, honest and hostile."""

import json

import pytest

from crdnd_tui.core import engine_process
from crdnd_tui.tui.widgets.status_line import Notice
from tests.tui.live_runs import (
    CRDND,
    NATURAL,
    TEACHER,
    cut,
    events,
    fail,
    held,
    legend,
    look,
    offered,
    one,
    part,
    places,
    said,
    standing,
    step,
    until,
    words_of,
    write_events,
)
from tests.tui.pilot import SIZES, drive, same_picture, settle


@pytest.fixture
def training(tmp_path):
    """A run at work, at step 400 of 680."""
    run = cut(one(tmp_path / "runs"), step(400))
    with held(run):
        yield run


@pytest.fixture
def finished(tmp_path):
    return one(tmp_path / "runs")


def test_a_run_at_work(training):
    async def story(app, pilot):
        assert "\u25cf running" in standing(app) and "epoch 24/40" in standing(app) and "left (" in standing(app)
        assert places(app) == {"loss", "accuracy", "pace", "bars", "map", "table", "log"}
        assert "epoch 23/40" in words_of(app, "log") and "judged after training" in words_of(app, "table")
        assert all(name in legend(app, "loss") for name in ("clean", "robust", "loss"))

    look(training, story)


def test_a_finished_run_shows_its_table_whole(finished):
    async def story(app, pilot):
        assert "\u2713 done" in standing(app) and "took 2:" in standing(app)
        table = words_of(app, "table")
        assert "worst of L-inf" in table and "AutoAttack finds far more" in table and "CW-2, L2 0.5" in table

    look(finished, story)


def test_the_newest_run_is_shown_when_none_was_opened(finished):
    async def story(app, pilot):
        await pilot.press("3")
        await settle(pilot)
        await pilot.pause()
        assert app.screen.look.id == finished.name

    drive(story, finished.parent)


def test_no_run_at_all_is_a_card_with_the_next_key(tmp_path):
    (tmp_path / "runs").mkdir()

    async def story(app, pilot):
        await pilot.press("3")
        await settle(pilot)
        assert (
            places(app) == {"fate"} and "No run yet" in words_of(app, "fate") and "2 new run" in words_of(app, "fate")
        )
        await pilot.press(
            "z", "a", "M", "l", "p", "w", "W", "u", "E", "T", "r", "ctrl+s", "ctrl+k", "C", "y", "s", "plus"
        )
        assert app.screen.NAME == "Live"

    drive(story, tmp_path / "runs")


def test_a_run_that_failed_says_why_and_resumes(tmp_path, monkeypatch):
    run = fail(cut(one(tmp_path / "runs"), step(300)), "the loss is not finite", "Lower training.learning_rate.")
    started = []

    class Engine:
        def poll(self):
            return None

    monkeypatch.setattr(engine_process, "start", lambda folder: started.append(folder.id) or Engine())

    async def story(app, pilot):
        shown = words_of(app, "fate")
        assert "the loss is not finite" in shown and "Lower training.learning_rate." in shown
        assert f"$ crdnd resume {run.name}" in shown and "Traceback" in shown and "\u2717 failed" in standing(app)
        await pilot.press("r")
        await settle(pilot)
        assert started == [run.name]

    look(run, story)


def test_a_killed_run(tmp_path):
    async def story(app, pilot):
        assert "\u2717 killed" in standing(app) and "died without a word" in words_of(app, "fate")

    look(cut(one(tmp_path / "runs"), step(300), age=200.0), story)


def test_a_stalled_run_counts_its_silence(tmp_path):
    run = cut(one(tmp_path / "runs"), step(300), age=130.0)

    async def story(app, pilot):
        assert "! stalled" in standing(app) and "2:10 ago" in standing(app)
        assert "no sign of life for 2:10" in app.screen.query_one(Notice).render().plain
        assert " left" not in standing(app)  # what was foretold does not hold any more
        assert "stop" in offered(app) and "resume" not in offered(app)

    with held(run):
        look(run, story)


def test_a_stopped_run_says_how_to_go_on(tmp_path):
    run = cut(one(tmp_path / "runs"), step(300))
    told = events(run)
    write_events(
        run, [*told, {"event": "run_stopped", "v": 1, "seq": 9999, "time": 1.0, "reason": "stop file", "step": 300}]
    )
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps(status | {"phase": "stopped", "reason": "stop file"}))

    async def story(app, pilot):
        notice = app.screen.query_one(Notice).render().plain
        assert "stopped at step 300, and all is saved: r goes on" in notice
        assert "resume" in offered(app) and "stop" not in offered(app)

    look(run, story)


def test_a_run_that_waits_for_its_first_event(tmp_path):
    run = one(tmp_path / "runs")
    (run / "events.jsonl").unlink()
    (run / "status.json").unlink()
    (run / "engine.log").write_text("")

    async def story(app, pilot):
        assert "starting" in standing(app) and "CRDND" in standing(app)
        assert "waiting for the end of the first epoch" in words_of(app, "bars")

    with held(run):
        look(run, story)


def test_the_teacher_that_comes_first_is_shown_and_opened(tmp_path):
    runs = tmp_path / "runs"
    one(runs, TEACHER)
    run = cut(one(tmp_path / "other"), lambda event: event["event"] == "teacher_run_started", phase="teacher")
    run = run.rename(runs / run.name)

    async def story(app, pilot):
        assert "the teacher comes first" in app.screen.query_one(Notice).render().plain
        assert "teacher's loss" in legend(app, "loss")
        await pilot.press("T")
        app.screen._aim()  # as when the screen is shown once more before that run was read
        await until(pilot, lambda: TEACHER in app.screen.look.id)
        await pilot.press("T")
        assert "its teacher is no run in this folder" in said(app)
        await pilot.press("escape")
        await until(pilot, lambda: CRDND in app.screen.look.id)

    with held(run):
        look(run, story)


def test_a_method_without_a_teacher(tmp_path):
    async def story(app, pilot):
        assert "Student per class on clean x" in str(app.screen.query_one("#bars").border_title)
        await pilot.press("M", "M")
        await pilot.pause()
        assert "no matrix M" in words_of(app, "matrix")

    look(one(tmp_path / "runs", NATURAL), story)


def evil(run):
    """Names with markup and escapes, an unknown event, damage, a loss that is not finite."""
    told = events(run)
    for event in told:
        if event["event"] == "training_started":
            event["classes"] = [f"[red]\u001b[2J{k}[/]" for k in range(10)]
        if event["event"] == "step_done":
            event["terms"] = {"[b]\u001b]0;x\u0007": None, "two": 1.0}
            event["loss"] = None if event["step"] % 10 else 1.5
    write_events(run, [*told, {"event": "of_a_newer_engine", "v": 9, "seq": 99999, "time": 1.0}])
    with (run / "events.jsonl").open("ab") as log:
        log.write(b"\xff\xfe{\n" + b"x" * 3000 + b"\n")
    with (run / "engine.log").open("ab") as log:
        log.write(b"\x1b[31m[bold]evil[/bold]\x1b]52;c;x\x07\n")
    return run


def test_a_hostile_folder_is_shown_and_not_obeyed_at_any_size(tmp_path):
    run = evil(cut(one(tmp_path / "runs"), step(100)))

    async def story(app, pilot):
        for size in ((40, 10), (80, 24), (120, 36), (180, 50)):
            await pilot.resize_terminal(*size)
            await pilot.press("w", "M", "a", "u", "l", "z", "tab", "z", "t", "w", "w", "w")
            drawn = app.export_screenshot()
            assert "\x1b" not in drawn and "\x07" not in drawn

    with held(run):
        look(run, story)


def test_a_hundred_classes(tmp_path):
    run = cut(one(tmp_path / "runs"), step(100))
    told = events(run)
    for event in told:
        if event["event"] == "training_started":
            event["classes"] = [f"class{k}" for k in range(100)]
        for key in ("teacher_clean", "teacher_robust", "student_clean", "student_robust"):
            if event.get(key):
                event[key] = [k / 100 for k in range(100)]
        if "acm_clean" in event:
            event |= {"acm_clean": [], "acm_robust": []}
    write_events(run, told)

    async def story(app, pilot):
        assert "least known first" in str(app.screen.query_one("#bars").border_subtitle)
        app.screen.query_one("#bars").focus()
        assert words_of(app, "bars").startswith("class0 ")
        await pilot.press("j", "pagedown", "down", "up", "home", "end")
        assert "class99" in words_of(app, "bars")

    with held(run):
        look(run, story, size=(180, 50))


def test_an_evaluation_under_way(tmp_path):
    run = cut(one(tmp_path / "runs"), part("fab-t"), phase="evaluation")

    async def story(app, pilot):
        assert "judged 7/9" in standing(app)
        table = words_of(app, "table")
        assert "\u25b8 FAB-T" in table and "0/273" in table and "still standing" in table

    with held(run):
        look(run, story)


@pytest.mark.parametrize("size", ["80x24", "120x36"])
def test_picture(training, size):
    look(training, lambda app, _: same_picture(app, f"live-training-{size}"), size=SIZES[size])
