"""Sharing a GPU by memory: the rule with numbers counted by hand, and what it foretells."""

import pytest

from crdnd_tui.queue import occupancy
from crdnd_tui.queue.entry import About, Entry
from crdnd_tui.queue.foretold import plan
from crdnd_tui.queue.sharing import GIB, MOST, Rules, Sharing, Space, need
from crdnd_tui.queue.tickets import Ticket

BY_MEMORY = Sharing(by="memory")


def rules(total: float = 80, others: float = 0, *, at_once: int | None = None, device: str = "cuda:0") -> Rules:
    return Rules(sharing=Sharing(at_once, "memory"), spaces={device: Space(int(total * GIB), int(others * GIB))})


def obstacle(of: Rules, there: list[float | None], need: float | None, device: str = "cuda:0") -> str | None:
    bytes_ = [None if each is None else int(each * GIB) for each in there]
    return of.obstacle(device, bytes_, None if need is None else int(need * GIB))


def test_a_process_needs_half_more_than_its_tensors_and_a_context() -> None:
    assert need(2 * GIB) == 3 * GIB + 6 * GIB // 10


def test_by_slots_the_number_alone_counts() -> None:
    assert (Sharing().most("cuda:0"), Sharing(3).most("cpu")) == (1, 3)
    two = Rules(sharing=Sharing(2))
    assert two.obstacle("cuda:0", [], None) is None
    assert two.obstacle("cuda:0", [None], 1 << 60) is None
    assert two.obstacle("cuda:0", [None, None], 0) == ""


def test_by_memory_runs_join_while_the_sum_fits() -> None:
    assert obstacle(rules(), [], 30) is None
    assert obstacle(rules(), [30], 50) is None  # 80 of 80
    assert obstacle(rules(), [30, 20], 31) == "waits for 31.0 GiB on cuda:0, 30.0 GiB are free"


def test_what_others_hold_is_not_free() -> None:
    assert obstacle(rules(others=25), [30], 25) is None
    assert obstacle(rules(others=26), [30], 25) == "waits for 25.0 GiB on cuda:0, 24.0 GiB are free"
    assert obstacle(rules(others=70), [], 25) == "waits for 25.0 GiB on cuda:0, 10.0 GiB are free"
    assert obstacle(rules(others=70), [30], 25) == "waits for 25.0 GiB on cuda:0, 0 B are free"


def test_never_more_than_so_many_whatever_fits() -> None:
    assert obstacle(rules(), [1] * (MOST - 1), 1) is None
    assert obstacle(rules(), [1] * MOST, 1) == ""
    assert obstacle(rules(at_once=2), [1], 1) is None
    assert obstacle(rules(at_once=2), [1, 1], 1) == ""


def test_the_cpu_has_slots_in_any_case() -> None:
    assert BY_MEMORY.most("cpu") == 1
    assert obstacle(rules(), [], None, "cpu") is None
    assert obstacle(rules(), [None], None, "cpu") == ""
    assert obstacle(rules(at_once=2), [None], None, "cpu") is None


def test_what_is_not_known_runs_alone() -> None:
    assert obstacle(rules(), [], None) is None
    assert obstacle(rules(others=79), [], None) is None  # nobody can say that it does not fit
    assert "alone on cuda:0: its memory is not known" in str(obstacle(rules(), [1], None))
    assert "a run on cuda:0 needs nobody knows" in str(obstacle(rules(), [None], 1))
    assert obstacle(rules(), [], 1, "cuda:7") is None
    assert "the memory of cuda:7 is not known" in str(obstacle(rules(), [1], 1, "cuda:7"))


def test_a_run_that_fits_no_empty_gpu_is_tried_alone_and_never_waits_for_ever() -> None:
    assert obstacle(rules(others=1), [], 79) is None
    assert "alone on cuda:0: it may need 79.0 GiB" in str(obstacle(rules(), [1], 79))
    assert "79.0 GiB" not in str(obstacle(rules(), [79], 1))
    assert obstacle(rules(), [79], 2) == "waits for 2.0 GiB on cuda:0, 1.0 GiB are free"


def entry(run: str, takes: float | None, left: float | None = None, **more) -> Entry:
    return Entry(
        run=run, about=About(), ticket=Ticket(run=run), takes=takes, left=left, **({"device": "cuda:0"} | more)
    )


def test_memory_foretells_who_starts_when_who_leaves() -> None:
    atwork = [entry("a", 50.0, 20.0, need=40 * GIB), entry("b", 50.0, 30.0, need=30 * GIB)]
    queued = [entry("c", 10.0, need=50 * GIB), entry("d", 5.0, need=10 * GIB), entry("e", 5.0, need=25 * GIB)]
    told, end = plan(queued, atwork, rules(), 100.0)
    # 40 + 30 of 80: c joins when a leaves (30 + 50), d and e when b leaves. 10 were free for d, but nobody overtakes.
    assert [each.starts for each in told] == [120.0, 130.0, 130.0]
    assert end == 135.0
    assert [each.waits for each in told] == ["waits for 50.0 GiB on cuda:0, 10.0 GiB are free", "",
                                             "waits for 25.0 GiB on cuda:0, 10.0 GiB are free"]  # fmt: skip


def test_a_run_on_two_devices_waits_for_both_and_is_not_overtaken() -> None:
    one = Rules(sharing=Sharing(1))
    atwork = [entry("a", 50.0, 20.0), entry("b", 50.0, 30.0, device="cuda:1")]
    queued = [entry("c", 10.0, devices=2), entry("d", 5.0), entry("e", 5.0, device="cuda:2")]
    told, end = plan(queued, atwork, one, 100.0)
    assert [each.starts for each in told] == [130.0, 140.0, 100.0]
    assert end == 145.0
    assert [each.waits for each in told] == ["waits for cuda:0: it takes 2 devices", "", ""]


@pytest.mark.parametrize(
    ("named", "devices", "places"),
    [("cuda:1", 3, "cuda:1 cuda:2 cuda:3"), ("cuda", 2, "cuda:0 cuda:1"), ("cpu", 4, "cpu"), ("strange", 2, "strange")],
)
def test_a_run_takes_the_device_it_names_and_the_next(named: str, devices: int, places: str) -> None:
    assert occupancy.places(named, devices) == tuple(places.split())
