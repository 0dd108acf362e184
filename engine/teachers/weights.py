"""Weights on disk: ours as safetensors with a digest, other people's read without ever running their code.

Nothing is copied into a net before every name, shape and dtype has been compared with what the net expects: a file
of two kilobytes can claim a tensor of terabytes.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from engine.spec.errors import CheckpointError, CrdndError, TeacherError, brief
from engine.spec.files import write_inside

FORMAT = "crdnd student weights 1"
_CONSTANTS = {"mean": "mean", "mu": "mean", "new_mean": "mean", "std": "std", "sigma": "std", "new_std": "std"}


def save(path: Path, net: nn.Module, facts: dict[str, str]) -> str:
    """Write the net's state dict, whole or not at all; returns the digest of tensors and facts.

    OSError when the disk is full; what was at `path` before is then untouched.
    """
    # clone, so that tied weights and views are stored as tensors of their own
    tensors = {name: value.detach().to("cpu").contiguous().clone() for name, value in net.state_dict().items()}
    metadata = facts | {"format": FORMAT}
    found = digest(tensors, metadata)
    write_inside(path, _in_order(safetensors.torch.save(tensors, metadata | {"digest": found})))
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
        raise CheckpointError(f"these weights cannot be read: {shown(brief(error))}", where=str(path)) from None
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


def is_constant(name: str) -> bool:
    """Whether a tensor's name is that of an input normalization's constant; batch norm says running_mean."""
    return name.rsplit(".", 1)[-1] in _CONSTANTS


def fit(net: nn.Module, state: Mapping[str, Tensor], *, where: str) -> list[str]:
    """Copy the weights into the net, strictly, after what may differ harmlessly; returns notes of what was tolerated.

    Tolerated: missing `num_batches_tracked`, constants of an input normalization that agree with the net's own,
    `sub_block1.*` that the net does not have, other floating-point precisions. TeacherError for all else, and then
    the net is untouched.
    """
    own = net.state_dict()
    given = {name: value for name, value in state.items() if name in own or not is_constant(name)}
    notes = _compare_constants(net, {name: value for name, value in state.items() if name not in given}, where)
    unused = [name for name in given if name.startswith("sub_block1.") and name not in own]
    if unused:
        notes.append(f"left out {len(unused)} entries of sub_block1, which no forward pass uses")
        given = {name: value for name, value in given.items() if name not in unused}
    if any(name.endswith("num_batches_tracked") and name not in given for name in own):
        notes.append("the file does not count its batches (num_batches_tracked)")
    missing, unexpected, misshaped = _differences(own, given)
    if missing or unexpected or misshaped:
        raise _misfit(own, given, (missing, unexpected, misshaped), where)
    if cast := sorted({str(v.dtype) for name, v in given.items() if v.dtype != own[name].dtype}):
        notes.append(f"converted from {', '.join(cast)} to the net's precision")
    net.load_state_dict(own | given, strict=True)
    return notes


def is_whole(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> bool:
    """Whether `fit` would take all names and shapes, constants of normalization aside."""
    given = {name: value for name, value in state.items() if name in own or not is_constant(name)}
    return not any(_differences(own, {n: v for n, v in given.items() if n in own or not n.startswith("sub_block1.")}))


def _differences(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> tuple[list[str], list[str], list[str]]:
    """Names that are missing, unexpected, and of another shape or type."""
    needed = [name for name in own if not name.endswith("num_batches_tracked") and not is_constant(name)]
    return (
        [name for name in needed if name not in given],
        [name for name in given if name not in own],
        [name for name in given if name in own and not _fits(given[name], own[name])],
    )


def _fits(given: Tensor, own: Tensor) -> bool:
    return given.shape == own.shape and given.is_floating_point() == own.is_floating_point()


def _compare_constants(net: nn.Module, constants: Mapping[str, Tensor], where: str) -> list[str]:
    """Notes about a normalization that the file carries; TeacherError when the net normalizes otherwise, or not."""
    own = {_CONSTANTS[name.rsplit(".", 1)[-1]]: value for name, value in net.named_buffers() if is_constant(name)}
    for full, value in constants.items():
        name = full.rsplit(".", 1)[-1]
        ours = own.get(_CONSTANTS[name])
        if value.numel() > 16 or not value.is_floating_point():
            raise TeacherError(f"`{name}` in this file is no constant of a normalization", where=where)
        numbers = [round(float(number), 4) for number in value.reshape(-1)]
        neutral = all(number == (0.0 if _CONSTANTS[name] == "mean" else 1.0) for number in numbers)
        if ours is None and not neutral:
            what = f"this file normalizes its input ({name} = {numbers}), and the model does not"
            raise TeacherError(
                what,
                where=where,
                hint="`normalization` in the model's table has to name these numbers, as 'cifar10' and 'cifar100' do.",
            )
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
        f"{len(found)} {what}: {shown(', '.join(found[:3]))}{', ...' * (len(found) > 3)}"
        for what, found in parts
        if found
    ]
    if not missing and not unexpected and len(misshaped) <= 2:
        hint = "Usual cause: the weights know another number of classes, so they belong to another data set."
    elif not missing and not unexpected:
        hint = "Usual cause: the same kind of model in another width."
    elif own.keys().isdisjoint(given) and _shapes(own) == _shapes(given):
        hint = "All shapes agree and no name does: the same architecture, written by somebody else; rename the tensors."
    elif own.keys().isdisjoint(given):
        hint = f"Usual cause: another architecture; this file has {len(given)} tensors, the model {len(own)}."
    else:
        hint = "Usual cause: another depth or variant of this model; see the keys of its table in the preset."
    return TeacherError("these weights do not fit the model\n  " + "\n  ".join(listed), where=where, hint=hint)


def _shapes(state: Mapping[str, Tensor]) -> list[tuple[int, ...]]:
    return sorted(tuple(value.shape) for name, value in state.items() if not name.endswith("num_batches_tracked"))


def shown(text: str) -> str:
    """Text out of a file, cut, without what a terminal would obey."""
    return "".join(character if character.isprintable() else "?" for character in text[:200])
