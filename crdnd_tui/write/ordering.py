"""The command line of an export, as the dialog shows and calls it. Pure but for asking where we are."""

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crdnd_tui.write import formats
from crdnd_tui.write.formats import Format


@dataclass(frozen=True, kw_only=True)
class Order:
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
    def words(self) -> list[str]:
        """What follows `crdnd`."""
        forced = ["--force"] if self.force else []
        folder = [] if self.folder == Path("runs").absolute() else ["--runs", relative(self.folder)]
        return ["export", *self.runs, "--to", self.to, "-o", self.target, *self._how, *forced, *folder]

    @property
    def _how(self) -> list[str]:
        """What this format can be told of the numbers."""
        kind = formats.known(self.to).kind
        words = ["--checkpoint", self.checkpoint] if self.checkpoint and kind != "replay" else []
        if kind in ("text", "figure"):
            words += ["--baseline", self.baseline] if self.baseline else []
            words += {None: [], True: ["--seeds"], False: ["--each"]}[self.grouped]
        return words

    @property
    def line(self) -> str:
        """As it is typed in a shell."""
        return shlex.join(["crdnd", *self.words])


def target(runs: Sequence[str], form: Format, folder: Path) -> str:
    """Where an export goes unless somebody says otherwise: `exports`, beside the folder of the runs."""
    many = form.kind == "student" and len(runs) > 1
    where = folder.absolute().parent / formats.FOLDER
    names = tuple(Path(run).stem for run in runs)  # a study may be named by its file
    return relative(where) + "/" if many else relative(where / formats.file_name(names, form))


def relative(path: Path) -> str:
    """Seen from here when it lies below; with a slash nowhere else than in between."""
    here = Path.cwd()
    whole = Path(os.path.abspath(path))  # noqa: PTH100  resolve() would follow links that the user named
    return str(whole.relative_to(here)) if whole.is_relative_to(here) else str(whole)
