"""Tables as files: nothing is shared that differs in anything the logits depend on, and no run fills the disk."""

import errno
import os
import stat
from dataclasses import fields
from pathlib import Path

import pytest
import torch

from engine.fast import shelf
from engine.fast.table import open_table
from engine.spec import tables
from engine.spec.tables import TableError
from tests.engine.table_bench import KEY, ROOMY, key, opened, some


def test_each_part_of_the_key_names_another_table():
    other = {
        "teacher_sha256": "c" * 64, "model": "{}", "data_sha256": "c" * 64, "images": 7, "classes": 4, "padding": 2,
        "flip": False, "image": (2, 4, 5), "precision": "bfloat16", "folded": True, "layout": "channels_last",
        "device": "H200", "torch": "2.11",
    }  # fmt: skip
    assert set(other) == {field.name for field in fields(KEY)}
    assert len({key(**{name: value}).id for name, value in other.items()} | {KEY.id}) == len(other) + 1


def test_another_key_under_the_same_name_is_refused_and_left_alone(tmp_path):
    opened(tmp_path).close()
    other = key(teacher_sha256="c" * 64)
    (tmp_path / KEY.id).rename(tmp_path / other.id)
    with pytest.raises(TableError, match="another teacher") as caught:
        open_table(tmp_path, other, ROOMY)
    assert caught.value.kind == "another key"
    assert (tmp_path / other.id).is_dir()


def test_what_is_damaged_is_set_aside_and_the_next_opening_makes_a_new_one(tmp_path):
    for number, damage in enumerate(("truncated", "no meta", "no records", "garbage")):
        with opened(tmp_path) as table:
            table.write(some((0, 0, 0, False)), torch.ones(1, 3))
            path = table.path
        if damage == "truncated":
            os.truncate(path / tables.RECORDS, 100)
        elif damage == "garbage":
            (path / tables.META).write_bytes(b"\xff{")
        else:
            (path / {"no meta": tables.META, "no records": tables.RECORDS}[damage]).unlink()
        with pytest.raises(TableError, match="damaged") as caught:
            opened(tmp_path)
        assert caught.value.kind == "damaged"
        assert len(tables.names(tmp_path)) == number + 1
        with opened(tmp_path) as table:
            assert table.filled == 0.0
    assert tables.names(tmp_path) == sorted([KEY.id] + [f"{KEY.id}.damaged{n}" for n in ("", "-2", "-3", "-4")])


def test_the_limit_is_that_of_all_tables_together(tmp_path):
    limit = 2 * KEY.table_bytes
    for number in range(2):
        open_table(tmp_path, key(teacher_sha256=f"{number}"), limit).close()
    with pytest.raises(TableError, match="are allowed") as caught:
        open_table(tmp_path, KEY, limit)
    assert caught.value.kind == "space"
    assert "crdnd tables" in str(caught.value)
    open_table(tmp_path, key(teacher_sha256="0"), limit).close()  # what is there takes nothing more
    assert len(tables.names(tmp_path)) == 2


def test_a_table_that_its_disk_cannot_hold_is_not_begun(tmp_path, monkeypatch):
    usage = shelf.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shelf.shutil, "disk_usage", lambda _path: usage._replace(free=KEY.table_bytes))
    with pytest.raises(TableError, match="are free on its disk") as caught:
        opened(tmp_path)
    assert caught.value.kind == "space"
    assert tables.names(tmp_path) == []


def test_a_disk_that_fills_up_later_is_an_error_not_the_death_of_the_engine(tmp_path, monkeypatch):
    def full(*_words):
        raise OSError(errno.ENOSPC, "No space left on device")

    with opened(tmp_path) as table:
        monkeypatch.setattr(os, "pwrite", full)
        with pytest.raises(TableError, match="No space left"):
            table.write(some((0, 0, 0, False)), torch.ones(1, 3))
        assert table.filled == 0.0


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(TableError, match="Permission denied") as caught:
        opened(tmp_path / "tables")
    assert caught.value.kind == "unwritable"
    tmp_path.chmod(stat.S_IRWXU)


def test_a_file_where_the_folder_should_be_is_an_error_with_its_reason(tmp_path):
    (tmp_path / "tables").write_text("")
    with pytest.raises(TableError) as caught:
        opened(tmp_path / "tables")
    assert caught.value.kind == "unwritable"


def test_links_are_not_followed(tmp_path):
    with opened(tmp_path / "elsewhere") as table:
        target = table.path
    shelf_ = tmp_path / "shelf"
    shelf_.mkdir()
    (shelf_ / KEY.id).symlink_to(target)
    with pytest.raises(TableError, match="a link") as caught:
        opened(shelf_)
    assert caught.value.kind == "unwritable"
    (shelf_ / KEY.id).unlink()
    opened(shelf_).close()
    records: Path = shelf_ / KEY.id / tables.RECORDS
    records.unlink()
    records.symlink_to(target / tables.RECORDS)
    with pytest.raises(TableError) as caught:
        opened(shelf_)
    assert caught.value.kind == "unwritable"


def test_what_a_killed_maker_left_is_swept_and_never_taken_for_a_table(tmp_path):
    (tmp_path / ".new-0123456789abcdef").mkdir()
    ((tmp_path / ".new-0123456789abcdef") / tables.META).write_text("{")
    assert tables.names(tmp_path) == []
    opened(tmp_path).close()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([tables.SHELF_LOCK, KEY.id])


def test_a_table_is_in_use_until_it_is_closed_and_set_aside_but_once(tmp_path):
    table, same = opened(tmp_path), opened(tmp_path)
    assert tables.in_use(table.path)
    aside = table.set_aside()
    assert aside is not None and aside.name == f"{KEY.id}.damaged"
    opened(tmp_path).close()
    assert same.set_aside() is None  # the new one is not the table that it had open
    assert tables.names(tmp_path) == [KEY.id, aside.name]
    assert not tables.in_use(aside)
    same.close()


def test_a_sparse_table_takes_what_was_written(tmp_path):
    with opened(tmp_path, images=50_000, classes=10, padding=4) as table:
        assert (table.path / tables.RECORDS).stat().st_size == 356_400_000
        table.write(some((49_999, 8, 8, True)), torch.ones(1, 10))
        assert 0 < table._place.bytes_on_disk < 1 << 20
        assert torch.equal(table.read(some((49_999, 8, 8, True))), torch.ones(1, 10))
