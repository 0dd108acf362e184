"""Export from the screens: the dialog, the command it shows, and what it says when that ended."""

import sys
from pathlib import Path

import pytest
from textual.widgets import Input, OptionList, Static

from crdnd_tui.tui.dialogs.export import Export
from crdnd_tui.write.formats import NAMES
from tests.tui.lab_runs import CRDND, RSLAD, ready
from tests.tui.pilot import drive, recorded, settle

OTHER = "20261122-220122-rslad-small_cnn-s1-cd75"
PATIENCE = 300  # looks of 0.1 s at a command that imports much on a busy machine


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # so that no picture shows where it was taken
    return recorded(tmp_path / "runs", CRDND, RSLAD)


def shown(app, place: str) -> str:
    return str(app.screen.query_one(place, Static).content)


def said(app) -> str:
    return str(app.screen.query_one("#said Static", Static).content)


async def choose(app, pilot, name: str) -> None:
    app.screen.query_one(OptionList).highlighted = NAMES.index(name)
    await settle(pilot)


async def until(pilot, seen) -> None:
    for _ in range(PATIENCE):
        if seen():
            return
        await pilot.pause(0.1)
    raise AssertionError("it has not come")


async def ended(app, pilot) -> None:
    await until(pilot, lambda: not app.screen._busy)


def test_the_target_follows_the_format_and_keeps_a_name_of_ones_own(runs: Path) -> None:
    async def story(app, pilot):
        await ready(app, pilot, CRDND)
        await pilot.press("e")
        await settle(pilot)
        field = app.screen.query_one(Input)
        assert field.value == f"exports/{CRDND}.md"
        await choose(app, pilot, "tensorboard")
        assert field.value == "exports/tensorboard"
        assert shown(app, "#order") == f"crdnd export {CRDND} --to tensorboard -o exports/tensorboard"
        await choose(app, pilot, "html")
        field.value = "paper/mine.html"
        await settle(pilot)
        assert shown(app, "#order").endswith("--to html -o paper/mine.html")
        await choose(app, pilot, "latex")
        assert field.value == "paper/mine.tex"
        field.value = ""
        await settle(pilot)
        assert shown(app, "#order").endswith(f"-o exports/{CRDND}.tex")
        await pilot.press("escape")
        assert not isinstance(app.screen, Export)

    drive(story, runs)


@pytest.mark.slow
def test_it_writes_says_where_refuses_to_replace_and_replaces(runs: Path, tmp_path: Path) -> None:
    path = tmp_path / "exports" / f"{CRDND}.md"

    async def story(app, pilot):
        await ready(app, pilot, CRDND)
        await pilot.press("e")
        await settle(pilot)
        await pilot.press("enter")
        await ended(app, pilot)
        assert f"exports/{CRDND}.md" in said(app)
        assert "45.6" in path.read_text()
        await pilot.press("enter")
        assert not isinstance(app.screen, Export)
        path.write_text("mine")
        await pilot.press("e")
        await settle(pilot)
        await pilot.press("enter")
        await ended(app, pilot)
        assert "exists" in said(app) and app.screen.query_one("#said").has_class("-bad")
        assert path.read_text() == "mine"
        await pilot.press("ctrl+r")
        assert "--force" in shown(app, "#order")
        await ended(app, pilot)
        assert "45.6" in path.read_text()
        assert app.screen.query_one("#export").region.contains_region(app.screen.query_one("#said").region)
        heavy = {"matplotlib", "mlflow", "tensorboard", "torch"} & (set(sys.modules) - before)
        assert not heavy

    before = set(sys.modules)
    drive(story, runs, size=(80, 24), readonly=True)


def test_the_whole_error_is_told(runs: Path) -> None:
    async def story(app, pilot):
        await ready(app, pilot, CRDND)
        await pilot.press("e")
        await settle(pilot)
        app.screen.query_one(Input).value = f"runs/{CRDND}/report.md"
        await settle(pilot)
        await pilot.press("enter")
        await ended(app, pilot)
        assert "lies in the folder of a run, which is its engine's alone" in " ".join(said(app).split())
        assert isinstance(app.screen, Export)  # to be mended and tried again
        await pilot.press("escape")
        assert not isinstance(app.screen, Export)

    drive(story, runs)


def test_leaving_gives_up_what_is_written(runs: Path, tmp_path: Path) -> None:
    async def story(app, pilot):
        await ready(app, pilot, CRDND)
        await pilot.press("e")
        await settle(pilot)
        dialog = app.screen
        await pilot.press("enter")
        await until(pilot, lambda: dialog._process)
        await pilot.press("escape")
        assert not isinstance(app.screen, Export)
        await dialog._process.wait()
        assert dialog._process.returncode == -15
        assert not list(tmp_path.glob("exports/*"))

    drive(story, runs)


def test_marked_runs_are_exported_together(runs: Path) -> None:
    async def story(app, pilot):
        await ready(app, pilot)
        await pilot.press("space", "space", "e")
        await settle(pilot)
        assert set(app.screen._runs) == {CRDND, RSLAD}
        assert str(app.screen.query_one("#export").border_title) == "Export 2 runs"
        assert shown(app, "#order").count("small_cnn") == 3  # both, and the file that is called by one of them

    drive(story, runs)


def test_live_and_compare_export_what_they_show(runs: Path) -> None:
    async def story(app, pilot):
        app.open_run(CRDND)
        await settle(pilot)
        await until(pilot, lambda: app.screen.look)
        await pilot.press("e")
        await settle(pilot)
        assert isinstance(app.screen, Export) and app.screen._runs == (CRDND,)
        await pilot.press("escape")
        app.compare_runs([RSLAD, CRDND])
        await settle(pilot)
        await until(pilot, lambda: app.screen._shown)
        await pilot.press("e")
        await settle(pilot)
        assert isinstance(app.screen, Export) and app.screen._runs == (RSLAD, CRDND)
        await pilot.press("escape", "down", "b", "e")
        await settle(pilot)
        assert app.screen._runs == (RSLAD, CRDND)
        assert shown(app, "#order").endswith(f".md --baseline {CRDND}")
        await choose(app, pilot, "onnx")
        assert "--baseline" not in shown(app, "#order")

    drive(story, runs)


def test_rows_of_a_comparison_are_exported_as_they_are_seen(runs: Path) -> None:
    recorded(runs, OTHER)

    async def story(app, pilot):
        app.compare_runs([RSLAD, OTHER, CRDND])
        await settle(pilot)
        for key, words in (("", ""), ("g", " --each"), ("g", "")):
            await until(pilot, lambda: app.screen._shown)
            await pilot.press(*key)
            await settle(pilot)
            await until(pilot, lambda: app.screen._plan == app.screen._found.plan)
            await pilot.press("e")
            await settle(pilot)
            assert shown(app, "#order").partition(".md")[2] == words
            await pilot.press("escape")

    drive(story, runs)
