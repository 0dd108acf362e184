"""crdnd tables: what the list says of a table is what its folder holds, and one in use is not removed."""

import fcntl
import json
import os
import struct
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from engine.spec import teacher_logits
from engine.spec.teacher_logits import FORMAT, HEADER, TableKey, TableMeta

KEY = TableKey(
    teacher_sha256="a" * 64, model='{"name":"wide_resnet","depth":34}', data_sha256="b" * 64, images=100, classes=10,
    padding=4, flip=True, image=(3, 32, 32), precision="bfloat16", folded=True, layout="contiguous", device="cpu",
    torch="2.15", rows=40,
)  # fmt: skip


def header(key: TableKey, **labels: str) -> bytes:
    return msgspec.json.encode(TableMeta(format=FORMAT, key=key, created=1.0, **labels)).ljust(HEADER)


def made(home: Path, key: TableKey = KEY, chunks: int = 0, **labels: str) -> Path:
    """A table with so many written chunks, as an engine leaves it."""
    path = teacher_logits.tables_folder(home / "data") / key.id
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(header(key, **labels))
        for number in range(chunks):
            chunk = (7 * number) % key.chunks
            file.seek(HEADER + chunk * key.chunk_bytes)
            file.write(struct.pack("<10f", *range(10)) * key.rows)
            file.seek(key.sums_at + 4 * chunk)
            file.write(struct.pack("<I", 1 << (8 * (number % 4))))  # any byte of the word may stand alone
        file.truncate(key.table_bytes)
    return path


def former(home: Path, number: int = 2) -> Path:
    """A table of format 1 or 2: a folder, with its lock in a file of its own."""
    path = teacher_logits.tables_folder(home / "data") / ("0" * 16)
    path.mkdir(parents=True)
    (path / "meta.json").write_text(f'{{"format":{number}}}')
    (path / "lock").write_bytes(b"")
    (path / "logits.f32").write_bytes(b"\x01" * 5000)
    return path


def test_without_tables_it_says_where_they_would_be(crdnd):
    done = crdnd("tables")
    assert (done.returncode, done.stdout) == (0, "")
    assert "No tables in" in done.stderr
    assert crdnd("tables", "--json").stdout == "[]\n"
    assert not (crdnd.home / "data").exists()


def test_a_table_is_listed_with_what_it_holds(crdnd):
    path = made(crdnd.home, chunks=81, teacher="Rice2020Overfitting", data="cifar10")
    done = crdnd("tables")
    assert done.returncode == 0
    head, row = done.stdout.splitlines()
    assert head.split()[-8:] == ["x", "views", "filled", "%", "on", "disk", "last", "used"]
    assert row.split()[:7] == [KEY.id, "Rice2020Overfitting", "cifar10", "100", "x", "162", "20.0"]
    assert row.endswith("ago")
    assert "in use" not in row
    assert "698 KiB when all are filled" in done.stderr
    (found,) = json.loads(crdnd("tables", "--json").stdout)
    assert (found["id"], found["path"], found["filled"], found["trouble"]) == (KEY.id, str(path), 0.2, "")
    assert found["bytes"] == KEY.table_bytes == HEADER + 405 * (40 * 40 + 4)
    assert found["bytes_on_disk"] == path.stat().st_blocks * 512
    assert (found["meta"]["key"]["views"], found["meta"]["key"]["model"]["depth"]) == (162, 34)


def test_a_table_without_labels_shows_its_architecture_and_the_hash_of_its_data(crdnd):
    made(crdnd.home)
    assert crdnd("tables").stdout.splitlines()[1].split()[:3] == [KEY.id, "wide_resnet", "b" * 8]


def test_one_missing_chunk_is_not_a_full_table(crdnd):
    path = made(crdnd.home, chunks=KEY.chunks)
    assert " 100.0 " in crdnd("tables").stdout
    with path.open("r+b") as file:
        file.seek(-4, os.SEEK_END)
        file.write(bytes(4))
    assert " 99.7 " in crdnd("tables").stdout


@pytest.mark.parametrize(
    "damage", ["truncated", "garbage", "former format", "another version", "another name", "set aside", "pipe"]
)
def test_a_table_that_no_run_uses_says_why_and_can_be_removed(crdnd, damage):
    path = former(crdnd.home) if damage == "former format" else made(crdnd.home)
    if damage == "truncated":
        os.truncate(path, HEADER)
    elif damage == "garbage":
        path.write_bytes(b"{\x1b[31m")
    elif damage == "another version":
        path.write_bytes(path.read_bytes().replace(b'"format":3', b'"format":4'))
    elif damage == "pipe":
        path.unlink()
        os.mkfifo(path)
    elif damage in ("another name", "set aside"):
        name = {"another name": "0123456789abcdef", "set aside": f"{KEY.id}.damaged-2"}[damage]
        path = path.rename(path.with_name(name))
    done = crdnd("tables")
    assert done.returncode == 0
    assert f"crdnd tables --remove {path.name}" in done.stdout
    assert "\x1b" not in done.stdout
    (found,) = json.loads(crdnd("tables", "--json").stdout)
    assert found["trouble"]
    assert crdnd("tables", "--remove", path.name).returncode == 0
    assert not path.exists()


def test_removing_says_what_is_free_again_and_takes_the_beginning_of_a_name(crdnd):
    path, kept = made(crdnd.home, chunks=50), made(crdnd.home, replace(KEY, torch="2.11"))
    used = path.stat().st_blocks * 512
    done = crdnd("tables", "--remove", path.name[:6], "--json")
    assert json.loads(done.stdout) == {"removed": path.name, "freed": used}
    assert teacher_logits.names(path.parent) == [kept.name]
    assert f"{kept.name} is removed" in crdnd("tables", "--remove", kept.name).stderr


@pytest.mark.parametrize("maker", [made, former])
def test_a_table_in_use_is_marked_and_not_removed(crdnd, maker):
    path = maker(crdnd.home)
    with (path / "lock" if maker is former else path).open("rb") as engine:
        fcntl.flock(engine, fcntl.LOCK_SH)
        assert crdnd("tables").stdout.splitlines()[1].endswith("in use")
        done = crdnd("tables", "--remove", path.name)
        assert done.returncode == 2
        assert "an engine uses this table" in done.stderr
        assert path.exists()
    assert crdnd("tables", "--remove", path.name).returncode == 0


def test_nothing_but_tables_is_removed(crdnd):
    path = made(crdnd.home)
    (path.parent / "notes").mkdir()
    (path.parent / ("c" * 16)).symlink_to(path)
    for name in ("notes", "..", "c" * 16, "/", "fffffff"):
        done = crdnd("tables", "--remove", name)
        assert done.returncode == 2, name
        assert "there is no table" in done.stderr
    assert (path.parent / "notes").is_dir()
    assert path.is_file()


def test_a_beginning_that_fits_several_removes_none(crdnd):
    first = made(crdnd.home)
    second = first.rename(first.with_name(f"{KEY.id}.damaged"))
    first = made(crdnd.home)
    assert "several tables" in crdnd("tables", "--remove", KEY.id[:5]).stderr
    assert crdnd("tables", "--remove", KEY.id).returncode == 0  # a whole name is meant as it is
    assert second.is_file() and not first.exists()


@pytest.mark.parametrize(
    "field",
    [{"images": 0}, {"images": -1}, {"images": 10**30}, {"classes": 0}, {"classes": -5}, {"padding": -1},
     {"padding": 10**9}, {"rows": 0}, {"image": [3, 32, 10**30]}, {"image": [3, -32, 32]}],
    ids=str,
)  # fmt: skip
def test_a_table_of_numbers_that_no_key_has_is_damaged_and_can_be_removed(crdnd, field):
    path = made(crdnd.home)
    meta = json.loads(header(KEY))
    content = json.dumps(meta | {"key": meta["key"] | field}).encode().ljust(HEADER)
    path.write_bytes(content.ljust(KEY.table_bytes, b"\0"))
    if field == {"images": 0}:  # whose name and size are right
        path = path.rename(path.with_name(replace(KEY, images=0).id))
        os.truncate(path, HEADER)
    (found,) = json.loads(crdnd("tables", "--json").stdout)
    assert "header cannot be read" in found["trouble"] and found["filled"] is None
    assert crdnd("tables", "--remove", path.name).returncode == 0
