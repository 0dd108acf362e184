"""Run folders that an earlier program wrote: they are shown, verified, reused, and go on to the same end."""

import json
from pathlib import Path

import pytest

from tests.goldens.golden import SAME_MACHINE, crdnd, held, kept, run_of, settled

WORDS = {"teacher": ("pgd_at",), "finished": ("rslad", "f185"), "killed": ("rslad", "0172")}
IMAGES = 0.05  # of all: the rest of a training whose sums another processor rounds


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return kept(tmp_path)


@pytest.mark.parametrize("which", WORDS)
def test_they_are_shown(home: Path, which: str) -> None:
    done = crdnd(home, "show", run_of(home, *WORDS[which]), "--json")
    assert done.returncode == 0, done.stderr
    held(f"old/{which}", json.loads(settled(done.stdout, home)))


@pytest.mark.slow
@pytest.mark.parametrize(("which", "code", "verdict"), [("finished", 0, "holds"), ("killed", 1, "unknown")])
def test_they_are_verified(home: Path, which: str, code: int, verdict: str) -> None:
    done = crdnd(home, "verify", run_of(home, *WORDS[which]), "--json", "--threads", "1")
    assert done.returncode == code, done.stdout + done.stderr
    said = json.loads(done.stdout)
    assert said["verdict"] == verdict
    held(f"old/verified-{which}", {check["what"]: check["verdict"] for check in said["checks"]})


def test_a_finished_one_has_nothing_left_to_do(home: Path) -> None:
    run = run_of(home, *WORDS["finished"])
    before = (home / "runs" / run / "events.jsonl").read_bytes()
    assert crdnd(home, "resume", run).returncode == 0
    assert (home / "runs" / run / "events.jsonl").read_bytes() == before


@pytest.mark.slow
def test_a_killed_one_goes_on_and_ends_as_if_it_had_not_been(home: Path) -> None:
    run = run_of(home, *WORDS["killed"])
    done = crdnd(home, "resume", run, "--json")
    assert done.returncode == 0, done.stderr
    resumed = next(event for event in map(json.loads, done.stdout.splitlines()) if event["event"] == "run_resumed")
    assert resumed["step"] == 5
    ended, whole = (figures(home, run_of(home, *WORDS[which])) for which in ("killed", "finished"))
    assert ended == pytest.approx(whole, abs=0.0 if SAME_MACHINE else IMAGES)
    assert crdnd(home, "verify", run, "--quick", "--threads", "1").returncode == 0


def figures(home: Path, run: str) -> dict[str, float]:
    said = json.loads(crdnd(home, "show", run, "--json").stdout)
    assert (said["state"], said["step"]) == ("done", 10)
    return {f"{result['checkpoint']} {result['attack']}": result["accuracy"] for result in said["results"]}
