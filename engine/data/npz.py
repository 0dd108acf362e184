"""A NumPy archive with x_train, y_train, x_test, y_test. Pickled objects in it are refused."""

import lzma
import math
import zipfile
import zlib
from pathlib import Path

import numpy as np
import torch

from engine.runtime.device import check_memory
from engine.spec.data import Npz
from engine.spec.errors import DataError
from engine.types import Dataset, Split

ARRAYS = ("x_train", "y_train", "x_test", "y_test")
CHANNELS = (1, 3)
_SCALING = {  # by the kind of NumPy type
    "f": "Of numbers in [0, 1]: (x * 255).round().astype('uint8'); those of another range need another factor.",
    "u": "Of 16 bits: (x / 257).round().astype('uint8'); 8 bits in a wider type: x.astype('uint8').",
    "i": "8 bits in a wider type: x.astype('uint8'), if all numbers are in 0 to 255.",
    "b": "Black and white: x.astype('uint8') * 255.",
}
_TORN = (OSError, ValueError, EOFError, RuntimeError, LookupError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)


def load(spec: Npz, folder: Path) -> Dataset:
    """Both splits; images uint8, N H W C or N H W (grey); labels 0 .. K-1, each of which has training images."""
    path = folder / spec.path
    arrays = _arrays(path)
    train, test = (_split(arrays[f"x_{part}"], arrays[f"y_{part}"], path) for part in ("train", "test"))
    classes = len(train.labels.unique())
    if int(train.labels.max()) >= classes:
        what = f"the training labels are {classes} different numbers up to {int(train.labels.max())}"
        raise DataError(what, where=str(path), hint="Labels count from 0 without gaps.")
    if train.images.shape[1:] != test.images.shape[1:] or int(test.labels.max()) >= classes:
        raise DataError("train and test differ in image shape or classes", where=str(path))
    return Dataset(train=train, test=test, classes=tuple(str(c) for c in range(classes)))


def _arrays(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise DataError("there is no such file", where=str(path), hint="data.path is relative to the data folder.")
    if not zipfile.is_zipfile(path):
        raise DataError("is no npz archive", where=str(path), hint=f"Expected is np.savez of {', '.join(ARRAYS)}.")
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in ARRAYS if name not in archive.files]
            if missing:
                raise DataError(f"lacks the arrays {', '.join(missing)}", where=str(path))
            claimed = sum(_claimed(archive.zip, name, path) for name in ARRAYS)
            check_memory(claimed, "its arrays", str(path))
            return {name: archive[name] for name in ARRAYS}
    except _TORN as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]  # NumPy goes on with advice on how to trust it
        hint = "Pickled arrays are refused." if "pickle" in why else "Save or copy it again."
        raise DataError(f"cannot be read: {why}", where=str(path), hint=hint) from error


def _claimed(archive: zipfile.ZipFile, name: str, path: Path) -> int:
    """Bytes of an array by its header, before anything of that size is made; DataError when it cannot be used."""
    member = archive.getinfo(f"{name}.npy" if f"{name}.npy" in archive.NameToInfo else name)
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
        header = file.tell()
    if dtype.hasobject:
        raise DataError(f"{name} holds pickled objects", where=str(path), hint="Pickled arrays are refused.")
    claimed = math.prod(shape) * dtype.itemsize
    if claimed != member.file_size - header:
        what = f"{name} claims {claimed} bytes ({dtype} of shape {shape}) and has {member.file_size - header}"
        raise DataError(what, where=str(path), hint="Save or copy it again.")
    if name.startswith("x"):
        _check_images(shape, dtype, path)
    return claimed


def _check_images(shape: tuple[int, ...], dtype: np.dtype, path: Path) -> None:
    """DataError, with what to do, unless these are images in uint8, channels last."""
    what = f"images are {dtype} of shape {shape}; expected uint8 N H W C of 1 or 3 channels, or N H W"
    if dtype != np.uint8:
        raise DataError(what, where=str(path), hint=_SCALING.get(dtype.kind, "Save them as uint8, 0 to 255."))
    if len(shape) == 4 and shape[1] in CHANNELS and shape[3] not in CHANNELS:
        raise DataError(what, where=str(path), hint="Channels go last: x.transpose(0, 2, 3, 1) turns N C H W.")
    if len(shape) not in (3, 4) or 0 in shape or (len(shape) == 4 and shape[3] not in CHANNELS):
        raise DataError(what, where=str(path))


def _split(x: np.ndarray, y: np.ndarray, path: Path) -> Split:
    if y.shape != (len(x),) or y.dtype.kind not in "iu" or int(y.min()) < 0 or int(y.max()) >= 2**63:
        raise DataError(
            f"labels are {y.dtype} of shape {y.shape}; expected {len(x)} whole numbers from 0", where=str(path)
        )
    images = torch.from_numpy(np.ascontiguousarray(x[..., None] if x.ndim == 3 else x))
    return Split(images.permute(0, 3, 1, 2).contiguous(), torch.from_numpy(y.astype(np.int64)))
