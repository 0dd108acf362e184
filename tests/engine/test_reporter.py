"""The reporter: a log without gaps or halves, a status that follows from it, and room to say that the disk is full."""

import errno
import os
import time
import zlib

import msgspec
import pytest

from engine.spec import status as status_file
from engine.spec.events import (
    AttackProgressed,
    AttackStarted,
    Evaluated,
    Probed,
    RunResumed,
    RunStarted,
    StageStarted,
    StepDone,
    TrainingStarted,
    Validated,
    Warned,
    decode,
)
from engine.spec.rundir import RunDir
from engine.spec.status import Status
from engine.train.reporter import RESERVE_BYTES, Reporter


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class LogOnDisk:
    """A reporter on an empty folder, its clock, and what lies on the disk."""

    def __init__(self, path) -> None:
        self.run, self.clock = RunDir(path), Clock()
        self.reporter = Reporter(self.run, Status(run="r", phase="starting"), clock=self.clock)
        self.say = self.reporter.say

    def lines(self) -> list[bytes]:
        return self.run.events.read_bytes().splitlines(keepends=True)

    def events(self):
        found = decode(self.lines())
        assert (found.unknown, found.damaged) == (0, 0)
        return found.events

    def status(self) -> Status:
        return status_file.decode(self.run.status.read_bytes())


@pytest.fixture
def disk(tmp_path) -> LogOnDisk:
    return LogOnDisk(tmp_path)


def step(number: int, loss: float = 1.0) -> StepDone:
    return StepDone(step=number, epoch=1, loss=loss, terms={}, learning_rate=0.1, images_per_second=10.0)


def validated(epoch: int, clean: float, *, best: bool) -> Validated:
    return Validated(epoch=epoch, step=epoch, n=10, accuracy={"clean": clean}, by="clean", best=best, seconds=1.0)


def evaluated(checkpoint: str, attack: str, accuracy: float) -> Evaluated:
    return Evaluated(checkpoint=checkpoint, attack=attack, accuracy=accuracy, n=5, of=10, low=0, high=1, seconds=1)


# The log


def test_seq_counts_from_1_without_gaps(disk):
    for number in range(5):
        disk.say(step(number))
    assert [event.seq for event in disk.events()] == [1, 2, 3, 4, 5]


def test_each_event_is_one_write_of_one_line_at_the_end(disk, monkeypatch):
    written = []

    def write(file: int, line: bytes, write=os.write) -> int:
        written.append(line)
        return write(file, line)

    monkeypatch.setattr(os, "write", write)
    for number in range(3):
        disk.say(step(number))
    assert written == disk.lines()
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in written)


def test_text_with_line_breaks_stays_one_line(disk):
    disk.say(Warned(code="x", message="one\ntwo\r\x1b[31m\u2028three"))
    assert len(disk.lines()) == 1
    assert b"\x1b" not in disk.lines()[0]
    assert disk.events()[0].message == "one\ntwo\r\x1b[31m\u2028three"


def test_cutting_back_keeps_what_was_said_after_and_goes_on_counting(disk):
    disk.say(step(1))
    position = disk.reporter.position
    disk.say(step(2))
    disk.say(step(3))
    cut = disk.lines()[1:]
    assert disk.reporter.cut_back(*position) == 2
    disk.say(step(2))
    assert [(event.seq, event.step) for event in disk.events()] == [(1, 1), (2, 2)]
    assert disk.run.discarded.read_bytes() == b"".join(cut)


def test_what_is_cut_off_twice_is_kept_twice(disk):
    for _ in range(2):
        disk.say(step(1))
        disk.reporter.cut_back(0, 0)
    assert disk.run.events.read_bytes() == b""
    assert len(decode(disk.run.discarded.read_bytes().splitlines()).events) == 2


def test_half_a_line_that_a_kill_left_is_gone_when_the_next_engine_opens_the_log(disk):
    disk.say(step(1))
    with disk.run.events.open("ab") as log:
        log.write(b'{"event":"step_do')
    after = LogOnDisk(disk.run.path)
    after.say(step(2))
    assert [(event.seq, event.step) for event in after.events()] == [(1, 1), (2, 2)]


def test_a_log_that_was_lost_is_not_filled_up_with_zeros(disk):
    disk.say(step(1))
    size, seq = disk.reporter.position
    os.truncate(disk.run.events, 0)
    disk.reporter.cut_back(size, seq)
    disk.say(step(2))
    assert [event.seq for event in disk.events()] == [2]


# A full disk


@pytest.mark.parametrize("after", [0, 1, 20])
def test_a_full_disk_leaves_no_half_line_and_no_gap(disk, monkeypatch, after):
    disk.say(step(1))
    position = disk.reporter.position

    def takes_what_fits(file: int, line: bytes, write=os.write) -> int:
        if after:
            return write(file, line[:after])
        raise OSError(errno.ENOSPC, "no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", takes_what_fits)
        with pytest.raises(OSError) as caught:
            disk.say(step(2))
    assert caught.value.errno == errno.ENOSPC
    assert disk.reporter.position == position
    assert disk.reporter.status.step == 1
    disk.say(step(3))
    assert [(event.seq, event.step) for event in disk.events()] == [(1, 1), (2, 3)]


def test_the_reserve_is_real_room_until_it_is_given_up(disk):
    reserve = disk.run.path / ".reserve"
    assert reserve.stat().st_size == RESERVE_BYTES
    assert len(zlib.compress(reserve.read_bytes())) > RESERVE_BYTES * 0.99  # a file system must not squeeze it
    disk.reporter.give_up_reserve()
    assert not reserve.exists()
    disk.reporter.give_up_reserve()


def test_a_closed_reporter_leaves_no_reserve_and_a_last_status(disk):
    disk.say(step(7))
    disk.reporter.close()
    assert not (disk.run.path / ".reserve").exists()
    assert disk.status().step == 7


# The status


def test_the_status_follows_the_events(disk):
    disk.say(RunStarted(run="r", name="n", config_hash="c", pid=12, host="here"))
    assert (disk.status().phase, disk.status().pid, disk.status().host) == ("starting", 12, "here")
    disk.say(StageStarted(stage="training"))
    disk.say(TrainingStarted(epochs=3, steps_per_epoch=5, images=9, classes=[], device="cpu", student_parameters=1))
    assert (disk.status().phase, disk.status().epochs, disk.status().total_steps) == ("training", 3, 15)
    disk.say(validated(1, 0.5, best=True))
    disk.say(validated(2, 0.4, best=False))
    disk.say(Warned(code="x", message="y"))
    disk.say(StageStarted(stage="evaluation"))
    assert disk.status().marks == [("x", "", "")]
    assert (disk.status().epoch, disk.status().best_epoch, disk.status().warnings) == (2, 1, 1)
    assert disk.status().validation == {"clean": 0.4}
    disk.say(AttackStarted(checkpoint="best", attack="fgsm"))
    assert (disk.status().phase, disk.status().attack) == ("evaluation", "best fgsm")
    disk.say(evaluated("best", "clean", 0.9))
    disk.say(evaluated("best", "fgsm", 0.5))
    disk.say(Probed(checkpoint="best", done=3, of=4, left_out={"twin": "there is none"}))
    disk.say(evaluated("last", "clean", 0.8))
    assert disk.status().results == {"best": {"clean": 0.9, "fgsm": 0.5}, "last": {"clean": 0.8}}
    assert disk.status().results_n == 5
    assert disk.status().probed == {"best": (3, 4)}


def test_the_status_knows_how_far_the_log_reaches_and_when_the_engine_lived(disk):
    before = time.time()
    disk.say(StageStarted(stage="data"))
    assert disk.status().events_bytes == disk.run.events.stat().st_size
    assert before <= disk.status().heartbeat <= time.time()


def test_progress_of_an_attack_names_its_part(disk):
    disk.clock.now += 10
    disk.say(AttackProgressed(checkpoint="last", attack="autoattack", part="square", done=3, total=9, robust=0.5))
    assert disk.status().attack == "last autoattack square 3/9"


def test_steps_reach_the_disk_at_most_every_two_seconds(disk):
    disk.reporter.update(now=True)
    seen = []
    for number in range(1, 9):
        disk.clock.now += 0.5
        disk.say(step(number))
        seen.append(disk.status().step)
    assert seen == [0, 0, 0, 4, 4, 4, 4, 8]


def test_a_beat_writes_what_has_waited_long_enough(disk):
    disk.say(step(1))
    before = disk.status().heartbeat
    disk.clock.now += 1.9
    disk.reporter.beat()
    assert disk.status().heartbeat == before
    disk.clock.now += 0.2
    disk.reporter.beat()
    assert disk.status().heartbeat > before


def test_the_remaining_time_is_the_running_mean_times_the_steps_left(disk):
    disk.say(TrainingStarted(epochs=2, steps_per_epoch=50, images=9, classes=[], device="cpu", student_parameters=1))
    disk.say(step(10))
    assert disk.reporter.status.eta_seconds is None
    disk.clock.now += 20.0  # 10 steps in 20 s
    disk.say(step(20))
    assert disk.reporter.status.seconds_per_step == pytest.approx(2.0)
    assert disk.reporter.status.eta_seconds == pytest.approx(80 * 2.0)
    disk.clock.now += 40.0  # 10 steps in 40 s: 0.95 * 2 + 0.05 * 4 = 2.1
    disk.say(step(30))
    assert disk.reporter.status.seconds_per_step == pytest.approx(2.1)
    assert disk.reporter.status.eta_seconds == pytest.approx(70 * 2.1)


def test_a_status_that_a_resumed_engine_begins_with_follows_from_the_events_it_keeps(tmp_path):
    before = LogOnDisk(tmp_path)
    before.say(RunStarted(run="r", name="n", config_hash="c", pid=12, host="here"))
    before.say(TrainingStarted(epochs=3, steps_per_epoch=5, images=9, classes=[], device="cpu", student_parameters=1))
    before.say(step(5, 0.25))
    before.say(validated(1, 0.5, best=True))
    before.say(Warned(code="x", message="y"))
    position = before.reporter.position
    before.say(step(6))
    before.say(validated(2, 0.7, best=True))
    after = LogOnDisk(tmp_path)
    after.reporter.cut_back(*position)
    after.say(RunResumed(step=5, discarded=2, checkpoint="c", pid=13, host="there"))
    kept = msgspec.structs.asdict(after.status())
    expected = {"pid": 13, "host": "there", "epochs": 3, "total_steps": 15, "step": 5, "loss": 0.25, "epoch": 1,
                "best_epoch": 1, "validation": {"clean": 0.5}, "warnings": 1}  # fmt: skip
    assert {key: kept[key] for key in expected} == expected
