"""Data sets: one shape for all sources, the digits' fixed split, and one clear sentence for what cannot be read."""

import hashlib
import os
import pickle
import urllib.error
from importlib import import_module
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torchvision.datasets import CIFAR10, CIFAR100

from engine.spec import data
from engine.spec.data import FACTS
from engine.spec.errors import DataError
from engine.types import Dataset

DIGITS_SHA256 = "303bb07b68008b3a7f3a0d9c5ec7dc1c"
NAMES = [spec.model_fields["name"].default for spec in get_args(get_args(data.DataSpec)[0])]


def load(spec, folder) -> Dataset:
    return import_module(f"engine.data.{spec.module}").load(spec, folder)


def drawn(n: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 256, (n, *shape), dtype=np.uint8)


def fake_cifar(folder: Path, monkeypatch, source: type[CIFAR10], classes: int) -> None:
    """The official files' layout with a few random images, and their md5s in place of the official ones."""
    base = folder / source.base_folder
    base.mkdir(parents=True)
    labels = "labels" if source is CIFAR10 else "fine_labels"

    def write(name: str, content: object) -> str:
        (base / name).write_bytes(pickle.dumps(content, protocol=2))
        return hashlib.md5((base / name).read_bytes()).hexdigest()

    def part(names) -> list[list[str]]:
        made = []
        for name, _md5 in names:
            images = drawn(2 * classes + len(name), 3072)
            made.append([name, write(name, {"data": images, labels: [i % classes for i in range(len(images))]})])
        return made

    monkeypatch.setattr(source, "train_list", part(source.train_list))
    monkeypatch.setattr(source, "test_list", part(source.test_list))
    meta = {source.meta["key"]: [f"class {i}" for i in range(classes)]}
    monkeypatch.setattr(source, "meta", source.meta | {"md5": write(source.meta["filename"], meta)})


def image_folder(root: Path, classes=("cat", "bird"), parts=("train", "test"), size=(12, 9)) -> None:
    for number, part in enumerate(parts):
        for label, name in enumerate(classes):
            (root / part / name).mkdir(parents=True)
            for i in range(3):
                pixels = np.full((*size, 3), 40 * number + 20 * label + i, dtype=np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{i}.png")


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", refuse)


@pytest.fixture(params=NAMES)
def loaded(request, tmp_path, monkeypatch, no_network) -> Dataset:
    match request.param:
        case "cifar10":
            fake_cifar(tmp_path, monkeypatch, CIFAR10, 10)
            return load(data.CIFAR10(), tmp_path)
        case "cifar100":
            fake_cifar(tmp_path, monkeypatch, CIFAR100, 100)
            return load(data.CIFAR100(), tmp_path)
        case "digits":
            return load(data.Digits(), tmp_path)
        case "folder":
            image_folder(tmp_path / "images")
            return load(data.Folder(path="images", size=8), tmp_path)
        case "npz":
            np.savez(tmp_path / "set.npz", x_train=drawn(12, 8, 8), y_train=np.arange(12) % 3,
                     x_test=drawn(6, 8, 8), y_test=np.arange(6) % 3)  # fmt: skip
            return load(data.Npz(path="set.npz"), tmp_path)
    raise AssertionError(f"no law knows how to make {request.param}: teach this fixture")


def hashes(images: torch.Tensor) -> set[bytes]:
    return {image.numpy().tobytes() for image in images}


def test_images_are_uint8_n_c_h_w_on_the_cpu(loaded):
    for split in (loaded.train, loaded.test):
        assert split.images.dtype == torch.uint8
        assert split.images.ndim == 4
        assert split.images.shape[1] in (1, 3)
        assert split.images.is_contiguous()
        assert split.images.device.type == "cpu"
    assert loaded.train.images.shape[1:] == loaded.test.images.shape[1:]


def test_labels_are_int64_from_0_to_k_minus_1_and_every_class_has_training_images(loaded):
    for split in (loaded.train, loaded.test):
        assert split.labels.dtype == torch.int64
        assert split.labels.shape == (len(split.images),)
        assert 0 <= int(split.labels.min()) <= int(split.labels.max()) < len(loaded.classes)
    assert torch.bincount(loaded.train.labels, minlength=len(loaded.classes)).min() > 0


def test_train_and_test_share_no_image(loaded):
    assert not hashes(loaded.train.images) & hashes(loaded.test.images)


# digits


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load(data.Digits(), Path())


def test_digits_have_the_sizes_that_the_catalog_states(digits):
    facts = FACTS["digits"]
    assert (facts.train, facts.test, facts.classes) == (1200, 597, 10)
    assert digits.train.images.shape == (1200, 1, 8, 8)
    assert digits.test.images.shape == (597, 1, 8, 8)
    assert digits.classes == tuple("0123456789")


def test_the_darkest_digit_pixel_of_16_becomes_255_and_half_of_it_128(digits):
    source = load_digits()
    found = {image.tobytes(): image for image in torch.cat([digits.train.images, digits.test.images])[:, 0].numpy()}
    by_hand = {0: 0, 1: 16, 4: 64, 8: 128, 15: 239, 16: 255}  # v * 255 / 16, halves to even: 127.5 -> 128
    for image in source.images[:50]:
        expected = (torch.from_numpy(image) * 255 / 16).round().to(torch.uint8).numpy()
        assert expected.tobytes() in found
        for grey, byte in by_hand.items():
            assert (expected[image == grey] == byte).all()


def test_a_third_of_each_digit_is_the_test_split(digits):
    counts = torch.bincount(torch.from_numpy(load_digits().target))
    for found, of in zip(torch.bincount(digits.test.labels).tolist(), counts.tolist(), strict=True):
        assert abs(found - of * 597 / 1797) < 1


def test_the_digits_split_never_changes(digits):
    total = hashlib.sha256()
    for split in (digits.train, digits.test):
        total.update(split.images.numpy().tobytes())
        total.update(split.labels.numpy().tobytes())
    assert total.hexdigest()[:32] == DIGITS_SHA256


# CIFAR


def test_cifar_pixels_keep_their_place_and_classes_their_names(tmp_path, monkeypatch, no_network):
    fake_cifar(tmp_path, monkeypatch, CIFAR10, 10)
    found = load(data.CIFAR10(), tmp_path)
    raw = pickle.loads((tmp_path / "cifar-10-batches-py" / "test_batch").read_bytes())
    red_row_1 = raw["data"][5, 32:64]  # the second row of the red plane
    assert found.test.images[5, 0, 1].tolist() == red_row_1.tolist()
    assert found.test.labels.tolist() == raw["labels"]
    assert found.classes == tuple(f"class {i}" for i in range(10))


@pytest.mark.parametrize("spec", [data.CIFAR10(), data.CIFAR100()], ids=lambda spec: spec.name)
def test_missing_cifar_without_network_says_where_to_put_it(spec, tmp_path, no_network):
    with pytest.raises(DataError) as caught:
        load(spec, tmp_path / "data")
    said = str(caught.value)
    source = CIFAR10 if spec.name == "cifar10" else CIFAR100
    assert str(tmp_path / "data" / source.base_folder) in said
    assert source.filename in said
    assert "no route to host" in said
    assert "--data" in said


def test_a_damaged_cifar_file_is_refused_and_named_as_such(tmp_path, monkeypatch, no_network):
    fake_cifar(tmp_path, monkeypatch, CIFAR10, 10)
    damaged = tmp_path / "cifar-10-batches-py" / "data_batch_3"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    with pytest.raises(DataError, match="md5 is wrong"):
        load(data.CIFAR10(), tmp_path)


def test_missing_class_names_of_cifar_are_damage(tmp_path, monkeypatch, no_network):
    fake_cifar(tmp_path, monkeypatch, CIFAR10, 10)
    (tmp_path / "cifar-10-batches-py" / "batches.meta").unlink()
    with pytest.raises(DataError, match=r"CIFAR-10 in .* is damaged"):
        load(data.CIFAR10(), tmp_path)


@pytest.mark.skipif("CRDND_DATA" not in os.environ, reason="CRDND_DATA names no folder that holds CIFAR-10")
def test_the_real_cifar10_has_its_published_sizes_and_mean(monkeypatch, no_network):
    found = load(data.CIFAR10(), Path(os.environ["CRDND_DATA"]))
    assert found.train.images.shape == (50_000, 3, 32, 32)
    assert found.test.images.shape == (10_000, 3, 32, 32)
    assert torch.bincount(found.train.labels).tolist() == [5000] * 10
    assert torch.bincount(found.test.labels).tolist() == [1000] * 10
    mean = found.train.images.double().mean(dim=(0, 2, 3)) / 255
    assert mean.tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=1e-3)
    assert found.classes[:3] == ("airplane", "automobile", "bird")
    assert not hashes(found.train.images) & hashes(found.test.images)


# An image folder


def test_the_classes_of_a_folder_are_alphabetical_and_its_images_resized(tmp_path):
    image_folder(tmp_path / "images", classes=("cat", "bird"))
    found = load(data.Folder(path="images", size=16), tmp_path)
    assert found.classes == ("bird", "cat")
    assert found.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert found.train.images.shape == (6, 3, 16, 16)
    assert found.train.images.flatten(1).float().mean(dim=1).tolist() == [20, 21, 22, 0, 1, 2]  # bird was drawn second


def broken_images():
    valid = Path("valid")
    return {
        "text": b"this is no image",
        "empty": b"",
        "cut": valid,
        "bad header": b"\x89PNG\r\n\x1a\n" + b"\xff" * 40,
    }


@pytest.mark.parametrize("kind", sorted(broken_images()))
def test_an_unreadable_image_is_named(kind, tmp_path):
    image_folder(tmp_path)
    victim = tmp_path / "test" / "cat" / "1.png"
    Image.fromarray(drawn(40, 40, 3)).save(victim)
    content = broken_images()[kind]
    victim.write_bytes(victim.read_bytes()[:600] if isinstance(content, Path) else content)
    with pytest.raises(DataError, match="no readable image") as caught:
        load(data.Folder(path=".", size=8), tmp_path)
    assert caught.value.where == str(victim)


def test_an_image_that_claims_to_be_huge_is_refused(tmp_path, monkeypatch):
    image_folder(tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with pytest.raises(DataError, match="no readable image"):
        load(data.Folder(path=".", size=8), tmp_path)


def test_different_classes_in_train_and_test_are_named(tmp_path):
    image_folder(tmp_path, classes=("a", "b"), parts=("train",))
    image_folder(tmp_path, classes=("a", "c"), parts=("test",))
    with pytest.raises(DataError, match="different classes: b, c"):
        load(data.Folder(path=".", size=8), tmp_path)


@pytest.mark.parametrize("there", ["nothing", "a file", "no classes", "an empty class"])
def test_a_folder_that_is_no_image_folder_says_what_is_expected(there, tmp_path):
    root = tmp_path / "images"
    if there == "a file":
        root.mkdir()
        (root / "train").write_text("?")
    elif there == "no classes":
        (root / "train").mkdir(parents=True)
    elif there == "an empty class":
        (root / "train" / "cat").mkdir(parents=True)
    with pytest.raises(DataError) as caught:
        load(data.Folder(path="images"), tmp_path)
    assert "train/<class>/" in caught.value.hint
