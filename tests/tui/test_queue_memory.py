"""The Queue screen where runs share GPUs by memory. The cards are made up; engines and workers are no processes."""

import json
from pathlib import Path

import pytest

from crdnd_tui.core import gpu
from crdnd_tui.queue import occupancy
from crdnd_tui.queue.sharing import Sharing
from crdnd_tui.queue.tickets import Queue
from tests.tui.busy_queue import (  # noqa: F401  two are fixtures
    ATWORK,
    FIRST,
    SECOND,
    THIRD,
    busy_queue,
    keys,
    put,
    still_machine,
    text,
    told,
)
from tests.tui.fake_nvml import GIB
from tests.tui.pilot import drive, same_picture


@pytest.fixture(name="packed")
def packed_queue(busy: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four GPUs, the first and the last nearly full of somebody else's; a run at work takes the last two."""
    used, share = (140.7, 1, 1, 140.5), (97, 0, 0, 0)
    cards = [gpu.Card(k, "H200", int(used[k] * GIB), 141 * GIB, share[k], f"GPU-{k}") for k in range(4)]
    monkeypatch.setattr(gpu, "cards", lambda: cards)
    monkeypatch.setattr(occupancy, "_auto", ["cuda:0"])
    queue = Queue(busy)
    put(queue, ATWORK, device="cuda:2", devices=2)
    put(queue, FIRST, device="cuda")
    put(queue, SECOND, device="cuda")
    put(queue, THIRD, device="cuda:1", devices=3)
    for run in (ATWORK, THIRD):
        machine = busy / run / "machine.json"
        machine.write_text(json.dumps(json.loads(machine.read_text()) | {"devices": 2 if run == ATWORK else 3}))
    queue.share_by("memory")
    return busy


def test_m_shares_by_memory_and_by_number_again(busy: Path) -> None:
    seen = []

    def look(app) -> None:
        seen.append(Queue(busy).sharing)

    said = drive(keys("m", "m", each=look, then=told), busy)
    assert seen == [Sharing(None, "memory"), Sharing(None, "slots")]
    assert "while their memory fits" in said and "by their number alone" in said


def test_what_a_run_waits_for_stands_below_it(packed: Path) -> None:
    shown = drive(keys(then=text), packed, size=(120, 36))
    lines = [line.strip("\u2502 ") for line in shown.splitlines()]
    reasons = [line for line in lines if line.startswith("waits for ")]
    assert [("on cuda:0, 307 MiB are free" in line, "on cuda:3, 0 B are free" in line) for line in reasons] == [
        (True, False),
        (False, True),
    ]
    assert "by memory, 8 at once at most" in shown
    assert "RSLAD \u00b7 seed 3, as cuda:2" in next(line for line in lines if line.startswith("cuda:3"))
    assert "waits for" not in drive(keys(then=text), packed, size=(40, 10)).partition("Waiting")[2]


@pytest.mark.parametrize("name", ["80x24", "120x36"])
def test_pictures(packed: Path, name: str) -> None:
    size = (80, 24) if name == "80x24" else (120, 36)
    drive(keys(then=lambda app: same_picture(app, f"queue-memory-{name}")), packed, size=size)


def test_only_reading_shares_as_before(packed: Path) -> None:
    drive(keys("m"), packed, readonly=True)
    assert Queue(packed).sharing == Sharing(None, "memory")


def test_a_held_run_waits_for_nothing_but_its_release(packed: Path) -> None:
    for run in (FIRST, THIRD):
        put(Queue(packed), run, state="held")
    shown = drive(keys(then=text), packed, size=(120, 36))
    assert "free" not in shown
