"""A NumPy archive with x_train, y_train, x_test, y_test. Pickled objects in it are refused."""

import zipfile
from pathlib import Path

import numpy as np
import torch

from engine.spec.data import Npz
from engine.spec.errors import DataError
from engine.types import Dataset, Split

ARRAYS = ("x_train", "y_train", "x_test", "y_test")


def load(spec: Npz, folder: Path) -> Dataset:
    """Both splits; images uint8, N H W C or N H W (grey); labels 0 .. K-1."""
    path = folder / spec.path
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in ARRAYS if name not in archive.files]
            if missing:
                raise DataError(f"lacks the arrays {', '.join(missing)}", where=str(path))
            arrays = {name: archive[name] for name in ARRAYS}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"cannot be read: {error}", where=str(path), hint="Pickled arrays are refused.") from error
    train, test = (_split(arrays[f"x_{part}"], arrays[f"y_{part}"], path) for part in ("train", "test"))
    classes = int(train.labels.max()) + 1
    if train.images.shape[1:] != test.images.shape[1:] or int(test.labels.max()) >= classes:
        raise DataError("train and test differ in image shape or classes", where=str(path))
    return Dataset(train=train, test=test, classes=tuple(str(c) for c in range(classes)))


def _split(x: np.ndarray, y: np.ndarray, path: Path) -> Split:
    if x.dtype != np.uint8 or x.ndim not in (3, 4) or len(x) == 0:
        raise DataError(f"images are {x.dtype} of shape {x.shape}; expected uint8 N H W C", where=str(path))
    if y.shape != (len(x),) or y.dtype.kind not in "iu" or int(y.min()) < 0:
        raise DataError(f"labels are {y.dtype} of shape {y.shape}; expected {len(x)} whole numbers", where=str(path))
    images = torch.from_numpy(np.ascontiguousarray(x if x.ndim == 4 else x[..., None]))
    return Split(images.permute(0, 3, 1, 2).contiguous(), torch.from_numpy(y.astype(np.int64)))
