"""Exit codes: 0 ok, 1 the run failed or does not hold, 2 usage or config, 3 stopped, 4 nothing can be compared."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.goldens.golden import ROOT, crdnd, kept, recorded, run_of
from tests.goldens.test_outputs import CRDND, FAILED, KILLED, NATURAL, RSLAD, STOPPED, TEACHER

DAMAGED = "20260101-000000-natural-small_cnn-s0-0001"
CALLS = {
    "--version": 0,
    "--help": 0,
    "schema": 0,
    "runs": 0,
    "queue list": 0,
    f"show {CRDND}": 0,
    f"watch {CRDND}": 0,
    f"resume {TEACHER}": 0,
    f"compare {CRDND} {RSLAD}": 0,
    f"compare {CRDND} {TEACHER}": 0,
    f"compare {CRDND} {NATURAL} --baseline {RSLAD}": 0,
    f"export {CRDND} --to csv -o -": 0,
    "check good.toml": 0,
    f"watch {FAILED}": 1,
    f"watch {STOPPED}": 3,
    f"watch {KILLED}": 1,
    "": 2,
    "nonsense": 2,
    "runs --nonsense": 2,
    "runs --state nonsense": 2,
    "show": 2,
    "show nothing": 2,
    "show 2026": 2,
    f"show {DAMAGED}": 0,
    f"resume {DAMAGED}": 2,
    f"verify {DAMAGED}": 2,
    f"stop {CRDND}": 2,
    f"export {CRDND} --to word": 2,
    f"export {CRDND} --to png -o -": 2,
    f"export {CRDND} --to safetensors": 2,
    f"export {CRDND} --to csv -o runs/{CRDND}-small_cnn-s0-ea68/x.csv": 2,
    f"compare {CRDND}": 2,
    f"compare {CRDND} nothing": 2,
    f"compare {CRDND} {KILLED}": 4,
    "check nothing": 2,
    "check mistakes.toml": 2,
    "check broken.toml": 2,
    "check good.toml --set training.epoch=3": 2,
    "run mistakes.toml": 2,
    "run good.toml --machine nonsense=1": 2,
    "run good.toml --runs file/runs": 2,
    "study nothing": 2,
    "study good.toml": 2,
    "report nothing": 2,
    "evaluate nothing": 2,
    f"evaluate {CRDND}": 1,  # its weights were not recorded
    f"join {CRDND}": 2,
}
GOOD = '[data]\nname = "digits"\n[student]\nname = "small_cnn"\n[method]\nname = "natural"\n'


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = recorded(tmp_path_factory.mktemp("exits"))
    damaged = folder / "runs" / DAMAGED
    damaged.mkdir()
    (damaged / "config.toml").write_text("[data\n")
    (damaged / "status.json").write_text("{")
    (folder / "good.toml").write_text(GOOD)
    (folder / "mistakes.toml").write_text(GOOD.replace("digits", "digitz") + "temperature = 1\n")
    (folder / "broken.toml").write_text("[data\n")
    (folder / "file").write_text("")
    return folder


@pytest.mark.parametrize("words", CALLS)
def test_a_call(home: Path, words: str) -> None:
    done = crdnd(home, *words.split())
    assert done.returncode == CALLS[words], done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_only_to_be_read(home: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert crdnd(home, "run", "good.toml", "--runs", tmp_path / "runs").returncode == 2


@pytest.mark.slow
def test_a_forged_run_does_not_verify(tmp_path: Path) -> None:
    home = kept(tmp_path)
    run = run_of(home, "rslad", "f185")
    path = home / "runs" / run / "evaluation" / "best" / "fgsm.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"accuracy": record["accuracy"] + 0.3}))
    assert crdnd(home, "verify", run, "--quick", "--threads", "1").returncode == 1


@pytest.mark.slow
def test_a_run_that_fails(home: Path) -> None:
    words = ("--set", "training.learning_rate=1e30", "--set", "training.epochs=1", "--threads", "1", "--device", "cpu")
    assert crdnd(home, "run", "good.toml", *words).returncode == 1


@pytest.mark.parametrize("words", [[], ["nothing"], ["runs/nothing"]])
def test_an_engine_without_a_run(home: Path, words: list[str]) -> None:
    done = subprocess.run([sys.executable, "-P", "-m", "engine", *words], cwd=home, text=True, capture_output=True,
                          check=False, env=os.environ | {"PYTHONPATH": str(ROOT)})  # fmt: skip
    assert done.returncode == 2 and "Traceback" not in done.stderr
