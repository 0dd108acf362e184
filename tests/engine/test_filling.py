"""What goes into a table is what the teacher answers, to the bit the same whoever asked, when, and how often."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from engine.data.augment import Draws, Feed
from engine.fast import filling
from engine.fast.table import Views, chunks_of
from engine.losses import ask
from engine.models import small_cnn, small_resnet
from engine.spec import tables
from engine.spec.data import CIFAR10
from engine.spec.models import SmallCNN, SmallResNet
from engine.spec.tables import TableError
from engine.teachers.load import FrozenTeacher
from engine.types import Split
from tests.engine.table_bench import KEY, all_of, every, missing, opened, process, scribbled

CPU = torch.device("cpu")
IMAGES = torch.randint(0, 256, (KEY.images, *KEY.image), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)
FILLER = """
import sys
import numpy as np
from pathlib import Path
from engine.fast import filling
from tests.engine.table_bench import opened
from tests.engine.test_filling import IMAGES, teacher
table = opened(Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.readline()
chunks = np.arange(table.key.chunks)
filling.fill(table, teacher("small_cnn"), IMAGES, chunks, lambda: None, lambda done: None)
"""


def teacher(name: str) -> FrozenTeacher:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if name == "small_cnn":
            return FrozenTeacher(small_cnn.build(SmallCNN(width=8), KEY.classes, KEY.image))
        return FrozenTeacher(small_resnet.build(SmallResNet(width=8, blocks=1), KEY.classes, KEY.image))


def filled(table, net, chosen=None, pause=lambda: None) -> list[float]:
    said: list[float] = []
    chunks = all_of(table) if chosen is None else chunks_of(table.key, chosen)
    filling.fill(table, net, IMAGES, chunks, pause, said.append)
    return said


def feed() -> Feed:
    data = CIFAR10(crop_padding=KEY.padding, flip=KEY.flip)
    return Feed(Split(IMAGES, torch.arange(KEY.images)), data, CPU, torch.contiguous_format, KEY.images)


def whole(folder: Path, name: str, **changes) -> torch.Tensor:
    """All logits of a table that was filled at once."""
    with opened(folder, **changes) as table:
        filled(table, teacher(name))
        return table.read(every(table))


@pytest.mark.parametrize("rows", [7, 16, 300])
@pytest.mark.parametrize("name", ["small_cnn", "small_resnet"])
def test_a_full_table_answers_as_the_teacher_does_to_the_feeds_batches(tmp_path, name, rows):
    """To rounding: another size of batch may be summed in another order (with AVX-512, AVX2 and SSE4.1 none was)."""
    net, batches = teacher(name), feed()
    with opened(tmp_path, rows=rows) as table:
        said = filled(table, net)
        assert said[0] == 0.0 and said[-1] == 1.0 and said == sorted(said)
        assert missing(table) == 0
        for epoch in range(1, 30):
            draws: Draws = batches.draw(0, epoch)
            x, _y = batches.batch(draws, 0)
            found = table.read(Views(draws.order, draws.dy, draws.dx, draws.flip))
            torch.testing.assert_close(found, ask(net, x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["small_cnn", "small_resnet"])
def test_neither_who_asks_nor_what_is_there_nor_how_many_threads_changes_a_bit(tmp_path, name):
    expected = whole(tmp_path / "whole", name)
    assert torch.equal(whole(tmp_path / "again", name), expected)
    with opened(tmp_path / "some") as table:  # a run of few images first, in an engine of two threads
        torch.set_num_threads(2)
        try:
            filled(table, teacher(name), chosen=torch.tensor([3, 9, 15]))
            assert torch.get_num_threads() == 2
        finally:
            torch.set_num_threads(1)
        assert 0 < missing(table) < KEY.chunks
        filled(table, teacher(name))
        assert torch.equal(table.read(every(table)), expected)


def test_a_chunk_is_one_batch_on_one_thread_and_always_the_same(tmp_path):
    seen = []

    def compute(x):
        seen.append((torch.get_num_threads(), torch.is_grad_enabled(), x.double().sum().item(), tuple(x.shape)))
        return x.flatten(1)[:, : KEY.classes]

    for number in range(2):
        with opened(tmp_path / str(number), rows=25) as table:
            filled(table, compute)
            filled(table, compute)
    assert len(seen) == 2 * 12 and {(facts[0], facts[1], facts[3]) for facts in seen} == {(1, False, (25, *KEY.image))}
    sums = [facts[2] for facts in seen]
    assert sorted(sums[:12]) == sorted(sums[12:])


def test_a_fill_that_was_interrupted_goes_on_where_it_was(tmp_path):
    asked = []

    def compute(x):
        asked.append(len(x))
        return teacher("small_cnn")(x)

    def enough():
        if len(asked) == 10:
            raise KeyboardInterrupt

    with opened(tmp_path / "cut") as table:
        with pytest.raises(KeyboardInterrupt):
            filled(table, compute, pause=enough)
        assert missing(table) == KEY.chunks - 10
    with opened(tmp_path / "cut") as table:
        filled(table, compute)
        assert missing(table) == 0 and asked == [KEY.rows] * KEY.chunks
        filled(table, compute)
        assert len(asked) == KEY.chunks
        assert torch.equal(table.read(every(table)), whole(tmp_path / "whole", "small_cnn"))


def test_a_damaged_chunk_alone_is_computed_again(tmp_path):
    asked = []

    def compute(x):
        asked.append(len(x))
        return teacher("small_cnn")(x)

    with opened(tmp_path) as table:
        filled(table, compute)
        expected = table.read(every(table))
        with (table.path / tables.RECORDS).open("r+b") as file:
            file.seek(4 * KEY.chunk_bytes + 100)
            file.write(b"oops")
        asked.clear()
        filled(table, compute)
        assert asked == [KEY.rows]
        assert torch.equal(table.read(every(table)), expected)


def test_only_the_chunks_of_the_chosen_images_are_computed(tmp_path):
    with opened(tmp_path) as table:
        said = filled(table, teacher("small_cnn"), chosen=torch.tensor([8, 7]))
        assert np.setdiff1d(all_of(table), table.absent(all_of(table))).tolist() == [7, 8, 9, 10]
        assert said[-1] == 1.0


def test_a_chunk_that_another_engine_computed_meanwhile_is_skipped(tmp_path):
    net, rows = teacher("small_cnn"), []

    def compute(x):
        rows.append(len(x))
        return net(x)

    def other_engine():
        if len(rows) == 1:
            with opened(tmp_path) as other:
                filled(other, net)

    with opened(tmp_path) as table:
        said = filled(table, compute, pause=other_engine)
        assert missing(table) == 0 and said[-1] == 1.0
    assert sum(rows) == KEY.rows  # the batch before the other one came


def test_two_engines_fill_one_table_together(tmp_path):
    engines = [process(FILLER, str(tmp_path)) for _ in range(2)]
    for engine in engines:
        assert engine.stdout is not None and engine.stdout.readline() == "open\n"
    for engine in engines:
        _out, err = engine.communicate("go\n")
        assert engine.returncode == 0, err
    with opened(tmp_path) as table:
        assert torch.equal(table.read(every(table)), whole(tmp_path / "alone", "small_cnn"))
        assert filling.verify(table, teacher("small_cnn"), IMAGES, 0) == ("", True)


def test_neither_filling_nor_verifying_leaves_a_trace_in_the_process(tmp_path):
    def settings():
        cudnn = torch.backends.cudnn
        return torch.get_num_threads(), cudnn.benchmark, cudnn.deterministic

    before, numpys, set_before = torch.random.get_rng_state(), np.random.get_state()[1].copy(), settings()
    with opened(tmp_path) as table:
        filled(table, teacher("small_cnn"))
        filling.verify(table, teacher("small_cnn"), IMAGES, 0)
        with pytest.raises(ZeroDivisionError):
            filled(scribbled_over(table), lambda x: x / (1 // 0))
    assert torch.equal(before, torch.random.get_rng_state())
    assert (numpys == np.random.get_state()[1]).all()
    assert settings() == set_before


def scribbled_over(table):
    (table.path / tables.RECORDS).write_bytes(b"\x01" * KEY.table_bytes)
    return table


def test_a_table_of_the_teacher_is_believed_to_the_bit(tmp_path):
    with opened(tmp_path) as table:
        filled(table, teacher("small_resnet"))
        for chunk in range(KEY.chunks):
            assert filling.verify(table, teacher("small_resnet"), IMAGES, chunk) == ("", True)


def test_other_last_bits_are_told_and_other_logits_refused(tmp_path):
    net = teacher("small_cnn")
    with opened(tmp_path / "bits") as table:
        filled(table, lambda x: net(x) * (1 + 1e-6))
        assert filling.verify(table, net, IMAGES, 3) == ("", False)
    with opened(tmp_path / "flipped") as table:
        with opened(tmp_path / "right") as right:
            filled(right, net)
            wrong = right.read(right.views_of(3))
        wrong.view(torch.int32)[11, 2] ^= 1 << 21  # the second bit of the fraction: a quarter of its value or more
        table.write(3, wrong)
        assert "differ" in filling.verify(table, net, IMAGES, 3)[0]
    with scribbled(opened(tmp_path / "random")) as table:
        assert "differ" in filling.verify(table, net, IMAGES, 3)[0]
    with opened(tmp_path / "none") as table:
        table.write(3, torch.full((KEY.rows, KEY.classes), torch.nan))
        assert "differ" in filling.verify(table, net, IMAGES, 3)[0]


def test_a_table_that_cannot_be_written_stops_the_fill_with_its_reason(tmp_path, monkeypatch):
    with opened(tmp_path) as table:
        monkeypatch.setattr("os.pwrite", lambda *_words: (_ for _ in ()).throw(OSError(5, "Input/output error")))
        with pytest.raises(TableError, match="Input/output error"):
            filled(table, teacher("small_cnn"))


def test_a_frozen_teacher_in_eval_mode_is_legal_and_what_may_answer_otherwise_is_not():
    net = teacher("small_resnet")
    assert filling.legal(net) == ""
    assert "train mode" in filling.legal(nn.Sequential(net).train())
    assert "not frozen" in filling.legal(nn.Sequential(nn.Linear(2, 2)).eval())
    assert "at random" in filling.legal(nn.Sequential(nn.Dropout(0.3)).eval())
    assert filling.legal(nn.Sequential(nn.Dropout(0.0)).eval()) == ""
    assert "from the batch" in filling.legal(nn.BatchNorm2d(2, affine=False, track_running_stats=False).eval())


@pytest.mark.parametrize(
    ("asked", "missing", "wanted"),
    [
        (50 * 50_000, 162 * 50_000, False),  # one run of 50 epochs
        (162 * 50_000, 162 * 50_000, False),
        (163 * 50_000, 162 * 50_000, True),
        (3 * 60 * 50_000, 162 * 50_000, True),  # a study of three such runs
        (40 * 1797, 9 * 1797, True),
        (50_000, 0, True),  # complete already
        (50 * 50_000, 49 * 50_000, True),  # mostly there
        (math.inf, 10**12, True),  # asked for by name
    ],
)
def test_a_table_pays_where_it_takes_fewer_forwards_than_its_runs(asked, missing, wanted):
    assert filling.pays(float(asked), missing) is wanted


def test_the_list_of_tables_counts_the_chunks_that_are_there(tmp_path):
    with opened(tmp_path) as table:
        filled(table, teacher("small_cnn"), chosen=torch.tensor([2, 7]))
        assert tables.written(table.path, table.key) == (KEY.chunks - missing(table)) / KEY.chunks > 0
