"""Hashes of the shipped presets and of all runs of the shipped studies, by which runs are found and grouped."""

import json
from pathlib import Path

import pytest

from engine.spec import toml
from tests.goldens.golden import PRESETS, crdnd, held

STUDIES = sorted(path.stem for path in (PRESETS / "studies").glob("*.toml"))


def test_presets() -> None:
    configs = {path.name: toml.load(path) for path in sorted(PRESETS.glob("*.toml"))}
    held("hashes", {name: [config.config_hash, config.group_hash] for name, config in configs.items()})


@pytest.mark.parametrize("study", STUDIES)
def test_runs_of_studies(tmp_path: Path, study: str) -> None:
    done = crdnd(tmp_path, "study", PRESETS / "studies" / f"{study}.toml", "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    runs = json.loads(done.stdout)["runs"]
    held(f"study-{study}", {" ".join(run["place"].values()): run["config_hash"] for run in runs})
