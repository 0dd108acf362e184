"""A NumPy archive with x_train, y_train, x_test, y_test. Pickled objects in it are refused."""

import zipfile
import zlib
from pathlib import Path

import numpy as np
import torch

from engine.spec.data import Npz
from engine.spec.errors import DataError
from engine.types import Dataset, Split

ARRAYS = ("x_train", "y_train", "x_test", "y_test")
CHANNELS = (1, 3)
_TORN = (OSError, ValueError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error)


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
            return {name: archive[name] for name in ARRAYS}
    except _TORN as error:
        raise DataError(f"cannot be read: {error}", where=str(path), hint="Pickled arrays are refused.") from error


def _split(x: np.ndarray, y: np.ndarray, path: Path) -> Split:
    grey = x.ndim == 3
    if x.dtype != np.uint8 or x.ndim not in (3, 4) or x.size == 0 or not (grey or x.shape[3] in CHANNELS):
        what = f"images are {x.dtype} of shape {x.shape}; expected uint8 N H W C of 1 or 3 channels, or N H W"
        raise DataError(what, where=str(path))
    if y.shape != (len(x),) or y.dtype.kind not in "iu" or int(y.min()) < 0 or int(y.max()) >= 2**63:
        raise DataError(
            f"labels are {y.dtype} of shape {y.shape}; expected {len(x)} whole numbers from 0", where=str(path)
        )
    images = torch.from_numpy(np.ascontiguousarray(x[..., None] if grey else x))
    return Split(images.permute(0, 3, 1, 2).contiguous(), torch.from_numpy(y.astype(np.int64)))
