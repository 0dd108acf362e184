"""Where the numbers of a document come from: run, config hash, seed, state, and what provenance.json says of them.

A folder without that file, or with a damaged one, is an origin with fewer facts.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crdnd_tui.compare.runs import ComparedRun
from crdnd_tui.core import fast_path, report
from crdnd_tui.core.text import one_line
from crdnd_tui.write.document import Origin
from engine.spec import files
from engine.spec.rundir import RunDir

_DIGITS = 12  # of a hash
_PACKAGES = ("crdnd-tui", "torch", "pyautoattack")


def origins(sides: Sequence[ComparedRun], folders: Mapping[str, Path]) -> tuple[Origin, ...]:
    """One for each run; `folders` tells where each lies."""
    return tuple(_origin(side, folders.get(side.id)) for side in sides)


def _origin(side: ComparedRun, folder: Path | None) -> Origin:
    told = provenance(folder) if folder is not None else {}
    seed = side.config.get("seed")
    return Origin(
        run=side.id,
        label=side.label,
        state=side.status,
        config_hash=one_line(_word(told, "config_hash") or side.state.config_hash, 64),
        seed=seed if isinstance(seed, int) else None,
        facts=_facts(told) + _weights(side),
    )


def provenance(folder: Path) -> Mapping[str, Any]:
    """What the engine wrote of code, data, device and packages; empty where it cannot be read."""
    return files.read_table(RunDir(folder).provenance)


def _facts(told: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    packages, device = _table(told, "packages"), _word(told, "device")
    threads, python = told.get("threads"), _word(told, "python")
    known = [
        ("versions", ", ".join(f"{name} {_word(packages, name)}" for name in _PACKAGES if _word(packages, name))),
        ("device", f"{device}{_on(threads)}" if device == "cpu" else device),
        ("computed", _computed(told)),
        ("python", python),
        ("commit", _commit(_table(told, "git"))),
        *((f"{split} data", f"sha256 {_word(_table(told, 'data_sha256'), split)[:_DIGITS]}")
          for split in ("train", "test") if _word(_table(told, "data_sha256"), split)),
        ("teacher", _teacher(_table(told, "teacher"))),
    ]  # fmt: skip
    return tuple((name, one_line(words, 120)) for name, words in known if words)


def _on(threads: object) -> str:
    return f", {threads} thread{'' if threads == 1 else 's'}" if isinstance(threads, int) else ""


def _computed(told: Mapping[str, Any]) -> str:
    """What of the fast path was on; empty where no engine has told."""
    switches = fast_path.recorded(told)
    return "" if switches is None else ", ".join(fast_path.words(switches))


def _commit(git: Mapping[str, Any]) -> str:
    commit = _word(git, "commit")[:_DIGITS]
    return f"{commit}, with changes" if commit and git.get("dirty") else commit


def _teacher(teacher: Mapping[str, Any]) -> str:
    source, digest = _word(teacher, "source"), _word(teacher, "sha256")[:_DIGITS]
    return f"{source}, sha256 {digest}" if source and digest else source


def _weights(side: ComparedRun) -> tuple[tuple[str, str], ...]:
    """Of the student, as each checkpoint's judgement recorded it."""
    records = ((name, side.records.get((name, report.CLEAN))) for name in side.state.table)
    return tuple(
        (f"{name} weights", f"sha256 {one_line(record.weights[:_DIGITS])}")
        for name, record in records
        if record is not None and record.weights
    )


def _table(told: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = told.get(key)
    return value if isinstance(value, dict) else {}


def _word(told: Mapping[str, Any], key: str) -> str:
    value = told.get(key)
    return value if isinstance(value, str) else ""
