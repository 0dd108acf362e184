"""What goes into a table is what the teacher answers, to the bit the same whoever asked, when, and how often."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from engine.data.augment import Feed
from engine.fast.plan import FastPlan
from engine.fast.teacher_logits import chunks_of, why_unrepeatable
from engine.losses import ask
from engine.models import resnet, small_cnn
from engine.spec.data import CIFAR10
from engine.spec.methods import ARD, CRDND, IAD, RSLAD
from engine.spec.models import SmallCNN, SmallResNet
from engine.spec.teacher_logits import HEADER, names
from engine.teachers.load import FrozenTeacher
from engine.train.loop import Trainer
from engine.types import Split
from tests.engine.fast_bench import CLASSES, losses, stopped, trainer
from tests.engine.logits_bench import KEY, all_of, every, missing, opened, process, random_logits
from tests.engine.test_trainer import Journal, label, same

CPU = torch.device("cpu")
IMAGES = torch.randint(0, 256, (KEY.images, *KEY.image), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)
TAUGHT = [ARD(alpha=1.0), ARD(alpha=0.5), IAD(begin=1), RSLAD(), CRDND()]
FAST = FastPlan(folded=True, paired=True)
FILLER = """
import sys
from pathlib import Path
from tests.engine.logits_bench import all_of, opened
from tests.engine.test_teacher_logits_fill import IMAGES, teacher
table = opened(Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.readline()
table.fill(teacher("small_cnn"), IMAGES, all_of(table))
"""


def teacher(name: str) -> FrozenTeacher:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if name == "small_cnn":
            return FrozenTeacher(small_cnn.build(SmallCNN(width=8), KEY.classes, KEY.image))
        return FrozenTeacher(resnet.build(SmallResNet(width=8, blocks=1), KEY.classes, KEY.image))


def filled(table, net, chosen=None, pause=lambda: None) -> list[float]:
    """The shares that were said."""
    said: list[float] = []
    table.fill(net, IMAGES, all_of(table) if chosen is None else chunks_of(table.key, chosen), pause, said.append)
    return said


def whole(folder, name: str, **changes) -> torch.Tensor:
    """All logits of a table that was filled at once."""
    with opened(folder, **changes) as table:
        filled(table, teacher(name))
        return table.read(every(table))


class Counted:
    """The small CNN, and the sizes of the batches that it was asked about."""

    def __init__(self) -> None:
        self.net, self.asked = teacher("small_cnn"), list[int]()

    def __call__(self, x):
        self.asked.append(len(x))
        return self.net(x)


def test_a_chunk_with_a_changed_byte_is_missing_and_alone_computed_again(tmp_path):
    compute, start, end = Counted(), HEADER + 7 * KEY.chunk_bytes, HEADER + 8 * KEY.chunk_bytes
    places = [*range(start, end, 7), *range(KEY.sums_at + 28, KEY.sums_at + 32)]
    with opened(tmp_path) as table, table.path.open("r+b", buffering=0) as file:
        filled(table, compute)
        expected = table.read(every(table))
        for place in places:
            (found,) = os.pread(file.fileno(), 1, place)
            os.pwrite(file.fileno(), bytes([found ^ 64]), place)
            assert table.absent(all_of(table)).tolist() == [7], place
            filled(table, compute)
        assert compute.asked == [KEY.rows] * (KEY.chunks + len(places))
        assert missing(table) == 0 and torch.equal(table.read(every(table)), expected)


@pytest.mark.parametrize("rows", [7, 16, 300])
@pytest.mark.parametrize("name", ["small_cnn", "small_resnet"])
def test_a_full_table_answers_as_the_teacher_does_to_the_feeds_batches(tmp_path, name, rows):
    """To rounding: another size of batch may be summed in another order (with AVX-512, AVX2 and SSE4.1 none was)."""
    net, data = teacher(name), CIFAR10(crop_padding=KEY.padding, flip=KEY.flip)
    batches = Feed(Split(IMAGES, torch.arange(KEY.images)), data, CPU, torch.contiguous_format, KEY.images)
    with opened(tmp_path, rows=rows) as table:
        said = filled(table, net)
        assert said[0] == 0.0 and said[-1] == 1.0 and said == sorted(said)
        assert missing(table) == 0
        for epoch in range(1, 10):
            draws = batches.draw(0, epoch)
            x, _y = batches.batch(draws, 0)
            torch.testing.assert_close(table.read(draws), ask(net, x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["small_cnn", "small_resnet"])
def test_neither_who_asks_nor_what_is_there_nor_how_many_threads_changes_a_bit(tmp_path, name):
    expected = whole(tmp_path / "whole", name)
    assert torch.equal(whole(tmp_path / "again", name), expected)
    with opened(tmp_path / "some") as table:  # a run of few images first, in an engine of two threads
        torch.set_num_threads(2)
        try:
            said = filled(table, teacher(name), chosen=torch.tensor([8, 7]))
            assert torch.get_num_threads() == 2
        finally:
            torch.set_num_threads(1)
        assert np.setdiff1d(all_of(table), table.absent(all_of(table))).tolist() == [7, 8, 9, 10] and said[-1] == 1.0
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
    compute = Counted()

    def enough():
        if len(compute.asked) == 10:
            raise KeyboardInterrupt

    with opened(tmp_path / "cut") as table:
        with pytest.raises(KeyboardInterrupt):
            filled(table, compute, pause=enough)
        assert missing(table) == KEY.chunks - 10
    with opened(tmp_path / "cut") as table:
        filled(table, compute)
        assert missing(table) == 0 and compute.asked == [KEY.rows] * KEY.chunks
        assert torch.equal(table.read(every(table)), whole(tmp_path / "whole", "small_cnn"))


def test_a_chunk_that_another_engine_computed_meanwhile_is_skipped(tmp_path):
    compute = Counted()

    def other_engine():
        if len(compute.asked) == 1:
            with opened(tmp_path) as other:
                filled(other, compute.net)

    with opened(tmp_path) as table:
        said = filled(table, compute, pause=other_engine)
        assert missing(table) == 0 and said[-1] == 1.0
    assert compute.asked == [KEY.rows]  # the chunk before the other one came


def test_two_engines_fill_one_table_together(tmp_path):
    for engine in [process(FILLER, str(tmp_path)) for _ in range(2)]:
        _out, err = engine.communicate("go\n")
        assert engine.returncode == 0, err
    assert len(names(tmp_path)) == 1
    with opened(tmp_path) as table:
        assert torch.equal(table.read(every(table)), whole(tmp_path / "alone", "small_cnn"))
        assert table.verify(teacher("small_cnn"), IMAGES, 0) == ("", True)


def test_neither_filling_nor_verifying_leaves_a_trace_in_the_process(tmp_path):
    def settings():
        cudnn = torch.backends.cudnn
        return torch.get_num_threads(), cudnn.benchmark, cudnn.deterministic

    before, numpys, set_before = torch.random.get_rng_state(), np.random.get_state()[1].copy(), settings()
    with opened(tmp_path / "a") as table, opened(tmp_path / "b") as other:
        filled(table, teacher("small_cnn"))
        table.verify(teacher("small_cnn"), IMAGES, 0)
        with pytest.raises(ZeroDivisionError):
            filled(other, lambda x: x / (1 // 0))
    assert torch.equal(before, torch.random.get_rng_state())
    assert (numpys == np.random.get_state()[1]).all()
    assert settings() == set_before


def test_equal_bits_are_believed_other_last_bits_told_and_other_logits_refused(tmp_path):
    net = teacher("small_resnet")
    with opened(tmp_path / "right") as table:
        filled(table, net)
        assert all(table.verify(net, IMAGES, chunk) == ("", True) for chunk in range(KEY.chunks))
        wrong = table.read(table.views_of(3))
    with opened(tmp_path / "bits") as table:
        filled(table, lambda x: net(x) * (1 + 1e-6))
        assert table.verify(net, IMAGES, 3) == ("", False)
    with opened(tmp_path / "flipped") as table:
        wrong.view(torch.int32)[11, 2] ^= 1 << 21  # the second bit of the fraction: a quarter of its value or more
        table.write(3, wrong)
        table.write(4, torch.full((KEY.rows, KEY.classes), torch.nan))
        table.write(5, random_logits(KEY, 5))
        assert all("differ" in table.verify(net, IMAGES, chunk)[0] for chunk in (3, 4, 5))


def test_a_frozen_teacher_in_eval_mode_is_repeatable_and_what_may_answer_otherwise_is_not():
    net = teacher("small_resnet")
    assert why_unrepeatable(net) == ""
    assert "train mode" in why_unrepeatable(nn.Sequential(net).train())
    assert "not frozen" in why_unrepeatable(nn.Sequential(nn.Linear(2, 2)).eval())
    assert "at random" in why_unrepeatable(nn.Sequential(nn.Dropout(0.3)).eval())
    assert why_unrepeatable(nn.Sequential(nn.Dropout(0.0)).eval()) == ""
    assert "from the batch" in why_unrepeatable(nn.BatchNorm2d(2, affine=False, track_running_stats=False).eval())


def trained(
    spec, journal: Journal, folder: Path | None, *, plan: FastPlan = FAST, first: list[int] | None = None
) -> Trainer:
    """A run; with a folder, on a table there, which is filled before: for the images `first`, then for all."""
    made = trainer(spec, journal, plan)
    if folder is not None:
        table = opened(folder, images=40, classes=CLASSES, image=(2, 5, 5))
        for chunks in ([] if first is None else [chunks_of(table.key, torch.tensor(first))]) + [all_of(table)]:
            table.fill(made.fast.teacher.compute, made.feed._padded[:, :, 1:-1, 1:-1], chunks)
        assert missing(table) == 0
        made.fast.with_table(table, made.feed)
    return made


def journal_of(spec, folder: Path | None, **changes) -> Journal:
    journal = Journal()
    made = trained(spec, journal, folder, **changes)
    made.run()
    made.fast.close()
    return journal


def named(part: object) -> str:
    return ("fast" if part == FAST else "exact but for the table") if isinstance(part, FastPlan) else label(part)


@pytest.mark.parametrize(("spec", "plan"), [*((spec, FAST) for spec in TAUGHT), (CRDND(), FastPlan())], ids=named)
def test_a_run_is_the_same_whoever_filled_its_table(spec, plan, tmp_path: Path):
    """To the bit with any table. Without one to rounding, which signs of gradients make larger from step to step.

    Largest relative differences seen with AVX-512, AVX2 and SSE4.1: none in the first step; 2e-4 in the last ones of
    ARD with a weight of 1 for the teacher, 1.4e-6 of the others.
    """
    own, anothers = (journal_of(spec, tmp_path / "a", plan=plan) for _ in range(2))
    piecewise = journal_of(spec, tmp_path / "b", plan=plan, first=[3, 17, 39])
    for other in (anothers, piecewise):
        assert other.facts() == own.facts()
        assert same(other.state(), own.state())
    without = losses(journal_of(spec, None, plan=plan))
    assert losses(own)[:1] == pytest.approx(without[:1], rel=1e-6)
    assert losses(own) == pytest.approx(without, rel=2e-3 if spec == ARD(alpha=1.0) else 1e-5)


def asked(made: Trainer) -> list[int]:
    """How many images the teacher is shown, each time."""
    seen: list[int] = []
    made.fast.teacher._computing[0].register_forward_pre_hook(lambda _net, x: seen.append(len(x[0])))
    return seen


@pytest.mark.parametrize(("spec", "each"), [(RSLAD(), []), (CRDND(), [6, 6, 6, 6, 6, 6, 4])], ids=["rslad", "crdnd"])
def test_with_a_table_the_teacher_is_asked_about_adversarial_images_alone(spec, each, tmp_path: Path):
    made = trained(spec, Journal(), tmp_path)
    seen = asked(made)
    made.run()
    assert seen == 2 * each


def test_a_run_cut_in_the_middle_of_an_epoch_ends_as_the_unbroken_one_though_its_table_is_gone(tmp_path: Path):
    unbroken, first, second = journal_of(CRDND(), tmp_path / "a"), Journal(4), Journal()
    cut = trained(CRDND(), first, tmp_path / "b")
    assert stopped(cut)
    cut.fast.close()
    resumed = trained(CRDND(), second, tmp_path / "c", first=[5])
    resumed.load_state_dict(first.state())
    resumed.run()
    assert first.facts() + second.facts() == unbroken.facts()
    assert same(second.state(), unbroken.state())
