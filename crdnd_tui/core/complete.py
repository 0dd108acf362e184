"""What the shell offers at a Tab: ids of runs, names of presets. Of runs it reads no more than when they were begun."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import typer

from crdnd_tui.core import presets
from engine.spec.rundir import RUN_ID, newest_first


def runs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Ids of runs in the runs folder, newest first."""
    folder = ctx.params.get("runs") or os.environ.get("CRDND_RUNS") or "runs"
    try:
        with os.scandir(Path(folder).expanduser()) as entries:
            names = [e.name for e in entries if RUN_ID.fullmatch(e.name) and e.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return newest_first(Path(folder).expanduser(), [name for name in names if name.startswith(incomplete)])


def preset(incomplete: str) -> list[str]:
    """Names of shipped presets, and TOML files where the word points to."""
    return [*among(presets.shipped())(incomplete), *_files(incomplete)]


def study(incomplete: str) -> list[str]:
    """Names of shipped studies, and TOML files where the word points to."""
    return [*among(presets.shipped_studies())(incomplete), *_files(incomplete)]


def _files(incomplete: str) -> Iterator[str]:
    folder, _, _ = incomplete.rpartition("/")
    start = f"{folder}/" if folder or incomplete.startswith("/") else ""
    try:
        with os.scandir(start or ".") as entries:
            for entry in sorted(entries, key=lambda e: e.name):
                word = start + entry.name
                if word.startswith(incomplete) and word.isprintable() and not entry.name.startswith("."):
                    if entry.is_dir():
                        yield word + "/"
                    elif word.endswith(".toml"):
                        yield word
    except OSError:
        return


def among(names: Iterable[str]) -> Callable[[str], list[str]]:
    """A completion that offers those of these names which begin with the word."""

    def offered(incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    return offered


# Tests hold these lists to the registry, the states and the formats, which are too slow to import at a Tab.
ATTACKS = ("fgsm", "pgd", "pgd_sat", "pgd_trades", "cw_inf", "pgd_rescaled", "cw_2", "autoattack")
STATES = ("queued", "starting", "running", "stopping", "done", "stopped", "failed", "killed", "preempted", "stalled",
          "lost", "damaged")  # fmt: skip

DOCUMENTS = ("markdown", "latex", "csv", "json", "html", "svg", "png", "pdf")
FORMATS = (*DOCUMENTS, "tensorboard", "mlflow", "safetensors", "onnx", "robustbench")

attacks, states, documents, formats = map(among, (ATTACKS, STATES, DOCUMENTS, FORMATS))
