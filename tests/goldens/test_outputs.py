"""Data for scripts: --json of the commands that read, and files of exports, of the recorded runs and a study.

Every byte is held but for the last digits of floats, and of JSON on stdout every value.
"""

import json
from pathlib import Path

import pytest

from tests.goldens.golden import PRESETS, close, crdnd, held, recorded, settled

CRDND, RSLAD, OTHER = "20261122-215714-crdnd", "20261122-215930-rslad", "20261122-220122-rslad"
NATURAL, TEACHER, FAILED = "20261122-220522-natural", "20261122-215715-pgd_at", "20261122-221000-rslad"
STOPPED, KILLED = "20261122-220805-iad", "20261122-220832-ard"
STUDY = """
name = "few"
title = "Few seeds"
preset = "{method}_digits.toml"
[grid]
method = ["rslad", { label = "crdnd", set = { "training.learning_rate" = 0.2 } }, "ard"]  # that of the recorded runs
seed = [0, 1, 2]
[report]
attacks = ["clean", "pgd_sat", "autoattack"]
baseline = { method = "rslad" }
[[published]]
source = "paper"
where = { method = "rslad" }
values = { pgd_sat = 54.26, autoattack = 51.91 }
"""
SAID = {
    "runs": ("runs",),
    "runs-failed": ("runs", "--state", "failed"),
    "show-done": ("show", CRDND),
    "show-natural": ("show", NATURAL),
    "show-teacher": ("show", TEACHER),
    "show-failed": ("show", FAILED),
    "show-stopped": ("show", STOPPED),
    "show-killed": ("show", KILLED),
    "provenance": ("show", CRDND, "--provenance"),
    "compare-two": ("compare", CRDND, RSLAD),
    "compare-seeds": ("compare", RSLAD, OTHER, CRDND, NATURAL),
    "compare-each": ("compare", RSLAD, OTHER, CRDND, "--each", "--baseline", CRDND),
    "check": ("check", PRESETS / "rslad_digits.toml", "--seed", "5", "--set", "training.epochs=3"),
    "check-large": ("check", PRESETS / "crdnd_cifar10_resnet18.toml"),
    "report": ("report", "few.toml"),
    "report-unrun": ("report", PRESETS / "studies" / "table1.toml"),
}
WRITTEN = {
    "run": (CRDND,),
    "natural": (NATURAL,),
    "killed": (KILLED,),
    "compared": (CRDND, RSLAD, OTHER, NATURAL),
    "each": (RSLAD, OTHER, "--each"),
    "study": ("few.toml",),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = recorded(tmp_path_factory.mktemp("outputs"))
    (folder / "few.toml").write_text(STUDY)
    return folder


@pytest.mark.parametrize("name", SAID)
def test_json(home: Path, name: str) -> None:
    done = crdnd(home, *SAID[name], "--json")
    assert done.returncode == 0, done.stderr
    held(f"json/{name}", json.loads(settled(done.stdout, home)), same=close, packed=True)


@pytest.mark.parametrize("form", ["csv", "json"])
@pytest.mark.parametrize("name", WRITTEN)
def test_exports(home: Path, tmp_path: Path, name: str, form: str) -> None:
    out = tmp_path / f"out.{form}"
    done = crdnd(home, "export", *WRITTEN[name], "--to", form, "-o", out)
    assert done.returncode == 0, done.stderr
    files = sorted(tmp_path.iterdir())
    assert [str(file) for file in files] == sorted(done.stdout.splitlines())
    texts = {file.name: settled(file.read_bytes().decode(), home) for file in files}
    held(f"exports/{name}-{form}", texts, same=close, packed=True)
