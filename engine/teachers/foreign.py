"""Other people's checkpoints: read without running their code, and matched to a net behind any prefix of names.

Pickles are read by a process of their own (`unpickle`), which hands tensors back; safetensors need none.
"""

import json
import stat
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from engine.spec import files
from engine.spec.errors import CheckpointError, TeacherError
from engine.teachers import unpickle, weights
from engine.teachers.weights import is_constant, shown

USUAL = frozenset({"state_dict", "net", "model", "model_state_dict", "params", "module", "_orig_mod", "0", "1"})
BESIDE = frozenset({"n_averaged"})  # what torch's AveragedModel counts
CONSTANTS = 16  # most numbers of a normalization's constant
PATIENCE, PACE = 120, 2 << 20  # seconds for a pickle, and bytes of it that are read in one more
REPORT_CAP = 1 << 20  # bytes of what the reading process says of a file
RENAME = f"Where you trust its author, this writes its tensors as safetensors, to be looked at: {unpickle.COMMAND}"
HEAD = 512  # bytes that `seems` wants to see
PAGES = frozenset({"an HTML page", "an XML text", "a JSON text", "a Git LFS pointer", "a plain text"})

_BINARY = {
    b"PK\x03\x04": "a zip archive",
    b"PK\x05\x06": "an empty zip archive",
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ\x00": "an xz archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!": "a rar archive",
    b"\x93NUMPY": "a NumPy array",
    b"\x89HDF": "an HDF5 file",
    b"\x89PNG": "a PNG image",
    b"%PDF": "a PDF document",
    b"version https://git-lfs": "a Git LFS pointer",
    **{b"\x80" + bytes([protocol]): "a pickle" for protocol in (2, 3, 4, 5)},
}
_TEXT = {  # behind white space, in lower case
    b"<!doctype html": "an HTML page",
    b"<html": "an HTML page",
    b"<head": "an HTML page",
    b"<body": "an HTML page",
    b"<?xml": "an XML text",
    b"<!doctype": "an XML text",
}


class CheckpointContent(NamedTuple):
    """Tensors by name, nested tables joined by dots; and those that cannot be used: name -> what they are."""

    tensors: dict[str, Tensor]
    left_out: dict[str, str]
    pickled: bool = True


class ChosenNetwork(NamedTuple):
    """One network of a file."""

    state: dict[str, Tensor]  # without the prefix; constants of a normalization by their whole names
    prefix: str
    notes: list[str]


def fit(net: nn.Module, path: Path, prefix: str | None = None) -> list[str]:
    """Copy the file's weights into the net, strictly; returns notes of what was tolerated.

    `prefix` is what their names begin with; without it, the one behind which all names and shapes fit is found.
    TeacherError when none does, or several do; the net is then untouched.
    """
    content = read(path)
    chosen = choose(net, content, prefix, where=str(path))
    where = str(path) if _is_usual(chosen.prefix) else f"{path}, behind `{shown(chosen.prefix)}`"
    try:
        return chosen.notes + weights.fit(net, chosen.state, where=where)
    except TeacherError as error:
        if content.pickled and net.state_dict().keys().isdisjoint(chosen.state):
            raise TeacherError(error.what, where=error.where, hint=f"{error.hint} {RENAME}") from None
        raise


def read(path: Path) -> CheckpointContent:
    """The tensors in a `.pt`, `.pth`, `.pth.tar`, `.ckpt` or `.safetensors` file, by content and not by name.

    TeacherError, with what the file seems to be and what to do, when it is anything else. No code in it ever runs.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise TeacherError("this is no regular file", where=str(path))
        with path.open("rb") as file:
            kind = seems(file.read(HEAD))
    except OSError as error:
        raise TeacherError(f"cannot read this file: {error.strerror}", where=str(path)) from None
    if kind == "a safetensors file":
        try:
            content = CheckpointContent(weights.load(path)[0], {}, pickled=False)
        except CheckpointError as error:
            raise TeacherError(error.what, where=str(path), hint="Copy or download it again.") from None
    elif kind in ("a zip archive", "a pickle", "a tar archive"):
        content = _unpickled(path)
    else:
        hint = "Download the weights again: this is what a server says in place of a file."
        raise TeacherError(f"this is {kind}, not a checkpoint", where=str(path), hint=hint)
    if not content.tensors and not content.left_out:
        raise TeacherError("there is no state dict in this file", where=str(path), hint=unpickle.CONVERT)
    return content


def _unpickled(path: Path) -> CheckpointContent:
    """The tensors of a pickle, read by a process of its own with limits of memory and time."""
    with tempfile.TemporaryDirectory(prefix="crdnd-weights-") as folder:
        tensors, said, errors = (Path(folder) / name for name in ("tensors", "said", "errors"))
        try:
            with said.open("wb") as out, errors.open("wb") as err:  # files, whose size its limits hold
                done = subprocess.run(
                    [sys.executable, "-P", unpickle.__file__, str(path.resolve()), str(tensors)],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    start_new_session=True,  # a Ctrl-C is for the engine
                    timeout=PATIENCE + path.stat().st_size / PACE,
                    check=False,
                )
        except subprocess.TimeoutExpired:
            raise TeacherError("reading this file does not end", where=str(path)) from None
        if done.returncode < 0:
            what = "reading this file took more memory or time than a checkpoint of its size does, and was ended"
            raise TeacherError(f"{what} (signal {-done.returncode})", where=str(path))
        if done.returncode > 0:
            words = files.tail(errors).decode(errors="replace").strip().splitlines() or [""]
            raise TeacherError(f"this file could not be read: {shown(words[-1])}", where=str(path))
        try:
            report = json.loads(files.tail(said, REPORT_CAP).splitlines()[-1])
        except (ValueError, IndexError):
            raise TeacherError("reading this file gave no report", where=str(path)) from None
        if "refused" in report:
            raise TeacherError(shown(report["refused"]), where=str(path), hint=report["hint"])
        try:
            return CheckpointContent(weights.load(tensors)[0], report["left_out"])
        except CheckpointError as error:
            raise TeacherError(error.what, where=str(path)) from None


def choose(net: nn.Module, content: CheckpointContent, prefix: str | None, *, where: str) -> ChosenNetwork:
    """The net's own part of the tensors; TeacherError when it is not clear which one that is."""
    own = net.state_dict()
    table = {name: value for name, value in content.tensors.items() if name.rsplit(".", 1)[-1] not in BESIDE}
    found = _prefixes(own, [*table, *content.left_out])
    fitting = [one for one in found if not weights.StateDictComparison(own, _behind(table, one)).problems]
    notes: list[str] = []
    if prefix is not None:
        chosen = prefix if not prefix or prefix in found or prefix.endswith(".") else f"{prefix}."
        if not any(name.startswith(chosen) for name in table):
            known = f"Those that fit: {_named(fitting)}." if fitting else ""
            raise TeacherError(f"no name in this file begins with `{shown(chosen)}`", where=where, hint=known)
    elif fitting:
        chosen, notes = _only(fitting, table, where)
    else:
        chosen = max(found, key=lambda one: (found[one], -len(one)), default="")
    for name in own:
        if why := content.left_out.get(chosen + name):
            raise TeacherError(f"`{shown(chosen + name)}` in this file is {shown(why)}", where=where)
    if not _is_usual(chosen):
        notes.append(f"the weights lie behind the prefix `{shown(chosen)}` in this file")
    rivals = [_parting(one, chosen) for one in fitting if not chosen.startswith(one) and not one.startswith(chosen)]
    beside = {n: v for n, v in table.items() if not n.startswith(chosen) and not n.startswith(tuple(rivals))}
    constants = {n: v for n, v in beside.items() if is_constant(n) and v.numel() <= CONSTANTS}
    others = {_parting(name, chosen) for name in beside if name not in constants}  # they may normalize otherwise
    constants = {n: v for n, v in constants.items() if _parting(n, chosen) not in others}
    if spare := [name for name in beside if name not in constants]:
        notes.append(f"left out {len(spare)} entries beside them, such as `{shown(spare[0])}`")
    return ChosenNetwork(constants | _behind(table, chosen), chosen, notes)


def _is_usual(prefix: str) -> bool:
    """Whether it consists of usual names for wrapped state dicts."""
    return not prefix or (prefix.endswith(".") and all(part in USUAL for part in prefix.split(".")[:-1]))


def _prefixes(own: Mapping[str, Tensor], names: Sequence[str]) -> Counter[str]:
    """Prefixes of the net's own names, each with the number of names that follow it."""
    longest = max(own, key=len)
    found = Counter({name.removesuffix(longest): 1 for name in names if name.endswith(longest)})
    for name in names:
        at = 0
        while True:
            if name[at:] in own:
                found[name[:at]] += 1
            at = name.find(".", at) + 1
            if not at:
                break
    return found


def _behind(table: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in table.items() if name.startswith(prefix)}


def _only(fitting: Sequence[str], table: Mapping[str, Tensor], where: str) -> tuple[str, list[str]]:
    """The one prefix that is meant, and notes about others; TeacherError when that is not clear."""
    apart: list[str] = []
    for one in sorted(fitting, key=len):
        if not any(_equal(_behind(table, one), _behind(table, other)) for other in apart):
            apart.append(one)
    usual = [one for one in apart if _is_usual(one)]
    if len(apart) > 1 and len(usual) != 1:
        what = f"{len(apart)} networks in this file fit: behind {_named(apart)}"
        hint = f"Choose one: prefix = '{shown(apart[0])}' beside `checkpoint` in the preset, or --prefix of evaluate."
        raise TeacherError(what, where=where, hint=hint)
    chosen = usual[0] if len(apart) > 1 else apart[0]
    others = [one for one in apart if one != chosen]
    return chosen, [f"another network in this file fits, too, behind {_named(others)}"] if others else []


def _equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def _parting(one: str, chosen: str) -> str:
    """How names of another network begin: its prefix, or one name, up to where it parts from the chosen one."""
    parts, theirs = one.split("."), chosen.split(".")
    same = next((place for place, (a, b) in enumerate(zip(parts, theirs, strict=False)) if a != b), len(parts) - 1)
    return ".".join(parts[: same + 1]) + "."


def _named(prefixes: Sequence[str]) -> str:
    more = ", ..." if len(prefixes) > 5 else ""
    return ", ".join(f"`{shown(one)}`" if one else "no prefix" for one in prefixes[:5]) + more


def seems(head: bytes) -> str:
    """The kind of a file that begins so, in words; archives of checkpoints are `a zip archive` or `a pickle`."""
    if not head:
        return "an empty file"
    if len(head) > 9 and head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= 100_000_000:
        return "a safetensors file"
    if head[257:262] == b"ustar":
        return "a tar archive"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    known = [kind for magic, kind in _BINARY.items() if head.startswith(magic)]
    known += [kind for magic, kind in _TEXT.items() if start.startswith(magic)]
    if known or not all(byte >= 32 or byte in b"\t\r\n\f" for byte in head):
        return known[0] if known else "no format that is known here"
    return "a JSON text" if start.startswith((b"{", b"[")) else "a plain text"
