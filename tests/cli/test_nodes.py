"""Several devices and nodes from the command line: what is refused, what is written, and how a node joins."""

import json
import sys
from pathlib import Path

import pytest

from crdnd_tui.cli.options import machine
from crdnd_tui.core import gpu
from engine.spec.errors import ConfigError
from engine.spec.machine import Machine
from engine.spec.rundir import RunDir
from tests.cli.conftest import Crdnd
from tests.cli.test_commands import only_run
from tests.tui.fake_nvml import GIB, FakeNvml

MEET = ("--nodes", "3", "--rendezvous", "node1:29400")


def written(run: Path) -> dict:
    return json.loads(RunDir(run).machine.read_text())


def begun(crdnd: Crdnd, *flags: str) -> Path:
    done = crdnd("run", str(crdnd.preset), "--device", "cpu", *flags, plan={"end": "fail", "epochs": 1})
    assert done.returncode == 1, done.stderr
    return only_run(crdnd)


@pytest.fixture
def two_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "_nvml", [])
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(*[("NVIDIA H200", 0, 141 * GIB, 0)] * 2))


def refused(**said) -> str:
    with pytest.raises(ConfigError) as caught:
        machine(runs="runs", **said)
    return str(caught.value)


def test_devices_must_be_there(two_cards: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine(runs="runs", devices=2).devices == 2
    assert machine(runs="runs", device="cpu", devices=5).devices == 5
    assert "this machine shows 2 GPUs" in refused(devices=3)
    assert "from cuda:1 on" in refused(device="cuda:1", devices=2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert "shows 1 GPU;" in refused(devices=2)


def test_nodes_must_know_where_they_meet() -> None:
    assert "--rendezvous HOST:PORT" in refused(nodes=2)
    assert "say how many with --nodes" in refused(rendezvous="node1:29400")
    for place in (
        "node1",
        "node1:",
        ":29400",
        "node1:0",
        "node1:65536",
        "node1:http",
        "a b:1",
        "[fe80::1]:1",
        "x:1;rm",
        "\x1b[2J:1",
    ):
        assert "is no HOST:PORT" in refused(nodes=2, rendezvous=place)
    for place in ("node1:29400", "10.0.0.7:1", "a-b.c_d:65535"):
        assert machine(runs="runs", nodes=2, rendezvous=place).rendezvous == place


def test_flags_say_the_same_as_settings_and_win_over_them() -> None:
    assert machine(runs="runs", settings=["devices=3", "exact=true"]) == machine(
        runs="runs", devices=3, exact=True, nodes=None
    )
    assert machine(runs="runs", settings=["devices=3"], devices=2).devices == 2
    assert "--devices is a number" in refused(settings=["devices=0"])
    known = refused(settings=["cores=3"])
    assert "table_gib" in known and "graphs" in known and "devices" not in known


def test_a_change_keeps_the_rest_and_one_node_needs_no_place() -> None:
    far = Machine(device="cpu", devices=4, nodes=2, rendezvous="a:1", data="d", tf32=True)
    assert machine((), far, devices=None) == far
    assert machine(["tf32=false"], far, devices=1) == far.model_copy(update={"devices": 1, "tf32": False})
    assert machine((), far, nodes=1) == far.model_copy(update={"nodes": 1, "rendezvous": ""})
    with pytest.raises(ConfigError, match="HOST:PORT"):
        machine((), Machine(), nodes=2)


def test_what_is_asked_is_written_and_nonsense_makes_no_folder(crdnd: Crdnd) -> None:
    done = crdnd("run", str(crdnd.preset), "--device", "cpu", "--nodes", "2")
    assert (done.returncode, crdnd.runs.exists()) == (2, False)
    assert "HOST:PORT" in done.stderr
    said = written(begun(crdnd, "--devices", "2", "--exact", "--machine", "table=off"))
    assert (said["devices"], said["nodes"], said["exact"], said["table"]) == (2, 1, True, "off")


def test_resume_changes_the_machine_of_this_and_later_engines(crdnd: Crdnd) -> None:
    run = begun(crdnd, "--devices", "2", "--exact")
    again = {"epochs": 1, "end": "fail"}
    crdnd("resume", run.name, plan=again)
    assert (written(run)["devices"], written(run)["exact"]) == (2, True)
    crdnd("resume", run.name, "--devices", "3", "--fast", "--machine", "graphs=off", plan=again)
    assert (written(run)["devices"], written(run)["exact"], written(run)["graphs"]) == (3, False, "off")
    assert crdnd("resume", run.name, "--rendezvous", "a:1", plan=again).returncode == 2
    assert crdnd("resume", run.name, plan={"epochs": 1}).returncode == 0
    assert written(run)["devices"] == 3


def test_the_machine_of_a_run_at_work_stays(crdnd: Crdnd) -> None:
    name = crdnd("run", str(crdnd.preset), "--detach", plan={"seconds": 0.1, "epochs": 500}).stdout.strip()
    done = crdnd("resume", name, "--devices", "2", "--machine", "device=cpu")
    assert done.returncode == 2
    assert "at work" in done.stderr
    assert written(crdnd.runs / name)["devices"] == 1
    crdnd("stop", name, "--kill")


def test_the_first_node_says_what_to_type_on_the_others_and_they_join(crdnd: Crdnd) -> None:
    done = crdnd(
        "run", str(crdnd.preset), "--device", "cpu", "--devices", "2", *MEET, plan={"end": "fail", "epochs": 1}
    )
    run = only_run(crdnd)
    line = f"crdnd join {run.name} --runs {crdnd.runs}"
    assert f"On each of the other 2 nodes: {line}\n" in done.stderr
    assert "crdnd join" not in done.stdout
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    joined = crdnd(*line.split()[1:], plan={"join": 3})
    assert joined.returncode == 3
    assert "joins with 2 processes, 3 nodes meet at node1:29400" in joined.stderr
    assert f"joined {run.name}" in joined.stderr
    assert "exit code 3" in joined.stderr
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before
    two = crdnd("resume", run.name, "--nodes", "2", plan={"epochs": 1})
    assert f"On the other node: {line}" in two.stderr
    assert "done already" in crdnd(*line.split()[1:]).stderr


def test_nobody_joins_a_run_of_one_node_or_none(crdnd: Crdnd) -> None:
    run = begun(crdnd)
    done = crdnd("join", run.name)
    assert done.returncode == 2
    assert "on one node" in done.stderr and f"crdnd resume {run.name} --nodes" in done.stderr
    assert crdnd("join", "nothing").returncode == 2
    RunDir(run).machine.write_text("{")
    assert "machine.json cannot be read" in crdnd("join", run.name).stderr
