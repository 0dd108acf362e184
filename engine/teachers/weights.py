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

from engine.spec.errors import CheckpointError, TeacherError, brief
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


def shown(text: str) -> str:
    """Text out of a file, cut, without what a terminal would obey."""
    return "".join(character if character.isprintable() else "?" for character in text[:200])


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
    found = StateDictComparison(own, state)
    notes = _compare_constants(net, found.constants, where)
    if found.problems:
        raise found.error(where)
    if found.unused:
        notes.append(f"left out {len(found.unused)} entries of sub_block1, which no forward pass uses")
    if any(name.endswith("num_batches_tracked") and name not in found.given for name in own):
        notes.append("the file does not count its batches (num_batches_tracked)")
    if cast := sorted({str(value.dtype) for name, value in found.given.items() if value.dtype != own[name].dtype}):
        notes.append(f"converted from {', '.join(cast)} to the net's precision")
    net.load_state_dict(own | found.given, strict=True)
    return notes


class StateDictComparison:
    """A file's tensors beside those of a net: which are given to it, and which do not fit, by names and shapes."""

    def __init__(self, own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
        self.own = own
        self.constants = {name: value for name, value in state.items() if name not in own and is_constant(name)}
        self.unused = {name for name in state if name not in own and name.startswith("sub_block1.")}
        left_out = self.unused | self.constants.keys()
        self.given = {name: value for name, value in state.items() if name not in left_out}
        needed = [name for name in own if not name.endswith("num_batches_tracked") and not is_constant(name)]
        problems = {
            "missing": [name for name in needed if name not in self.given],
            "unexpected": [name for name in self.given if name not in own],
            "of another shape or type": [
                f"{name} {tuple(value.shape)} for {tuple(own[name].shape)}"
                for name, value in self.given.items()
                if name in own
                and (value.shape, value.is_floating_point()) != (own[name].shape, own[name].is_floating_point())
            ],
        }
        self.problems = {what: names for what, names in problems.items() if names}

    def error(self, where: str) -> TeacherError:
        """What does not fit, and the usual cause of it."""
        own, given = self.own, self.given
        listed = [
            f"{len(names)} {what}: {shown(', '.join(names[:3]))}{', ...' * (len(names) > 3)}"
            for what, names in self.problems.items()
        ]
        if self.problems.keys() == {"of another shape or type"}:
            hint = "Usual cause: the same kind of model in another width."
            if len(self.problems["of another shape or type"]) <= 2:
                hint = "Usual cause: the weights know another number of classes, so they belong to another data set."
        elif not own.keys().isdisjoint(given):
            hint = "Usual cause: another depth or variant of this model; see the keys of its table in the preset."
        elif _shapes(own) == _shapes(given):
            hint = "All shapes agree and no name does: the same architecture by somebody else; rename the tensors."
        else:
            hint = f"Usual cause: another architecture; this file has {len(given)} tensors, the model {len(own)}."
        return TeacherError("these weights do not fit the model\n  " + "\n  ".join(listed), where=where, hint=hint)


def _shapes(state: Mapping[str, Tensor]) -> list[tuple[int, ...]]:
    return sorted(tuple(value.shape) for name, value in state.items() if not name.endswith("num_batches_tracked"))


def _compare_constants(net: nn.Module, constants: Mapping[str, Tensor], where: str) -> list[str]:
    """Notes about a normalization that the file carries; TeacherError when the net normalizes otherwise, or not."""
    own = {_CONSTANTS[name.rsplit(".", 1)[-1]]: value for name, value in net.named_buffers() if is_constant(name)}
    for full, value in constants.items():
        name = full.rsplit(".", 1)[-1]
        kind = _CONSTANTS[name]
        if value.numel() > 16 or not value.is_floating_point():
            raise TeacherError(f"`{name}` in this file is no constant of a normalization", where=where)
        numbers = [round(float(number), 4) for number in value.reshape(-1)]
        if kind in own:
            ours = own[kind].reshape(-1).tolist()
            if len(numbers) != len(ours) or max(abs(a - b) for a, b in zip(numbers, ours, strict=True)) > 1e-3:
                what = f"this file normalizes by {name} = {numbers}, the model by {ours}"
                raise TeacherError(what, where=where, hint="Usual cause: weights of another data set.")
        elif any(number != (0.0 if kind == "mean" else 1.0) for number in numbers):  # these change nothing
            what = f"this file normalizes its input ({name} = {numbers}), and the model does not"
            hint = "`normalization` in the model's table has to name these numbers, as 'cifar10' and 'cifar100' do."
            raise TeacherError(what, where=where, hint=hint)
    return ["the file's constants of normalization agree with the model's"] if constants else []
