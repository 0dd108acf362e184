"""What the queue's snapshot says of its runs, and the Queue screen's lines."""

import time
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from crdnd_tui.core import format
from crdnd_tui.core.palette import DARK
from crdnd_tui.queue import devices
from crdnd_tui.queue.snapshot import SnapshotReader
from crdnd_tui.tui.screens.queue import rows
from engine.spec import status as spec_status
from engine.spec.rundir import RunDir
from tests.tui.busy_queue import ATWORK, busy_queue, still_machine  # noqa: F401  fixtures
from tests.tui.pilot import NOW


def test_time_left_is_what_the_engine_says_of_its_training(busy: Path) -> None:
    path = RunDir(busy / ATWORK).status
    status = spec_status.decode(path.read_bytes())
    for phase, told, left in (("training", 90.0, 90.0), ("training", None, None), ("evaluation", 90.0, None)):
        path.write_bytes(spec_status.encode(msgspec.structs.replace(status, phase=phase, eta_seconds=told)))
        (job,) = SnapshotReader(busy).read(NOW).jobs
        assert job.left == left


@pytest.mark.parametrize(
    ("named", "many", "places"),
    [("cuda:1", 3, "cuda:1 cuda:2 cuda:3"), ("cuda", 2, "cuda:0 cuda:1"), ("cpu", 4, "cpu"), ("strange", 2, "strange")],
)
def test_a_run_takes_the_device_it_names_and_the_next(named: str, many: int, places: str) -> None:
    assert devices.places(named, many) == tuple(places.split())


def test_clocks_say_the_day_when_it_is_another() -> None:
    assert format.clock(None, NOW) == "\u2013"
    assert format.clock(NOW + 3600, NOW) == time.strftime("%H:%M", time.gmtime(NOW + 3600))
    assert format.clock(NOW + 2 * 86400, NOW)[:3].isalpha()
    assert format.clock(NOW + 30 * 86400, NOW)[:2] == "20"
    assert {format.clock(when, NOW) for when in (1e308, -1e308, -1.0, 1e10)} == {"\u2013"}


def test_a_long_reason_takes_two_lines_and_no_more(busy: Path) -> None:
    entries = SnapshotReader(busy).read(NOW).ended
    failed = next(entry for entry in entries if entry.ticket and entry.ticket.state == "failed")
    words = "the gradient is not finite, though the loss is, in epoch 1, step 4 "
    for note in (words, words * 9):
        ticket = msgspec.structs.replace(failed.ticket, note=note)
        _, *told = rows.ended([replace(failed, ticket=ticket)], 70, DARK, NOW)[0]
        assert len(told) == 2
        assert "gradient is not finite, though the loss" in told[0].plain


def test_lines_never_exceed_their_width(busy: Path) -> None:
    found = SnapshotReader(busy).read(NOW)
    for width in (10, 20, 33, 48, 64, 90, 140):
        lines = [line for of in rows.queued(found.queued, width, DARK) for line in of]
        lines += [line for of in rows.ended(found.ended, width, DARK, NOW) for line in of]
        lines += [line for d in found.devices for _, of in rows.device(d, found, width, DARK) for line in of]
        assert all(line.cell_len <= width for line in lines)
