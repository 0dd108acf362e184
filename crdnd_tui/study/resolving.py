"""One combination of the grid -> the config of its run, or what is wrong with it, told at the study's own lines."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from pydantic import ValidationError

from crdnd_tui.core import presets
from crdnd_tui.core.text import display
from crdnd_tui.study.grid import Setting
from crdnd_tui.study.study import Cell
from crdnd_tui.study.written import Source
from engine.spec import files, toml
from engine.spec.config import RunConfig
from engine.spec.errors import ConfigError
from engine.spec.explain import explain

_BY_SET = "--set"  # how the spec calls the origin of an override


class Resolver:
    """Reads each preset once. A mistake that many combinations share is told with the first of them."""

    def __init__(self, source: Source, problems: list[str]) -> None:
        self._source, self._problems = source, problems
        self._folder = source.path.resolve().parent
        self._told: set[str] = set()
        self._texts: dict[Path, str] = {}
        self._paths: dict[str, Path | None] = {}

    def cell(
        self, place: Mapping[str, str], name: str, where: tuple[str, str], settings: Sequence[Setting]
    ) -> Cell | None:
        """The run at this place; None when there is something wrong with it, which is told."""
        path = self._find(name)
        if path is None:
            origin, key = where
            self._tell([f"{origin}: {key}: there is no preset {display(name, 200)!r}{self._near(name)}"], place)
            return None
        settings = [self._settled(setting) for setting in settings]
        overrides = tuple(setting.text for setting in settings)
        try:
            draft = toml.merged(path, overrides)
        except ConfigError as error:
            self._tell(error.problems, place)
            return None
        origins = {_path(setting.key): setting.origin for setting in settings}
        draft.problems = [_relined(problem, settings) for problem in draft.problems]
        for written, by in draft.origins.items():
            if by == _BY_SET:
                draft.origins[written] = next((origins[k] for k in origins if k[: len(written)] == written), by)
        try:
            config = RunConfig.model_validate(draft.table)
        except ValidationError as error:
            draft.problems += explain(error, RunConfig, draft.origins)
        if draft.problems:
            self._tell(draft.problems, place)
            return None
        return Cell(place=place, config=config, preset=path, preset_text=self._text(path), overrides=overrides)

    def _tell(self, problems: Sequence[str], place: Mapping[str, str]) -> None:
        words = ", ".join(f"{axis} {label}" for axis, label in place.items())
        for problem in problems:
            if problem not in self._told:
                self._told.add(problem)
                self._problems.append(f"{problem} ({words})")

    def _find(self, name: str) -> Path | None:
        """Beside the study, else among the shipped presets when it is a bare name."""
        if name not in self._paths:
            path, bare = self._folder / name, name.removesuffix(".toml")
            shipped = presets.shipped().get(bare) if "/" not in bare else None
            self._paths[name] = path if files.is_file(path) else shipped
        return self._paths[name]

    def _near(self, name: str) -> str:
        """Names of presets where this one was sought."""
        folder = (self._folder / name).parent
        try:
            known = {path.name for path in folder.glob("*.toml")}
        except (OSError, ValueError):
            known = set()
        close = get_close_matches(Path(name).name, sorted(known), n=1, cutoff=0.6)
        return f", did you mean `{Path(name).parent / close[0]}`?" if close else ""

    def _settled(self, setting: Setting) -> Setting:
        """A teacher's preset is sought beside the study, not where the command was called."""
        if setting.key != "teacher.preset" or not setting.value.startswith('"'):
            return setting
        beside = self._folder / setting.value.strip('"')
        return Setting(key=setting.key, value=f'"{beside.resolve()}"', origin=setting.origin)

    def _text(self, path: Path) -> str:
        if path not in self._texts:
            content = files.read(path.resolve(), toml.MAX_BYTES) or b""
            self._texts[path] = content.decode("utf-8-sig", "replace")
        return self._texts[path]


def _path(key: str) -> tuple[str | int, ...]:
    """As the spec takes a dotted key apart."""
    return tuple(int(part) if part.isdecimal() and len(part) < 5 else part for part in key.split("."))


def _relined(problem: str, settings: Sequence[Setting]) -> str:
    """A mistake in an override, told at the line of the study that asked for it."""
    _, placed, rest = problem.partition(f"{_BY_SET}: ")
    key = rest.partition(":")[0]
    origin = next((setting.origin for setting in settings if setting.key == key), None)
    return f"{origin}: {rest}" if placed and origin is not None and problem.startswith(_BY_SET) else problem
