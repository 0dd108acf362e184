"""How the New screen looks, at all sizes."""

import json

import pytest

from crdnd_tui.core import runtime_estimate
from tests.tui.new_form import rest, row, story, to
from tests.tui.pilot import recorded, same_picture


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
            await rest(pilot)
        assert screen.query_one("#toml").display

    story(runs, steps, size=(40, 10))


def test_f3_turns_the_page(runs):
    async def steps(screen, pilot):
        for size in [(80, 24), (120, 36), (180, 50)]:
            await pilot.resize_terminal(*size)
            await rest(pilot)
            narrow = size[0] == 80
            assert screen.query_one("#toml").display != narrow
            await pilot.press("f3")
            assert screen.query_one("#toml").display == narrow
            assert screen.query_one("#form").display != narrow
            await pilot.press("f3")

    story(runs, steps, size=(80, 24))


@pytest.fixture
def pictured(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = recorded(tmp_path / "runs")
    host = json.loads(next(runs.glob("*crdnd-small_cnn-s0*/status.json")).read_text())["host"]
    monkeypatch.setattr(runtime_estimate, "HOST", host)
    return runs


@pytest.mark.parametrize(("name", "size", "dotted"), [
    ("80x24", (80, 24), "teacher"), ("180x50", (180, 50), "training.learning_rate"),
])  # fmt: skip
def test_it_looks_as_it_did(pictured, name, size, dotted):
    async def steps(screen, pilot):
        await to(screen, pilot, dotted)
        await rest(pilot)
        await same_picture(pilot.app, f"new-{name}")

    story(pictured, steps, size=size)


def test_its_states_look_as_they_did(pictured):
    async def steps(screen, pilot):
        await same_picture(pilot.app, "new-120x36")
        await to(screen, pilot, "method.matrix_convention")
        await rest(pilot)
        await same_picture(pilot.app, "new-method")
        await to(screen, pilot, "threat_model.epsilon")
        pilot.app.theme = "crdnd-light"
        await rest(pilot)
        await same_picture(pilot.app, "new-light")
        pilot.app.theme = "crdnd-dark"
        await to(screen, pilot, "evaluation.attacks.2")
        await pilot.press("space")
        await rest(pilot)
        await to(screen, pilot, "evaluation.attacks.3")
        await pilot.press("plus", "down", "enter", *"60", "enter")
        await rest(pilot)
        await same_picture(pilot.app, "new-attacks")
        await to(screen, pilot, "training.epochs")
        await pilot.press("enter", *"40x", "enter")
        await to(screen, pilot, "threat_model.epsilon")
        await pilot.press("enter", *"400/255")
        await rest(pilot)
        await same_picture(pilot.app, "new-mistake")

    story(pictured, steps)
