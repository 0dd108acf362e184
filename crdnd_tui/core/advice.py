"""Commands as they are printed: they work where they are pasted."""

import os
import shlex
from pathlib import Path

from crdnd_tui.core.text import display
from engine.spec.rundir import RunDir


def command(words: str, runs: Path) -> str:
    """`crdnd WORDS`, with --runs where the command would look into another folder by itself."""
    return f"`crdnd {words}{_elsewhere(runs)}`"


def on(verb: str, run: RunDir) -> str:
    """`crdnd VERB RUN`."""
    return f"`crdnd {verb} {named(run)}`"


def named(run: RunDir) -> str:
    """A run as an argument of a command: its id, with --runs where that is needed."""
    return display(run.id) + _elsewhere(run.path.parent)


def _elsewhere(runs: Path) -> str:
    usual = os.path.realpath(os.path.expanduser(os.environ.get("CRDND_RUNS") or "runs"))  # noqa: PTH111  Path raises
    return "" if usual == os.path.realpath(runs) else f" --runs {shlex.quote(display(str(runs.absolute())))}"
