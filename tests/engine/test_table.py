"""The teacher's table: what was written is read bit for bit, and what is half written is missing."""

import signal

import numpy as np
import pytest
import torch

from engine.fast.table import MissingViewError, Views, expected_views, planned
from engine.spec import tables
from tests.engine.table_bench import KEY, every, key, opened, process, random_logits, some

WRITER = """
import sys, torch
from pathlib import Path
from tests.engine.table_bench import every, opened, random_logits
from engine.fast.table import Views
table = opened(Path(sys.argv[1]), images=2000)
views, logits = every(table), random_logits(table)
print("open", flush=True)
sys.stdin.readline()
order = torch.randperm(len(table), generator=torch.Generator().manual_seed(int(sys.argv[2])))
for rows in order.split(500):
    table.write(Views(*(part[rows] for part in views)), logits[rows])
    print("wrote", flush=True)
table.close()
"""


def test_the_numbers_of_cifar10_are_those_that_the_documents_name():
    cifar = key(images=50_000, classes=10, padding=4, image=(3, 32, 32))
    assert (cifar.views, cifar.record_bytes) == (162, 44)
    assert cifar.table_bytes == 50_000 * 162 * 11 * 4 == 356_400_000
    assert key(padding=4, flip=False).views == 81
    assert key(padding=0, flip=False).views == 1


def test_what_is_written_is_read_bit_for_bit_and_the_rest_is_missing(tmp_path):
    odd = torch.tensor([[0.0, -0.0, 1e-45], [torch.inf, -torch.inf, 3.4e38], [1.0, torch.pi, -7.5]])
    views = some((5, 2, 2, True), (0, 0, 0, False), (3, 1, 2, True))
    with opened(tmp_path) as table:
        assert bool(table.missing(every(table)).all())
        table.write(views, odd)
        assert torch.equal(table.read(views).view(torch.int32), odd.view(torch.int32))
        assert int(table.missing(every(table)).sum()) == len(table) - 3
        assert table.filled == 3 / len(table)
    with opened(tmp_path) as again:
        assert torch.equal(again.read(views).view(torch.int32), odd.view(torch.int32))
        with pytest.raises(MissingViewError, match="1 of 2 views"):
            again.read(some((5, 2, 2, True), (5, 2, 2, False)))


def test_every_view_has_a_record_of_its_own(tmp_path):
    with opened(tmp_path) as table:
        views, logits = every(table), random_logits(table)
        order = torch.randperm(len(table), generator=torch.Generator().manual_seed(1))
        table.write(Views(*(part[order] for part in views)), logits[order])
        assert torch.equal(table.read(views), logits)
        assert table.filled == 1.0
        assert len(set(zip(*(part.tolist() for part in views), strict=True))) == len(table) == 16 * 18


def test_the_first_answer_to_a_view_stays(tmp_path):
    twice = some((2, 0, 1, False), (2, 0, 1, False))
    with opened(tmp_path) as table:
        table.write(twice, torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
        table.write(twice, torch.zeros(2, 3))
        assert table.read(twice).tolist() == [[1.0, 2.0, 3.0]] * 2


def test_bfloat16_logits_are_kept_as_the_float32_that_they_are(tmp_path):
    view, logits = some((0, 1, 1, True)), torch.tensor([[0.1, -3.3, 70.0]], dtype=torch.bfloat16)
    with opened(tmp_path) as table:
        table.write(view, logits)
        assert torch.equal(table.read(view), logits.float())


@pytest.mark.parametrize(
    "view", [(16, 0, 0, False), (-1, 0, 0, False), (0, 3, 0, False), (0, 0, -1, False), (0, 0, 0, True)]
)
def test_a_view_outside_of_the_table_is_refused(tmp_path, view):
    with opened(tmp_path, flip=False) as table, pytest.raises(ValueError, match="outside"):
        table.missing(some(view))


def test_logits_of_another_shape_are_refused(tmp_path):
    with opened(tmp_path) as table, pytest.raises(ValueError, match="3 classes"):
        table.write(some((0, 0, 0, False)), torch.zeros(1, 4))


@pytest.mark.parametrize("byte", range(KEY.record_bytes))
def test_a_record_that_is_torn_anywhere_is_missing(tmp_path, byte):
    """Its bytes from there on were never written."""
    view = some((1, 1, 0, True))
    with opened(tmp_path) as table:
        table.write(view, torch.tensor([[1.25e-7, -2.3, 3.1]]))
        at = int(np.flatnonzero(table.present(np.arange(len(table))))[0]) * KEY.record_bytes
        with (table.path / tables.RECORDS).open("r+b") as file:
            file.seek(at + byte)
            file.write(b"\0" * (KEY.record_bytes - byte))
        assert bool(table.missing(view).all())
        table.write(view, torch.ones(1, 3))
        assert table.read(view).tolist() == [[1.0, 1.0, 1.0]]


def test_a_whole_record_at_another_place_or_of_another_table_is_missing(tmp_path):
    with opened(tmp_path) as table, opened(tmp_path, teacher_sha256="c" * 64) as other:
        table.write(some((0, 0, 0, False)), torch.ones(1, 3))
        first = (table.path / tables.RECORDS).read_bytes()[: KEY.record_bytes]
        for path, place in ((table.path, 1), (other.path, 0)):
            with (path / tables.RECORDS).open("r+b") as file:
                file.seek(place * KEY.record_bytes)
                file.write(first)
        assert table.filled == 1 / len(table)
        assert other.filled == 0.0


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
    with opened(tmp_path, images=2000) as table:
        assert torch.equal(table.read(every(table)), random_logits(table))


def test_a_killed_writer_leaves_whole_records_or_none_and_its_lock_goes_with_it(tmp_path):
    writer = process(WRITER, str(tmp_path), "1")
    assert writer.stdin is not None and writer.stdout is not None
    writer.stdin.write("go\n")
    writer.stdin.flush()
    assert [writer.stdout.readline() for _ in range(3)] == ["open\n", "wrote\n", "wrote\n"]
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    assert writer.returncode == -signal.SIGKILL
    with opened(tmp_path, images=2000) as table:
        logits, present = table.find(every(table))
        assert 1000 <= int(present.sum()) <= len(table)
        assert torch.equal(logits[present], random_logits(table)[present])
        table.write(every(table), random_logits(table))
        assert torch.equal(table.read(every(table)), random_logits(table))
    assert not tables.in_use(tmp_path / key(images=2000).id)


@pytest.mark.parametrize(("epochs", "views"), [(50, 43), (100, 75), (200, 115), (300, 137)])
def test_so_many_views_of_an_image_are_seen(epochs, views):
    assert round(expected_views(epochs, 162)) == views


def test_the_plan_computes_all_views_where_most_are_needed_anyway():
    assert [planned(epochs, 162, "auto", False) for epochs in (50, 200, 259, 260, 300)] == ["lazy"] * 3 + [
        "complete"
    ] * 2
    assert [planned(epochs, 162, "auto", True) for epochs in (50, 111, 113, 300)] == ["lazy"] * 2 + ["complete"] * 2
    assert planned(1, 1, "auto", False) == "complete"  # no crop, no flip: every image has one view
    for cuda in (False, True):
        assert planned(1, 162, "complete", cuda) == "complete"
        assert planned(10_000, 162, "lazy", cuda) == "lazy"
