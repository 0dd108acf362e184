"""Provenance from the screens: what `crdnd show --provenance` prints, and the line that repeats the run, to copy."""

import hashlib
from pathlib import Path

import pytest
from rich.cells import cell_len
from textual.widgets import Static

from crdnd_tui.core import provenance
from crdnd_tui.tui.dialogs.provenance import ProvenanceDialog
from crdnd_tui.tui.widgets.text_sheet import TextSheet
from engine.spec.rundir import RunDir
from tests.tui.lab_runs import CRDND, RSLAD, ready
from tests.tui.pilot import drive, recorded, settle


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # so that the line tells the same everywhere
    recorded(tmp_path / "runs", CRDND, RSLAD)
    return Path("runs")


def page(dialog) -> str:
    sheet = dialog.query_one(TextSheet)
    return "\n".join(line.plain for line in sheet._page.lines(sheet._page.size.width))


def line(dialog) -> str:
    return str(dialog.query_one("#reproduce", Static).content)


async def until(pilot, seen) -> None:
    for _ in range(200):
        if seen():
            await settle(pilot)
            return
        await pilot.pause(0.05)
    raise AssertionError("it has not come")


async def opened(app, pilot, key: str = CRDND) -> ProvenanceDialog:
    await ready(app, pilot, key)
    await pilot.press("i")
    await settle(pilot)
    dialog = app.screen
    assert isinstance(dialog, ProvenanceDialog)
    await until(pilot, lambda: dialog._line)
    return dialog


def test_it_says_what_the_command_prints_and_copies_the_line(runs: Path) -> None:
    found = provenance.read(RunDir(runs / CRDND))

    async def story(app, pilot):
        dialog = await opened(app, pilot)
        words = page(dialog)
        for digest in (digest for digest, _ in found.files.values()):
            assert digest in words
        assert hashlib.sha256((runs / CRDND / "config.toml").read_bytes()).hexdigest() in words
        assert found.commit in words and "files" in words
        assert line(dialog) == found.reproduce()
        assert line(dialog).startswith(
            f"git checkout {found.commit} && crdnd run runs/{CRDND}/config.toml --device cpu"
        )
        assert str(dialog.query_one("#notes", Static).content) == "\n".join(found.warnings)
        await pilot.press("c")
        assert app.clipboard == found.reproduce()
        assert any("clipboard" in notice.message for notice in app._notifications)
        await pilot.press("escape")
        assert not isinstance(app.screen, ProvenanceDialog)

    drive(story, runs, readonly=True)


def test_keys_scroll(runs: Path) -> None:
    async def story(app, pilot):
        dialog = await opened(app, pilot)
        sheet = dialog.query_one(TextSheet)
        await pilot.press("j", "down")
        await until(pilot, lambda: sheet.scroll_offset.y == 2)
        await pilot.press("k")
        await until(pilot, lambda: sheet.scroll_offset.y == 1)

    drive(story, runs, size=(80, 24))


def test_the_line_and_its_key_are_in_sight_at_every_size(runs: Path) -> None:
    async def story(app, pilot):
        dialog = await opened(app, pilot)
        for size in ((40, 10), (60, 16), (80, 24), (180, 50)):
            await pilot.resize_terminal(*size)
            for place in ("#origins", "#reproduce", ".keys"):
                region = dialog.query_one(place).region
                assert region.height > 0 and dialog.query_one("#provenance").region.contains_region(region)

    drive(story, runs)


@pytest.mark.parametrize("width", [30, 69, 200])
def test_no_line_is_wider_than_the_page_and_nothing_is_lost(runs: Path, width: int) -> None:
    found = provenance.read(RunDir(runs / CRDND))
    lines = provenance.fact_lines(found, width)
    if width > 60:
        assert max(cell_len(one.plain) for one in lines) <= width
    together = "".join("".join(one.plain for one in lines).split())
    for digest in (digest for digest, _ in found.files.values()):
        assert digest in together
    assert "".join("".join(one.plain for one in provenance.fact_lines(found)).split()).count("sha256") == (
        together.count("sha256")
    )


def test_a_run_of_which_nothing_is_known_says_so(runs: Path) -> None:
    for name in ("provenance.json", "machine.json"):
        (runs / CRDND / name).unlink()

    async def story(app, pilot):
        dialog = await opened(app, pilot)
        assert "no engine has written where its numbers come from" in " ".join(page(dialog).split())
        assert line(dialog) == f"crdnd run runs/{CRDND}/config.toml"
        assert not dialog.query_one("#notes").display

    drive(story, runs)


@pytest.mark.parametrize("screen", ["live", "compare"])
def test_live_and_compare_have_the_same_key(runs: Path, screen: str) -> None:
    async def story(app, pilot):
        await ready(app, pilot, CRDND)
        if screen == "live":
            app.open_run(RSLAD)
            await until(pilot, lambda: getattr(app.screen, "look", None))
        else:
            app.compare_runs([CRDND, RSLAD])
            await until(pilot, lambda: getattr(app.screen, "_shown", None))
            await pilot.press("down")
            await until(pilot, lambda: app.screen._shown.row.id == RSLAD)
        await pilot.press("i")
        dialog = app.screen
        assert isinstance(dialog, ProvenanceDialog) and dialog._run.id == RSLAD
        await until(pilot, lambda: dialog._line)

    drive(story, runs)
