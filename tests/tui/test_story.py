"""The story of a newcomer, key by key: from an empty folder to two methods side by side. Its engines are replays."""

import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest

from crdnd_tui.core import engine_process
from crdnd_tui.queue import devices, worker
from crdnd_tui.queue.tickets import Queue
from engine.spec import toml
from engine.spec.rundir import RunDir
from tests.tui.pilot import drive

ENGINE = Path(__file__).parent / "replaying_engine.py"
WORKER = f"""
import sys
from pathlib import Path
from crdnd_tui.core import engine_process
from crdnd_tui.queue import worker
engine_process.engine_command = lambda run: [sys.executable, {str(ENGINE)!r}, str(run.path)]
worker.work(Path(sys.argv[1]), lambda words: print(words, flush=True), poll=0.05, idle=0.5)
"""
PATIENCE = 15.0  # seconds


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Where runs will lie; engines and workers that are left at the end are ended."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(devices, "default_device", lambda: "cpu")
    monkeypatch.setattr(engine_process, "engine_command", lambda run: [sys.executable, str(ENGINE), str(run.path)])
    monkeypatch.setattr(worker, "worker_command", lambda runs: [sys.executable, "-c", WORKER, str(runs)])
    folder = tmp_path / "runs"
    yield folder
    if worker.alive(folder):
        os.kill(int((folder / ".queue" / "worker.lock").read_text()), signal.SIGTERM)
    for process, _ in worker._workers.values():
        process.kill()
        process.wait(10)
    worker._workers.clear()
    for path in folder.glob("2*"):
        engine_process.kill(RunDir(path), patience=0.0)


def text(app) -> str:
    return "\n".join("".join(s.text for s in strip) for strip in app.screen._compositor.render_strips())


async def see(pilot, *patterns: str) -> str:
    """Until all of these regular expressions are on the screen."""
    for pattern in patterns:
        end = time.monotonic() + PATIENCE
        while not re.search(pattern, text(pilot.app)):
            assert time.monotonic() < end, f"no `{pattern}`:\n{text(pilot.app)}"
            await pilot.pause(0.05)
    return text(pilot.app)


async def row(pilot, key: str) -> None:
    """Down to this row of the form; the help below the form names the row."""
    for _ in range(40):
        if re.search(rf"│ ─+ │.*\n│ {re.escape(key)} ", text(pilot.app)):
            return
        await pilot.press("down")
        await pilot.pause(0.05)
    raise AssertionError(f"{key} is not on the way down:\n{text(pilot.app)}")


@pytest.mark.slow
def test_from_an_empty_folder_to_two_methods_side_by_side(runs: Path, tmp_path: Path):
    judge = tmp_path / "judge"

    async def first_sitting(app, pilot):
        await pick_the_pair_and_the_suite(pilot)
        await pilot.press("ctrl+s")
        await see(pilot, "how long it will take")
        await pilot.press("y")
        await see(pilot, "● running  CRDND · SmallResNet-8x16 → SmallCNN-24 · digits", "epoch 40", "◌ FGSM")
        judge.touch()
        await watch_to_the_table(pilot)
        await an_example(pilot)
        judge.unlink()
        await queue_another_method(pilot)
        await pilot.press("q")
        await see(pilot, "1 run goes on in the background", "rslad", "Come back with crdnd-tui")
        await pilot.press("q")

    async def second_sitting(app, pilot):
        await see(pilot, "● running.*rslad", "✓ done.*crdnd")
        judge.touch()
        await see(pilot, "✓ done.*rslad")
        await compare(pilot)
        await pilot.press("q")

    drive(first_sitting, runs, now=time.time)
    second, first = sorted(runs.glob("2*"), reverse=True)
    assert [attack.name for attack in toml.read(first / "config.toml").evaluation.attacks].count("cw_2") == 0
    assert toml.read(second / "config.toml").method.name == "rslad"
    assert engine_process.alive(RunDir(second)) and not engine_process.alive(
        RunDir(first)
    )  # nothing of it was hurt by leaving
    drive(second_sitting, runs, now=time.time)
    assert Queue(runs).ticket(second.name).state in ("running", "done")  # the worker may not have looked yet


async def pick_the_pair_and_the_suite(pilot) -> None:
    await see(pilot, "No runs in .* yet")
    await pilot.press("n")
    await see(pilot, "student +. SmallCNN-24 ", "quickstart_teacher", "1.98 TFLOP")
    await row(pilot, "student")
    for tab in ("split seed", "clean share", "threat model", "batch size +64", "evaluation attacks"):
        await pilot.press("right_square_bracket")
        await see(pilot, tab)
    await see(pilot, "✓ FGSM", "✓ PGD-SAT", "✓ CW-2")
    await row(pilot, "evaluation.attacks.4")
    await pilot.press("space")
    await see(pilot, "○ CW-2")


async def watch_to_the_table(pilot) -> None:
    await see(pilot, "✓ done")
    table = ("clean", "FGSM", "PGD-SAT", "PGD-TRADES", "CW-inf", "PGD rescaled", "AutoAttack", "worst of L-inf")
    await see(pilot, *(rf"{attack} +\d+\.\d[^│]*\[ *\d+\.\d, +\d+\.\d\]" for attack in table))


async def an_example(pilot) -> None:
    await pilot.press("E")
    await see(pilot, "1 of 20", "adversarial x'", r"S\(x'\) ✗", r"T\(x'\)")
    await pilot.press("right")
    await see(pilot, "2 of 20")


async def queue_another_method(pilot) -> None:
    await pilot.press("2")
    await see(pilot, "○ CW-2")
    for tab in ("batch size +64", "threat model", "clean share"):
        await pilot.press("left_square_bracket")
        await see(pilot, tab)
    await row(pilot, "method")
    await pilot.press("enter")
    await see(pilot, "type to narrow")
    await pilot.press(*"rslad", "enter")
    await see(pilot, "kl reduction")
    await pilot.press("f6")
    await pilot.pause(1.0)
    if "y yes" in text(pilot.app):
        await pilot.press("y")
    await see(pilot, "equal run +2.*-rslad-")
    await pilot.press("6")
    await see(pilot, "● RSLAD.*SmallCNN-24")


async def compare(pilot) -> None:
    await pilot.press("space", "space")
    await see(pilot, "2 selected")
    await pilot.press("c")
    await see(pilot, "Results: best checkpoint", "method.name +rslad +crdnd", "clean +SAT +inf")
    await see(pilot, r"rslad s0 .*?(\d+\.\d[^\d\n]*){7}", r"crdnd s0 .*?(\d+\.\d[^\d\n]*){7}")
