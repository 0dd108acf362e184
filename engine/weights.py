"""Weights on disk: ours as safetensors with a digest, other people's read without ever running their code.

Nothing is copied into a net before every name, shape and dtype has been compared with what the net expects: a file
of two kilobytes can claim a tensor of terabytes.
"""

import hashlib
import json
import pickle
import re
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from engine.spec.content import HEAD, seems
from engine.spec.errors import CheckpointError, CrdndError, TeacherError
from engine.spec.files import write_atomically

FORMAT = "crdnd student weights 1"
_NESTED = ("state_dict", "net", "model", "model_state_dict", "params")
_PREFIXES = ("module.", "model.", "net.", "_orig_mod.", "0.", "1.")  # DataParallel, wrappers, torch.compile, Sequential
_CONSTANTS = frozenset({"mean", "std", "mu", "sigma"})  # of an input normalization; batch norm says running_mean
_BESIDE = frozenset({"n_averaged"})  # what torch's AveragedModel counts
_TORN = (  # what torch's unpickler was seen to raise, or its source can, on damaged streams
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)
_CONVERT = (
    'Convert it where you trust its author, then name the new file: python -c "import torch, safetensors.torch as s; '
    "d = torch.load('OLD.pt', map_location='cpu', weights_only=False); d = d.get('state_dict', d); "
    "s.save_file({k: v.clone().contiguous() for k, v in d.items() if torch.is_tensor(v)}, 'NEW.safetensors')\""
)


def save(path: Path, net: nn.Module, facts: dict[str, str]) -> str:
    """Write the net's state dict, whole or not at all; returns the digest of tensors and facts.

    OSError when the disk is full; what was at `path` before is then untouched.
    """
    # clone, so that tied weights and views are stored as tensors of their own
    tensors = {name: value.detach().to("cpu").contiguous().clone() for name, value in net.state_dict().items()}
    metadata = facts | {"format": FORMAT}
    found = digest(tensors, metadata)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, _in_order(safetensors.torch.save(tensors, metadata | {"digest": found})))
    return found


def _in_order(content: bytes) -> bytes:
    """The same file with its facts by name: the library writes them in another order each time."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and facts, `digest` among them; CheckpointError when the file is missing, damaged or something else.

    A file of ours must carry its digest, which covers names, dtypes, shapes, bytes and facts; others have none.
    """
    try:
        with safetensors.safe_open(path, framework="pt", device="cpu") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no mapping
    except FileNotFoundError:
        raise CheckpointError("there is no such file", where=str(path)) from None
    except (safetensors.SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise CheckpointError(f"these weights cannot be read: {_line(error)}", where=str(path)) from None
    promised = metadata.get("digest", "")
    if (promised or metadata.get("format") == FORMAT) and promised != digest(tensors, metadata):
        raise CheckpointError("these weights are damaged: their digest does not match", where=str(path))
    return tensors, metadata


def digest(tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> str:
    """SHA-256 of the facts, but for `digest`, and of all tensors on the CPU by name: dtype, shape, bytes."""
    covered = {key: value for key, value in facts.items() if key != "digest"}
    total = hashlib.sha256(json.dumps(covered, sort_keys=True).encode())
    for name in sorted(tensors):
        value = tensors[name].detach().contiguous()
        total.update(json.dumps([name, str(value.dtype), list(value.shape)]).encode())
        total.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def sha256(path: Path) -> str:
    """Of a file, whatever it holds."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_foreign(path: Path) -> dict[str, Tensor]:
    """The state dict in a `.pt`, `.pth`, `.pth.tar`, `.ckpt` or `.safetensors` file, by content and not by name.

    Accepts the dict itself or one nested under a usual key; strips wrappers' prefixes where all keys have them
    (constants of an input normalization aside, which keep their last name); drops what is no tensor.
    TeacherError, with what the file seems to be and what to do, when it is anything else. No code in it ever runs.
    """
    try:
        with path.open("rb") as file:
            kind = seems(file.read(HEAD))
    except OSError as error:
        raise TeacherError(f"cannot read this file: {error.strerror}", where=str(path)) from None
    content: Any
    if kind == "a safetensors file":
        try:
            content = load(path)[0]
        except CheckpointError as error:
            raise TeacherError(error.what, where=str(path), hint="Copy or download it again.") from None
    elif kind in ("a zip archive", "a pickle", "a tar archive"):
        content = _unpickled_with_weights_only(path, kind)
    else:
        hint = "Download the weights again: this is what a server says in place of a file."
        raise TeacherError(f"this is {kind}, not a checkpoint", where=str(path), hint=hint)
    state = _stripped(_state_dict(content))
    if not state:
        raise TeacherError("there is no state dict in this file", where=str(path), hint=_CONVERT)
    return state


def _unpickled_with_weights_only(path: Path, kind: str) -> object:
    hint = "Download or copy it again."
    if kind == "a zip archive":
        try:
            with zipfile.ZipFile(path) as archive:
                members = archive.infolist()
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
            raise TeacherError("this archive is cut off or damaged", where=str(path), hint=hint) from None
        if not any(member.filename.endswith("data.pkl") for member in members):
            raise TeacherError("this is a zip archive, not a checkpoint", where=str(path), hint="Unpack it first.")
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):  # torch never compresses
            raise TeacherError("this archive is compressed, which no checkpoint is", where=str(path))
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if blocked := re.search(r"GLOBAL ([\w.]{1,80})", str(error)):
            what = f"this checkpoint holds `{blocked[1]}`, not only tensors: opening it could run code, so it was not"
            raise TeacherError(what, where=str(path), hint=_CONVERT) from None
        what = "this pickle is damaged, or of a kind that torch does not read"
        raise TeacherError(what, where=str(path), hint=hint) from None
    except MemoryError:
        raise TeacherError("this file claims more memory than there is", where=str(path)) from None
    except _TORN as error:
        # a hostile or torn stream may fail anywhere in the unpickler; each of these is a refusal, never a retry
        raise TeacherError(f"this file is cut off or damaged: {_line(error)}", where=str(path), hint=hint) from None


def _state_dict(content: object) -> dict[str, Tensor]:
    """Named tensors of the dict, or of the first usual key that holds some."""
    if not isinstance(content, Mapping):
        return {}
    for key in _NESTED:
        inner = content.get(key)
        if isinstance(inner, Mapping) and (named := _tensors(inner)):
            return named
    return _tensors(content)


def _tensors(table: Mapping[Any, Any]) -> dict[str, Tensor]:
    return {
        name: value.detach()
        for name, value in table.items()
        if isinstance(name, str) and isinstance(value, Tensor) and value.layout == torch.strided
    }


def _stripped(state: dict[str, Tensor]) -> dict[str, Tensor]:
    constants = {name.rsplit(".", 1)[-1]: value for name, value in state.items() if _is_constant(name)}
    rest = {name: value for name, value in state.items() if not _is_constant(name) and name not in _BESIDE}
    while prefix := next((p for p in _PREFIXES if rest and all(name.startswith(p) for name in rest)), ""):
        rest = {name.removeprefix(prefix): value for name, value in rest.items()}
    return rest | constants


def _is_constant(name: str) -> bool:
    return name.rsplit(".", 1)[-1] in _CONSTANTS


def fit(net: nn.Module, state: Mapping[str, Tensor], *, where: str) -> list[str]:
    """Copy the weights into the net, strictly, after what may differ harmlessly; returns notes of what was tolerated.

    Tolerated: missing `num_batches_tracked`, constants of an input normalization that agree with the net's own,
    `sub_block1.*` that the net does not have, other floating-point precisions. TeacherError for all else, and then
    the net is untouched.
    """
    own = net.state_dict()
    given = {name: value for name, value in state.items() if name in own or not _is_constant(name)}
    notes = _compare_constants(net, {name: value for name, value in state.items() if name not in given}, where)
    unused = [name for name in given if name.startswith("sub_block1.") and name not in own]
    if unused:
        notes.append(f"left out {len(unused)} entries of sub_block1, which no forward pass uses")
        given = {name: value for name, value in given.items() if name not in unused}
    counters = [name for name in own if name.endswith("num_batches_tracked") and name not in given]
    if counters:
        notes.append("the file does not count its batches (num_batches_tracked)")
    own_constants = [name for name in own if _is_constant(name) and name not in given]
    missing = [name for name in own if name not in given and name not in counters and name not in own_constants]
    unexpected = [name for name in given if name not in own]
    misshaped = [name for name in given if name in own and not _fits(given[name], own[name])]
    if missing or unexpected or misshaped:
        raise _misfit(own, given, (missing, unexpected, misshaped), where)
    if cast := sorted({str(v.dtype) for name, v in given.items() if v.dtype != own[name].dtype}):
        notes.append(f"converted from {', '.join(cast)} to the net's precision")
    net.load_state_dict(own | given, strict=True)
    return notes


def _fits(given: Tensor, own: Tensor) -> bool:
    return given.shape == own.shape and given.is_floating_point() == own.is_floating_point()


def _compare_constants(net: nn.Module, constants: Mapping[str, Tensor], where: str) -> list[str]:
    """Notes about a normalization that the file carries; TeacherError when the net normalizes otherwise, or not."""
    own = {name.rsplit(".", 1)[-1]: value for name, value in net.named_buffers() if _is_constant(name)}
    twins = {"mean": "mu", "mu": "mean", "std": "sigma", "sigma": "std"}
    for name, value in constants.items():
        ours = own.get(name, own.get(twins[name]))
        if value.numel() > 16 or not value.is_floating_point():
            raise TeacherError(f"`{name}` in this file is no constant of a normalization", where=where)
        numbers = [round(float(number), 4) for number in value.reshape(-1)]
        neutral = all(number == (0.0 if name in ("mean", "mu") else 1.0) for number in numbers)
        if ours is None and not neutral:
            what = f"this file normalizes its input ({name} = {numbers}), and the model does not"
            raise TeacherError(what, where=where, hint="Say so in the model's table: normalization = 'cifar10'.")
        if ours is not None:
            apart = [abs(a - float(b)) for a, b in zip(numbers, ours.reshape(-1), strict=False)]
            if len(numbers) != ours.numel() or max(apart) > 1e-3:
                what = f"this file normalizes by {name} = {numbers}, the model by {ours.reshape(-1).tolist()}"
                raise TeacherError(what, where=where, hint="Usual cause: weights of another data set.")
    return ["the file's constants of normalization agree with the model's"] if constants else []


def _misfit(
    own: Mapping[str, Tensor], given: Mapping[str, Tensor], names: tuple[list[str], list[str], list[str]], where: str
) -> CrdndError:
    missing, unexpected, misshaped = names
    shapes = [f"{name} {tuple(given[name].shape)} for {tuple(own[name].shape)}" for name in misshaped]
    parts = [("missing", missing), ("unexpected", unexpected), ("of another shape or type", shapes)]
    listed = [
        f"{len(found)} {what}: {_shown(', '.join(found[:3]))}{', ...' * (len(found) > 3)}"
        for what, found in parts
        if found
    ]
    if not missing and not unexpected and len(misshaped) <= 2:
        hint = "Usual cause: the weights know another number of classes, so they belong to another data set."
    elif not missing and not unexpected:
        hint = "Usual cause: the same kind of model in another width."
    elif own.keys().isdisjoint(given):
        hint = f"Usual cause: another architecture; this file has {len(given)} tensors, the model {len(own)}."
    else:
        hint = "Usual cause: another depth or variant of this model; see the keys of its table in the preset."
    return TeacherError("these weights do not fit the model\n  " + "\n  ".join(listed), where=where, hint=hint)


def _line(error: BaseException) -> str:
    return _shown((str(error).strip().splitlines() or [type(error).__name__])[0])


def _shown(text: str) -> str:
    """Text out of a file, cut, without what a terminal would obey."""
    return "".join(character if character.isprintable() else "?" for character in text[:200])
