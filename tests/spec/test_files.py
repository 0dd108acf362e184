"""The one reader: what it refuses, in which words, and that nothing is written, made or touched through a link."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from engine.spec import files, gallery, outcomes, status, teacher_logits
from engine.spec.machine import Machine
from engine.spec.marks import decode_checks
from tests import hostile

KINDS = ("folder", "pipe", "device", "dangling", "circle", "sparse")
DECODERS: dict[str, Callable[[bytes], object]] = {
    "status": status.decode, "gallery": gallery.decode, "outcome": outcomes.decode, "checks": decode_checks,
    "JSON": files.json_table, "TOML": files.toml_table, "machine": Machine.model_validate_json,
    "number": lambda content: float(files.json_table(content)["run"]),
    "count": lambda content: int(files.json_table(content)["run"]),
    "anything": msgspec.json.decode,
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_regular_file_is_not_read_by_any_way(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file"
    hostile.plant(path, kind)
    assert files.open_regular(path) is None
    assert files.read(path) is None
    assert files.tail(path) == b""
    assert files.decoded(path, len) is None
    assert files.read_table(path) == {}
    with pytest.raises(OSError, match=r"it is (a folder|no regular file|a link|sparse)"):
        files.content_of(path)


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11])
def test_a_file_is_read_whole_up_to_its_cap_and_not_at_all_beyond(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(size)))
    assert files.read(path, 10) == (bytes(range(size)) if size <= 10 else None)


def test_a_file_with_a_hole_that_is_mostly_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.write(os.urandom(1 << 20))
        file.seek(1 << 22)
        file.write(b"end")
    content = files.read(path, 1 << 23)
    assert content is not None
    assert len(content) == (1 << 22) + 3


def test_a_file_system_that_cannot_tell_of_holes_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, seek = tmp_path / "file", os.lseek
    path.write_bytes(b"x" * (1 << 21))

    def cannot(descriptor: int, place: int, how: int) -> int:
        if how in (os.SEEK_DATA, os.SEEK_HOLE):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return seek(descriptor, place, how)

    monkeypatch.setattr(os, "lseek", cannot)
    assert len(files.read(path, 1 << 22) or b"") == 1 << 21


@pytest.mark.parametrize("content", [name for name in hostile.CONTENTS if name not in KINDS])
@pytest.mark.parametrize("decoder", DECODERS)
def test_whatever_a_parser_raises_is_one_kind_of_error(tmp_path: Path, decoder: str, content: str) -> None:
    hostile.plant(tmp_path / "file", content)
    held = (tmp_path / "file").read_bytes()
    try:
        files.parsed(held, DECODERS[decoder])
    except files.MalformedError as error:
        assert "\n" not in str(error)
        assert 0 < len(str(error)) <= 200
    files.decoded(tmp_path / "file", DECODERS[decoder])


def test_words_name_what_is_wrong() -> None:
    for content, words in ((b"[" * 10**5, "nested too deeply"), (b"[]", "no object"), (b"\xff", "utf-8")):
        with pytest.raises(files.MalformedError, match=words):
            files.json_table(content)
    for content, words in ((b"a=0x" + b"f" * 99, "64 bits"), (b"a" + b".a" * 999 + b"=1", "dots")):
        with pytest.raises(files.MalformedError, match=words):
            files.toml_table(content)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder with a file that nobody may change."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "precious").write_bytes(b"precious\n")
    return folder


def untouched(outside: Path) -> bool:
    return {path.name: path.read_bytes() for path in outside.iterdir()} == {"precious": b"precious\n"}


def test_nothing_is_made_or_written_through_a_linked_folder(tmp_path: Path, outside: Path) -> None:
    (tmp_path / "linked").symlink_to(outside)
    for act in (
        lambda: files.make_folder(tmp_path / "linked" / "new"),
        lambda: files.make_folder(tmp_path / "linked"),
        lambda: files.write_inside(tmp_path / "linked" / "precious", b"x"),
        lambda: files.refuse_links(tmp_path / "linked" / "precious"),
    ):
        with pytest.raises(OSError, match="a link stands here") as caught:
            act()
        assert caught.value.errno == errno.ELOOP
        assert caught.value.filename == str(tmp_path / "linked")
    assert untouched(outside)


@pytest.mark.parametrize("target", ["precious", "new"])
def test_nothing_is_written_through_a_linked_file(tmp_path: Path, outside: Path, target: str) -> None:
    path = tmp_path / "file"
    path.symlink_to(outside / target)
    for act in (lambda: files.touch(path), lambda: files.open_log(path), lambda: files.open_log(path, anew=True)):
        with pytest.raises(OSError, match="it is a link"):
            act()
    files.write_inside(path, b"own")
    assert (path.is_symlink(), path.read_bytes()) == (False, b"own")
    assert untouched(outside)


def test_a_folder_where_a_file_belongs_is_set_aside_and_kept(tmp_path: Path) -> None:
    for k, suffix in enumerate(("", "-2")):
        (tmp_path / "new" / "file").mkdir(parents=True)
        (tmp_path / "new" / "file" / "kept").write_text(str(k))
        files.write_inside(tmp_path / "new" / "file", b"x")
        assert (tmp_path / "new" / f"file.damaged{suffix}" / "kept").read_text() == str(k)
        (tmp_path / "new" / "file").unlink()


def test_sweeping_walks_past_links(tmp_path: Path, outside: Path) -> None:
    (outside / f"{files.TEMPORARY}x").write_text("")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "linked").symlink_to(outside)
    (tmp_path / "run" / f"{files.TEMPORARY}y").symlink_to(outside / "precious")
    (tmp_path / "run" / f"{files.TEMPORARY}z").write_text("")
    assert files.sweep(tmp_path / "run") == 1
    assert (outside / f"{files.TEMPORARY}x").exists()


def test_a_table_of_numbers_beyond_any_is_damaged(tmp_path: Path) -> None:
    table = tmp_path / ("0" * 16)
    key = {
        "teacher_sha256": "a", "model": "[" * 1000, "data_sha256": "b", "images": 10**400, "classes": 10, "padding": 4,
        "flip": True, "image": [3, 32, 32], "precision": "float32", "folded": True, "layout": "contiguous",
        "device": "cpu", "torch": "2", "rows": 8,
    }  # fmt: skip
    text = str({"format": teacher_logits.FORMAT, "key": key, "created": 1.0}).replace("'", '"').replace("True", "true")
    for content in (text.encode(), b"[" * 10**5, b"{}"):
        table.write_bytes(content)
        (found,) = teacher_logits.listed(tmp_path)
        assert "header cannot be read" in found.trouble


@pytest.mark.parametrize("file", ["", "/", ".", "..", "../x.f32", "/etc/passwd", "x/y", "x\0"])
def test_a_gallery_whose_pixels_lie_elsewhere_is_none(file: str) -> None:
    index = gallery.Gallery(shape=(1, 8, 8), classes=["a"], weights_sha256="w", indices_sha256="i")

    def content(name: str) -> bytes:
        shelf = gallery.ExampleSet(file=name, sha256="", examples=[])
        return gallery.encode(msgspec.structs.replace(index, attacks={"x": shelf}))

    assert files.parsed(content("x.f32"), gallery.decode).attacks["x"].file == "x.f32"
    with pytest.raises(files.MalformedError, match="elsewhere"):
        files.parsed(content(file), gallery.decode)
