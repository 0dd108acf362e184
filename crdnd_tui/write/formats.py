"""What can be exported, and as what. Pure values: the command, the dialog and completion are made from them."""

import hashlib
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
