"""npz files: both layouts are read, nothing in them is executed, and each mistake is one sentence."""

import io
import os
import pickle
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from engine.data.npz import load
from engine.spec.data import Npz
from engine.spec.errors import DataError


def drawn(n: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 256, (n, *shape), dtype=np.uint8)


def arrays(**changed) -> dict[str, np.ndarray]:
    whole = {"x_train": drawn(12, 8, 6, 3), "y_train": np.arange(12) % 3,
             "x_test": drawn(6, 8, 6, 3), "y_test": np.arange(6) % 3}  # fmt: skip
    return {name: value for name, value in (whole | changed).items() if value is not None}


def refused(path: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        load(Npz(path=path.name), path.parent)
    assert caught.value.where == str(path)
    return caught.value


def saved(tmp_path: Path, **changed) -> Path:
    np.savez(tmp_path / "set.npz", **arrays(**changed))
    return tmp_path / "set.npz"


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


def test_channels_come_from_the_last_axis(tmp_path):
    path = saved(tmp_path)
    found = load(Npz(path="set.npz"), tmp_path)
    with np.load(path) as raw:
        assert found.train.images.shape == (12, 3, 8, 6)
        assert found.train.images[4, 2, 7, 5] == raw["x_train"][4, 7, 5, 2]
        assert found.test.labels.tolist() == raw["y_test"].tolist()
    assert found.classes == ("0", "1", "2")


def test_grey_images_without_a_channel_axis_get_one(tmp_path):
    saved(tmp_path, x_train=drawn(12, 8, 6), x_test=drawn(6, 8, 6))
    found = load(Npz(path="set.npz"), tmp_path)
    assert found.train.images.shape == (12, 1, 8, 6)
    assert found.train.images[3, 0].tolist() == drawn(12, 8, 6)[3].tolist()


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.uint64, np.int64])
def test_whole_numbers_of_every_width_are_labels(kind, tmp_path):
    saved(tmp_path, y_train=(np.arange(12) % 3).astype(kind))
    assert load(Npz(path="set.npz"), tmp_path).train.labels.dtype == torch.int64


def test_a_compressed_file_gives_the_same(tmp_path):
    saved(tmp_path)
    np.savez_compressed(tmp_path / "small.npz", **arrays())
    plain, small = (load(Npz(path=name), tmp_path) for name in ("set.npz", "small.npz"))
    assert torch.equal(plain.train.images, small.train.images)


def test_an_absolute_path_is_taken_as_it_is(tmp_path):
    path = saved(tmp_path)
    assert len(load(Npz(path=str(path)), tmp_path / "elsewhere").test.labels) == 6


def test_pickled_objects_are_refused_and_not_executed(tmp_path):
    trace = tmp_path / "executed"
    path = saved(tmp_path, y_train=np.array([Bomb(trace)] * 12, dtype=object))
    assert "ickle" in str(refused(path))
    assert not trace.exists()


def test_a_bare_pickle_is_refused_and_not_executed(tmp_path):
    path, trace = tmp_path / "set.npz", tmp_path / "executed"
    path.write_bytes(pickle.dumps(Bomb(trace)))
    refused(path)
    assert not trace.exists()


@pytest.mark.parametrize("name", ["x_train", "y_train", "x_test", "y_test"])
def test_a_missing_array_is_named(name, tmp_path):
    assert name in refused(saved(tmp_path, **{name: None})).what


WRONG = {
    "floats": {"x_train": drawn(12, 8, 6, 3) / 255},
    "too few axes": {"x_train": drawn(12, 144)},
    "channels first": {"x_train": drawn(12, 3, 8, 6), "x_test": drawn(6, 3, 8, 6)},
    "no images": {"x_test": drawn(0, 8, 6, 3), "y_test": np.zeros(0, dtype=np.int64)},
    "no pixels": {"x_train": drawn(12, 0, 6, 3), "x_test": drawn(6, 0, 6, 3)},
    "labels as floats": {"y_train": np.arange(12) % 3 + 0.5},
    "one label too many": {"y_train": np.arange(13) % 3},
    "labels in a matrix": {"y_train": np.eye(12, dtype=np.int64)},
    "a negative label": {"y_train": np.arange(12) % 3 - 1},
    "a test label that was never trained": {"y_test": np.arange(6)},
    "a class without images": {"y_train": np.arange(12) % 3 * 2},
    "a label of 10 to the 18": {"y_train": np.array([10**18, *range(11)])},
    "a label beyond 63 bits": {"y_train": np.array([2**64 - 1, *range(11)], dtype=np.uint64)},
    "another size in the test split": {"x_test": drawn(6, 6, 8, 3)},
}


@pytest.mark.parametrize("case", sorted(WRONG))
def test_what_is_no_data_set_is_refused(case, tmp_path):
    refused(saved(tmp_path, **WRONG[case]))


@pytest.mark.parametrize("keep", [0, 1, 40, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed], ids=["stored", "compressed"])
def test_a_truncated_file_is_refused(save, keep, tmp_path):
    path = tmp_path / "set.npz"
    save(path, **arrays())
    content = path.read_bytes()
    path.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    refused(path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed], ids=["stored", "compressed"])
def test_a_flipped_byte_in_an_array_is_refused(save, tmp_path):
    path = tmp_path / "set.npz"
    save(path, **arrays())
    content = bytearray(path.read_bytes())
    content[600] ^= 0xFF
    path.write_bytes(content)
    refused(path)


def test_a_single_array_is_no_data_set(tmp_path):
    np.save(tmp_path / "x.npy", drawn(3, 8, 8))
    refused(tmp_path / "x.npy")


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    assert "no such file" in refused(tmp_path / "nowhere.npz").what.lower()
    (tmp_path / "folder.npz").mkdir()
    refused(tmp_path / "folder.npz")


@pytest.mark.parametrize(
    ("images", "hint"),
    [
        (drawn(12, 8, 6, 3) / 255, "(x * 255).round().astype('uint8')"),
        ((drawn(12, 8, 6, 3) / 255).astype(np.float16), "(x * 255).round().astype('uint8')"),
        (drawn(12, 8, 6, 3).astype(np.uint16) * 257, "(x / 257).round().astype('uint8')"),
        (drawn(12, 8, 6, 3).astype(np.int64), "x.astype('uint8')"),
        (drawn(12, 8, 6, 3) > 127, "x.astype('uint8') * 255"),
        (drawn(12, 3, 8, 6), "x.transpose(0, 2, 3, 1)"),
    ],
    ids=["float64", "float16", "uint16", "int64", "bool", "channels first"],
)
def test_what_is_printed_for_other_pixels_makes_a_file_that_is_read(images, hint, tmp_path):
    test = images[:6] if images.dtype != bool else images[6:]
    error = refused(saved(tmp_path, x_train=images, x_test=test))
    assert hint in error.hint
    scaled = [eval(hint, {"x": x}) for x in (images, test)]  # the words that are printed, run
    saved(tmp_path, x_train=scaled[0], x_test=scaled[1])
    found = load(Npz(path="set.npz"), tmp_path)
    assert found.train.images.float().std() > 60


def test_arrays_are_held_against_memory_by_their_headers_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("engine.runtime.device.psutil.virtual_memory", lambda: SimpleNamespace(total=2000))
    assert "its arrays take" in refused(saved(tmp_path)).what


def _with_header(path: Path, header: dict[str, object], size: int = 100) -> Path:
    """x_train says of itself what the header says, over `size` bytes."""
    saved(path.parent)
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, header)
    content["x_train.npy"] = buffer.getvalue() + bytes(size)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in content.items():
            archive.writestr(name, value)
    return path


def test_a_header_that_claims_terabytes_and_one_that_differs_from_its_data_are_refused(tmp_path):
    huge = {"descr": "|u1", "fortran_order": False, "shape": (10**6, 2**20, 1)}
    assert "claims 1048576000000 bytes" in refused(_with_header(tmp_path / "set.npz", huge)).what
    some = {"descr": "|u1", "fortran_order": False, "shape": (12, 8, 6, 3)}
    assert "claims 1728 bytes" in refused(_with_header(tmp_path / "set.npz", some)).what
    load(Npz(path="set.npz"), _with_header(tmp_path / "set.npz", some, 1728).parent)


def test_a_member_that_lies_about_its_size_is_refused(tmp_path):
    """As its header does, so that both agree: less lies in the archive than they say."""
    more = {"descr": "|u1", "fortran_order": False, "shape": (1212, 8, 6, 3)}
    path = _with_header(tmp_path / "set.npz", more, 1728)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        size = archive.getinfo("x_train.npy").file_size
    at = content.rindex(size.to_bytes(4, "little"))  # in the central directory
    content[at : at + 4] = (size + 172800).to_bytes(4, "little")
    path.write_bytes(content)
    assert "cannot be read" in refused(path).what


def test_a_pipe_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "set.npz")
    assert "no such file" in refused(tmp_path / "set.npz").what


def test_a_header_too_long_to_be_read_is_one_sentence_without_advice_to_trust_it(tmp_path):
    path = tmp_path / "set.npz"
    np.savez(path, **arrays(x_train=None))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("x_train.npy", b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535)
    what = refused(path).what
    assert "Header info length (65535) is large" in what
    assert "\n" not in what


def test_a_torn_archive_is_to_be_copied_again_and_has_nothing_to_do_with_pickles(tmp_path):
    path = tmp_path / "set.npz"
    np.savez(path, **arrays())
    content = bytearray(path.read_bytes())
    content[len(content) // 4] ^= 1
    path.write_bytes(content)
    error = refused(path)
    assert "CRC" in error.what and error.hint == "Save or copy it again."
