"""Do the stored numbers hold? They do for a run that nobody touched; whatever was touched is found."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from engine.evaluate.outcomes import FAILS, HOLDS, UNKNOWN, CheckResult
from engine.runtime.interrupt import Interrupt, Stopped
from engine.spec import files
from engine.spec.errors import ConfigError, RunFolderError
from engine.spec.marks import SanityFinding
from engine.spec.rundir import RunDir
from engine.verify import __main__ as main
from tests.engine.tampering import edit, events_of, failed, parsed, reweighed, rewrite, verified, write_events

ROOT = Path(__file__).parent.parent.parent


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_run_that_nobody_touched_holds_bit_for_bit_and_is_only_read(copied):
    run, data = copied
    before, generator = tree(run.path.parent.parent), torch.get_rng_state()
    findings = verified(run, data)
    assert {f.verdict for f in findings} == {HOLDS}
    again = [f for f in findings if f.what.startswith("again ")]
    assert [f.what for f in again] == [f"again {c} {a}" for c in ("best", "last") for a in ("clean", "fgsm", "pgd")]
    assert all(f.words.startswith("identical: the same answer on all 16 images") for f in again)
    assert main.conclude(findings)[0] == HOLDS
    assert tree(run.path.parent.parent) == before
    assert torch.equal(torch.get_rng_state(), generator)


def test_quick_repeats_the_clean_images_and_the_first_attack_of_several_steps(copied):
    again = [f.what for f in verified(*copied, "--quick") if f.what.startswith("again best")]
    assert again == ["again best clean", "again best pgd"]
    again = [f.what for f in verified(*copied, "--attack", "fgsm") if f.what.startswith("again best")]
    assert again == ["again best clean", "again best fgsm"]


def test_an_attack_that_the_run_does_not_know_is_a_mistake(copied):
    with pytest.raises(ConfigError, match="was not judged by `apgd`; it knows clean, fgsm, pgd"):
        verified(*copied, "--attack", "apgd")


def test_a_folder_that_is_no_run_is_a_mistake(tmp_path):
    with pytest.raises(RunFolderError, match=r"config\.toml is missing"):
        verified(RunDir(tmp_path), tmp_path)


def test_without_its_data_nothing_is_judged_again_and_nothing_is_claimed(copied, tmp_path):
    findings = verified(copied[0], tmp_path / "nowhere")
    assert not [f for f in findings if f.verdict == FAILS]
    assert main.conclude(findings)[0] == UNKNOWN


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def told(run: RunDir, change: Callable[[dict[str, Any]], object]) -> None:
    """Another status."""
    status = json.loads(run.status.read_bytes())
    change(status["results"])
    run.status.write_text(json.dumps(status))


def text(run: RunDir, name: str, old: str, new: str) -> None:
    rewrite(run.path / name, lambda text: text.replace(old, new, 1))


def remove_event(run: RunDir, kind: str) -> None:
    """The first of its kind, and the others are numbered anew."""
    events = events_of(run)
    events.remove(next(one for one in events if one["event"] == kind))
    write_events(run, events, renumber=True)


def marks(run: RunDir, change: Callable[[list[str]], list[str]]) -> None:
    path = run.result("best", "pgd")
    edit(path, marks=change(json.loads(path.read_bytes())["marks"]))


def probes(run: RunDir, **changes: Any) -> None:
    path = run.evaluation / "best" / "suspect.json"
    table = json.loads(path.read_bytes())
    edit(path, **{key: change(table[key]) for key, change in changes.items()})


CONFIG = {"config", "names", "weights best", "weights last", "checkpoint 000003", "checkpoint 000004"}
FORGED = msgspec.to_builtins(SanityFinding("zero_gradient", ""))
TAMPERED: dict[str, tuple[Callable[[RunDir, Path], object], set[str]]] = {
    "weights": (lambda run, _: flip(run.weights_of("best")), {"weights best"}),
    "accuracy": (lambda run, _: edit(run.result("best", "pgd"), accuracy=0.99), {"record best pgd"}),
    "config": (lambda run, _: text(run, "config.toml", "learning_rate = 0.1", "learning_rate = 0.2"), CONFIG),
    "hash": (lambda run, _: text(run, "provenance.json", '"config_hash": "', '"config_hash": "0'), {"config"}),
    "data hash": (lambda run, _: text(run, "provenance.json", '"test": "', '"test": "0'), {"data test"}),
    "event": (lambda run, _: text(run, "events.jsonl", '"event":"validated"', '"event":"v'), {"events", "validation"}),
    "status": (lambda run, _: text(run, "status.json", '"results":{', '"results":{{'), {"status.json"}),
    "provenance": (lambda run, _: text(run, "provenance.json", "}", ""), {"provenance.json"}),
    "shown": (lambda run, _: told(run, lambda rows: rows["best"].update(clean=0.001)), {"record best clean"}),
    "shown more": (lambda run, _: told(run, lambda rows: rows.update(more={"clean": 0.5})), {"record more clean"}),
    "shown less": (lambda run, _: told(run, lambda rows: rows["best"].pop("pgd")), {"record best pgd"}),
    "training image": (
        lambda _, data: edit_data(data, "x_train", lambda x: x.__setitem__((3, 2, 2), x[3, 2, 2] ^ 1)), {"data train"},
    ),
    "no validation": (lambda run, _: remove_event(run, "validated"), {"validation"}),
    "no result": (lambda run, _: remove_event(run, "evaluated"), {"record best clean"}),
    "no warning": (lambda run, _: remove_event(run, "warned"), {"status"}),
    "no end": (lambda run, _: remove_event(run, "run_finished"), {"run_finished"}),
    "mark taken": (lambda run, _: marks(run, lambda known: known[:-1]), {"marks best"}),
    "mark added": (lambda run, _: marks(run, lambda known: [*known, "zero_gradient"]), {"marks best"}),
    "mark's words": (lambda run, _: text(run, "events.jsonl", "16 of 60 images", "60 of 60 images"), {"marks best"}),
    "sign of a probe": (lambda run, _: probes(run, findings=lambda known: [*known, FORGED]), {"marks best"}),
    "digest of probes": (lambda run, _: probes(run, digest=lambda known: "0" + known[1:]), {"marks best"}),
    "no probes": (lambda run, _: (run.evaluation / "best" / "suspect.json").unlink(), {"marks best"}),
    "damaged probes": (lambda run, _: (run.evaluation / "best" / "suspect.json").write_text("{"), {"marks best"}),
}  # fmt: skip


@pytest.mark.parametrize("what", TAMPERED)
def test_what_was_tampered_with_is_found(copied, what):
    change, found = TAMPERED[what]
    change(*copied)
    seen = failed(*copied, "--attack", "clean")
    assert found <= seen if what.startswith("no ") else found == seen


def test_other_weights_with_a_digest_of_their_own_are_found(copied):
    run, data = copied
    reweighed(run.weights_of("best"), lambda state: {key: v + 0.01 * v.is_floating_point() for key, v in state.items()})
    assert {"record best clean", "record best fgsm", "gallery best"} <= failed(run, data, "--quick")


def edit_data(data: Path, name: str, change: Callable[[np.ndarray], None]) -> None:
    with np.load(data / "tiny.npz") as arrays:
        held = dict(arrays)
    change(held[name])
    np.savez(data / "tiny.npz", **held)


def test_other_test_images_are_found_everywhere(copied):
    run, data = copied
    edit_data(data, "x_test", lambda images: np.copyto(images, 255 - images))
    found = failed(run, data, "--quick")
    assert {"data test", "record best clean", "gallery best", "again best clean"} <= found
    assert "data train" not in found


def test_another_teacher_is_found_and_a_missing_one_cannot_be_said(copied):
    run, data = copied
    path = data / "teacher.safetensors"
    flip(path)
    assert failed(run, data, "--quick") == {"teacher"}
    path.unlink()
    findings = verified(run, data, "--quick")
    assert [f.what for f in findings if f.verdict == UNKNOWN] == ["teacher"]
    assert main.conclude(findings) == (HOLDS, main.conclude(findings)[1])
    assert "1 cannot be said" in main.conclude(findings)[1]


def test_a_gallery_that_leaves_the_ball_is_found_even_with_a_true_hash(copied):
    run, data = copied
    path = run.gallery("best").with_name("pgd.f32")
    pixels = np.frombuffer(path.read_bytes(), "<f4").copy()
    pixels[64:128] = 1.0 - pixels[64:128]  # the first adversarial image
    path.write_bytes(pixels.tobytes())
    assert failed(run, data, "--quick") == {"gallery best", "examples best"}
    index = json.loads(run.gallery("best").read_bytes())
    index["attacks"]["pgd"]["sha256"] = files.sha256(path)
    run.gallery("best").write_text(json.dumps(index))
    findings = {f.what: f for f in verified(run, data, "--quick")}
    assert findings["gallery best"] == CheckResult("gallery best", FAILS, "pgd.f32 leaves the ball")


def test_it_can_be_stopped_between_two_batches(copied):
    run, data = copied
    interrupt = Interrupt(main.NEVER)
    checks = main.verify(parsed(run, data), interrupt)
    first = next(f for f in checks if f.what == "again best clean")
    assert first.verdict == HOLDS
    interrupt._handle(signal.SIGTERM, None)
    with pytest.raises(Stopped):
        list(checks)


def test_as_a_program_it_streams_lines_and_ends_with_the_verdict(copied, capsys, monkeypatch):
    run, data = copied
    words = [str(run.path), "--quick", "--data", str(data)]
    monkeypatch.setattr(Interrupt, "listen", lambda _: None)  # signals are this test's own
    assert main.main(words) == 0
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (said[-1]["event"], said[-1]["verdict"]) == ("verdict", "holds")
    assert {line["event"] for line in said[:-1]} == {"checked", "progress"}
    rewrite(run.config, lambda text: text.replace("learning_rate = 0.1", "learning_rate = 0.2", 1))
    done = subprocess.run(
        [sys.executable, "-P", "-m", "engine.verify", *words],
        check=False, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=120,
    )  # fmt: skip
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, said[-1]["event"], said[-1]["verdict"]) == (1, "verdict", "fails")
    assert {line["event"] for line in said[:-1]} == {"checked", "progress"}
    shutil.rmtree(run.path)
    assert main.main(words) == 2
    assert json.loads(capsys.readouterr().out)["event"] == "failed"


def test_of_a_run_of_an_earlier_engine_what_it_did_not_write_cannot_be_said_and_nothing_fails(tmp_path):
    for name in ("crdnd-small_cnn-s0", "pgd_at-small_resnet-s0", "iad-small_cnn-s0"):
        (recorded,) = (ROOT / "tests" / "tui" / "recorded").glob(f"*-{name}-*")
        run = RunDir(shutil.copytree(recorded, tmp_path / "runs" / recorded.name))
        run.events.write_bytes(gzip.decompress(run.events.with_suffix(".jsonl.gz").read_bytes()))
        findings = verified(run, tmp_path, "--quick")
        assert {f.verdict for f in findings} == {HOLDS, UNKNOWN}
        assert main.conclude(findings)[0] == UNKNOWN  # its weights are not kept
