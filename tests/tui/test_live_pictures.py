"""How the Live screen looks: states and sizes, compared with pictures that were looked at."""

import contextlib

import pytest

from tests.tui.live_runs import TEACHER, cut, fail, held, one, part, step, timed
from tests.tui.pilot import SIZES, drive, same_picture, settle


def training(runs):
    return cut(one(runs), step(400))


def fast(runs):
    return cut(timed(one(runs)), step(400))


def exact(runs):
    return cut(timed(one(runs), switches={}), step(400))


def judging(runs):
    return cut(one(runs), part("fab-t"), phase="evaluation")


def failed(runs):
    run = cut(one(runs), step(300), age=130.0)
    return fail(run, "the loss is not finite at step 301", "Lower training.learning_rate, or look at the data.")


def stalled(runs):
    return cut(one(runs), step(400), age=130.0)


def teacher_first(runs):
    teacher = cut(one(runs, TEACHER), step(200))
    assert teacher.is_dir()
    run = cut(one(runs.parent / "other"), lambda event: event["event"] == "teacher_run_started", phase="teacher")
    return run.rename(runs / run.name)


@pytest.mark.parametrize(
    ("make", "size", "theme", "living"),
    [
        (training, "80x24", "crdnd-dark", True),
        (training, "120x36", "crdnd-dark", True),
        (training, "180x50", "crdnd-dark", True),
        (training, "120x36", "crdnd-light", True),
        (fast, "80x24", "crdnd-dark", True),
        (fast, "120x36", "crdnd-dark", True),
        (fast, "180x50", "crdnd-dark", True),
        (fast, "180x50", "crdnd-light", True),
        (exact, "120x36", "crdnd-light", True),
        (judging, "120x36", "crdnd-dark", True),
        (one, "80x24", "crdnd-dark", False),
        (one, "120x36", "crdnd-dark", False),
        (failed, "120x36", "crdnd-dark", False),
        (stalled, "120x36", "crdnd-dark", True),
        (teacher_first, "120x36", "crdnd-dark", True),
    ],
)
def test_it_looks_as_it_did(tmp_path, make, size, theme, living):
    run = make(tmp_path / "runs")
    state = {"one": "finished"}.get(make.__name__, make.__name__)

    async def story(app, pilot):
        await settle(pilot)
        light = "-light" if theme.endswith("light") else ""
        await same_picture(app, f"live-{state}-{size}{light}")

    with held(run) if living else contextlib.nullcontext():
        drive(story, run.parent, size=SIZES[size], theme=theme, run=run.name)
