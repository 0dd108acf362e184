"""The agenda: what is foretold, and the lines that say it."""

import json
import time
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from crdnd_tui.core import format
from crdnd_tui.core.palette import DARK
from crdnd_tui.queue import agenda, queue_lines
from crdnd_tui.queue.entry import About, Entry
from crdnd_tui.queue.foretold import plan
from crdnd_tui.queue.sharing import Rules, Sharing
from crdnd_tui.queue.tickets import Ticket
from engine.spec import status as spec_status
from tests.tui.busy_queue import busy_queue, past, still_machine  # noqa: F401  fixtures
from tests.tui.pilot import NOW


def test_durations_are_the_median_of_the_seeds_of_one_experiment(busy: Path) -> None:
    found = agenda.Reader(busy).read(NOW)
    spans = []
    for seed in range(3):
        *_, last = past(busy, f"rslad-small_cnn-s{seed}").events.read_bytes().splitlines()
        spans.append(json.loads(last)["seconds"])
    (job,) = found.devices[0].jobs
    assert job.takes == pytest.approx(sorted(spans)[1])
    assert job.left == pytest.approx(max(0.0, job.takes - 60))
    first, held, third = found.queued
    assert first.starts == pytest.approx(NOW + job.left)
    assert held.starts is None
    assert third.starts == pytest.approx(first.starts + first.takes)
    assert found.all_done == pytest.approx(third.starts + third.takes)


def test_a_run_that_stood_still_for_a_night_foretells_nothing(busy: Path) -> None:
    for seed, night in ((0, 8 * 3600), (1, 8 * 3600), (2, 3)):
        run = past(busy, f"rslad-small_cnn-s{seed}")
        status = spec_status.decode(run.status.read_bytes())
        changed = msgspec.structs.replace(status, created=status.created - night)
        run.status.write_bytes(spec_status.encode(changed))
    (job,) = agenda.Reader(busy).read(NOW).devices[0].jobs
    *_, last = past(busy, "rslad-small_cnn-s2").events.read_bytes().splitlines()
    assert job.takes == pytest.approx(json.loads(last)["seconds"])  # of the one that was not interrupted
    past(busy, "rslad-small_cnn-s2").events.write_bytes(b"")
    (job,) = agenda.Reader(busy).read(NOW).devices[0].jobs
    assert job.takes is None


def test_nothing_is_foretold_behind_an_unknown_duration() -> None:
    def entry(run: str, takes: float | None, left: float | None = None) -> Entry:
        return Entry(run=run, about=About(), device="cpu", ticket=Ticket(run=run), takes=takes, left=left)

    one, two = (Rules(sharing=Sharing(many)) for many in (1, 2))
    told, end = plan([entry("b", 10.0), entry("c", None), entry("d", 5.0)], [entry("a", 8.0, 3.0)], one, 100.0)
    assert [e.starts for e in told] == [103.0, 113.0, None]
    assert end is None
    told, end = plan([entry("b", 10.0), entry("c", 4.0)], [entry("a", 8.0, 3.0)], two, 100.0)
    assert [e.starts for e in told] == [100.0, 103.0]
    assert end == 110.0


def test_clocks_say_the_day_when_it_is_another() -> None:
    assert format.clock(None, NOW) == "\u2013"
    assert format.clock(NOW + 3600, NOW) == time.strftime("%H:%M", time.gmtime(NOW + 3600))
    assert format.clock(NOW + 2 * 86400, NOW)[:3].isalpha()
    assert format.clock(NOW + 30 * 86400, NOW)[:2] == "20"
    assert {format.clock(when, NOW) for when in (1e308, -1e308, -1.0, 1e10)} == {"\u2013"}


def test_a_long_reason_takes_two_lines_and_no_more(busy: Path) -> None:
    entries = agenda.Reader(busy).read(NOW).ended
    failed = next(entry for entry in entries if entry.ticket and entry.ticket.state == "failed")
    words = "the gradient is not finite, though the loss is, in epoch 1, step 4 "
    for note in (words, words * 9):
        ticket = msgspec.structs.replace(failed.ticket, note=note)
        _, *told = queue_lines.ended([replace(failed, ticket=ticket)], 70, DARK, NOW)[0]
        assert len(told) == 2
        assert "gradient is not finite, though the loss" in told[0].plain


def test_lines_never_exceed_their_width(busy: Path) -> None:
    found = agenda.Reader(busy).read(NOW)
    for width in (10, 20, 33, 48, 64, 90, 140):
        lines = [line for of in queue_lines.queued(found.queued, width, DARK, NOW) for line in of]
        lines += [line for of in queue_lines.ended(found.ended, width, DARK, NOW) for line in of]
        lines += [line for d in found.devices for _, of in queue_lines.device(d, found, width, DARK) for line in of]
        assert all(line.cell_len <= width for line in lines)
