"""Where a run's numbers come from, read from its folder and put in words; and the one line that repeats the run."""

import hashlib
import os
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
from crdnd_tui.core.text import display, one_line
from engine.spec import files
from engine.spec.machine import Machine, decode
from engine.spec.rundir import RunDir

LABEL = 10  # cells of a line's label
MAX_FILES = 500  # whose hashes are shown
_UNSAFE = frozenset("\n\r\t\x00")
_ELSEWHERE = frozenset({"device", "threads", "data", "runs", "checkpoint_seconds", "table_epochs"})
"""Settings that flags say, or that are of no weight."""
_FLAGS = frozenset({"devices", "nodes", "rendezvous"})
_OVERRIDDEN = frozenset({"folded", "paired", "table", "table_gib", "graphs"} | {f"{n}_precision" for n in NETS})
"""Settings that `exact` switches off."""


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What the folder tells; `facts` is empty when no engine has written them yet."""

    run: RunDir
    facts: Mapping[str, Any] = field(default_factory=dict)
    machine: Machine | None = None
    hashes: Mapping[str, str] = field(default_factory=dict)  # path in the folder -> SHA-256
    sizes: Mapping[str, int] = field(default_factory=dict)  # bytes

    @property
    def commit(self) -> str:
        """Of the code; empty when it did not lie in a repository."""
        found = _dict(self.facts.get("git")).get("commit")
        return found if isinstance(found, str) and found.isalnum() and len(found) <= 64 else ""

    @property
    def dirty(self) -> bool:
        """Whether files differed from that commit."""
        return _dict(self.facts.get("git")).get("dirty") is True

    def to_json(self) -> dict[str, Any]:
        """What scripts read."""
        return {
            "facts": dict(self.facts),
            "machine": self.machine.model_dump(mode="json") if self.machine else None,
            "files": {
                name: {"sha256": digest, "bytes": self.sizes[name]} for name, digest in sorted(self.hashes.items())
            },
            "reproduce": reproduce(self),
        }


def read(run: RunDir) -> Provenance:
    """All that the folder tells; what is missing or damaged is left out, never guessed."""
    hashes, sizes = {}, {}
    for path in _kept(run):
        found = _hash(path)
        if found is not None:
            hashes[str(path.relative_to(run.path))], sizes[str(path.relative_to(run.path))] = found
    return Provenance(
        run=run, facts=files.read_table(run.provenance), machine=machine_of(run), hashes=hashes, sizes=sizes
    )


def lines(found: Provenance) -> list[Text]:
    """The page: code, libraries, machine, data, teacher, earlier engines, hashes of files, and the line to repeat."""
    line = Text(f"  {display(reproduce(found))}")
    return [*origins(found), Text(), Text("reproduce", "bold"), line, *(Text(f"  {n}", "yellow") for n in notes(found))]


def origins(found: Provenance, width: int = 0) -> list[Text]:
    """The same but the line to repeat, in lines of at most `width` cells; 0: as long as they are."""
    facts = found.facts
    page = [Text("provenance", "bold")]
    if not facts:
        page += _line("", "no engine has written where its numbers come from: there is no whole provenance.json", width)
    else:
        for label, words in _facts(found):
            page += _line(label, words, width)
        earlier = facts.get("earlier")
        for place, before in enumerate(earlier if isinstance(earlier, list) else [], start=1):
            page += _line("resumed" if place == 1 else "", _earlier(before, facts), width)
    return [*page, Text(), Text("files", "bold"), *_digests(found, width)]


def reproduce(found: Provenance, *, folders: bool = True) -> str:
    """One line for a shell: the same config on the same kind of device, with the code of then when it is known.

    Without `folders` it names none of this machine, nor where nodes meet.
    """
    machine, facts = found.machine, found.facts
    words = ["crdnd", "run", str(found.run.config)]
    device = facts.get("device") or (machine.device if machine else "")
    if device in ("cpu", "cuda") or (isinstance(device, str) and device.startswith("cuda:") and device[5:].isdecimal()):
        words += ["--device", device]
    threads = facts.get("threads")
    if isinstance(threads, int) and not isinstance(threads, bool) and threads > 0:
        words += ["--threads", str(threads)]
    for name, value in settings(found).items():
        words += _flag(name, value if folders or name != "rendezvous" else "HOST:PORT")
    if machine is not None and folders:
        words += ["--data", machine.data, "--runs", machine.runs]
    before = f"git checkout {found.commit} && " if found.commit else ""
    return before + shlex.join("".join(c for c in word if c not in _UNSAFE) for word in words)


def _flag(name: str, value: str) -> list[str]:
    """Of `crdnd run`."""
    if name == "exact":
        return ["--exact"]
    return [f"--{name}", value] if name in _FLAGS else ["--machine", f"{name}={value}"]


def settings(found: Provenance) -> dict[str, str]:
    """Of the machine, what must be set to compute the same again: what was set, and what `auto` came to.

    Where `auto` decides, another machine may decide otherwise: precisions are written out, for they change numbers, and
    whether there was a teacher's table, which changes their rounding.
    """
    chosen, decided = _chosen(found.machine), fast_path.recorded(found.facts)
    if decided is not None and "subject_sha256" not in found.facts:
        nets = [net for net in NETS if net != "teacher" or "teacher" in found.facts]
        precise = {f"{net}_precision": decided.get(net, "") for net in nets}
        chosen = {name: value for name, value in precise.items() if value in ("float32", "bfloat16")} | chosen
        if found.facts.get("teacher") and decided.get("table") in ("off", "complete"):
            chosen["table"] = decided["table"]
        chosen |= {} if decided else {"exact": "true"}
    return {name: value for name, value in chosen.items() if "exact" not in chosen or name not in _OVERRIDDEN}


def _chosen(machine: Machine | None) -> dict[str, str]:
    """What is set otherwise than usual."""
    usual, asked = Machine().model_dump(mode="json"), machine.model_dump(mode="json") if machine else {}
    other = {name: value for name, value in asked.items() if name not in _ELSEWHERE and value != usual[name]}
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in other.items()}


def notes(found: Provenance) -> list[str]:
    """What the line cannot bring back."""
    said = []
    if found.dirty:
        said.append("The code had changes that no commit holds: the commit alone may give other numbers.")
    if found.facts and not found.commit:
        said.append("The code's commit is not known; install the versions above.")
    return said


def _facts(found: Provenance) -> Iterator[tuple[str, str]]:
    """Label and words of each line."""
    facts = found.facts
    packages = _dict(facts.get("packages"))
    if found.commit:
        state = ", with changes that no commit holds" if found.dirty else ", nothing changed"
        yield "code", f"commit {found.commit}{state}"
    else:
        yield "code", f"crdnd-tui {packages.get('crdnd-tui', '?')}, of no repository"
    where = ("python", "platform", "processor", "instructions")
    yield "python", ", ".join(str(facts[key]) for key in where if key in facts)
    yield "packages", ", ".join(f"{name} {version}" for name, version in packages.items())
    threads = facts.get("threads")
    yield (
        "device",
        f"{facts.get('device', '?')}, {threads} thread{'' if threads == 1 else 's'} of {facts.get('cores', '?')} cores",
    )
    yield from _computed(found)
    for key, label in (("gpu", ""), ("slurm", "slurm")):
        if table := _dict(facts.get(key)):
            yield label, ", ".join(f"{name} {value}" for name, value in table.items())
    for key, label in (("seed", "seed"), ("config_hash", "config"), ("group_hash", "group")):
        if key in facts:
            yield label, f"{facts[key]}{', all seeds' if key == 'group_hash' else ''}"
    images = _dict(facts.get("images"))
    for split, digest in _dict(facts.get("data_sha256")).items():
        many = images.get(split)
        yield display(split, 20), f"sha256 {digest}" + (f", {count(many)} images" if isinstance(many, int) else "")
    said = facts.get("notes")
    for place, note in enumerate(said if isinstance(said, list) else []):
        yield "" if place else "notes", str(note)
    if teacher := _dict(facts.get("teacher")):
        yield "teacher", f"sha256 {teacher.get('sha256')}, {teacher.get('source')}"
    if "subject_sha256" in facts:
        yield "judged", f"sha256 {facts['subject_sha256']}"


def _computed(found: Provenance) -> Iterator[tuple[str, str]]:
    """What was switched on, and what was set otherwise than usual."""
    switches = fast_path.recorded(found.facts)
    if switches is not None:
        yield "computed", ", ".join(fast_path.words(switches))
    if chosen := _chosen(found.machine):
        yield "settings", ", ".join(f"{name} {value}" for name, value in chosen.items())


def _earlier(before: object, now: Mapping[str, Any]) -> str:
    """What an earlier engine of this run had otherwise."""
    then = _dict(before)
    apart = []
    for key in sorted(then):
        if then[key] == now.get(key) or key in ("command", "slurm"):
            continue
        old, new = then[key], now.get(key)
        if key == "switches":
            apart.append(f"computed {', '.join(fast_path.words(fast_path.recorded(then) or {}))}")
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            apart += [f"{name} {value}" for name, value in old.items() if new.get(name) != value]
        else:
            apart.append(f"{key} {old}")
    return f"an earlier engine had {', '.join(apart)}" if apart else "an earlier engine had the same"


def _line(label: str, words: str, width: int) -> list[Text]:
    """Words beside their label, and below themselves where they are longer than the line."""
    indent = LABEL + 2
    told = one_line(words, 1000)
    parts = textwrap.wrap(told, max(16, width - indent), break_on_hyphens=False) if width else [told]
    return [
        Text.assemble((f"  {label if place == 0 else '':<{LABEL}}", "dim"), part) for place, part in enumerate(parts)
    ]


def _digests(found: Provenance, width: int) -> list[Text]:
    """Name, SHA-256 and size of each file; the hash stands below the name where the line is too short for both."""
    names = min(60, max((len(name) for name in found.hashes), default=0))
    page = []
    for name, digest in sorted(found.hashes.items()):
        shown, much = one_line(name, 60), size(found.sizes[name])
        if not width or names + len(digest) + 14 <= width:
            page.append(Text(f"  {shown:<{names}}  {digest}  {much}"))
        else:
            page.append(Text.assemble(f"  {shown:<{names}}  ", (much, "dim")))
            page += [Text(f"    {part}", "dim") for part in textwrap.wrap(digest, max(16, width - 4))]
    return page


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
