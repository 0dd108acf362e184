"""Engines and viewers as processes: detached, stopped, killed, resumed, and left behind."""

import json
import signal
import time
from collections.abc import Callable

import pytest

from tests.cli.conftest import Crdnd
from tests.cli.test_commands import only_run
from tests.tui.lab_queue import until


def begun(crdnd: Crdnd, kind: str = "step_done") -> Callable[[], bool]:
    return lambda: any(f'"{kind}"' in p.read_text() for p in crdnd.runs.glob("*/events.jsonl"))


def test_detach_prints_the_id_alone_and_the_engine_goes_on(crdnd: Crdnd) -> None:
    done = crdnd("run", str(crdnd.preset), "--detach", plan={"seconds": 0.05})
    run = only_run(crdnd)
    assert (done.returncode, done.stdout) == (0, f"{run.name}\n")
    watched = crdnd("watch", run.name)
    assert watched.returncode == 0
    assert "worst of L-inf" in watched.stdout
    assert crdnd("run", str(crdnd.preset), "--detach", plan={"end": "mute"}).returncode == 1


def test_stop_asks_and_resume_goes_on(crdnd: Crdnd) -> None:
    name = crdnd("run", str(crdnd.preset), "--detach", plan={"seconds": 0.1, "epochs": 50}).stdout.strip()
    assert crdnd("stop", name).returncode == 0
    assert crdnd("watch", name).returncode == 3
    row = json.loads(crdnd("show", name, "--json").stdout)
    assert (row["state"], row["reason"]) == ("stopped", "stop file")
    assert crdnd("stop", name).returncode == 2  # nobody is there
    resumed = crdnd("resume", name[:24], plan={"epochs": 1})
    assert resumed.returncode == 0, resumed.stderr
    assert "resumed at step" in resumed.stderr
    assert resumed.stderr.count(" started") == 0  # the past is not told again
    assert crdnd("resume", name).returncode == 0  # done already: says so, shows the table


def test_stop_kill_ends_an_engine_that_does_not_listen(crdnd: Crdnd) -> None:
    plan = {"seconds": 0.1, "epochs": 500}
    name = crdnd("run", str(crdnd.preset), "--detach", plan=plan).stdout.strip()
    assert crdnd("stop", name, "--kill").returncode == 0
    assert json.loads(crdnd("show", name, "--json").stdout)["state"] in ("stopped", "killed")


def test_ctrl_c_once_stops_and_saves_and_is_130(crdnd: Crdnd) -> None:
    viewer = crdnd.start("run", str(crdnd.preset), plan={"seconds": 0.1, "epochs": 500})
    until(begun(crdnd))
    viewer.send_signal(signal.SIGINT)
    out, err = viewer.communicate(timeout=20)
    assert viewer.returncode == 130
    assert "Stopping after this step" in err and "crdnd resume" in err
    assert only_run(crdnd).name in out
    assert json.loads((only_run(crdnd) / "status.json").read_text())["phase"] == "stopped"


def test_ctrl_c_twice_kills_an_engine_that_does_not_listen(crdnd: Crdnd) -> None:
    viewer = crdnd.start("run", str(crdnd.preset), plan={"seconds": 0.1, "epochs": 500, "deaf": True})
    until(begun(crdnd))
    viewer.send_signal(signal.SIGINT)
    until((only_run(crdnd) / "stop").exists)
    time.sleep(0.3)
    viewer.send_signal(signal.SIGINT)
    viewer.communicate(timeout=20)
    assert viewer.returncode == 130
    assert json.loads(crdnd("runs", "--json").stdout)[0]["state"] == "killed"


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL])
def test_the_engine_survives_its_viewer(crdnd: Crdnd, number: signal.Signals) -> None:
    viewer = crdnd.start("run", str(crdnd.preset), plan={"seconds": 0.05, "epochs": 4})
    until(begun(crdnd))
    viewer.send_signal(number)
    viewer.communicate(timeout=20)
    until(begun(crdnd, "run_finished"))
    seqs = [json.loads(line)["seq"] for line in (only_run(crdnd) / "events.jsonl").read_text().splitlines()]
    assert seqs == list(range(1, len(seqs) + 1))


def test_watching_leaves_a_run_alone(crdnd: Crdnd) -> None:
    name = crdnd("run", str(crdnd.preset), "--detach", plan={"seconds": 0.1, "epochs": 500}).stdout.strip()
    viewer = crdnd.start("watch", name, "--json")
    assert viewer.stdout is not None
    viewer.stdout.readline()
    viewer.send_signal(signal.SIGINT)
    viewer.communicate(timeout=20)
    assert viewer.returncode == 130
    assert json.loads(crdnd("show", name, "--json").stdout)["state"] == "running"
    crdnd("stop", name, "--kill")


def test_a_reader_that_leaves_early_is_no_traceback(crdnd: Crdnd) -> None:
    viewer = crdnd.start("run", str(crdnd.preset), "--json", plan={"seconds": 0.02})
    assert viewer.stdout is not None and viewer.stderr is not None
    viewer.stdout.readline()
    viewer.stdout.close()
    assert viewer.wait(timeout=20) == -signal.SIGPIPE
    assert "Traceback" not in viewer.stderr.read()
    viewer.stderr.close()
    until(begun(crdnd, "run_finished"))
