"""python -P unpickle.py SOURCE TENSORS: a foreign pickle's tensors as safetensors, read by a process with limits.

torch's weights-only unpickler runs no code of the file, but a file may still ask for all memory, or never end. So this
process may take no more memory, time or disk than a checkpoint of the file's size needs, and gives up its network where
the system allows that. Writes the file TENSORS, and says in a line of JSON what was left out, or why nothing was read.
Imports nothing of the engine.
"""

import argparse
import collections
import contextlib
import ctypes
import datetime
import json
import pathlib
import pickle
import re
import resource
import sys
import types
import zipfile
from collections.abc import Mapping
from typing import Any, NamedTuple

NEW_USER, NEW_NETWORK = 0x10000000, 0x40000000  # flags of unshare(2)
MEMORY, SECONDS = 512 << 20, 60  # bytes and CPU seconds beside what the file's size allows
ENTRIES, DEPTH, NAME = 200_000, 8, 500  # of nested tables: entries and levels; characters of a name
REASONS = 1 << 19  # bytes that are said about tensors that cannot be used
SMALL = 1 << 20  # bytes that a tensor may claim of a smaller storage
DTYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")
COMMAND = (
    "python -c "
    '"import torch, safetensors.torch as s; f = lambda n, o: {n: o.detach().clone().contiguous()} if '
    "torch.is_tensor(o) and o.layout == torch.strided else {m: t for k, v in (o.state_dict() if hasattr(o, "
    "'state_dict') else o if isinstance(o, dict) else dict(enumerate(o)) if isinstance(o, (list, tuple)) else {}"
    ").items() for m, t in f(n + '.' * bool(n) + str(k), v).items()}; "
    "d = f('', torch.load('OLD.pt', map_location='cpu', weights_only=False)); "
    "s.save_file(d, 'NEW.safetensors') if d else exit('there are no tensors in OLD.pt')\""
)
CONVERT = f"Convert it where you trust its author, in the folder of its code, then name the new file: {COMMAND}"
COPY = "Download or copy it again."


class RefusedError(Exception):
    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what, self.hint = what, hint


class UnpickledTensors(NamedTuple):
    """Tensors by the path of their keys, joined by dots; and those that cannot be used: name -> what they are."""

    tensors: dict[str, Any]
    left_out: dict[str, str]


def main() -> int:
    """Read within limits, and write what was found, or why not."""
    source = pathlib.Path(sys.argv[1])
    if hasattr(libc := ctypes.CDLL(None), "unshare"):
        libc.unshare(NEW_USER | NEW_NETWORK)  # may fail, and is then done without
    import safetensors.torch  # noqa: PLC0415  the limit of memory counts from here
    import torch  # noqa: F401, PLC0415

    size = source.stat().st_size
    limits = {
        resource.RLIMIT_CPU: SECONDS + (size >> 22),
        resource.RLIMIT_FSIZE: 2 * size + MEMORY,
        resource.RLIMIT_CORE: 0,
    }
    with contextlib.suppress(OSError):  # the system may not tell the address space that is taken already
        taken = int(pathlib.Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        limits[resource.RLIMIT_AS] = taken + MEMORY + 4 * size
    for kind, wanted in limits.items():
        hard = resource.getrlimit(kind)[1]
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (allowed, allowed))
    try:
        found = read(source)
        safetensors.torch.save_file(found.tensors, sys.argv[2])
        report: dict[str, Any] = {"left_out": found.left_out}
    except RefusedError as refusal:
        report = {"refused": refusal.what, "hint": refusal.hint}
    except MemoryError:
        report = {"refused": "this file claims more memory than a checkpoint of its size takes", "hint": ""}
    sys.stdout.write(json.dumps(report))
    return 0


def read(path: pathlib.Path) -> UnpickledTensors:
    """The tensors in a zip archive, tar archive or bare pickle of torch; RefusedError for all else."""
    import torch  # noqa: PLC0415

    if zipfile.is_zipfile(path) or path.open("rb").read(4) == b"PK\x03\x04":
        _check_archive(path)
    try:
        with torch.serialization.safe_globals(_harmless()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if blocked := re.search(r"GLOBAL ([\w.]{1,80})", str(error)):
            what = f"this checkpoint holds `{blocked[1]}`, not only tensors: opening it could run code, so it was not"
            raise RefusedError(what, CONVERT) from None
        raise RefusedError("this pickle is damaged, or of a kind that torch does not read", COPY) from None
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001  a hostile or torn stream may fail anywhere in the unpickler
        if "DefaultCPUAllocator" in str(error):
            raise MemoryError from None
        text = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise RefusedError(f"this file is cut off or damaged: {text}", COPY) from None
    return _flattened(content, 2 * path.stat().st_size + 64 * SMALL)


def _check_archive(path: pathlib.Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        raise RefusedError("this archive is cut off or damaged", COPY) from None
    if not any(member.filename.endswith("data.pkl") for member in members):
        raise RefusedError("this is a zip archive, not a checkpoint", "Unpack it first.")
    if any(member.filename.endswith("constants.pkl") for member in members):
        raise RefusedError("this is a TorchScript archive, which is a program: opening it was not tried", CONVERT)
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):  # torch never compresses
        raise RefusedError("this archive is compressed, which no checkpoint is")
    if sum(member.file_size for member in members) > 2 * path.stat().st_size:
        raise RefusedError("this archive claims more bytes than it has", COPY)


def _harmless() -> list[Any]:
    """Types beside the weights in usual checkpoints; constructing one runs no code of the file."""
    import numpy as np  # noqa: PLC0415

    of_numpy = np._core.multiarray.scalar, np._core.multiarray._reconstruct  # type: ignore[attr-defined]
    return [
        argparse.Namespace, types.SimpleNamespace, collections.defaultdict, collections.deque,
        datetime.date, datetime.datetime, datetime.timedelta, pathlib.PurePosixPath,
        *((pathlib.PurePosixPath, f"pathlib{sub}.{name}") for sub in ("", "._local") for name in ("PosixPath", "Path")),
        *((made, f"numpy.{core}.multiarray.{made.__name__}") for core in ("core", "_core") for made in of_numpy),
        np.ndarray, np.dtype, *{type(np.dtype(code)) for code in "?bhilqBHILQefdUS"},
    ]  # fmt: skip


def _flattened(content: object, most: int) -> UnpickledTensors:
    """All tensors under string keys; RefusedError when there are too many, or they claim more than `most` bytes."""
    import torch  # noqa: PLC0415

    found = UnpickledTensors({}, {})
    waiting: list[tuple[str, object, int]] = [("", content, 0)]
    entries = total = reported = 0
    while waiting:
        name, value, depth = waiting.pop()
        if isinstance(value, torch.Tensor) and name:
            if why := _unusable(value):
                found.left_out[name] = why
                reported += len(json.dumps({name: why}))
                if reported > REASONS:
                    raise RefusedError("this file holds more tensors that cannot be used than a checkpoint does")
                continue
            total += value.numel() * value.element_size()
            if total > most:
                raise RefusedError("the tensors in this file together claim far more bytes than it has", COPY)
            found.tensors[name] = value.detach().contiguous().clone()
        elif isinstance(value, Mapping | list | tuple) and depth < DEPTH:
            items = value.items() if isinstance(value, Mapping) else ((str(at), item) for at, item in enumerate(value))
            inner = [
                (f"{name}.{key}" if name else key, item, depth + 1)
                for key, item in items
                if isinstance(key, str) and len(key) <= NAME and isinstance(item, torch.Tensor | Mapping | list | tuple)
            ]
            entries += len(inner)
            if entries > ENTRIES:
                raise RefusedError(f"this file holds more than {ENTRIES:,} entries, which no checkpoint does")
            waiting += reversed(inner)
    return found


def _unusable(tensor: Any) -> str:  # noqa: ANN401  a tensor
    """Why a tensor cannot be weights; empty when it can."""
    import torch  # noqa: PLC0415

    if tensor.is_meta:
        return "a tensor without values (on the `meta` device)"
    if tensor.is_nested or tensor.layout != torch.strided:
        return "a sparse or nested tensor"
    kind = str(tensor.dtype).removeprefix("torch.")
    if kind not in DTYPES:
        return f"a tensor of type {kind}"
    claimed, stored = tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes()
    return f"a tensor that claims {claimed} bytes of {stored}" if claimed > max(stored, SMALL) else ""


if __name__ == "__main__":
    sys.exit(main())
