"""The home screen: what it says of every state at every size, and pictures of it."""

from pathlib import Path

import pytest
from textual.widgets import Input, Static

from crdnd_tui.core import notes
from crdnd_tui.core.notes import RunNotes
from crdnd_tui.core.palette import PALETTES
from crdnd_tui.queue.tickets import Queue
from engine.spec.rundir import RunDir
from tests.tui.lab_runs import RSLAD, living, play, ready, text
from tests.tui.pilot import NOW, drive, recorded, same_picture, settle


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # so that no picture shows where it was taken
    return recorded(tmp_path / "runs")


def test_what_the_table_says(runs: Path) -> None:
    with living(runs):
        said = play(runs, then=text, size=(180, 40))
    lines = said.splitlines()
    assert "running" in lines[1] and "quickstart-s3" in lines[1] and "1:08:12" in lines[1] and "12/40" in lines[1]
    assert "SmallResNet-8x16 \u2192 small_cnn" in lines[1]
    row = next(line for line in lines if "rslad-digits-s0" in line)
    assert row.split()[-8:-2] == ["97.3", "63.1!", "55.9", "55.9", "597", "40/40"]
    assert any("failed" in line and "the loss is not a finite number" in line for line in lines)


async def sized(app, pilot, width: int, height: int) -> str:
    await pilot.resize_terminal(width, height)
    await settle(pilot)
    return text(app)


def test_columns_leave_by_width(runs: Path) -> None:
    async def story(app, pilot):
        await ready(app, pilot)
        return [(await sized(app, pilot, width, 36)).splitlines()[0].split() for width in (40, 80, 180)]

    with living(runs):
        titles = drive(story, runs)
    assert titles[0] == ["state", "name"]
    assert {"state", "name", "method", "clean", "AA", "worst", "ETA"} <= set(titles[1])
    assert {"student", "\u03b5", "n", "epoch", "age", "PGD", "seed", "data"} <= set(titles[2])


def test_any_size_and_theme_shows_the_runs(runs: Path) -> None:
    async def story(app, pilot):
        await ready(app, pilot)
        await pilot.press("g", "s")
        for size in [(40, 10), (41, 11), (60, 15), (99, 19), (170, 20), (240, 70), (20, 5), (120, 36)]:
            said = await sized(app, pilot, *size)
            assert "rslad" in said or size[1] < 10
        seen = set()
        for _ in PALETTES:
            await pilot.press("t")
            await settle(pilot)
            seen.add((app.theme, "rslad" in text(app)))
        assert seen == {(name, True) for name in PALETTES}

    drive(story, runs)


def test_places_in_the_queue(runs: Path) -> None:
    names = ["20261122-230001-ard-small_cnn-s0-0001", "20261122-230002-ard-small_cnn-s1-0002"]
    for name in names:
        (runs / name).mkdir()
        RunDir(runs / name).config.write_text("")
    Queue(runs).add(names[0], "cpu", NOW)
    said = play(runs, then=text, readonly=True)
    line = next(line for line in said.splitlines() if "#1" in line)
    assert "queued" in line and "s0-0001" in line


def test_no_runs_and_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def card(app) -> str:
        return str(app.screen.query_one("#card", Static).content)

    async def story(app, pilot):
        await settle(pilot)
        words = card(app)
        for key in ("x", "X", "p", "d", "r", "C", "space", "c", "g", "s", "S", "enter", "E", "j"):
            await pilot.press(key)
            await settle(pilot)
        return words

    said = drive(story, tmp_path / "none")
    assert "No runs in" in said and "n  New run" in said and "D  Demo" in said
    (tmp_path / "file").write_text("")
    assert "cannot be read" in drive(story, tmp_path / "file")


def test_hostile_words_are_shown_and_not_obeyed(runs: Path) -> None:
    hostile = "[red]\x1b[2J\u202e[/]" + "x" * 300
    with living(runs, method=hostile, attack=hostile) as run:
        notes.write(run.path, RunNotes(note=hostile))

        async def story(app, pilot):
            await ready(app, pilot, run.id)
            return text(app) + str(app.screen.query_one("#facts", Static).content)

        said = drive(story, runs)
    assert "[red]" in said and "\x1b" not in said and "\u202e" not in said


def test_picture(runs: Path) -> None:
    notes.write(runs / RSLAD, RunNotes(tags=("paper", "baseline"), note="baseline of table 2", pinned=True))

    async def story(app, pilot):
        for field in app.screen.query(Input):
            field.cursor_blink = False
        await ready(app, pilot, RSLAD)
        await same_picture(app, "runs-120x36")

    with living(runs):
        drive(story, runs)
