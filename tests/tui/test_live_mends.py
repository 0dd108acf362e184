"""What once was wrong on the Live screen, and may not come back."""

import json
import re
import shutil
from pathlib import Path

from msgspec import structs
from rich.cells import cell_len

from crdnd_tui.core.run_facts import RunFacts
from crdnd_tui.core.state import fold
from crdnd_tui.tui.monitor.tracking import Look
from crdnd_tui.tui.screens.live import words
from crdnd_tui.tui.screens.live.panels import Panels
from crdnd_tui.tui.widgets.fate import Fate
from crdnd_tui.tui.widgets.status_line import Notice
from engine.spec.events import Evaluated, RunFinished, RunResumed, RunStarted, TrainingStarted
from engine.spec.statistics import wilson
from tests.tui.live_runs import (
    cut,
    events,
    held,
    look,
    offered,
    one,
    places,
    said,
    standing,
    step,
    until,
    words_of,
    write_events,
)  # fmt: skip
from tests.tui.pilot import drive, settle


def notice(app):
    return app.screen.query_one(Notice).render().plain


def test_a_log_that_is_cut_under_our_eyes_says_so_and_keeps_what_the_files_know(tmp_path):
    run = one(tmp_path / "runs")

    async def story(app, pilot):
        assert re.search(r"worst of L-inf +45\.4", words_of(app, "table"))
        write_events(run, events(run)[:200])
        await until(pilot, lambda: "says that it is done, and its log does not" in words_of(app, "fate"))
        assert re.search(r"worst of L-inf +45\.4", words_of(app, "table"))
        shutil.rmtree(run)
        app.screen.look_again()  # the clock stands still here
        await until(pilot, lambda: "? lost" in standing(app))
        reason = words_of(app, "fate")
        assert "no run any more" in reason and "still shown" in reason and "clone" not in reason

    look(run, story)


def test_until_the_run_was_read_nothing_is_said_of_it(tmp_path):
    async def story(app, pilot):
        panels = app.screen.query_one(Panels)
        panels.look, panels._reading = None, True
        panels.paint()
        await pilot.pause()
        assert "Reading the run" in words_of(app, "fate") and "No run yet" not in words_of(app, "fate")
        app.screen.look = None
        await pilot.press("ctrl+s")
        assert "no run is in front" in said(app)

    look(one(tmp_path / "runs"), story)


def test_what_a_resumed_run_took_is_told_as_what_it_is():
    begun = RunStarted(run="a", name="", config_hash="", pid=1, host="h", time=1.0)
    again = RunResumed(step=5, discarded=0, checkpoint="", pid=2, host="h", time=100.0)
    ended = RunFinished(seconds=7.0, time=107.0)
    told = Look(id="a", path=Path("a"), facts=RunFacts(method="CRDND"), state=fold([begun, again, ended]))
    assert words._took(told.state) == "took 7 s since its resume"
    assert words._elapsed(told, 160.0) == "resumed 1:00 ago"


def test_a_judgement_without_a_training_shows_its_classes_and_no_page_of_a_training(tmp_path):
    run = judged(one(tmp_path / "runs"))

    async def story(app, pilot):
        assert places(app) == {"table", "bars", "log"} and "again, best" in standing(app)
        assert "judged 2/2" in standing(app) and "took 3 s" in standing(app)
        assert "Student per class on adversarial x', FGSM" in str(app.screen.query_one("#bars").border_title)
        assert words_of(app, "bars").splitlines()[1].split()[-1] == "25.0"
        await pilot.press("M")
        assert places(app) == {"table", "bars", "log"}  # it has no history and no matrix
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        pages = [app.screen.query_one(Panels)._shown_page(app.screen.query_one(Panels)._ask())]
        for _ in range(2):
            await pilot.press("w")
            pages.append(*places(app))
        assert pages == ["table", "log", "bars"]

    look(run, story)


def test_a_killed_run_shows_the_very_end_of_its_log_and_offers_to_go_on(tmp_path):
    run = cut(one(tmp_path / "runs"), step(300))
    with (run / "engine.log").open("a") as log:
        log.write("".join(f"line {k} " + "long " * 30 + "\n" for k in range(30)) + "the very last words\n")

    async def story(app, pilot):
        assert words_of(app, "fate").splitlines()[-1].strip() == "the very last words"
        assert words_of(app, "fate").count("died without a word") == 1
        assert {"resume", "maximise"} <= offered(app) and "stop" not in offered(app)
        assert isinstance(app.screen.query_one("#fate"), Fate)

    look(run, story)


def test_the_footer_follows_a_run_to_its_end(tmp_path):
    run = cut(one(tmp_path / "runs"), step(300))

    async def story(app, pilot):
        assert "stop" in offered(app) and "resume" not in offered(app)

    with held(run):
        drive(story, run.parent, run=run.name)


def judged(run):
    """A recorded training made into a judgement: its configuration, and two attacks."""
    config = (
        'kind = "evaluation"\nname = "again, best"\n[data]\nname = "digits"\n[subject]\nrun = "20261122-215714-a"\n'
        '[threat_model]\nepsilon = "40/255"\n[[evaluation.attacks]]\nname = "fgsm"\n'
    )
    (run / "config.toml").write_text(config)
    begun = next(event for event in events(run) if event["event"] == "run_started")
    cell = {"n": 4, "of": 4, "seconds": 1.0, "split": "test", "checkpoint": "best"}
    intervals = [dict(zip(("low", "high"), wilson(right, 4), strict=True)) for right in (3, 2)]
    told = [
        begun,
        {"event": "evaluation_started", "checkpoints": ["best"], "attacks": ["clean", "fgsm"], "n": 4, "of": 4,
         "split": "test"},
        {"event": "evaluated", "attack": "clean", "accuracy": 0.75, "per_class": [1.0, 0.5], **cell, **intervals[0]},
        {"event": "evaluated", "attack": "fgsm", "accuracy": 0.5, "per_class": [0.75, 0.25], **cell, **intervals[1],
         "spec": {"name": "fgsm", "epsilon": "40/255"}},
        {"event": "run_finished", "seconds": 3.0},
    ]  # fmt: skip
    write_events(run, [event | {"v": 1, "seq": k, "time": begun["time"] + k} for k, event in enumerate(told)])
    shutil.rmtree(run / "evaluation", ignore_errors=True)
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps(status | {"results": {}}))
    return run


def test_a_run_that_is_done_and_lost_its_log_waits_for_nothing(tmp_path):
    run = one(tmp_path / "runs")
    (run / "events.jsonl").unlink()

    async def story(app, pilot):
        await settle(pilot)
        said = "".join(segment.text for strip in app.screen._compositor.render_strips() for segment in strip)
        assert "events.jsonl is gone or cannot be read" in said
        assert "waiting for the first" not in said and "nothing was recorded" in said

    look(run, story)


def test_names_that_look_like_markup_or_break_lines_stay_words_in_their_place(tmp_path):
    run = one(tmp_path / "runs")
    evil = "[/red]x[@click=app.bell]"
    changed = []
    for event in events(run):
        if isinstance(event, TrainingStarted):
            event = structs.replace(event, classes=[evil] * len(event.classes))  # noqa: PLW2901
        if isinstance(event, Evaluated):
            event = structs.replace(event, split="te\nst")  # noqa: PLW2901
        changed.append(event)
    write_events(run, changed)

    async def story(app, pilot):
        for key in ("a", "M", "M", "l"):
            await settle(pilot)
            lines = ["".join(s.text for s in strip) for strip in app.screen._compositor.render_strips()]
            assert {cell_len(line) for line in lines} == {120} and not any("\n" in line for line in lines)
            await pilot.press(key)

    look(run, story)
