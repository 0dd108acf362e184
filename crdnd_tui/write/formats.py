"""The formats of `crdnd export`, its command line and the files that it writes to; nothing here is written."""

import hashlib
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from crdnd_tui.core.text import display
from engine.spec.errors import ConfigError

Kind = Literal["text", "figure", "replay", "student"]
FOLDER = "exports"  # beside the runs folder
STDOUT = "-"
CHECKPOINTS = ("best", "last")


class ExportFormat(NamedTuple):
    name: str  # of --to
    suffix: str  # of the file; empty where it is a folder
    kind: Kind
    says: str
    extra: str = ""  # what pip must bring
    apart: bool = False  # each table, or figure, is a file of its own

    @property
    def is_document(self) -> bool:
        return self.kind in ("text", "figure")


FORMATS = (
    ExportFormat("markdown", ".md", "text", "tables and facts, for a README or an issue"),
    ExportFormat("latex", ".tex", "text", "tables for a paper, with booktabs, and its figures"),
    ExportFormat("csv", ".csv", "text", "each table as a file, for a spreadsheet", apart=True),
    ExportFormat("json", ".json", "text", "all numbers, for a script"),
    ExportFormat("html", ".html", "text", "the whole report in one file, for a browser"),
    ExportFormat("svg", ".svg", "figure", "each figure as a file", apart=True),
    ExportFormat("png", ".png", "figure", "each figure as a file", apart=True),
    ExportFormat("pdf", ".pdf", "figure", "each figure as a file, for a paper", apart=True),
    ExportFormat("tensorboard", "", "replay", "the run replayed into event files", extra="tensorboard"),
    ExportFormat("mlflow", "", "replay", "the run replayed into a tracking store", extra="mlflow"),
    ExportFormat("safetensors", ".safetensors", "student", "the student's weights, with a model card"),
    ExportFormat("onnx", ".onnx", "student", "the student, checked with onnxruntime", extra="onnx"),
    ExportFormat("robustbench", ".pt", "student", "the student as RobustBench loads it"),
)
NAMES = tuple(one.name for one in FORMATS)


def known(name: str) -> ExportFormat:
    """The format of this name; ConfigError with the names that there are."""
    for one in FORMATS:
        if one.name == name:
            return one
    raise ConfigError([f"--to: no format `{name}`; it may be {', '.join(NAMES)}"])


def file_name(runs: tuple[str, ...], form: ExportFormat) -> str:
    """What the export of these runs is called: one by its id, several by the first, how many more, and which."""
    if form.kind == "replay":
        return form.name
    if len(runs) == 1:
        return runs[0] + form.suffix
    which = hashlib.sha256(" ".join(runs).encode()).hexdigest()[:4]
    return f"{runs[0]}-and-{len(runs) - 1}-more-{which}{form.suffix}"


@dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """`crdnd export RUNS --to FORMAT -o OUT`, and what else its flags say."""

    runs: tuple[str, ...]  # ids, or one study
    to: str
    out: str = ""  # a file, a folder, an MLflow tracking URI, or - for stdout; `exports` beside the runs when empty
    folder: Path = Path("runs")
    force: bool = False
    checkpoint: str = ""  # best or last; a replay has both
    baseline: str = ""  # a run to compare with, if it is not the first
    grouped: bool | None = None  # seeds as one row, or each on its own; None: as `crdnd compare` decides
    tables: tuple[str, ...] = ()  # keys; all when empty
    figures: tuple[str, ...] = ()
    experiment: str = ""  # of MLflow
    data: Path = Path("data")

    def checked(self) -> ExportFormat:
        """The format; ConfigError for an unknown one, and for options that it does not have."""
        form, mistakes = known(self.to), []
        if not form.is_document:
            if self.tables or self.figures:
                mistakes.append(f"--only and --figure pick parts of a document; {form.name} has none")
            if self.baseline:
                mistakes.append(f"--baseline is of comparisons; {form.name} compares nothing")
            if self.grouped is not None:
                mistakes.append(f"--seeds and --each are of comparisons; {form.name} compares nothing")
            if self.out == STDOUT:
                mistakes.append(f"-o -: {form.name} is no text; name a file")
        if form.kind == "replay" and self.checkpoint:
            mistakes.append(f"--checkpoint: {form.name} has the results of every checkpoint")
        elif self.checkpoint not in ("", *CHECKPOINTS):
            mistakes.append(f"--checkpoint: no checkpoint `{self.checkpoint}`; it may be {' or '.join(CHECKPOINTS)}")
        if self.experiment and form.name != "mlflow":
            mistakes.append(f"--experiment is MLflow's; {form.name} has none")
        if mistakes:
            raise ConfigError(mistakes)
        return form

    @property
    def arguments(self) -> list[str]:
        """What follows `crdnd`, without what this format cannot be told."""
        form, words = known(self.to), ["export", *self.runs, "--to", self.to, "-o", self.out]
        words += ["--checkpoint", self.checkpoint] if self.checkpoint and form.kind != "replay" else []
        if form.is_document:
            words += ["--baseline", self.baseline] if self.baseline else []
            words += {None: [], True: ["--seeds"], False: ["--each"]}[self.grouped]
        words += ["--force"] if self.force else []
        return words + ([] if self.folder == Path("runs").absolute() else ["--runs", relative(self.folder)])

    @property
    def line(self) -> str:
        """As it is typed in a shell."""
        return shlex.join(["crdnd", *self.arguments])


def target(names: Sequence[str], form: ExportFormat, out: str, folder: Path, *, many: bool = False) -> Path:
    """The file: as it was named, with the format's suffix when it has none, or in the folder that was named.

    `exports` beside the folder of the runs when nothing was named; ConfigError for one file of `many` exports.
    """
    path = Path(out).expanduser()
    if not out:
        path = folder.absolute().parent / FOLDER
    elif many and not (out.endswith(os.sep) or path.is_dir()):
        raise ConfigError([f"-o {display(out, 200)}: for several runs name a folder, with a / at its end"])
    elif not (out.endswith(os.sep) or path.is_dir()):
        return path if path.suffix else path.with_name(path.name + form.suffix)
    return path / file_name(tuple(names), form)


def default_path(runs: Sequence[str], form: ExportFormat, folder: Path) -> str:
    """Where an export goes unless somebody says otherwise; a folder for several students."""
    path = target([Path(run).stem for run in runs], form, "", folder)  # a study may be named by its file
    return relative(path.parent) + "/" if form.kind == "student" and len(runs) > 1 else relative(path)


def relative(path: Path) -> str:
    """Seen from here when it lies below; with a slash nowhere else than in between."""
    here = Path.cwd()
    whole = Path(os.path.abspath(path))  # noqa: PTH100  resolve() would follow links that the user named
    return str(whole.relative_to(here)) if whole.is_relative_to(here) else str(whole)
