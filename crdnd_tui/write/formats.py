"""The formats of `crdnd export`, its command line and the files that it writes to; nothing here is written."""

import hashlib
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from engine.spec.errors import ConfigError

Kind = Literal["text", "figure", "replay", "student"]
FOLDER = "exports"  # beside the runs folder


class Format(NamedTuple):
    """One way to write things down."""

    name: str  # of --to
    suffix: str  # of the file; empty where it is a folder
    kind: Kind
    says: str
    extra: str = ""  # what pip must bring
    apart: bool = False  # each table, or figure, is a file of its own


FORMATS = (
    Format("markdown", ".md", "text", "tables and facts, for a README or an issue"),
    Format("latex", ".tex", "text", "tables for a paper, with booktabs, and its figures"),
    Format("csv", ".csv", "text", "each table as a file, for a spreadsheet", apart=True),
    Format("json", ".json", "text", "all numbers, for a script"),
    Format("html", ".html", "text", "the whole report in one file, for a browser"),
    Format("svg", ".svg", "figure", "each figure as a file", apart=True),
    Format("png", ".png", "figure", "each figure as a file", apart=True),
    Format("pdf", ".pdf", "figure", "each figure as a file, for a paper", apart=True),
    Format("tensorboard", "", "replay", "the run replayed into event files", extra="tensorboard"),
    Format("mlflow", "", "replay", "the run replayed into a tracking store", extra="mlflow"),
    Format("safetensors", ".safetensors", "student", "the student's weights, with a model card"),
    Format("onnx", ".onnx", "student", "the student, checked with onnxruntime", extra="onnx"),
    Format("robustbench", ".pt", "student", "the student as RobustBench loads it"),
)
NAMES = tuple(one.name for one in FORMATS)


def known(name: str) -> Format:
    """The format of this name; ConfigError with the names that there are."""
    for one in FORMATS:
        if one.name == name:
            return one
    raise ConfigError([f"--to: no format `{name}`; it may be {', '.join(NAMES)}"])


def file_name(runs: tuple[str, ...], form: Format) -> str:
    """What the export of these runs is called: one by its id, several by the first, how many more, and which."""
    if form.kind == "replay":
        return form.name
    if len(runs) == 1:
        return runs[0] + form.suffix
    which = hashlib.sha256(" ".join(runs).encode()).hexdigest()[:4]
    return f"{runs[0]}-and-{len(runs) - 1}-more-{which}{form.suffix}"


@dataclass(frozen=True, kw_only=True)
class ExportCommand:
    """`crdnd export RUNS --to FORMAT -o TARGET`."""

    runs: tuple[str, ...]  # ids, or one study
    to: str
    target: str
    folder: Path  # of the runs
    force: bool = False
    checkpoint: str = ""  # best or last; a replay has both
    baseline: str = ""  # a run to compare with, if it is not the first
    grouped: bool | None = None  # seeds as one row, or each on its own; None: as `crdnd export` decides

    @property
    def arguments(self) -> list[str]:
        """What follows `crdnd`."""
        forced = ["--force"] if self.force else []
        folder = [] if self.folder == Path("runs").absolute() else ["--runs", relative(self.folder)]
        return ["export", *self.runs, "--to", self.to, "-o", self.target, *self._how, *forced, *folder]

    @property
    def _how(self) -> list[str]:
        """What this format can be told of the numbers."""
        kind = known(self.to).kind
        words = ["--checkpoint", self.checkpoint] if self.checkpoint and kind != "replay" else []
        if kind in ("text", "figure"):
            words += ["--baseline", self.baseline] if self.baseline else []
            words += {None: [], True: ["--seeds"], False: ["--each"]}[self.grouped]
        return words

    @property
    def line(self) -> str:
        """As it is typed in a shell."""
        return shlex.join(["crdnd", *self.arguments])


def default_path(runs: Sequence[str], form: Format, folder: Path) -> str:
    """Where an export goes unless somebody says otherwise: `exports`, beside the folder of the runs."""
    many = form.kind == "student" and len(runs) > 1
    where = folder.absolute().parent / FOLDER
    names = tuple(Path(run).stem for run in runs)  # a study may be named by its file
    return relative(where) + "/" if many else relative(where / file_name(names, form))


def relative(path: Path) -> str:
    """Seen from here when it lies below; with a slash nowhere else than in between."""
    here = Path.cwd()
    whole = Path(os.path.abspath(path))  # noqa: PTH100  resolve() would follow links that the user named
    return str(whole.relative_to(here)) if whole.is_relative_to(here) else str(whole)
