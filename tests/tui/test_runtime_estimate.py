"""How long a run will take: from like runs of this machine, by hand values."""

import json
import shutil
from dataclasses import replace

import pytest

from crdnd_tui.core import runtime_estimate
from crdnd_tui.core.runtime_estimate import PastRun
from crdnd_tui.tui.form import prospect
from engine.spec import toml
from engine.spec.estimate import estimate
from tests.tui.pilot import HERE, NOW, recorded

QUICK = HERE.parents[1] / "presets" / "quickstart.toml"


def past(*overrides, seconds=100.0, device="auto", **more):
    config = toml.load(QUICK, overrides)
    attacks = {row.attack: 10.0 for row in estimate(config).evaluation}
    facts = {"training": seconds, "validation": 20.0, "attacks": attacks, "other": 3.0} | more
    return PastRun(run="r", config=config, estimate=estimate(config), device=device, **facts)


def asked(*overrides):
    return toml.load(QUICK, overrides)


def test_the_same_run_takes_as_long_as_it_took():
    told = runtime_estimate.estimate_runtime(asked(), [past()], "auto")
    assert (told.training, told.evaluation, told.seconds) == (120.0, 80.0, 203.0)
    assert told.words == "\u2248 3:23 from one past run here"


def test_training_grows_with_the_epochs_and_evaluation_with_the_steps():
    told = runtime_estimate.estimate_runtime(asked("training.epochs=80"), [past()], "auto")
    assert told.training == pytest.approx(240.0)
    assert told.evaluation == 80.0
    steps = 61 / 41  # forwards of 30 steps and of 20
    told = runtime_estimate.estimate_runtime(asked("evaluation.attacks.1.steps=30"), [past()], "auto")
    assert told.evaluation == pytest.approx(70.0 + 10.0 * steps)


def test_several_runs_have_a_spread_and_a_middle():
    told = runtime_estimate.estimate_runtime(asked(), [past(seconds=s) for s in (100.0, 90.0, 130.0)], "auto")
    assert (told.low, told.seconds, told.high, told.runs) == (193.0, 203.0, 233.0, 3)
    assert told.words == "\u2248 3:23 (3:13 \u2013 3:53) from 3 past runs here"


def test_the_same_method_is_asked_first_and_others_are_named():
    other = past("method.name=rslad", seconds=1000.0)
    assert runtime_estimate.estimate_runtime(asked(), [other, past()], "auto").seconds == 203.0
    told = runtime_estimate.estimate_runtime(asked(), [other], "auto")
    assert told.words.endswith("from one past run of other methods here")


@pytest.mark.parametrize("unlike", [
    {"device": "cuda"},
    {"overrides": ["student.width=16"]},
    {"overrides": ["data.name=cifar10"]},
])  # fmt: skip
def test_a_run_that_is_not_like_it_tells_nothing(unlike):
    other = past(*unlike.pop("overrides", []), **unlike)
    assert runtime_estimate.estimate_runtime(asked(), [other], "auto") is None


def test_an_attack_that_nobody_ran_is_named_and_left_out():
    known = past()
    kept = {name: seconds for name, seconds in known.attacks.items() if name != "autoattack"}
    told = runtime_estimate.estimate_runtime(asked(), [replace(known, attacks=kept)], "auto")
    assert told.missing == ("autoattack",)
    assert told.words == "at least 3:13 from one past run here, without autoattack"
    told = runtime_estimate.estimate_runtime(asked(), [replace(known, attacks=kept), known], "auto")
    assert (told.runs, told.missing) == (1, ())


def test_recorded_runs_are_read(tmp_path, monkeypatch):
    runs = recorded(tmp_path / "runs")
    host = next(json.loads(p.read_text())["host"] for p in runs.glob("*crdnd-small_cnn-s0*/status.json"))
    monkeypatch.setattr(runtime_estimate, "HOST", host)
    found = runtime_estimate.past_runs(runs)
    told = [past for past in found.values() if past is not None]
    assert {"crdnd", "rslad", "natural", "pgd_at"} <= {past.config.method.name for past in told}
    assert all(past.training > 0 and past.attacks for past in told)
    assert runtime_estimate.past_runs(runs, found) == found
    ran = next(past for past in told if past.config.method.name == "crdnd")
    again = runtime_estimate.estimate_runtime(ran.config, [ran], "auto")
    assert again.seconds == pytest.approx(ran.training + ran.validation + sum(ran.attacks.values()) + ran.other)
    monkeypatch.setattr(runtime_estimate, "HOST", "elsewhere")
    assert not any(runtime_estimate.past_runs(runs).values())


def test_damaged_folders_tell_nothing(tmp_path):
    runs = recorded(tmp_path / "runs", "crdnd-small_cnn-s0")
    run = next(runs.iterdir())
    for name, content in (("machine.json", b"[1"), ("config.toml", b"x ="), ("status.json", b"\xff")):
        (run / name).write_bytes(content)
        runtime_estimate._past(runtime_estimate.RunDir(run))
    (runs / "empty").mkdir()
    (runs / "link").symlink_to(run)
    assert not any(runtime_estimate.past_runs(runs).values())
    assert runtime_estimate.past_runs(tmp_path / "none") == {}


def test_the_prospect_knows_equal_runs_and_the_teacher(tmp_path):
    runs = recorded(tmp_path / "runs", "crdnd-small_cnn-s0")
    run = next(runs.iterdir())
    config = toml.read(run / "config.toml")
    told = prospect.look(config, runs, "auto", {})
    assert told.equal == (f"{run.name}, done",)
    assert told.trains_teacher
    assert told.time is None
    words = [" ".join(row) for row in prospect.rows(config, told)]
    told_first = "plus its teacher first, for an unknown time"
    assert words[0] == f"time unknown {told_first}; no past run like this on this machine"
    assert words[-1].startswith(f"equal run {run.name}, done")
    alone = [" ".join(row) for row in prospect.rows(config, prospect.Prospect(equal=("a, done", "b, failed")))]
    assert (len(alone), alone[-1]) == (len(words), "equal run a, done and 1 more")
    assert len(prospect.rows(config, None)) == len(prospect.rows(config, prospect.Prospect())) == 5
    brief = prospect.brief(config, told)
    assert brief.startswith("no past run like this on this machine: time unknown, its teacher first; ")
    assert brief.endswith("MiB memory; an equal run is done")


def test_only_runs_with_weights_can_teach(tmp_path):
    runs = recorded(tmp_path / "runs", "crdnd-small_cnn-s0")
    run = next(runs.iterdir())
    shutil.rmtree(run / "weights", ignore_errors=True)
    assert prospect.saved_runs(runs, now=NOW) == []
    (run / "weights").mkdir()
    (run / "weights" / "best.safetensors").write_bytes(b"x")
    (option,) = prospect.saved_runs(runs, now=NOW)
    assert option.value == run.name
    assert "crdnd small_cnn, digits, clean 9" in option.note
