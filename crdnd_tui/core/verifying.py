"""Verifying a run: what is judged again, how the engine that does it is started, and what its lines say.

Nothing is written into the run: the engine judges in a temporary folder of its own.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from crdnd_tui.core import engine_process, provenance
from crdnd_tui.core.text import one_line
from engine.spec import files
from engine.spec.rundir import RunDir

SIGNS = {"holds": "\u2713", "fails": "\u2717", "unknown": "?"}
WORDS = {"holds": "holds", "fails": "does not hold", "unknown": "cannot be said"}
PATIENCE = 10.0  # seconds in which an engine that was asked to stop leaves
MAX_LINE = 1 << 16  # characters of a line of the engine


class VerifyCheck(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="checked"):
    """One thing that holds, fails, or of which nothing can be said (`verdict`: holds, fails, unknown)."""

    what: str = ""
    verdict: str = ""
    words: str = ""


class VerifyProgress(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="progress"):
    """Images of the judgement under way."""

    checkpoint: str = ""
    attack: str = ""
    part: str = ""  # of AutoAttack; empty otherwise
    done: int
    total: int


class VerifyVerdict(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="verdict"):
    """The whole in one sentence."""

    verdict: str = ""
    words: str = ""


class VerifyRefusal(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="failed"):
    """Why nothing can be checked."""

    message: str = ""


VerifyEvent = VerifyCheck | VerifyProgress | VerifyVerdict | VerifyRefusal


@dataclass(frozen=True, kw_only=True)
class VerifyReport:
    """All that an engine has said so far."""

    checks: tuple[VerifyCheck, ...] = ()
    progress: VerifyProgress | None = None  # None between two judgements
    verdict: VerifyVerdict | None = None
    refusal: str = ""

    def after(self, word: VerifyEvent) -> "VerifyReport":
        """With one word more."""
        match word:
            case VerifyCheck():
                return replace(self, checks=(*self.checks, word), progress=None)
            case VerifyProgress():
                return replace(self, progress=word)
            case VerifyVerdict():
                return replace(self, verdict=word, progress=None)
            case VerifyRefusal():
                return replace(self, refusal=word.message, progress=None)

    def trouble(self, code: int, complaints: bytes) -> str:
        """Why there is no verdict: what the engine refused, or its last words on stderr."""
        last = complaints[-4000:].decode("utf-8", "replace").strip().splitlines()
        words = one_line(last[-1], 400) if last else "it said nothing"
        return self.refusal or f"the engine left with {code}: {words}"


@dataclass(frozen=True, kw_only=True)
class VerifyCost:
    """What is judged again, and how many seconds the same judgements took in the run."""

    attacks: tuple[str, ...] = ()  # their keys in the run's table, clean among them
    checkpoints: tuple[str, ...] = ()
    seconds: float = 0.0


def decode_line(raw: bytes) -> VerifyEvent | None:
    """A line of the engine; None for any other one: libraries print, too."""
    try:
        line = files.json_table(raw)
        shown = {key: one_line(value, 600) if isinstance(value, str) else value for key, value in line.items()}
        word: VerifyEvent = msgspec.convert(shown, VerifyEvent)
        return word
    except (files.MalformedError, msgspec.ValidationError):
        return None


def verify_command(run: RunDir, flags: Sequence[str]) -> list[str]:
    """How the engine is started; -P, so that no `engine` of the working folder is mistaken for ours."""
    return [sys.executable, "-P", "-m", "engine.verify", str(run.path), *flags]


def environment() -> dict[str, str]:
    """Of that engine: it finds our package, and threads that wait leave the cores to others."""
    return {"OMP_WAIT_POLICY": "PASSIVE", **engine_process.environment()}


def flags(run: RunDir, data: Path, *, quick: bool) -> list[str]:
    """What the engine is told beside the run; `data` only where the run's own folder of data sets is not here."""
    told = provenance.machine_of(run)
    elsewhere = told is not None and not told.has_data and data.is_dir()
    return ["--quick"] * quick + (["--data", str(data)] if elsewhere else [])


def extents(run: RunDir) -> tuple[VerifyCost, VerifyCost]:
    """Of a quick verification and of a full one; CrdndError when the config cannot be read."""
    from crdnd_tui.core import run_reader  # noqa: PLC0415  whoever only verifies does without the registry of attacks
    from engine.spec import toml  # noqa: PLC0415  as above

    judged, table = toml.read(run.config).evaluation, run_reader.load(run).table
    known = tuple(name for name in judged.checkpoints if table.get(name))

    def extent(keys: Sequence[str]) -> VerifyCost:
        cells = [table[name][key] for name in known for key in keys if key in table[name]]
        here = {cell.attack for cell in cells}
        return VerifyCost(
            attacks=tuple(key for key in keys if key in here),
            checkpoints=known,
            seconds=sum(cell.seconds for cell in cells),
        )

    quick, full = (["clean", *(attack.key for attack in some)] for some in (judged.quick, judged.attacks))
    return extent(quick), extent(full)
