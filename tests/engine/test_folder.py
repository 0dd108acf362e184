"""Image folders as people have them: deep pixels, hidden names, what a Mac or a NAS leaves behind, links and pipes."""

import io
import os
import struct
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from engine.data import folder
from engine.spec import events
from engine.spec.data import Folder
from engine.spec.errors import DataError
from engine.types import Dataset

CLASSES = ("left", "right")
EIGHT = np.arange(0, 256, 4, dtype=np.uint8).reshape(8, 8)  # up to 252, in 64 steps


def image_folder(root: Path, n: int = 2) -> Path:
    for part in ("train", "test"):
        for place, name in enumerate(CLASSES):
            (root / part / name).mkdir(parents=True)
            for i in range(n):
                Image.fromarray(EIGHT + place + 2 * i).save(root / part / name / f"{i}.png")
    return root


def load(root: Path, size: int = 8) -> Dataset:
    return folder.load(Folder(path=str(root), size=size), root.parent)


def png16(pixels: np.ndarray) -> bytes:
    """A PNG of 16 bits: H W grey, H W 2 grey and alpha, H W 3, or H W 4."""
    height, width = pixels.shape[:2]
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[1 if pixels.ndim == 2 else pixels.shape[2]]
    rows = pixels.reshape(height, -1).astype(">u2")
    data = b"".join(b"\0" + row.tobytes() for row in rows)

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def put(root: Path, content: bytes | Image.Image, name: str = "0.png", **options: object) -> Path:
    """In place of the first training image, and in every other, too."""
    for place in sorted(root.glob("*/*/*.png")):
        path = place.with_name(place.stem + Path(name).suffix)
        place.unlink()
        path.write_bytes(content) if isinstance(content, bytes) else content.save(path, **options)
    return root


DEEP = EIGHT.astype(np.uint16) * 257  # the same picture in 16 bits


def white_is_zero() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(65535 - DEEP).save(buffer, "TIFF", tiffinfo={262: 0})
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (png16(DEEP), "0.png"),
        (Image.fromarray(DEEP), "0.tif"),
        (Image.fromarray(DEEP.astype(">u2")), "0.tif"),
        (white_is_zero(), "0.tif"),
        (b"P5 8 8 65535\n" + DEEP.astype(">u2").tobytes(), "0.pgm"),
        (b"P5 8 8 4095\n" + (DEEP >> 4).astype(">u2").tobytes(), "0.pgm"),  # its own maximum is said
        (png16(np.stack([DEEP] * 3, axis=2)), "0.png"),
        (png16(np.stack([DEEP, DEEP * 0 + 65535], axis=2)), "0.png"),
        (png16(np.stack([DEEP, DEEP, DEEP, DEEP * 0 + 65535], axis=2)), "0.png"),
        (Image.fromarray(EIGHT), "0.png"),
        (Image.fromarray(EIGHT).convert("P"), "0.png"),
        (Image.fromarray(EIGHT).convert("RGBA"), "0.png"),
        (Image.fromarray(EIGHT).convert("LA"), "0.png"),
        (Image.fromarray(EIGHT).convert("CMYK"), "0.tif"),
    ],
    ids=["I;16 png", "I;16 tiff", "I;16B tiff", "white is zero", "pgm 16", "pgm 12", "RGB 16", "LA 16", "RGBA 16",
         "L", "P", "RGBA", "LA", "CMYK"],
)  # fmt: skip
def test_the_same_picture_in_every_pixel_type_is_the_same(content: bytes | Image.Image, name: str, tmp_path: Path):
    found = load(put(image_folder(tmp_path / "images"), content, name))
    apart = (found.train.images[0].int() - torch.from_numpy(EIGHT).int()).abs().max()
    assert int(apart) <= 1
    deep = "16" in str(getattr(content, "mode", "16")) or name.endswith("pgm")
    assert bool([note for note in found.notes if "scaled to 8 bits" in note]) == deep


@pytest.mark.parametrize(
    ("content", "name", "mode"),
    [
        (Image.fromarray(EIGHT.astype(np.float32) / 255), "0.tif", "F"),
        (Image.fromarray(EIGHT.astype(np.int32) << 20), "0.tif", "mode I"),
        (png16(DEEP >> 4), "0.png", "I;16"),
        (png16(np.stack([DEEP >> 6] * 3, axis=2)), "0.png", "16 bits"),
        (png16(np.where(DEEP > 30_000, 16383, 0).astype(np.uint16)), "0.png", "I;16"),  # black and white in 14 bits
    ],
    ids=["float", "int32", "12 in 16", "10 in 16, colour", "14 in 16"],
)
def test_what_has_no_known_white_is_refused_by_name_and_mode(content, name: str, mode: str, tmp_path: Path):
    root = put(image_folder(tmp_path / "images"), content, name)
    with pytest.raises(DataError) as caught:
        load(root)
    assert mode in caught.value.what and "8 bits" in caught.value.hint
    assert caught.value.where == str(root / "train" / "left" / f"0{Path(name).suffix}")


def test_transparency_rotation_and_further_pictures_are_said(tmp_path: Path):
    root = image_folder(tmp_path / "images")
    clear = Image.fromarray(EIGHT).convert("RGBA")
    clear.putalpha(9)
    clear.save(root / "train" / "left" / "0.png")
    sideways = Image.Exif()
    sideways[274] = 6
    Image.fromarray(EIGHT).save(root / "train" / "left" / "1.png", exif=sideways)
    pages = [Image.fromarray(EIGHT), Image.fromarray(EIGHT[::-1].copy())]
    pages[0].save(root / "train" / "right" / "2.tiff", save_all=True, append_images=pages[1:])
    found = load(root)
    said = "\n".join(found.notes)
    assert all(f"1 images {what}" in said for what in ("have transparency", "have an EXIF rotation", "hold several"))
    assert torch.equal(found.train.images[1, 0], torch.from_numpy(EIGHT))  # as stored
    assert torch.equal(found.train.images[4, 0], torch.from_numpy(EIGHT))  # the first page


def test_hidden_and_left_behind_names_are_passed_over_at_every_level_and_counted(tmp_path: Path):
    root = image_folder(tmp_path / "images")
    whole = load(root)
    assert whole.notes == ()
    torn = b"\0\5\26\7\0\2\0\0Mac OS X        "
    for place in [*root.glob("*/*/*.png")]:
        place.with_name(f"._{place.name}").write_bytes(torn)
    for hidden in (root / "train" / ".ipynb_checkpoints", root / "test" / "left" / ".ipynb_checkpoints"):
        hidden.mkdir()
        Image.fromarray(EIGHT).save(hidden / "9.png")
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "readme.txt", "x.gif"):
        (root / "train" / "left" / name).write_bytes(b"?")
        (root / "train" / name).write_bytes(b"?")
    for name in ("__MACOSX", "@eaDir"):
        (root / "train" / "right" / name).mkdir()
        (root / "train" / "right" / name / "0.png").write_bytes(torn)
        (root / "test" / name).mkdir()
    found = load(root)
    assert found.classes == CLASSES
    assert torch.equal(found.train.images, whole.train.images) and torch.equal(found.test.images, whole.test.images)
    assert found.notes == (
        "passed over: 4 files that are no images by their names (endings: .gif, .txt), 8 left by an operating system,"
        " 12 whose names begin with a dot",  # 8 resource forks, 2 folders, 2 .DS_Store
    )


def test_images_of_nested_folders_keep_torchvisions_order(tmp_path: Path):
    from torchvision.datasets import ImageFolder

    root = image_folder(tmp_path / "images")
    for name in ("b", "B", "b/c", "b-c", "a"):
        (root / "train" / "left" / name).mkdir()
        for number in ("10.PNG", "9.jpeg", "9.png"):
            Image.fromarray(EIGHT).save(root / "train" / "left" / name / number)
    reader = folder._Reader(8, (root,))
    ours = [str(path) for paths in reader.listed(root / "train").values() for path in paths]
    assert ours == [path for path, _ in ImageFolder(str(root / "train")).samples]


def test_links_within_the_data_folder_are_followed_and_others_passed_over_as_pipes_are(tmp_path: Path):
    root = image_folder(tmp_path / "data" / "images")
    outside = tmp_path / "outside.png"
    Image.fromarray(EIGHT).save(outside)
    left = root / "train" / "left"
    (left / "inside.png").symlink_to(root / "train" / "right" / "0.png")
    (left / "outside.png").symlink_to(outside)
    (left / "broken.png").symlink_to("nowhere")
    (left / "circle.png").symlink_to("circle.png")
    (left / "device.png").symlink_to("/dev/zero")
    (left / "up").symlink_to("..")
    os.mkfifo(left / "pipe.png")
    found = load(root)
    assert torch.equal(found.train.images[2], found.train.images[3]) and len(found.train.images) == 5
    (note,) = found.notes
    assert "5 links" in note and "1 pipes" in note


def test_a_class_that_is_a_link_out_of_the_data_folder_is_an_error(tmp_path: Path):
    root = image_folder(tmp_path / "data" / "images")
    (root / "train" / "left").rename(tmp_path / "left")
    (root / "train" / "left").symlink_to(tmp_path / "left")
    with pytest.raises(DataError, match="different classes: left"):
        load(root)
    (root / "test" / "left").rename(tmp_path / "left2")
    (root / "train").rename(tmp_path / "train")
    (root / "train").symlink_to(tmp_path / "train")
    with pytest.raises(DataError, match="leads out of the data folder"):
        load(root)


def test_torn_images_are_counted_and_the_first_is_named(tmp_path: Path):
    root = image_folder(tmp_path / "images")
    for name in ("left/1.png", "right/0.png"):
        (root / "train" / name).write_bytes(b"torn")
    with pytest.raises(DataError, match=r"2 of 4 images are not") as caught:
        load(root)
    assert caught.value.where == str(root / "train" / "left" / "1.png")


def test_more_images_than_memory_are_refused_before_any_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    root = image_folder(tmp_path / "images")
    monkeypatch.setattr("engine.runtime.device.psutil.virtual_memory", lambda: SimpleNamespace(total=1000))
    with pytest.raises(DataError, match="8 images of 8 x 8 take"):
        load(root)


def test_only_formats_of_pixels_are_opened(tmp_path: Path):
    """PostScript, which Pillow hands to another program, is none whatever its name."""
    root = image_folder(tmp_path / "images")
    Image.fromarray(EIGHT).convert("RGB").save(tmp_path / "page.eps")
    (root / "train" / "left" / "0.png").write_bytes((tmp_path / "page.eps").read_bytes())
    with pytest.raises(DataError, match="no readable image"):
        load(root)


def test_names_that_are_no_utf_8_are_written_out(tmp_path: Path):
    root = image_folder(tmp_path / "images")
    for part in ("train", "test"):
        (root / part / "left").rename(root / part / os.fsdecode(b"caf\xe9"))
    assert load(root).classes == ("caf\\xe9", "right")
    (root / "train" / os.fsdecode(b"caf\xe9") / os.fsdecode(b"\xff.png")).write_bytes(b"torn")
    with pytest.raises(DataError) as caught:
        load(root)
    events.encode(events.RunFailed(kind="Data", message=f"{caught.value.where}: {caught.value.what}"))
