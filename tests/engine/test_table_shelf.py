"""Tables as files: nothing is shared that differs in anything the logits depend on, and no run fills the disk."""

import errno
import json
import os
import shutil
import stat
from dataclasses import fields
from pathlib import Path

import msgspec
import pytest
import torch

from engine.fast import table as table_file
from engine.fast.table import open_table
from engine.spec import tables
from engine.spec.tables import Meta, TableError
from tests.engine.table_bench import KEY, ROOMY, key, missing, opened, random_logits, scribbled


def test_each_part_of_the_key_names_another_table():
    other = {
        "teacher_sha256": "c" * 64, "model": "{}", "data_sha256": "c" * 64, "images": 7, "classes": 4, "padding": 2,
        "flip": False, "image": (2, 4, 5), "precision": "bfloat16", "folded": True, "layout": "channels_last",
        "device": "H200", "torch": "2.11", "rows": 32,
    }  # fmt: skip
    assert set(other) == {field.name for field in fields(KEY)}
    assert len({key(**{name: value}).id for name, value in other.items()} | {KEY.id}) == len(other) + 1


@pytest.mark.parametrize("damage", ["truncated", "no meta", "no records", "garbage", "deep", "no lock", "another key"])
def test_what_is_damaged_is_set_aside_with_its_reason_and_a_new_one_begun(tmp_path, damage):
    with scribbled(opened(tmp_path)) as table:
        path = table.path
    if damage == "truncated":
        os.truncate(path / tables.RECORDS, 100)
    elif damage == "another key":
        opened(tmp_path, teacher_sha256="c" * 64).close()
        shutil.copy(tmp_path / key(teacher_sha256="c" * 64).id / tables.META, path / tables.META)
        tables.remove(tmp_path, key(teacher_sha256="c" * 64).id)
    elif damage in ("garbage", "deep"):
        (path / tables.META).write_bytes(b"\xff{" if damage == "garbage" else b'{"format":2,"key":' + b"[" * 50_000)
    else:
        (path / {"no meta": tables.META, "no records": tables.RECORDS, "no lock": tables.LOCK}[damage]).unlink()
    table, trouble = open_table(tmp_path, KEY, ROOMY)
    with table:
        assert trouble.endswith(f"(now {KEY.id}.damaged)")
        assert missing(table) == KEY.chunks
    assert tables.names(tmp_path) == [KEY.id, f"{KEY.id}.damaged"]
    (table, trouble) = open_table(tmp_path, KEY, ROOMY)
    table.close()
    assert trouble == ""


def test_tables_that_were_set_aside_are_numbered_and_each_makes_room_for_a_new_one(tmp_path):
    for number in range(3):
        opened(tmp_path).close()
        os.truncate(tmp_path / KEY.id / tables.RECORDS, 100 + number)
        table, trouble = open_table(tmp_path, KEY, ROOMY)
        table.close()
        assert trouble.endswith(f"(now {KEY.id}.damaged{('', '-2', '-3')[number]})")
    assert tables.names(tmp_path) == sorted([KEY.id, *(f"{KEY.id}.damaged{n}" for n in ("", "-2", "-3"))])
    sizes = [(tmp_path / f"{KEY.id}.damaged{n}" / tables.RECORDS).stat().st_size for n in ("", "-2", "-3")]
    assert sizes == [100, 101, 102]


def test_a_table_of_an_older_format_is_never_met_and_can_be_removed(tmp_path):
    """Its folder's name is the hash of another key; even under our name it is put aside unread."""
    old = json.loads(msgspec.json.encode(Meta(format=1, key=KEY, created=1.0)))
    del old["key"]["rows"]
    path = tmp_path / ("0" * 16)
    path.mkdir()
    (path / tables.META).write_text(json.dumps(old))
    (path / tables.LOCK).write_bytes(b"")
    (path / tables.RECORDS).write_bytes(b"\x01" * 288 * 16)
    (found,) = tables.listed(tmp_path)
    assert "format 1, not 2" in found.trouble and found.bytes == 288 * 16
    opened(tmp_path).close()
    assert tables.names(tmp_path) == sorted([path.name, KEY.id])
    tables.remove(tmp_path, KEY.id)
    path.rename(tmp_path / KEY.id)
    table, trouble = open_table(tmp_path, KEY, ROOMY)
    with table:
        assert "format 1" in trouble and missing(table) == KEY.chunks
    assert tables.remove(tmp_path, f"{KEY.id}.damaged")[0] == f"{KEY.id}.damaged"


def test_the_limit_is_that_of_all_tables_together(tmp_path):
    limit = 2 * KEY.table_bytes
    for number in range(2):
        open_table(tmp_path, key(teacher_sha256=f"{number}"), limit)[0].close()
    with pytest.raises(TableError, match="are allowed") as caught:
        open_table(tmp_path, KEY, limit)
    assert "crdnd tables" in str(caught.value)
    open_table(tmp_path, key(teacher_sha256="0"), limit)[0].close()  # what is there takes nothing more
    assert len(tables.names(tmp_path)) == 2


def test_a_table_that_its_disk_cannot_hold_is_not_begun(tmp_path, monkeypatch):
    usage = table_file.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(table_file.shutil, "disk_usage", lambda _path: usage._replace(free=KEY.table_bytes))
    with pytest.raises(TableError, match="are free on its disk"):
        opened(tmp_path)
    assert tables.names(tmp_path) == []


def test_a_disk_that_fills_up_later_is_an_error_not_the_death_of_the_engine(tmp_path, monkeypatch):
    def full(*_words):
        raise OSError(errno.ENOSPC, "No space left on device")

    with opened(tmp_path) as table:
        monkeypatch.setattr(os, "pwrite", full)
        with pytest.raises(TableError, match="No space left"):
            table.write(0, random_logits(KEY, 0))
        assert missing(table) == KEY.chunks
        monkeypatch.undo()
        table.write(0, random_logits(KEY, 0))  # the lock of the writer was given back
        assert missing(table) == KEY.chunks - 1


def test_a_table_of_another_user_serves_while_nothing_is_missing(tmp_path, monkeypatch):
    scribbled(opened(tmp_path)).close()
    inner = os.open

    def closed(path, flags, *more):
        if flags & os.O_RDWR:
            raise PermissionError(errno.EACCES, "Permission denied")
        return inner(path, flags, *more)

    monkeypatch.setattr(os, "open", closed)
    with opened(tmp_path) as table:
        assert missing(table) == 0
        assert torch.equal(table.read(table.views_of(7)), random_logits(KEY, 7))
        (table.path / tables.RECORDS).write_bytes(bytes(KEY.table_bytes))
        with pytest.raises(TableError, match="cannot be kept"):
            table.write(7, random_logits(KEY, 7))


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(TableError, match="Permission denied"):
        opened(tmp_path / "tables")
    tmp_path.chmod(stat.S_IRWXU)


def test_a_file_where_the_folder_should_be_is_an_error_with_its_reason(tmp_path):
    (tmp_path / "tables").write_text("")
    with pytest.raises(TableError):
        opened(tmp_path / "tables")


def test_links_are_not_followed(tmp_path):
    with opened(tmp_path / "elsewhere") as table:
        target = table.path
    shelf_ = tmp_path / "shelf"
    shelf_.mkdir()
    (shelf_ / KEY.id).symlink_to(target)
    with pytest.raises(TableError, match="a link"):
        opened(shelf_)
    (shelf_ / KEY.id).unlink()
    opened(shelf_).close()
    records: Path = shelf_ / KEY.id / tables.RECORDS
    records.unlink()
    records.symlink_to(target / tables.RECORDS)
    opened(shelf_).close()
    assert tables.names(shelf_) == [KEY.id, f"{KEY.id}.damaged"]
    assert not (shelf_ / KEY.id / tables.RECORDS).is_symlink() and (target / tables.RECORDS).is_file()


def test_what_a_killed_maker_left_is_swept_and_never_taken_for_a_table(tmp_path):
    (tmp_path / ".new-0123456789abcdef").mkdir()
    ((tmp_path / ".new-0123456789abcdef") / tables.META).write_text("{")
    assert tables.names(tmp_path) == []
    opened(tmp_path).close()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([tables.SHELF_LOCK, KEY.id])


def test_a_table_is_in_use_until_it_is_closed_and_set_aside_but_once(tmp_path):
    table, same = opened(tmp_path), opened(tmp_path)
    assert tables.in_use(table.path)
    table.set_aside()
    table.close()
    aside = tmp_path / f"{KEY.id}.damaged"
    assert tables.names(tmp_path) == [KEY.id + ".damaged"] and tables.in_use(aside)
    opened(tmp_path).close()
    same.set_aside()  # the new one is not the table that it had open
    assert tables.names(tmp_path) == [KEY.id, aside.name]
    same.close()
    assert not tables.in_use(aside)


def test_a_sparse_table_takes_what_was_written(tmp_path):
    with opened(tmp_path, images=50_000, classes=10, padding=4) as table:
        records = table.path / tables.RECORDS
        assert records.stat().st_size == 324_000_000 + 4 * 506_250
        table.write(506_249, torch.ones(16, 10))
        assert 0 < records.stat().st_blocks * 512 < 1 << 20
        assert bool((table.read(table.views_of(506_249)) == 1).all())
