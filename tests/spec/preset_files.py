"""Presets written for a test, and what is said about them."""

from pathlib import Path

import pytest

from engine.spec import toml
from engine.spec.errors import ConfigError

PLAIN = '[data]\nname = "digits"\n\n[student]\nname = "small_cnn"\n\n[method]\nname = "natural"\n'
TAUGHT = PLAIN.replace("natural", "rslad")


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def mistakes(path: Path, *overrides: str) -> list[str]:
    """The problems of a preset, without the folder they lie in."""
    with pytest.raises(ConfigError) as caught:
        toml.load(path, overrides)
    return [problem.replace(f"{path.parent}/", "") for problem in caught.value.problems]
