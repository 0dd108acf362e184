"""The story of a newcomer in a real terminal with real engines: from an empty folder to two methods side by side."""

import os
import re
import signal
from pathlib import Path

import pytest

from crdnd_tui.core import engine_process
from crdnd_tui.queue import worker
from crdnd_tui.queue.tickets import Queue
from engine.spec.rundir import RunDir
from engine.spec.status import decode
from tests.tui.terminal import ROOT, Terminal

LONG = 150.0  # seconds for a small run on a loaded machine; nothing is waited for that long elsewhere
TEACHER = f"""
extends = "{ROOT}/presets/quickstart_teacher.toml"
name = "small teacher"
student.width = 4
training.epochs = 2
evaluation.images = 40
"""


@pytest.fixture
def home(tmp_path: Path):
    """A folder to work in. What was started in it is ended with the test: the worker first, for it starts others."""
    (tmp_path / "small.toml").write_text(TEACHER)
    yield tmp_path
    runs = tmp_path / "runs"
    if worker.alive(runs):
        os.kill(int((runs / ".queue" / "worker.lock").read_text()), signal.SIGTERM)
    for path in runs.glob("2*"):
        engine_process.kill(RunDir(path), patience=0.0)


def row(lab: Terminal, key: str, direction: str = "down") -> None:
    """Walk to the row of this key of the form, a step at a time; the help below the form names where one is."""

    def here() -> str:
        found = re.search(r"│ ─+ │.*\n│ (\S+)", lab.text)
        return found[1] if found else ""

    lab.rest()
    while (before := here()) != key:
        lab.press(direction)
        lab.until(lambda before=before: here() not in ("", before), f"{key} not reached from {before}")
        lab.rest()


def runs_of(home: Path) -> dict[str, str]:
    """Method and phase of each run folder."""
    found = [decode(path.read_bytes()) for path in sorted(home.glob("runs/2*/status.json"))]
    return {status.method: status.phase for status in found}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_from_an_empty_folder_to_two_methods_side_by_side(home: Path):
    with Terminal(folder=home, CRDND_DEVICE="cpu") as lab:
        pick_and_launch(lab, home)
        watch_to_the_table(lab)
        queue_another_method(lab)
        lab.press("q")
        lab.wait("1 run goes on in the background")
        lab.press("q")
        assert lab.code() == 0
    assert Queue(home / "runs").tickets()[0].state in ("waiting", "running")
    assert runs_of(home).get("rslad") != "done"
    with Terminal(folder=home) as lab:
        lab.wait("rslad")
        lab.wait(r"✓ done.*rslad", LONG)
        assert runs_of(home) == {"pgd_at": "done", "crdnd": "done", "rslad": "done"}
        compare(lab)
        lab.press("q")
        assert lab.code() == 0


def pick_and_launch(lab: Terminal, home: Path) -> None:
    """The digits pair of the quickstart with a teacher that is quickly trained, and few images for its attacks."""
    lab.wait("No runs in .* yet")
    lab.press("n")
    lab.wait("student +. SmallCNN-24 ")
    lab.wait("compute +1.98 TFLOP")
    row(lab, "teacher.preset")
    lab.press("enter")
    lab.wait("another value")
    lab.type(str(home / "small.toml"))
    lab.press("enter")
    lab.wait_gone("another value")
    row(lab, "teacher.expected_clean")
    lab.press("ctrl+r")
    lab.wait("expected clean +\u2013")
    for more in ("split seed", "clean share", "threat model", "batch size +64"):
        lab.press("]")
        lab.wait(more)
    row(lab, "training.epochs")
    lab.press("enter")
    lab.type("2")
    lab.wait("2 epochs, 34 steps")
    lab.press("enter", "]")
    row(lab, "evaluation.images")
    lab.press("enter")
    lab.type("40")
    lab.wait(r"images +40")
    lab.press("enter")
    row(lab, "evaluation.attacks.4")
    lab.wait("✓ CW-2")
    lab.press("space")
    lab.wait("○ CW-2")
    lab.press("ctrl+s")
    lab.wait("Its teacher is trained first")
    lab.press("y")
    lab.wait("CRDND · SmallResNet-8x4 → SmallCNN-24 · digits")


def watch_to_the_table(lab: Terminal) -> None:
    """The teacher first, then the training, then attack by attack; then an image that fools."""
    lab.wait("the teacher comes first", LONG)
    lab.wait(r"◌ FGSM")
    lab.wait(r"✓ done", LONG)
    lab.wait(r"clean +\d+\.\d[^│]*\[ *\d+\.\d, +\d+\.\d\]")
    for attack in ("FGSM", "PGD-SAT", "PGD-TRADES", "CW-inf", "PGD rescaled", "AutoAttack", "worst of L-inf"):
        lab.wait(rf"{attack} +\d+\.\d[^│]*\[ *\d+\.\d, +\d+\.\d\]")
    lab.wait("of 40 of 597 test images")
    lab.press("E")
    lab.wait("✗ fooled")
    lab.wait(r"S\(x'\) ✗")
    lab.press("right")
    lab.wait("2 of 20")


def queue_another_method(lab: Terminal) -> None:
    """The form as it was left, with another method."""
    lab.press("2")
    lab.wait("evaluation attacks")
    for more in ("batch size +64", "threat model", "clean share"):
        lab.press("[")
        lab.wait(more)
    row(lab, "method")
    lab.press("enter")
    lab.wait("type to narrow")
    lab.type("rslad")
    lab.press("enter")
    lab.wait("kl reduction")
    lab.wait("time +≈ .* other methods here")
    lab.press("f6")
    lab.wait(r"Queued|y yes")
    if "y yes" in lab.text:  # past runs of other methods tell more than a minute
        lab.press("y")
    lab.wait("Queued")
    lab.press("6")
    lab.wait(r"● RSLAD.*SmallCNN-24")


def compare(lab: Terminal) -> None:
    """Two runs, side by side."""
    lab.press("/")
    lab.type("not method:pgd_at")
    lab.wait("2 of 3 shown")
    lab.press("enter", "space", "space")
    lab.wait("2 selected")
    lab.press("c")
    lab.wait("Results: best checkpoint")
    for method in ("rslad", "crdnd"):
        lab.wait(rf"{method} s0 .*?(\d+\.\d[^\d\n]*){{7}}")
    lab.wait("method.name +rslad +crdnd")
