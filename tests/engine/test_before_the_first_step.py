"""What a run says of its data before the first step: in its log, its notes and its provenance. Real engines."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.spec import toml
from engine.spec.config import JudgeConfig, RunConfig
from engine.spec.events import Event, RunFailed, StepDone, TrainingStarted, Warned, decode
from engine.spec.folders import create
from engine.spec.machine import Machine
from engine.spec.rundir import RunDir
from tests.engine.broken_runs import ForkServer

JUDGED = {"checkpoints": ["best"], "gallery": 0, "suspect": False, "attacks": [{"name": "fgsm"}]}


def image_folder(root: Path) -> None:
    """Two classes, one test image of each that is a training image, a dot file in each folder."""
    dice = np.random.default_rng(0)
    for name, bright in (("dark", 60), ("light", 200)):
        for part, n in (("train", 40), ("test", 10)):
            folder = root / part / name
            folder.mkdir(parents=True)
            (folder / "._0.png").write_bytes(b"fork")
            for k in range(n):
                pixels = (bright + dice.integers(0, 50, (8, 8, 3))).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{k}.png")
        (root / "test" / name / "0.png").write_bytes((root / "train" / name / "7.png").read_bytes())


def table(**changes: object) -> dict[str, object]:
    return {
        "data": {"name": "folder", "path": "images", "size": 8, "validation": 10},
        "student": {"name": "small_cnn", "width": 4},
        "method": {"name": "natural"},
        "inner": {"steps": 1},
        "training": {"epochs": 1, "batch_size": 32, "learning_rate": 0.01},
        "selection": {"by": "clean", "attacks": [], "every": 100_000},
        "evaluation": JUDGED,
    } | changes


def work(fork_server: ForkServer, home: Path, config: RunConfig | JudgeConfig) -> tuple[RunDir, list[Event]]:
    machine = Machine(runs=str(home / "runs"), data=str(home), device="cpu", threads=1)
    run = create(config, toml.dump(config), machine)
    fork_server.work(run)
    return run, decode(run.events.read_bytes().splitlines()).events


@pytest.fixture(scope="module")
def lab(fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunDir, list[Event]]:
    home = tmp_path_factory.mktemp("lab")
    image_folder(home / "images")
    return home, *work(fork_server, home, RunConfig.model_validate(table()))


def test_a_run_says_what_was_passed_over_and_what_is_doubtful(lab):
    _, run, said = lab
    (started,) = [event for event in said if isinstance(event, TrainingStarted)]
    note = "passed over: 4 whose names begin with a dot"
    assert f"data: {note}" in started.notes
    assert json.loads(run.provenance.read_text())["notes"] == [note]
    first = next(place for place, event in enumerate(said) if isinstance(event, StepDone))
    (warned,) = [event for event in said[:first] if isinstance(event, Warned)]
    assert warned.code == "shared_images" and warned.message.startswith("2 of 20 test images")


def test_an_evaluation_says_it_too(fork_server, lab):
    home, first, _ = lab
    subject = {"run": first.id}
    config = JudgeConfig.model_validate({"data": table()["data"], "subject": subject, "evaluation": JUDGED})
    run, said = work(fork_server, home, config)
    assert [event.code for event in said if isinstance(event, Warned) and not event.checkpoint] == ["shared_images"]
    assert "passed over: 4 whose names begin with a dot" in json.loads(run.provenance.read_text())["notes"]


def test_a_teacher_of_other_classes_is_refused_before_the_first_step(fork_server, lab, tmp_path: Path):
    first, home = lab[1], shutil.copytree(lab[0], tmp_path / "lab")
    for part in ("train", "test"):
        for old, new in (("dark", "z"), ("light", "dark"), ("z", "light")):
            (home / "images" / part / old).rename(home / "images" / part / new)
        (home / "images" / part / "light").rename(home / "images" / part / "a light")
    config = RunConfig.model_validate(table(method={"name": "ard"}, teacher={"run": first.id}))
    _, said = work(fork_server, home, config)
    assert isinstance(said[-1], RunFailed) and "class 0 is a light here and was dark there" in said[-1].message


def test_images_that_are_all_the_same_are_refused(fork_server, tmp_path: Path):
    image_folder(tmp_path / "images")
    for path in (tmp_path / "images" / "train").glob("*/[0-9]*.png"):
        Image.fromarray(np.full((8, 8), 255, dtype=np.uint8)).save(path)
    _, said = work(fork_server, tmp_path, RunConfig.model_validate(table()))
    assert (
        isinstance(said[-1], RunFailed)
        and "80 of 80 images of the train split are one and the same" in said[-1].message
    )
