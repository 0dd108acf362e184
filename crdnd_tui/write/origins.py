"""Where the numbers of a document come from: run, config hash, seed, state, and what provenance.json says of them.

A folder without that file, or with a damaged one, is an origin with fewer facts.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crdnd_tui.compare.runs import ComparedRun, word
from crdnd_tui.core import fast_path, provenance_lines
from crdnd_tui.core.attack_names import CLEAN
from crdnd_tui.core.provenance_lines import Provenance
from crdnd_tui.core.text import one_line
from crdnd_tui.write.document import Origin
from engine.spec import files
from engine.spec.rundir import RunDir

_DIGITS = 12  # of a hash
_PACKAGES = ("crdnd-tui", "torch", "pyautoattack")
_Facts = tuple[tuple[str, str], ...]


def run_origins(
    runs: Sequence[ComparedRun], folders: Mapping[str, Path], *, reproduce: bool = False
) -> tuple[Origin, ...]:  # fmt: skip
    """One for each run; `folders` tells where each lies. With the line that repeats it, if that is asked for."""
    return tuple(_origin(run, folders.get(run.id), reproduce=reproduce) for run in runs)


def _origin(run: ComparedRun, folder: Path | None, *, reproduce: bool) -> Origin:
    told = provenance(folder) if folder is not None else {}
    seed, facts = run.config.get("seed"), _facts(told) + _weights(run)
    if reproduce and folder is not None and told:
        facts += (("reproduce", _reproduce(RunDir(folder), told)),)
    return Origin(
        run=run.id, label=run.label, state=run.status, seed=seed if isinstance(seed, int) else None, facts=facts,
        config_hash=one_line(word(told, "config_hash") or run.state.config_hash, 64),
    )  # fmt: skip


def provenance(folder: Path) -> Mapping[str, Any]:
    """What the engine wrote of code, data, device and packages; empty where it cannot be read."""
    return files.read_table(RunDir(folder).provenance)


def _facts(told: Mapping[str, Any]) -> _Facts:
    device, threads, switches = word(told, "device"), told.get("threads"), fast_path.recorded(told)
    if device == "cpu" and isinstance(threads, int):
        device += f", {threads} thread{'' if threads == 1 else 's'}"
    commit = word(told, "git", "commit")[:_DIGITS]
    is_dirty = isinstance(told.get("git"), dict) and told["git"].get("dirty")
    teacher, digest = word(told, "teacher", "source"), word(told, "teacher", "sha256")[:_DIGITS]
    hashes = {split: word(told, "data_sha256", split)[:_DIGITS] for split in ("train", "test")}
    packages = {name: word(told, "packages", name) for name in _PACKAGES}
    known = {
        "versions": ", ".join(f"{name} {version}" for name, version in packages.items() if version),
        "device": device,
        "computed": "" if switches is None else ", ".join(fast_path.words(switches)),
        "python": word(told, "python"),
        "commit": f"{commit}, with changes" if commit and is_dirty else commit,
        **{f"{split} data": f"sha256 {found}" if found else "" for split, found in hashes.items()},
        "teacher": f"{teacher}, sha256 {digest}" if teacher and digest else teacher,
    }
    return tuple((name, one_line(words, 120)) for name, words in known.items() if words)


def _reproduce(run: RunDir, told: Mapping[str, Any]) -> str:
    """The line names no folder of this machine."""
    known = Provenance(run=RunDir(Path(run.id)), facts=told, machine=provenance_lines.machine_of(run))
    return one_line(provenance_lines.reproduce(known, folders=False), 400)


def _weights(run: ComparedRun) -> _Facts:
    """Of the student, as each checkpoint's judgement recorded it."""
    records = {name: run.records.get((name, CLEAN)) for name in run.state.table}
    return tuple(
        (f"{name} weights", f"sha256 {one_line(record.weights[:_DIGITS])}")
        for name, record in records.items()
        if record is not None and record.weights
    )
