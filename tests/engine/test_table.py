"""The teacher's table: what was written is read bit for bit, and a chunk that is half written is missing."""

import signal

import numpy as np
import pytest
import torch

from engine.fast.table import chunks_of
from engine.spec import tables
from tests.engine.table_bench import KEY, all_of, every, key, missing, opened, process, random_logits, scribbled, some

WRITER = """
import sys, torch
from pathlib import Path
from tests.engine.table_bench import opened, random_logits
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
    assert cifar.table_bytes == 253_125 * 1284 == 325_012_500
    assert key(padding=4, flip=False).views == 81
    assert key(padding=0, flip=False).views == 1


def test_a_chunk_is_read_bit_for_bit_and_the_rest_is_missing(tmp_path):
    odd = random_logits(KEY, 0)
    odd[:3] = torch.tensor([[0.0, -0.0, 1e-45], [torch.inf, -torch.inf, 3.4e38], [1.0, torch.pi, -7.5]])
    with opened(tmp_path) as table:
        assert missing(table) == KEY.chunks == 18
        table.write(5, odd)
        views = table.views_of(5)
        assert torch.equal(table.read(views).view(torch.int32), odd.view(torch.int32))
        assert table.absent(all_of(table)).tolist() == [chunk for chunk in range(18) if chunk != 5]
    with opened(tmp_path) as again:
        assert torch.equal(again.read(views).view(torch.int32), odd.view(torch.int32))
        with pytest.raises(KeyError, match="not all of these views"):
            again.read(again.views_of(6))


@pytest.mark.parametrize("rows", [16, 25, 500])
def test_every_view_lies_in_one_chunk_and_the_last_one_fills_up_the_last_chunk(tmp_path, rows):
    with scribbled(opened(tmp_path, rows=rows)) as table:
        views, total = every(table), 16 * 18
        assert len(set(zip(*(part.tolist() for part in views), strict=True))) == total
        assert len(views.image) == table.key.chunks * rows >= total
        last = [int(part[total - 1]) for part in views]
        assert all([int(part[k]) for part in views] == last for k in range(total, len(views.image)))
        read = table.read(views)
        for chunk in range(table.key.chunks):
            kept = min(rows, total - chunk * rows)
            assert torch.equal(read[chunk * rows :][:kept], random_logits(table.key, chunk)[:kept])


@pytest.mark.parametrize("rows", [1, 5, 16, 25, 500])
def test_the_chunks_of_some_images_are_those_that_hold_a_view_of_them(tmp_path, rows):
    wanted = torch.tensor([15, 3, 4])
    with opened(tmp_path, rows=rows) as table:
        holding = [k for k in range(table.key.chunks) if torch.isin(table.views_of(k).image, wanted).any()]
        assert chunks_of(table.key, wanted).tolist() == holding


def test_the_first_answer_to_a_chunk_stays(tmp_path):
    with opened(tmp_path) as table:
        table.write(2, random_logits(KEY, 2))
        table.write(2, torch.zeros(16, 3))
        assert torch.equal(table.read(table.views_of(2)), random_logits(KEY, 2))


def test_bfloat16_logits_are_kept_as_the_float32_that_they_are(tmp_path):
    logits = random_logits(KEY, 0).bfloat16()
    with opened(tmp_path) as table:
        table.write(0, logits)
        assert torch.equal(table.read(table.views_of(0)), logits.float())


@pytest.mark.parametrize(
    "view", [(16, 0, 0, False), (-1, 0, 0, False), (0, 3, 0, False), (0, 0, -1, False), (0, 0, 0, True)]
)
def test_a_view_outside_of_the_table_is_refused(tmp_path, view):
    with scribbled(opened(tmp_path, flip=False)) as table, pytest.raises(ValueError, match="outside"):
        table.read(some(view))


def test_logits_of_another_shape_are_refused(tmp_path):
    with opened(tmp_path) as table, pytest.raises(ValueError, match="shape"):
        table.write(0, torch.zeros(1, 3))


@pytest.mark.parametrize("byte", [*range(0, KEY.chunk_bytes, 7), *range(KEY.chunk_bytes, KEY.chunk_bytes + 4)])
def test_a_chunk_with_a_changed_byte_is_missing_and_can_be_written_again(tmp_path, byte):
    with scribbled(opened(tmp_path)) as table:
        at = 7 * KEY.chunk_bytes + byte if byte < KEY.chunk_bytes else KEY.chunks * KEY.chunk_bytes + 28 + byte % 4
        with (table.path / tables.RECORDS).open("r+b") as file:
            file.seek(at)
            (found,) = file.read(1)
            file.seek(at)
            file.write(bytes([found ^ 64]))
        assert table.absent(all_of(table)).tolist() == [7]
        table.write(7, torch.ones(16, 3))
        assert missing(table) == 0 and bool((table.read(table.views_of(7)) == 1).all())


@pytest.mark.parametrize("kept", [0, 1, 4, 100, KEY.chunk_bytes - 1])
def test_a_chunk_of_which_only_the_beginning_reached_the_disk_is_missing(tmp_path, kept):
    with scribbled(opened(tmp_path)) as table:
        with (table.path / tables.RECORDS).open("r+b") as file:
            file.seek(7 * KEY.chunk_bytes + kept)
            file.write(bytes(KEY.chunk_bytes - kept))
        assert table.absent(all_of(table)).tolist() == [7]


def test_a_whole_chunk_at_another_place_or_of_another_table_is_missing(tmp_path):
    end = KEY.chunks * KEY.chunk_bytes
    with scribbled(opened(tmp_path)) as table, opened(tmp_path, teacher_sha256="c" * 64) as other:
        content = (table.path / tables.RECORDS).read_bytes()
        for path, place in ((table.path, 1), (other.path, 0)):
            with (path / tables.RECORDS).open("r+b") as file:
                for size, start in ((KEY.chunk_bytes, 0), (4, end)):
                    file.seek(start + place * size)
                    file.write(content[start : start + size])
        assert table.absent(all_of(table)).tolist() == [1]
        assert missing(other) == KEY.chunks


def test_two_processes_at_once_leave_a_whole_table(tmp_path):
    writers = [process(WRITER, str(tmp_path), seed) for seed in "12"]
    for writer in writers:
        assert writer.stdout is not None and writer.stdout.readline() == "open\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        _out, err = writer.communicate()
        assert writer.returncode == 0, err
    assert len(tables.names(tmp_path)) == 1
    with opened(tmp_path, images=200) as table:
        assert missing(table) == 0
        for chunk in range(table.key.chunks):
            assert torch.equal(table.read(table.views_of(chunk)), random_logits(table.key, chunk))


def test_a_killed_writer_leaves_whole_chunks_or_none_and_its_lock_goes_with_it(tmp_path):
    writer = process(WRITER, str(tmp_path), "1")
    assert writer.stdin is not None and writer.stdout is not None
    writer.stdin.write("go\n")
    writer.stdin.flush()
    assert [writer.stdout.readline() for _ in range(3)] == ["open\n", "wrote\n", "wrote\n"]
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    assert writer.returncode == -signal.SIGKILL
    with opened(tmp_path, images=200) as table:
        there = np.setdiff1d(all_of(table), table.absent(all_of(table)))
        assert 2 <= len(there) <= table.key.chunks
        assert all(torch.equal(table.read(table.views_of(k)), random_logits(table.key, k)) for k in there.tolist())
        assert missing(scribbled(table)) == 0
    assert not tables.in_use(tmp_path / key(images=200).id)
