"""Where a preset lies: a path, or the bare name of one that is shipped."""

from collections.abc import Sequence
from pathlib import Path

from crdnd_tui.core.text import display
from engine.spec import files
from engine.spec.errors import ConfigError

_HERE = Path(__file__).resolve().parents[1]
FOLDERS = (_HERE.parent / "presets", _HERE / "_presets")  # the source tree's, the wheel's


def shipped() -> dict[str, Path]:
    """Name -> path of the presets that came with the program."""
    ours = [folder for folder in FOLDERS if (folder / "quickstart.toml").is_file() or folder.name == "_presets"]
    return _by_name(ours)


def shipped_studies() -> dict[str, Path]:
    """The same of studies, which lie in a folder beside the presets."""
    return _by_name([folder / "studies" for folder in FOLDERS])


def _by_name(folders: Sequence[Path]) -> dict[str, Path]:
    """TOML files by name; those of the first folder win."""
    return {path.stem: path for folder in reversed(folders) for path in sorted(folder.glob("*.toml"))}


def resolve(name: str) -> Path:
    """The file of this preset; ConfigError with the nearest names when there is none."""
    return _found(name, shipped(), "preset", "presets")


def resolve_study(name: str) -> Path:
    """The file of this study; ConfigError with the nearest names when there is none."""
    return _found(name, shipped_studies(), "study", "studies")


def _found(name: str, known: dict[str, Path], one: str, many: str) -> Path:
    try:
        path = Path(name).expanduser()
    except RuntimeError:  # nobody's home
        path = Path(name)
    if files.is_file(path):
        return path
    bare = path.stem if path.parent.name in ("", many) else ""
    if bare in known:
        return known[bare]
    import difflib  # noqa: PLC0415  only a mistake pays for it

    near = difflib.get_close_matches(bare or name, known, n=3)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"Shipped {many}: " + ", ".join(sorted(known)[:12])
    raise ConfigError([f"no {one} `{display(name, 200)}`: neither a file nor a shipped name", hint])
