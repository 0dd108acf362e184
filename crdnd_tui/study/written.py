"""A study file as it is written, before its grid is expanded. What is wrong is told as for a preset."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from engine.spec import files, toml, toml_text
from engine.spec.base import Many, Spec
from engine.spec.errors import ConfigError
from engine.spec.explain import explain, in_file_order
from engine.spec.toml_text import decoded

Name = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[A-Za-z0-9_.+-]*$")]


class Report(Spec):
    """How the table is laid out; None where the study leaves it to us."""

    rows: Many[str] | None = None
    tables: Many[str] = ()
    attacks: Many[str] = ()
    checkpoint: Literal["best", "last"] = "best"
    baseline: dict[str, Any] = Field(default_factory=dict)
    remark: Annotated[str, Field(max_length=400)] = ""


class Printed(Spec):
    """Numbers in print."""

    source: Annotated[str, Field(min_length=1, max_length=80)]
    where: dict[str, Any]
    values: dict[str, float | int]
    note: Annotated[str, Field(max_length=300)] = ""


class Written(Spec):
    """The whole file. Labels and settings are looked at one by one, for they may be of several kinds."""

    name: Name
    title: Annotated[str, Field(max_length=120)] = ""
    preset: Annotated[str, Field(max_length=300)] = ""
    set: dict[str, Any] = Field(default_factory=dict)
    grid: Annotated[dict[str, Any], Field(min_length=1)]
    leave_out: Many[dict[str, Any]] = ()
    report: Report = Report()
    published: Many[Printed] = ()


class Source:
    """The file of a study: its text, and where each key stands."""

    def __init__(self, path: Path, text: str) -> None:
        self.path, self.text = path, text
        self.lines = toml_text.lines_of(text)

    def at(self, *key: str | int) -> str:
        """`file:line` of this key, or of the nearest table around it."""
        for end in range(len(key), 0, -1):
            if key[:end] in self.lines:
                return f"{self.path}:{self.lines[key[:end]]}"
        return str(self.path)


def open_file(path: Path) -> tuple[Written, Source]:
    """What the file says; ConfigError with every mistake that can be seen without its grid."""
    content = files.read(path.resolve(), toml.MAX_BYTES)
    if content is None:
        raise ConfigError([f"{path}: no study: it should be a file that can be read, of {toml.MAX_BYTES >> 10} KiB"])
    try:
        text = decoded(content)
    except ValueError as error:
        raise ConfigError([f"{path}: not valid TOML: {error}"]) from None
    table = toml.parse(path, text)
    source = Source(path, text)
    try:
        return Written.model_validate(table), source
    except ValidationError as error:
        origins = {key: f"{path}:{line}" for key, line in source.lines.items()} | {(): str(path)}
        raise ConfigError(in_file_order(explain(error, Written, origins))) from None
