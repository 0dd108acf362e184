"""Verify from the screens: the choice and its costs, checks as they come, the verdict, an engine that is stopped."""

import json
import sys
import time
from pathlib import Path

import psutil
import pytest
from textual.widgets import Static

from crdnd_tui.core import verifying
from crdnd_tui.tui.dialogs.question import Question
from crdnd_tui.tui.dialogs.verify import VerifyDialog
from crdnd_tui.tui.widgets.text_sheet import TextSheet
from engine.spec.rundir import RunDir
from tests.tui.lab_runs import CRDND, RSLAD, living, ready
from tests.tui.pilot import drive, recorded, settle

PATIENCE = 300  # looks of 0.1 s at a process that starts on a busy machine
GOOD = [
    ("events", "holds", "836 events, numbered without gaps"),
    ("weights best", "holds", "14 tensors, digest c647bebd57ba"),
    ("config", "holds", "config.toml hashes to af58b996fa30, as status.json, provenance.json, the log's first say"),
    ("record best pgd_sat", "holds", "330 of 597, as its bits, the log and the status say"),
    ("teacher", "unknown", "its weights are not here"),
    ("data test", "holds", "sha256 e1a4d5252476"),
    ("again best clean", "holds", "identical: the same answer on all 597 images"),
]
BAD = [("again best fgsm", "fails", "9 of 597 images differ; 402 are right, 399 were stored")]
APGD_T = {"checkpoint": "best", "attack": "autoattack", "part": "apgd-t", "done": 250, "total": 597}
UNDER_WAY = {"event": "progress"} | APGD_T


def checked(found) -> list[dict]:
    return [{"event": "checked", "what": what, "verdict": verdict, "words": words} for what, verdict, words in found]


def verdict(kind: str, words: str) -> dict:
    return {"event": "verdict", "verdict": kind, "words": words}


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    recorded(tmp_path / "runs", CRDND, RSLAD)
    return Path("runs")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """An engine that says these lines, does something then, and leaves; gives what it was told, and its process."""
    told, mark = [], tmp_path / "pid"

    def says(*lines: dict, code: int = 0, then: str = "") -> tuple[list, Path]:
        script = f"import os, pathlib, signal, sys\npathlib.Path({str(mark)!r}).write_text(str(os.getpid()))\n"
        script += "".join(f"print({json.dumps(line)!r}, flush=True)\n" for line in lines)
        script += f"{then}\nsys.exit({code})\n"

        def command(run: RunDir, flags: list[str]) -> list[str]:
            told.append((run.id, flags))
            return [sys.executable, "-c", script]

        monkeypatch.setattr(verifying, "verify_command", command)
        return told, mark

    return says


def page(dialog) -> str:
    sheet = dialog.query_one(TextSheet)
    return "\n".join(line.plain for line in sheet._page.lines(sheet._page.size.width))


def now(dialog) -> str:
    return str(dialog.query_one("#now", Static).content)


async def until(pilot, seen) -> None:
    for _ in range(PATIENCE):
        if seen():
            await pilot.pause()  # drawn; the engine may go on for ever
            return
        await pilot.pause(0.1)
    raise AssertionError("it has not come")


async def opened(app, pilot) -> VerifyDialog:
    await ready(app, pilot, CRDND)
    await pilot.press("V")
    await settle(pilot)
    assert isinstance(app.screen, VerifyDialog)
    return app.screen


def gone(mark: Path) -> bool:
    pid = int(mark.read_text())
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
def test_checks_are_shown_as_they_come(runs: Path, engine, size) -> None:
    engine(*checked(GOOD), UNDER_WAY, then="signal.pause()")

    async def story(app, pilot):
        dialog = await opened(app, pilot)
        await pilot.press("f")
        await until(pilot, lambda: dialog._course.progress)
        assert "best AutoAttack APGD-T" in now(dialog) and "250 of 597 images" in now(dialog)

    drive(story, runs, size=size)


def test_numbers_that_do_not_hold(runs: Path, engine) -> None:
    engine(*checked(GOOD + BAD), verdict("fails", "1 of 8 checks do not hold; 1 cannot be said"), code=1)

    async def story(app, pilot):
        dialog = await opened(app, pilot)
        await pilot.press("q")
        await until(pilot, lambda: dialog._phase == "ended")
        assert "\u2717 again best fgsm" in page(dialog) and "? teacher" in page(dialog)
        assert now(dialog) == "\u2717 does not hold: 1 of 8 checks do not hold; 1 cannot be said"

    drive(story, runs, size=(80, 24))


def test_quick_and_full_tell_the_engine_so_and_what_they_cost(runs: Path, engine) -> None:
    told, _ = engine(*checked(GOOD), verdict("holds", "6 checks hold, 1 of them judged again"))
    full = verifying.extents(RunDir(runs / CRDND))[1]

    async def story(app, pilot):
        for key in ("q", "enter", "f"):
            dialog = await opened(app, pilot)
            await until(pilot, lambda dialog=dialog: dialog._extents)
            assert "FGSM" in page(dialog) and f"{round(full.seconds)} s" in page(dialog)
            await pilot.press(key)
            await until(pilot, lambda dialog=dialog: dialog._phase == "ended")
            assert now(dialog) == "\u2713 holds: 6 checks hold, 1 of them judged again"
            await pilot.press("enter")
            assert not isinstance(app.screen, VerifyDialog)

    drive(story, runs, readonly=True)  # nothing is written into a run
    assert told == [(CRDND, ["--quick"]), (CRDND, ["--quick"]), (CRDND, [])]


def test_escape_asks_and_the_engine_goes_on_or_is_stopped(runs: Path, engine) -> None:
    _, mark = engine(*checked(GOOD), then="signal.pause()")

    async def story(app, pilot):
        dialog = await opened(app, pilot)
        await pilot.press("q")
        await until(pilot, lambda: len(dialog._course.checks) == len(GOOD))
        await pilot.press("escape")
        assert isinstance(app.screen, Question)
        await pilot.press("escape")
        assert app.screen is dialog and dialog._phase == "running" and not gone(mark)
        await pilot.press("escape", "s")
        await until(pilot, lambda: dialog._phase == "ended")
        assert gone(mark)
        assert now(dialog) == "Stopped; the run was only read."
        assert "weights best" in page(dialog)  # what was found so far stays to be read
        await pilot.press("escape")
        assert not isinstance(app.screen, VerifyDialog)

    drive(story, runs)


def test_an_engine_that_does_not_listen_is_killed_by_a_second_escape(runs: Path, engine) -> None:
    answer = """print('{"event": "checked"}', flush=True)"""
    deaf = f"signal.signal(signal.SIGTERM, lambda *_: {answer})\nwhile True: signal.pause()"
    engine({"event": "progress", "done": 0, "total": 1}, then=deaf)

    async def story(app, pilot):
        dialog = await opened(app, pilot)
        await pilot.press("q")
        await until(pilot, lambda: dialog._course.progress)
        await pilot.press("escape", "s")
        await until(pilot, lambda: dialog._phase == "ended" or dialog._course.checks)
        if dialog._phase == "stopping":
            assert "stopping" in now(dialog)
            await pilot.press("escape")
        await until(pilot, lambda: dialog._phase == "ended")
        assert now(dialog) == "Stopped; the run was only read."

    drive(story, runs)


@pytest.mark.parametrize("way", ["another screen", "quit"])
def test_the_engine_goes_with_the_dialog_and_with_the_app(runs: Path, engine, way: str) -> None:
    _, mark = engine(*checked(GOOD), then="signal.pause()")

    async def story(app, pilot):
        dialog = await opened(app, pilot)
        await pilot.press("q")
        await until(pilot, lambda: dialog._course.checks)
        if way == "quit":
            app.exit()
        else:
            app.show("live")
            await until(pilot, lambda: gone(mark))

    drive(story, runs)
    end = time.monotonic() + 10
    while not gone(mark) and time.monotonic() < end:
        time.sleep(0.05)
    assert gone(mark)


@pytest.mark.parametrize(
    ("lines", "then", "words"),
    [
        ([{"event": "failed", "message": "config.toml is missing"}], "", "config.toml is missing"),
        ([], "os.kill(os.getpid(), signal.SIGKILL)", "the engine left with -9: it said nothing"),
    ],
)
def test_why_there_is_no_verdict_is_told(runs: Path, engine, lines, then: str, words: str) -> None:
    engine(*lines, code=2, then=then)

    async def story(app, pilot):
        dialog = await opened(app, pilot)
        assert dialog.query_one("#verify").region.contains_region(dialog.query_one(".keys").region)
        await pilot.press("q")
        await until(pilot, lambda: dialog._phase == "ended")
        assert now(dialog) == words

    drive(story, runs, size=(40, 10))


def test_lines_that_are_none_of_ours_are_passed_over(runs: Path, engine) -> None:
    long = f"print('x' * {3 * verifying.MAX_LINE})\nprint('a warning of a library')"
    engine(then=f"{long}\nprint({json.dumps(verdict('holds', 'so it is'))!r})")

    async def story(app, pilot):
        dialog = await opened(app, pilot)
        await pilot.press("q")
        await until(pilot, lambda: dialog._phase == "ended")
        assert now(dialog) == "\u2713 holds: so it is"

    drive(story, runs)


def test_a_run_at_work_is_not_verified(runs: Path) -> None:
    async def story(app, pilot):
        await ready(app, pilot, run.id)
        await pilot.press("V")
        await settle(pilot)
        assert app.screen.table.key == run.id and not isinstance(app.screen, VerifyDialog)
        assert any("when it is done" in notice.message for notice in app._notifications)

    with living(runs) as run:
        drive(story, runs)


def test_a_run_whose_costs_cannot_be_said_can_be_verified_all_the_same(runs: Path, engine) -> None:
    (runs / CRDND / "config.toml").write_text("method = 1")
    engine(verdict("unknown", "nothing"), code=1)

    async def story(app, pilot):
        dialog = await opened(app, pilot)
        await until(pilot, lambda: dialog._trouble)
        assert "What it costs cannot be said" in page(dialog)
        await pilot.press("q")
        await until(pilot, lambda: dialog._phase == "ended")
        assert now(dialog) == "? cannot be said: nothing"

    drive(story, runs)


def test_live_has_the_same_key(runs: Path) -> None:
    async def story(app, pilot):
        await until(pilot, lambda: getattr(app.screen, "look", None))
        await pilot.press("V")
        await settle(pilot)
        assert isinstance(app.screen, VerifyDialog) and app.screen._run.id == CRDND

    drive(story, runs, run=CRDND)
