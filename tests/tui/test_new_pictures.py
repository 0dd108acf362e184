"""How the New screen looks, at all sizes."""

import json

import pytest

from crdnd_tui.core import runtime_estimate
from tests.tui.new_form import row, story, to
from tests.tui.pilot import recorded, same_picture, settle


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


def test_any_size_will_do(runs):
    async def steps(screen, pilot):
        await to(screen, pilot, "method.temperature_clean")
        assert "0.5" in row(screen, "method.temperature_clean")
        assert len(row(screen, "method.temperature_clean")) <= 36  # its value is to be seen
        for size in [(80, 24), (240, 60), (44, 12), (120, 40)]:
            await pilot.press("[", "f3", "f5", "escape", "f3")
            await pilot.resize_terminal(*size)
            await settle(pilot)
        assert screen.query_one("#toml").display

    story(runs, steps, size=(40, 10))


def test_f3_turns_the_page(runs):
    async def steps(screen, pilot):
        for size in [(80, 24), (120, 36), (180, 50)]:
            await pilot.resize_terminal(*size)
            await settle(pilot)
            narrow = size[0] == 80
            assert screen.query_one("#toml").display != narrow
            await pilot.press("f3")
            assert screen.query_one("#toml").display == narrow
            assert screen.query_one("#form").display != narrow
            await pilot.press("f3")

    story(runs, steps, size=(80, 24))


@pytest.fixture
def pictured(runs, monkeypatch):
    recorded(runs)
    host = json.loads(next(runs.glob("*crdnd-small_cnn-s0*/status.json")).read_text())["host"]
    monkeypatch.setattr(runtime_estimate, "HOST", host)
    return runs


def test_picture(pictured):
    story(pictured, lambda _, pilot: same_picture(pilot.app, "new-120x36"))
