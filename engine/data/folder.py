"""An image folder: path/train/<class>/* and path/test/<class>/*, every image resized to one size.

Passed over, and counted in a note: names that begin with a dot, what operating systems leave behind, links that lead
out of the data folder, pipes and devices, and files without an image's ending. Pixels are taken as stored, as
torchvision's ImageFolder does: the first picture of several, no rotation by EXIF, no transparency; notes say so.
"""

import os
import stat
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.datasets.folder import IMG_EXTENSIONS

from engine.runtime.device import check_memory
from engine.spec.data import Folder
from engine.spec.errors import DataError
from engine.types import Dataset, Split

FORMATS = ("AVIF", "BMP", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TGA", "TIFF", "WEBP")
SYSTEM = frozenset(
    {"__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found", "thumbs.db",
     "desktop.ini", "icon\r"}
)  # fmt: skip
NO_IMAGES = "files that are no images by their names"  # of which the endings are told
DARK = 64  # of 255, white in 14 of 16 bits: if no pixel of all deep images is brighter, they hold fewer bits
PHOTOMETRIC, WHITE_IS_ZERO = 262, 0  # TIFF tag, and one of its values
ORIENTATION = 274  # EXIF tag; 1 = as stored
_TORN = (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning)  # by Pillow
_DEEP_HINT = "Save the images with 8 bits, or with the full range of 16."
_EXPECTED = "Expected are train/<class>/ and test/<class>/."


def load(spec: Folder, folder: Path) -> Dataset:
    """Both splits as RGB; the classes are the sub-folders of `train`, in alphabetical order."""
    root = folder / spec.path
    reader = _Reader(spec.size, (folder.resolve(), root.resolve()))
    parts = {part: reader.listed(root / part) for part in ("train", "test")}
    if parts["train"].keys() != parts["test"].keys():
        differ = sorted(parts["train"].keys() ^ parts["test"].keys())
        raise DataError(f"train and test hold different classes: {', '.join(differ[:5])}", where=str(root))
    images = sum(len(paths) for classes in parts.values() for paths in classes.values())
    check_memory(images * 3 * spec.size**2, f"{images} images of {spec.size} x {spec.size}", str(root))
    train, test = (reader.split(parts[part]) for part in ("train", "test"))
    return Dataset(train=train, test=test, classes=tuple(parts["train"]), notes=tuple(reader.notes()))


class _Reader:
    """Lists and decodes; counts what it passes over and what it converts."""

    def __init__(self, size: int, homes: tuple[Path, ...]) -> None:
        self._size, self._homes = size, homes  # homes: folders that links may lead to
        self._passed, self._converted = Counter[str](), Counter[str]()
        self._endings = set[str]()
        self._deep: tuple[Path, str] | None = None  # the first image of more than 8 bits, and its mode
        self._deepest = 0  # the brightest pixel of all such images, of 255
        Image.init()
        self._formats = [name for name in FORMATS if name in Image.OPEN]

    def listed(self, root: Path) -> dict[str, list[Path]]:
        """Class -> its images, both in alphabetical order; DataError when there are no classes, or one is empty."""
        try:
            if root.is_symlink() and not self._stays(root):
                raise DataError("leads out of the data folder", where=str(root), hint="Name that folder with --data.")
            found = {_legible(path.name): self._images(path) for path in self._entries(root, folders=True)}
        except OSError as error:
            raise DataError(f"no image folder: {error}", where=str(root), hint=_EXPECTED) from error
        empty = [name for name, paths in found.items() if not paths]
        if not found or empty:
            what = f"no images of {', '.join(empty[:5])}" if empty else "no class folders"
            passed = "; ".join(self._passed_over())
            raise DataError(f"{what}{f' ({passed})' if passed else ''}", where=str(root), hint=_EXPECTED)
        return found

    def _images(self, folder: Path) -> list[Path]:
        folders, found = [folder], dict[str, list[Path]]()
        while folders:
            here = folders.pop()
            inside = list(self._entries(here))
            folders += [path for path in inside if path.is_dir()]
            found[str(here)] = [path for path in inside if not path.is_dir()]
        return [path for here in sorted(found) for path in found[here]]

    def _entries(self, folder: Path, *, folders: bool = False) -> Iterator[Path]:
        """What is taken of a folder, by name; with `folders` these alone, and links to them, too."""
        for path in sorted(folder.iterdir()):
            name, linked = path.name, path.is_symlink()
            mode = 0 if linked and not self._stays(path) else path.stat().st_mode
            if name.startswith("."):
                self._passed["whose names begin with a dot"] += 1
            elif name.lower() in SYSTEM:
                self._passed["left by an operating system"] += 1
            elif not mode or (linked and stat.S_ISDIR(mode) and not folders):
                self._passed["links that lead out of the data folder or to other folders"] += 1
            elif stat.S_ISDIR(mode):
                yield path
            elif not stat.S_ISREG(mode):
                self._passed["pipes, devices and the like"] += 1
            elif folders or not name.lower().endswith(IMG_EXTENSIONS):
                self._passed[NO_IMAGES] += 1
                self._endings.add(path.suffix.lower()[:10] or "none")
            else:
                yield path

    def _stays(self, link: Path) -> bool:
        try:
            target = link.resolve(strict=True)
        except (OSError, RuntimeError):  # broken, or a circle
            return False
        return any(target.is_relative_to(home) for home in self._homes)

    def split(self, classes: dict[str, list[Path]]) -> Split:
        """All images decoded; DataError that names the first torn one, and how many there are."""
        paths = [(path, label) for label, paths in enumerate(classes.values()) for path in paths]
        images = torch.empty(len(paths), 3, self._size, self._size, dtype=torch.uint8)
        torn = list[tuple[Path, Exception]]()
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            for place, (path, _) in enumerate(paths):
                try:
                    images[place] = self._pixels(path)
                except _TORN as error:
                    torn.append((path, error))
        if torn:
            path, cause = torn[0]
            more = f" ({len(torn)} of {len(paths)} images are not)" if len(torn) > 1 else ""
            raise DataError(f"is no readable image{more}: {cause}", where=str(path)) from cause
        if self._deep and self._deepest <= DARK:
            path, mode = self._deep
            what = f"this image (mode {mode}) and all of its kind use less than a quarter of the range of 16 bits"
            guess = "they seem to hold 10, 12 or 14 bits, and would be nearly black"
            raise DataError(f"{what}: {guess}", where=str(path), hint=_DEEP_HINT)
        return Split(images, torch.tensor([label for _, label in paths]))

    def _pixels(self, path: Path) -> Tensor:
        """3 S S in uint8."""
        with Image.open(path, formats=self._formats) as image:
            stored, mode = _stored(image), image.mode
            if mode.startswith("I"):
                grey = _eight_bits(image, stored, path)
                self._note_depth(path, mode, int(grey.max()))
                rgb = Image.fromarray(grey).convert("RGB")
            elif mode == "F":
                what = "holds floating-point pixels (mode F), whose white is not known"
                raise DataError(what, where=str(path), hint=_DEEP_HINT)
            else:
                rgb = image.convert("RGB")
                if ";16" in stored and not stored.startswith("BGR"):  # Pillow took the upper bytes; BGR;16 is 5-6-5
                    self._note_depth(path, f"{mode} of 16 bits", int(np.asarray(rgb).max()))
                if image.has_transparency_data and np.asarray(image.convert("RGBA"))[..., 3].min() < 255:
                    self._converted["have transparency, which is left out"] += 1
                if mode == "CMYK":
                    self._converted["are CMYK, made RGB without a colour profile"] += 1
            if getattr(image, "is_animated", False):
                self._converted["hold several pictures, of which the first is taken"] += 1
            if image.getexif().get(ORIENTATION, 1) not in (0, 1):
                self._converted["have an EXIF rotation, which is not applied"] += 1
            sized = rgb.resize((self._size, self._size), Image.Resampling.BILINEAR)
            return torch.from_numpy(np.array(sized)).permute(2, 0, 1)

    def _note_depth(self, path: Path, mode: str, brightest: int) -> None:
        self._deep = self._deep or (path, mode)
        self._deepest = max(self._deepest, brightest)
        self._converted[f"of mode {mode} were scaled to 8 bits"] += 1

    def notes(self) -> list[str]:
        return self._passed_over() + [f"{number} images {what}" for what, number in sorted(self._converted.items())]

    def _passed_over(self) -> list[str]:
        endings = {NO_IMAGES: f" (endings: {', '.join(sorted(self._endings)[:6])})"}
        named = [f"{number} {what}{endings.get(what, '')}" for what, number in sorted(self._passed.items())]
        return [f"passed over: {', '.join(named)}"] if named else []


def _legible(name: str) -> str:
    """A name that is no UTF-8 with its bytes written out, for it goes into logs."""
    return os.fsencode(name).decode(errors="backslashreplace")


def _stored(image: Image.Image) -> str:
    """How the file stores its pixels, in Pillow's words, such as `RGB;16B`; empty when it does not tell."""
    tiles = getattr(image, "tile", ())
    arguments = tiles[0][3] if tiles else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def _eight_bits(image: Image.Image, stored: str, path: Path) -> np.ndarray:
    """H W in uint8 of an image of whole numbers, scaled by the range of its type; DataError when that has no white."""
    if image.format == "PPM" or stored in ("I;16", "I;16B", "I;16L", "I;16N"):
        peak = 65535  # Pillow scales PGM's own maximum to this
    elif stored == "I;12":
        peak = 4095
    else:
        what = f"holds whole numbers of 32 bits, or signed ones (mode {image.mode}), whose white is not known"
        raise DataError(what, where=str(path), hint=_DEEP_HINT)
    values = np.asarray(image).astype(np.float64)
    if getattr(image, "tag_v2", {}).get(PHOTOMETRIC) == WHITE_IS_ZERO:  # Pillow turns only 8 bits round
        values = peak - values
    scaled: np.ndarray = np.rint(values * (255 / peak)).clip(0, 255).astype(np.uint8)
    return scaled
