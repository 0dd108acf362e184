"""Studies and presets written for a test, in a folder of their own."""

from pathlib import Path

import pytest

from crdnd_tui.study.file import read_study
from crdnd_tui.study.study import Study
from engine.spec.errors import ConfigError

PLAIN = '[data]\nname = "digits"\n[student]\nname = "small_cnn"\n[method]\nname = "natural"\n'
TEACHER = PLAIN.replace("natural", "pgd_at")
TAUGHT = PLAIN.replace("natural", "rslad") + '[teacher]\npreset = "teacher.toml"\n'
HEAD = 'name = "small"\npreset = "{method}.toml"\n'
GRID = '[grid]\nmethod = ["natural", "rslad"]\nseed = [0, 1]\n'


def presets(folder: Path) -> Path:
    """natural.toml, rslad.toml and the teacher of the latter."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("natural", PLAIN), ("rslad", TAUGHT), ("teacher", TEACHER)):
        (folder / f"{name}.toml").write_text(text)
    return folder


def study(folder: Path, text: str = HEAD + GRID) -> Study:
    path = presets(folder) / "study.toml"
    path.write_text(text)
    return read_study(path)


def mistakes(folder: Path, text: str) -> list[str]:
    """The problems of a study, without the folder they lie in."""
    with pytest.raises(ConfigError) as caught:
        study(folder, text)
    return [problem.replace(f"{folder}/", "") for problem in caught.value.problems]
