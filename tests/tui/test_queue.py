"""The queue on disk: order, states, and files that are no tickets."""

import os
import threading
from pathlib import Path

import pytest

from crdnd_tui.queue.tickets import Queue
from engine.spec.errors import RunFolderError


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    queue = Queue(tmp_path / "runs")
    for k, name in enumerate("abcd"):
        queue.add(name, "cpu", now=100.0 + k)
    return queue


def order(queue: Queue) -> str:
    return "".join(ticket.run for ticket in queue.tickets())


def files(queue: Queue) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in (queue.folder / "tickets").iterdir()}


def test_a_folder_without_a_queue_has_none_and_gets_none(tmp_path: Path) -> None:
    assert Queue(tmp_path / "runs").tickets() == []
    assert not (tmp_path / "runs").exists()


def test_runs_wait_in_the_order_in_which_they_came_and_a_held_one_keeps_its_place(queue: Queue) -> None:
    assert order(queue) == "abcd"
    assert [(t.place, t.state, t.added) for t in queue.tickets()][:2] == [(1, "waiting", 100.0), (2, "waiting", 101.0)]
    queue.hold("b")
    assert [(t.run, t.state, t.place) for t in queue.tickets()][1] == ("b", "held", 2)
    queue.release("b")
    assert queue.ticket("b").state == "waiting"


@pytest.mark.parametrize(
    ("run", "where", "after"),
    [("c", "up", "acbd"), ("c", "down", "abdc"), ("d", "top", "dabc"), ("a", "up", "abcd"), ("d", "down", "abcd"),
     ("a", "down", "bacd"), ("b", "top", "bacd")],
)  # fmt: skip
def test_moving_changes_one_file(queue: Queue, run: str, where: str, after: str) -> None:
    before = files(queue)
    queue.move(run, where)
    assert order(queue) == after
    changed = {name for name, inode in files(queue).items() if before[name] != inode}
    assert changed <= {f"{run}.json"}


def test_places_are_counted_anew_when_no_number_is_left_between_two(queue: Queue) -> None:
    for _ in range(80):  # halves the room between the same two neighbours until floats run out
        queue.move("d", "up")
        queue.move("c", "up")
    assert sorted(order(queue)) == list("abcd")
    queue.move("d", "top")
    assert order(queue)[0] == "d"


def test_a_run_is_in_the_queue_once_and_may_come_again_when_it_ended(queue: Queue) -> None:
    with pytest.raises(RunFolderError, match="in the queue already; it is waiting"):
        queue.add("a", "cpu", 1.0)
    queue.change("a", ("waiting",), lambda t: type(t)(run="a", state="failed", rank=t.rank, ended=5.0, note="why"))
    assert order(queue) == "bcda"
    queue.add("a", "cpu", 200.0)
    assert order(queue) == "bcda"
    assert (queue.ticket("a").place, queue.ticket("a").note) == (4, "")


def test_what_is_not_there_or_not_so_is_said(queue: Queue) -> None:
    with pytest.raises(RunFolderError, match="not in the queue"):
        queue.hold("zzz")
    with pytest.raises(RunFolderError, match="no run id"):
        queue.add("../../etc", "cpu", 1.0)
    queue.change("a", ("waiting",), lambda t: type(t)(run="a", state="running"))
    with pytest.raises(RunFolderError, match="a is running"):
        queue.move("a", "up")


def test_at_once_is_one_unless_it_was_set_to_something_sensible(queue: Queue) -> None:
    assert queue.at_once == 1
    queue.set_at_once(3)
    assert queue.at_once == 3
    (queue.folder / "settings.toml").write_text('at_once = 3\nshare_by = "memory"\n')  # of older versions
    assert queue.at_once == 3
    for content in ("at_once = 0", "at_once = true", "at_once = [", "\x00", "at_once = 1.5", "at_once = 1000000"):
        (queue.folder / "settings.toml").write_text(content)
        assert queue.at_once == 1
    with pytest.raises(RunFolderError):
        queue.set_at_once(0)


def test_a_ticket_says_how_many_devices_its_run_takes(queue: Queue) -> None:
    queue.add("e", "cuda:1", 110.0, 4)
    found = queue.ticket("e")
    assert found is not None and (found.device, found.devices) == ("cuda:1", 4)
    path = queue.folder / "tickets" / "e.json"
    for many in ("0", "-1", "1000000", "true", "1.5"):
        path.write_text(path.read_text().replace('"devices":4', f'"devices":{many}'))
        assert queue.ticket("e") is None
        path.write_text(path.read_text().replace(f'"devices":{many}', '"devices":4'))


def test_hostile_files_are_passed_over_and_said(queue: Queue, tmp_path: Path) -> None:
    folder = queue.folder / "tickets"
    (folder / "cut.json").write_text('{"run":"cut","sta')
    (folder / "other.json").write_text('{"run":"a"}')
    (folder / "state.json").write_text('{"run":"state","state":"exploded"}')
    (folder / "deep.json").write_text("[" * 100_000)
    (folder / "large.json").write_text('{"run":"large","note":"' + "x" * 100_000 + '"}')
    (folder / "esc\x1b[2J.json").write_text("{}")
    (folder / "link.json").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.json")
    assert order(queue) == "abcd"
    assert len(queue.damaged) == 8
    assert not any("\x1b" in name for name in queue.damaged)
    (folder / "note.json").write_text('{"run":"note","state":"failed","note":"\\u001b[2J","unknown":[1]}')
    assert queue.ticket("note").note == "\ufffd[2J"


def test_clearing_forgets_what_ended_only(queue: Queue) -> None:
    queue.change("a", ("waiting",), lambda t: type(t)(run="a", state="done", ended=5.0))
    assert queue.clear() == 1
    assert order(queue) == "bcd"


def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    def add(first: int) -> None:
        for k in range(first, 40, 4):
            Queue(tmp_path / "runs").add(f"run{k}", "cpu", float(k))

    threads = [threading.Thread(target=add, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tickets = Queue(tmp_path / "runs").tickets()
    assert len(tickets) == 40
    assert len({ticket.rank for ticket in tickets}) == 40


def test_a_writer_that_does_not_let_go_is_said(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crdnd_tui.queue.tickets.PATIENCE", 0.05)
    with queue.locked(), pytest.raises(RunFolderError, match="does not let go"):
        Queue(queue.runs).hold("a")
