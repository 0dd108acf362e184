"""What goes into a table is what the teacher answers to the feed's own images, whatever was missing."""

import numpy as np
import pytest
import torch
from torch import nn

from engine.augment import Draws, Feed
from engine.fast import filling
from engine.fast.table import Views
from engine.losses import ask
from engine.models import small_cnn, small_resnet
from engine.spec import tables
from engine.spec.data import CIFAR10
from engine.spec.models import SmallCNN, SmallResNet
from engine.spec.tables import TableError
from engine.teachers import Teacher
from engine.types import Split
from tests.engine.table_bench import KEY, every, opened, process

CHUNK = 16  # a multiple of 16: the CPU's kernels for smaller rests round otherwise
CPU = torch.device("cpu")
IMAGES = torch.randint(0, 256, (KEY.images, *KEY.image), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)
FILLER = """
import sys
from pathlib import Path
from engine.fast import filling
from tests.engine.table_bench import opened
from tests.engine.test_filling import IMAGES, teacher
table = opened(Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.readline()
filling.fill(table, teacher("small_cnn"), IMAGES, None, 16, lambda: None, lambda done: None)
"""


def teacher(name: str) -> Teacher:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if name == "small_cnn":
            return Teacher(small_cnn.build(SmallCNN(width=8), KEY.classes, KEY.image))
        return Teacher(small_resnet.build(SmallResNet(width=8, blocks=1), KEY.classes, KEY.image))


def filled(table, net, chunk=CHUNK, chosen=None, pause=lambda: None) -> list[float]:
    said: list[float] = []
    filling.fill(table, net, IMAGES, chosen, chunk, pause, said.append)
    return said


def feed() -> Feed:
    data = CIFAR10(crop_padding=KEY.padding, flip=KEY.flip)
    return Feed(Split(IMAGES, torch.arange(KEY.images)), data, CPU, torch.contiguous_format, KEY.images)


@pytest.mark.parametrize("name", ["small_cnn", "small_resnet"])
def test_a_full_table_answers_as_the_teacher_does_to_the_feeds_batches(tmp_path, name):
    """Bit for bit in batches of the same size on the CPU: a row's sums know neither its place nor its neighbours."""
    net, batches = teacher(name), feed()
    with opened(tmp_path) as table:
        said = filled(table, net, chunk=CHUNK)
        assert said[0] == 0.0 and said[-1] == 1.0 and said == sorted(said)
        assert table.filled == 1.0
        for epoch in range(1, 30):
            draws: Draws = batches.draw(0, epoch)
            x, _y = batches.batch(draws, 0)
            assert torch.equal(table.read(Views(draws.order, draws.dy, draws.dx, draws.flip)), ask(net, x))


@pytest.mark.parametrize("name", ["small_cnn", "small_resnet"])
def test_batches_of_another_size_answer_the_same_to_a_millionth(tmp_path, name):
    net = teacher(name)
    answers = []
    for chunk in (1, 5, 64):
        with opened(tmp_path / str(chunk)) as table:
            filled(table, net, chunk=chunk)
            answers.append(table.read(every(table)))
    for other in answers[1:]:
        torch.testing.assert_close(other, answers[0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["small_cnn", "small_resnet"])
def test_what_was_missing_does_not_change_an_answer(tmp_path, name):
    net, batches = teacher(name), feed()
    with opened(tmp_path / "complete") as table:
        filled(table, net)
        whole = table.read(every(table))
    for epochs in (1, 3, 30):
        with opened(tmp_path / f"{epochs}") as table:
            for epoch in range(1, epochs + 1):
                draws = batches.draw(0, epoch)
                x, _y = batches.batch(draws, 0)
                views = Views(draws.order, draws.dy, draws.dx, draws.flip)
                assert torch.equal(filling.answers(table, views, x, net, CHUNK), table.read(views))
            assert 0.05 < table.filled < 1.0
            filled(table, net)
            assert torch.equal(table.read(every(table)), whole)


def test_a_batch_that_is_known_asks_the_teacher_nothing(tmp_path):
    batches, asked = feed(), []

    def compute(x):
        asked.append(len(x))
        return x.flatten(1)[:, : KEY.classes]

    draws = batches.draw(0, 1)
    x, _y = batches.batch(draws, 0)
    views = Views(draws.order, draws.dy, draws.dx, draws.flip)
    with opened(tmp_path) as table:
        table.write(Views(*(part[:1] for part in views)), compute(x[:1]))
        first = filling.answers(table, views, x, compute, 4)
        assert asked == [1, 4, 4, 4, 4]  # fifteen of sixteen were missing: batches of one size
        assert torch.equal(filling.answers(table, views, x, compute, 4), first)
        assert torch.equal(first, x.flatten(1)[:, : KEY.classes])
    assert asked == [1, 4, 4, 4, 4]


def test_a_fill_that_was_interrupted_goes_on_where_it_was(tmp_path):
    asked = []

    def compute(x):
        asked.append(len(x))
        return x.flatten(1)[:, : KEY.classes]

    def enough():
        if len(asked) == 10:
            raise KeyboardInterrupt

    with opened(tmp_path) as table:
        with pytest.raises(KeyboardInterrupt):
            filled(table, compute, pause=enough)
        assert table.filled == 10 * CHUNK / len(table)
    with opened(tmp_path) as table:
        filled(table, compute)
        assert table.filled == 1.0
        assert asked == [CHUNK] * (len(table) // CHUNK)
        filled(table, compute)
    assert len(asked) == 18


def test_only_the_chosen_images_are_computed(tmp_path):
    with opened(tmp_path) as table:
        said = filled(table, teacher("small_cnn"), chosen=torch.tensor([4, 1]))
        views = every(table)
        assert torch.equal(~table.missing(views), (views.image == 4) | (views.image == 1))
        assert said[-1] == 1.0


def test_a_view_that_another_engine_computed_meanwhile_is_skipped(tmp_path):
    net, rows = teacher("small_cnn"), []

    def compute(x):
        rows.append(len(x))
        return net(x)

    def other_engine():
        with opened(tmp_path) as other:
            if not rows:
                filled(other, net)

    with opened(tmp_path) as table:
        filled(table, compute, pause=other_engine)
        assert table.filled == 1.0
    assert sum(rows) == CHUNK  # the batch that was under way


def test_two_engines_fill_one_table_together(tmp_path):
    engines = [process(FILLER, str(tmp_path)) for _ in range(2)]
    for engine in engines:
        assert engine.stdout is not None and engine.stdout.readline() == "open\n"
    for engine in engines:
        _out, err = engine.communicate("go\n")
        assert engine.returncode == 0, err
    with opened(tmp_path / "alone") as alone:
        filled(alone, teacher("small_cnn"))
        whole = alone.read(every(alone))
    with opened(tmp_path) as table:
        torch.testing.assert_close(table.read(every(table)), whole, rtol=0, atol=0)
        assert filling.verify(table, teacher("small_cnn"), IMAGES, CHUNK, 0) == ""


def test_neither_filling_nor_verifying_draws_from_the_global_generators(tmp_path):
    before, numpys = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    with opened(tmp_path) as table:
        filled(table, teacher("small_cnn"))
        filling.verify(table, teacher("small_cnn"), IMAGES, CHUNK, 0)
    assert torch.equal(before, torch.random.get_rng_state())
    assert (numpys == np.random.get_state()[1]).all()


def test_a_table_of_the_teacher_is_believed_and_an_empty_one_too(tmp_path):
    with opened(tmp_path) as table:
        assert filling.verify(table, teacher("small_cnn"), IMAGES, CHUNK, 0) == ""
        filled(table, teacher("small_cnn"))
        for seed in range(5):
            assert filling.verify(table, teacher("small_cnn"), IMAGES, CHUNK, seed) == ""


def test_logits_with_a_flipped_bit_are_found_though_their_checksum_fits(tmp_path):
    with opened(tmp_path) as table:
        views = Views(*(part[:32] for part in every(table)))
        right = filling.in_chunks(teacher("small_cnn"), pixels_of(views), CHUNK)
        wrong = right.clone()
        wrong.view(torch.int32)[17, 2] ^= 1 << 21  # the second bit of the fraction: a quarter of its value or more
        table.write(views, wrong)
        assert not bool(table.missing(views).any())
        assert "differ" in filling.verify(table, teacher("small_cnn"), IMAGES, CHUNK, 0)


def test_logits_of_another_teacher_or_none_at_all_are_found(tmp_path):
    with opened(tmp_path / "other") as table:
        filled(table, teacher("small_resnet"))
        assert "differ" in filling.verify(table, teacher("small_cnn"), IMAGES, CHUNK, 0)
    with opened(tmp_path / "none") as table:
        table.write(every(table), torch.full((len(table), KEY.classes), torch.nan))
        assert "differ" in filling.verify(table, teacher("small_cnn"), IMAGES, CHUNK, 0)


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


def pixels_of(views: Views) -> torch.Tensor:
    batches = feed()
    rows = [batches.batch(Draws(*(part[i : i + 1] for part in views)), 0)[0] for i in range(len(views.image))]
    return torch.cat(rows)


def test_the_records_lie_where_the_list_of_tables_counts_them(tmp_path):
    with opened(tmp_path) as table:
        filled(table, teacher("small_cnn"), chosen=torch.tensor([2, 5]))
        assert tables.written(table.path, table.key) == table.filled == 2 / 16
