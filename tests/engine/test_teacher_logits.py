"""A table of teacher logits as a file: what was written is read bit for bit, and what is damaged is missing."""

import errno
import os
import shutil
import signal
import stat
from dataclasses import fields

import numpy as np
import pytest
import torch

from engine.data.augment import Draws
from engine.fast import teacher_logits
from engine.fast.teacher_logits import chunks_of, open_table
from engine.spec import files
from engine.spec import teacher_logits as tables
from engine.spec.teacher_logits import HEADER, TableError
from tests.engine.logits_bench import KEY, ROOMY, all_of, every, key, missing, opened, process, random_logits, scribbled

SUMS = HEADER + KEY.chunks * KEY.chunk_bytes
WRITER = """
import sys, torch
from pathlib import Path
from tests.engine.logits_bench import opened, random_logits
table = opened(Path(sys.argv[1]), images=200)
print("open", flush=True)
sys.stdin.readline()
for chunk in torch.randperm(table.key.chunks, generator=torch.Generator().manual_seed(int(sys.argv[2]))).tolist():
    table.write(chunk, random_logits(table.key, chunk))
    print("wrote", flush=True)
table.close()
"""


def test_the_numbers_of_cifar10_are_those_that_the_documents_name():
    cifar = key(images=50_000, classes=10, padding=4, image=(3, 32, 32), rows=32)
    assert (cifar.views, cifar.chunks, cifar.chunk_bytes) == (162, 253_125, 1280)
    assert cifar.table_bytes == HEADER + 253_125 * 1284 == 65_536 + 325_012_500
    assert key(padding=4, flip=False).views == 81
    assert key(padding=0, flip=False).views == 1


def test_each_part_of_the_key_names_another_table():
    other = {
        "teacher_sha256": "c" * 64, "model": "{}", "data_sha256": "c" * 64, "images": 7, "classes": 4, "padding": 2,
        "flip": False, "image": (2, 4, 5), "precision": "bfloat16", "folded": True, "layout": "channels_last",
        "device": "H200", "torch": "2.11", "rows": 32,
    }  # fmt: skip
    assert set(other) == {field.name for field in fields(KEY)}
    assert len({key(**{name: value}).id for name, value in other.items()} | {KEY.id}) == len(other) + 1


def test_a_chunk_is_read_bit_for_bit_and_the_rest_is_missing(tmp_path):
    odd = random_logits(KEY, 0)
    odd[:3] = torch.tensor([[0.0, -0.0, 1e-45], [torch.inf, -torch.inf, 3.4e38], [1.0, torch.pi, -7.5]])
    with opened(tmp_path) as table:
        assert missing(table) == KEY.chunks == 18
        table.write(5, odd)
        table.write(6, random_logits(KEY, 6).bfloat16())
        table.write(5, torch.zeros(16, 3))  # the first answer stays
    with opened(tmp_path) as table:
        assert torch.equal(table.read(table.views_of(5)).view(torch.int32), odd.view(torch.int32))
        assert torch.equal(table.read(table.views_of(6)), random_logits(KEY, 6).bfloat16().float())
        assert table.absent(all_of(table)).tolist() == [chunk for chunk in range(18) if chunk not in (5, 6)]
        assert tables.listed(tmp_path)[0].filled == 2 / 18
        with pytest.raises(KeyError, match="not all of these views"):
            table.read(table.views_of(7))
        with pytest.raises(ValueError, match="shape"):
            table.write(0, torch.zeros(1, 3))


@pytest.mark.parametrize("rows", [1, 5, 16, 25, 500])
def test_every_view_lies_in_one_chunk_and_the_last_one_fills_up_the_last_chunk(tmp_path, rows):
    wanted = torch.tensor([15, 3, 4])
    with scribbled(opened(tmp_path, rows=rows)) as table:
        views, total = every(table), 16 * 18
        assert len(set(zip(*(part.tolist() for part in views), strict=True))) == total
        assert len(views.order) == table.key.chunks * rows >= total
        last = [int(part[total - 1]) for part in views]
        assert all([int(part[k]) for part in views] == last for k in range(total, len(views.order)))
        read = table.read(views)
        for chunk in range(table.key.chunks):
            kept = min(rows, total - chunk * rows)
            assert torch.equal(read[chunk * rows :][:kept], random_logits(table.key, chunk)[:kept])
        holding = [k for k in range(table.key.chunks) if torch.isin(table.views_of(k).order, wanted).any()]
        assert chunks_of(table.key, wanted).tolist() == holding


@pytest.mark.parametrize(
    "view", [(16, 0, 0, False), (-1, 0, 0, False), (0, 3, 0, False), (0, 0, -1, False), (0, 0, 0, True)]
)
def test_a_view_outside_of_the_table_is_refused(tmp_path, view):
    with (
        scribbled(opened(tmp_path, flip=False)) as table,
        pytest.raises(ValueError, match="invalid entry in coordinates"),
    ):
        table.read(Draws(*(torch.tensor([part]) for part in view)))


@pytest.mark.parametrize("kept", [0, 1, 4, 100, KEY.chunk_bytes - 1])
def test_a_chunk_of_which_only_the_beginning_reached_the_disk_is_missing(tmp_path, kept):
    with scribbled(opened(tmp_path)) as table:
        with table.path.open("r+b") as file:
            file.seek(HEADER + 7 * KEY.chunk_bytes + kept)
            file.write(bytes(KEY.chunk_bytes - kept))
        assert table.absent(all_of(table)).tolist() == [7]


def test_a_whole_chunk_at_another_place_or_of_another_table_is_missing(tmp_path):
    with scribbled(opened(tmp_path)) as table, opened(tmp_path, teacher_sha256="c" * 64) as other:
        content = table.path.read_bytes()
        for path, place in ((table.path, 1), (other.path, 0)):
            with path.open("r+b") as file:
                for size, start in ((KEY.chunk_bytes, HEADER), (4, SUMS)):
                    file.seek(start + place * size)
                    file.write(content[start : start + size])
        assert table.absent(all_of(table)).tolist() == [1]
        assert missing(other) == KEY.chunks


def test_a_killed_writer_leaves_whole_chunks_or_none_and_its_lock_goes_with_it(tmp_path):
    writer = process(WRITER, str(tmp_path), "1")
    assert writer.stdin is not None and writer.stdout is not None
    writer.stdin.write("go\n")
    writer.stdin.flush()
    assert [writer.stdout.readline() for _ in range(2)] == ["wrote\n", "wrote\n"]
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    assert writer.returncode == -signal.SIGKILL
    with opened(tmp_path, images=200) as table:
        there = np.setdiff1d(all_of(table), table.absent(all_of(table)))
        assert 2 <= len(there) <= table.key.chunks
        assert all(torch.equal(table.read(table.views_of(k)), random_logits(table.key, k)) for k in there.tolist())
        assert missing(scribbled(table)) == 0
    assert not tables.in_use(tmp_path / key(images=200).id)


@pytest.mark.parametrize("damage", ["truncated", "garbage", "deep", "empty", "another key", "former format"])
def test_what_is_damaged_is_set_aside_with_its_reason_and_a_new_one_begun(tmp_path, damage):
    path = tmp_path / KEY.id
    for again in ("", "-2"):  # a second one, beside the first
        scribbled(opened(tmp_path)).close()
        if damage == "truncated":
            os.truncate(path, KEY.table_bytes - 4)
        elif damage == "another key":
            opened(tmp_path, teacher_sha256="c" * 64).close()
            shutil.copy(tmp_path / key(teacher_sha256="c" * 64).id, path)
            tables.remove(tmp_path, key(teacher_sha256="c" * 64).id)
        elif damage == "former format":
            path.unlink()
            path.mkdir()
            (path / "meta.json").write_text('{"format": 2}')
        else:
            content = {"garbage": b"\xff{", "deep": b'{"format":3,"key":' + b"[" * 50_000, "empty": b""}[damage]
            path.write_bytes(content.ljust(KEY.table_bytes if content else 0))
        table, trouble = open_table(tmp_path, KEY, ROOMY)
        with table:
            assert trouble.endswith(f"(now {KEY.id}.damaged{again})") and missing(table) == KEY.chunks
    assert tables.names(tmp_path) == [KEY.id, f"{KEY.id}.damaged", f"{KEY.id}.damaged-2"]
    table, trouble = open_table(tmp_path, KEY, ROOMY)
    table.close()
    assert trouble == ""


def test_a_link_is_not_followed_and_its_table_is_done_without(tmp_path):
    opened(tmp_path / "elsewhere").close()
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / KEY.id).symlink_to(tmp_path / "elsewhere" / KEY.id)
    with pytest.raises(TableError, match="a link"):
        opened(tmp_path / "tables")
    assert tables.names(tmp_path / "tables") == []


def test_the_limit_is_that_of_all_tables_together_and_of_the_disk(tmp_path, monkeypatch):
    limit = 2 * KEY.table_bytes
    for number in range(2):
        open_table(tmp_path, key(teacher_sha256=f"{number}"), limit)[0].close()
    with pytest.raises(TableError, match="are allowed") as caught:
        open_table(tmp_path, KEY, limit)
    assert "crdnd tables" in str(caught.value)
    open_table(tmp_path, key(teacher_sha256="0"), limit)[0].close()  # what is there takes nothing more
    monkeypatch.setattr(teacher_logits, "free_bytes", lambda _path: KEY.table_bytes)
    with pytest.raises(TableError, match="are free on its disk"):
        opened(tmp_path)
    assert len(tables.names(tmp_path)) == 2


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
    (tmp_path / f"{files.TEMPORARY}0123456789abcdef").write_text("{")  # half made, and it stays
    inner = os.open

    def closed(path, flags, *more):
        if flags & os.O_RDWR:
            raise PermissionError(errno.EACCES, "Permission denied")
        return inner(path, flags, *more)

    def refuse(*_words, **_keywords):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", closed)
    monkeypatch.setattr(os, "unlink", refuse)
    with opened(tmp_path) as table:
        assert missing(table) == 0
        assert torch.equal(table.read(table.views_of(7)), random_logits(KEY, 7))
        with table.path.open("r+b") as file:
            file.seek(SUMS + 28)
            file.write(bytes(4))
        with pytest.raises(TableError, match="cannot be kept"):
            table.write(7, random_logits(KEY, 7))
    assert tables.names(tmp_path) == [KEY.id]


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


def test_what_a_killed_maker_left_is_swept_and_never_taken_for_a_table(tmp_path):
    (tmp_path / f"{files.TEMPORARY}0123456789abcdef").write_text("{")
    assert tables.names(tmp_path) == []
    opened(tmp_path).close()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([tables.LOCK, KEY.id])


def test_a_table_is_in_use_until_it_is_closed_and_set_aside_but_once(tmp_path):
    table, same = opened(tmp_path), opened(tmp_path)
    assert tables.in_use(table.path)
    table.set_aside()
    table.close()
    aside = tmp_path / f"{KEY.id}.damaged"
    assert tables.names(tmp_path) == [aside.name] and tables.in_use(aside)
    same.set_aside()
    opened(tmp_path).close()
    same.set_aside()  # the new one is not the table that it had open
    assert tables.names(tmp_path) == [KEY.id, aside.name]
    same.close()
    assert not tables.in_use(aside)


def test_a_sparse_table_takes_what_was_written(tmp_path):
    with opened(tmp_path, images=50_000, classes=10, padding=4) as table:
        facts = table.path.stat()
        assert facts.st_size == HEADER + 324_000_000 + 4 * 506_250
        table.write(506_249, torch.ones(16, 10))
        assert 0 < table.path.stat().st_blocks * 512 < 1 << 20
        assert bool((table.read(table.views_of(506_249)) == 1).all())
        assert tables.in_use(table.path)
