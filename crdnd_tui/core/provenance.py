"""Where a run's numbers come from, read from its folder; and the one line that repeats the run."""

import hashlib
import os
import re
import shlex
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.text import Text

from crdnd_tui.core import fast_path
from crdnd_tui.core.fast_path import NETS
from crdnd_tui.core.format import count, size
from crdnd_tui.core.text import display, labelled_lines, one_line, word
from engine.spec import files
from engine.spec.machine import Machine, decode
from engine.spec.rundir import RunDir

MAX_FILES = 500  # whose hashes are shown
_DIGITS = 12  # of a hash in a document
_PACKAGES = ("crdnd-tui", "torch", "pyautoattack")  # in a document
_UNSAFE = str.maketrans("", "", "\n\r\t\x00")
_ELSEWHERE = frozenset({"device", "threads", "data", "runs", "checkpoint_seconds", "table_epochs"})
"""Settings that flags say, or that are of no weight."""
_FLAGS = frozenset({"devices", "nodes", "rendezvous"})
_OVERRIDDEN = frozenset({"folded", "paired", "table", "table_gib", "graphs"} | {f"{n}_precision" for n in NETS})
"""Settings that `exact` switches off."""


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What the folder tells; what is missing or damaged is left out, never guessed."""

    run: RunDir
    told: Mapping[str, Any] = field(default_factory=dict)  # provenance.json; empty before an engine has written it
    machine: Machine | None = None
    files: Mapping[str, tuple[str, int]] = field(default_factory=dict)  # path in the folder -> SHA-256, bytes

    @property
    def commit(self) -> str:
        """Of the code; empty when it did not lie in a repository."""
        found = word(self.told, "git", "commit")
        return found if found.isalnum() and len(found) <= 64 else ""

    @property
    def warnings(self) -> list[str]:
        """What the line that repeats the run cannot bring back."""
        said = []
        if _dict(self.told.get("git")).get("dirty") is True:
            said.append("The code had changes that no commit holds: the commit alone may give other numbers.")
        if self.told and not self.commit:
            said.append("The code's commit is not known; install the versions above.")
        return said

    def facts(self, *, whole: bool = False) -> dict[str, str]:
        """Label -> words, of what is known; `whole` for a page of its own: nothing is shortened or left out."""
        told, packages, switches = self.told, _dict(self.told.get("packages")), fast_path.recorded(self.told)
        digits = None if whole else _DIGITS

        def digest(*path: str) -> str:
            found = word(told, *path)[:digits]
            return f"sha256 {found}" if found else ""

        device, threads, commit = word(told, "device"), told.get("threads"), word(told, "git", "commit")[:digits]
        if isinstance(threads, int) and (whole or device == "cpu"):
            device += f", {threads} thread{'' if threads == 1 else 's'}"
            device += f" of {word(told, 'cores')} cores" if whole else ""
        images, splits = _dict(told.get("images")), _dict(told.get("data_sha256")) if whole else ("train", "test")
        known = {split: f", {count(n)} images" for split, n in images.items() if whole and isinstance(n, int)}
        python = ("python", "platform", "processor", "instructions") if whole else ("python",)
        found = {
            "versions": _listed({name: packages.get(name) for name in (packages if whole else _PACKAGES)}),
            "device": device,
            "computed": "" if switches is None else ", ".join(fast_path.words(switches)),
            "python": ", ".join(filter(None, (word(told, key) for key in python))),
            "commit": commit + (", with changes" if commit and _dict(told.get("git")).get("dirty") else ""),
            **{f"{display(split, 20)} data": digest("data_sha256", split) + known.get(split, "") for split in splits},
            "teacher": ", ".join(filter(None, (word(told, "teacher", "source"), digest("teacher", "sha256")))),
        }
        if whole:
            notes = told.get("notes")
            found |= {
                "settings": _listed(_chosen(self.machine)), "gpu": _listed(_dict(told.get("gpu"))),
                "slurm": _listed(_dict(told.get("slurm"))), "seed": word(told, "seed"),
                "config": word(told, "config_hash"), "group": word(told, "group_hash"),
                "judged": digest("subject_sha256"),
                "notes": "; ".join(map(str, notes if isinstance(notes, list) else ())),
            }  # fmt: skip
        return {label: one_line(words, 1000 if whole else 120) for label, words in found.items() if words}

    def to_json(self) -> dict[str, Any]:
        """What scripts read."""
        return {
            "facts": dict(self.told),
            "machine": self.machine.model_dump(mode="json") if self.machine else None,
            "files": {name: {"sha256": digest, "bytes": n} for name, (digest, n) in sorted(self.files.items())},
            "reproduce": self.reproduce(),
        }

    def reproduce(self, *, folders: bool = True) -> str:
        """One line for a shell: the same config on the same kind of device, with the code of then when it is known.

        Without `folders` it names none of this machine, nor where nodes meet.
        """
        machine, told = self.machine, self.told
        words = ["crdnd", "run", str(self.run.config)]
        device = told.get("device") or (machine.device if machine else "")
        if isinstance(device, str) and re.fullmatch(r"cpu|cuda(:[0-9]+)?", device):
            words += ["--device", device]
        threads = told.get("threads")
        if isinstance(threads, int) and not isinstance(threads, bool) and threads > 0:
            words += ["--threads", str(threads)]
        for name, value in self._settings().items():
            there = value if folders or name != "rendezvous" else "HOST:PORT"
            flag = [f"--{name}", there] if name in _FLAGS else ["--machine", f"{name}={there}"]
            words += ["--exact"] if name == "exact" else flag
        if machine is not None and folders:
            words += ["--data", machine.data, "--runs", machine.runs]
        before = f"git checkout {self.commit} && " if self.commit else ""
        return before + shlex.join(one.translate(_UNSAFE) for one in words)

    def _settings(self) -> dict[str, str]:
        """Of the machine, what must be set to compute the same again: what was set, and what `auto` came to.

        Where `auto` decides, another machine may decide otherwise: precisions are written out, for they change numbers,
        and whether there was a teacher's table, which changes their rounding.
        """
        chosen, decided = _chosen(self.machine), fast_path.recorded(self.told)
        if decided is not None and "subject_sha256" not in self.told:
            nets = [net for net in NETS if net != "teacher" or "teacher" in self.told]
            precise = {f"{net}_precision": decided.get(net, "") for net in nets}
            chosen = {name: value for name, value in precise.items() if value in ("float32", "bfloat16")} | chosen
            if self.told.get("teacher") and decided.get("table") in ("off", "complete"):
                chosen["table"] = decided["table"]
            chosen |= {} if decided else {"exact": "true"}
        return {name: value for name, value in chosen.items() if "exact" not in chosen or name not in _OVERRIDDEN}


def read(run: RunDir) -> Provenance:
    """All that the folder tells, and the hashes of its files."""
    hashed = ((str(path.relative_to(run.path)), _hash(path)) for path in _kept(run))
    told, machine = files.read_table(run.provenance), machine_of(run)
    return Provenance(run=run, told=told, machine=machine, files={name: found for name, found in hashed if found})


def fact_lines(found: Provenance, width: int = 0) -> list[Text]:
    """Facts, earlier engines, and hashes of files, in lines of at most `width` cells; 0: as long as they are."""
    earlier = found.told.get("earlier")
    before = [_earlier(engine, found.told) for engine in (earlier if isinstance(earlier, list) else [])]
    rows = [*found.facts(whole=True).items(), *(("" if k else "resumed", words) for k, words in enumerate(before))]
    if not found.told:
        rows = [("", "no engine has written where its numbers come from: there is no whole provenance.json")]
    return [*labelled_lines(rows, width), Text(), Text("files", "bold"), *_hash_lines(found, width)]


def _hash_lines(found: Provenance, width: int) -> list[Text]:
    """Name, SHA-256 and size of each file; the hash stands below the name where the line is too short for both."""
    rows = [(one_line(name, 60), digest, size(length)) for name, (digest, length) in sorted(found.files.items())]
    if not width or max((len(name) for name, _, _ in rows), default=0) + 64 + 14 <= width:
        return labelled_lines([(name, f"{digest}  {much}") for name, digest, much in rows])
    made = []
    for name, digest, much in rows:
        made += [Text.assemble(f"  {name}  ", (much, "dim"))]
        made += [Text(f"    {part}", "dim") for part in textwrap.wrap(digest, max(16, width - 4))]
    return made


def _chosen(machine: Machine | None) -> dict[str, str]:
    """What is set otherwise than usual."""
    usual, asked = Machine().model_dump(mode="json"), machine.model_dump(mode="json") if machine else {}
    other = {name: value for name, value in asked.items() if name not in _ELSEWHERE and value != usual[name]}
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in other.items()}


def _listed(table: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in table.items() if value is not None)


def _earlier(before: object, now: Mapping[str, Any]) -> str:
    """What an earlier engine of this run had otherwise."""
    then, apart = _dict(before), list[str]()
    for key in sorted(then):
        old, new = then[key], now.get(key)
        if old == new or key in ("command", "slurm"):
            continue
        if key == "switches":
            apart.append(f"computed {', '.join(fast_path.words(fast_path.recorded(then) or {}))}")
        elif isinstance(old, dict) and isinstance(new, dict):
            apart += [f"{name} {value}" for name, value in old.items() if new.get(name) != value]
        else:
            apart.append(f"{key} {old}")
    return one_line(f"an earlier engine had {', '.join(apart) or 'the same'}", 1000)


def _kept(run: RunDir) -> Iterator[Path]:
    """Files that do not change any more once the run is done; no checkpoints, whose names hold their hashes."""
    yield from (run.config, run.preset, run.provenance, run.events)
    left = MAX_FILES
    for folder in (run.weights, run.evaluation / "best", run.evaluation / "last"):
        if files.is_folder(folder):
            with os.scandir(folder) as entries:
                names = sorted(
                    e.name for e in entries if e.is_file(follow_symlinks=False) and not e.name.startswith(".")
                )
            yield from (folder / name for name in names[:left])
            left -= len(names[:left])


def _hash(path: Path) -> tuple[str, int] | None:
    """SHA-256 and bytes of a regular file; None for all else."""
    descriptor = files.open_regular(path)
    if descriptor is None:
        return None
    try:
        with os.fdopen(descriptor, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest(), file.tell()
    except OSError:
        return None


def machine_of(run: RunDir) -> Machine | None:
    """Where the run is computed, where its folder lies now; None when that is missing or damaged."""
    written = machine_as_written(run)
    return written.beside(run.path) if written is not None else None


def machine_as_written(run: RunDir) -> Machine | None:
    """The same as its folder says, which may have been moved since."""
    return files.decoded(run.machine, decode)


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
