"""Every field of every file of a finished run, changed alone, is found; what verify does not look at is listed here."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.evaluate.outcomes import FAILS, HOLDS
from engine.runtime.interrupt import Interrupt
from engine.spec.rundir import RunDir
from engine.teachers import weights
from engine.verify import __main__ as main
from tests.engine.tampering import edit, events_of, parsed, reweighed, verified, write_events

# No figure of a table comes from these: they tell of the process, of the machine, of what is under way, and of the
# training, which is not repeated.
UNSHOWN = {
    "gallery.json": "v",  # another one cannot be said
    "status.json": r"run|pid|host|created|heartbeat|events_bytes|eta_seconds|seconds_per_step|images_per_second|attack"
    r"|reason",
    "machine.json": r"threads|tf32|table_gib|table_epochs|devices|nodes|rendezvous|data|runs|checkpoint_seconds",
    "provenance.json": r"command.*|cores|git\..*|packages\.(crdnd-tui|numpy|pydantic|safetensors|scikit-learn"
    r"|torchvision)|platform|processor|instructions|slurm|threads|notes",
    "events.jsonl": r"(?!run_started).*\.time|.*\.v|run_started\.(run|pid|host|time)|stage_started\.stage"
    r"|training_started\.notes.*|step_done\.(loss|terms.*|learning_rate|images_per_second|shares.*)"
    r"|epoch_done\.(loss|terms.*|learning_rate|seconds|peak_memory|(teacher|student|recall|acm)_.*)"
    r"|validated\.seconds|checkpoint_saved\.(step|epoch|file|bytes)|attack_(started|progressed)\..*"
    r"|device_sampled\..*|run_finished\.seconds",
}


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of single values; of a list its first item."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list) and value:
        yield from leaves(value[0], (*path, 0))
    else:
        yield path


def flipped(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case float():
            return value / 2 if value else 0.25
        case str():
            return ("1" if value[0] != "1" else "2") + value[1:] if value else "x"
        case list():
            return ["x"]
        case dict():
            return {"x": "x"}
    return 0.5


def changed(table: Any, path: tuple[Any, ...]) -> Any:
    copy = json.loads(json.dumps(table))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = flipped(inner[path[-1]])
    return copy


def found(run: RunDir, data: Path) -> bool:
    """Whether a verification says FAILS, one without attacks or else a whole one; it is left as soon as it does."""
    for words in (["--attack", "clean"], []):
        if any(result.verdict == FAILS for result in main.verify(parsed(run, data, *words), Interrupt(main.NEVER))):
            return True
    return False


def unfound(
    run: RunDir, data: Path, path: Path, tables: list[tuple[str, Any]], write: Callable[[int, Any], None]
) -> list[str]:
    """Fields whose change nobody found, but for those that may be changed."""
    allowed = re.compile(UNSHOWN.get(path.name, r"(?!)"))
    kept, missed = path.read_bytes(), []
    for k, (prefix, table) in enumerate(tables):
        for place in leaves(table):
            name = ".".join(filter(None, (prefix, *map(str, place))))
            if allowed.fullmatch(re.sub(r"\.0$", "", name)) or allowed.fullmatch(name):
                continue
            write(k, changed(table, place))
            if not found(run, data):
                missed.append(name)
            path.write_bytes(kept)
    return missed


@pytest.mark.parametrize("name", ["status.json", "machine.json", "provenance.json", "evaluation/best/clean.json",
                                  "evaluation/best/pgd.json", "evaluation/last/worst.json",
                                  "evaluation/best/gallery.json"])  # fmt: skip
def test_each_field_of_a_file_is_looked_at(copied, name):
    run, data = copied
    path = run.path / name
    table = json.loads(path.read_bytes())
    assert unfound(run, data, path, [("", table)], lambda _, changed: path.write_text(json.dumps(changed))) == []


def test_each_field_of_each_kind_of_event_is_looked_at(copied):
    run, data = copied
    events = events_of(run)
    places = list({event["event"]: k for k, event in enumerate(events)}.items())  # of each kind the last one
    kinds = [(kind, {key: value for key, value in events[k].items() if key != "event"}) for kind, k in places]

    def write(number: int, changed: Any) -> None:
        kind, k = places[number]
        write_events(run, [*events[:k], {"event": kind} | changed, *events[k + 1 :]])

    assert unfound(run, data, run.events, kinds, write) == []


def test_each_fact_of_the_weights_is_looked_at_even_under_a_digest_of_its_own(copied):
    run, data = copied
    kept = run.weights_of("best").read_bytes()
    _, facts = weights.load(run.weights_of("best"))
    for key in sorted(facts.keys() - {"digest", "format"}):
        reweighed(run.weights_of("best"), lambda state: state, **{key: flipped(facts[key])})
        assert found(run, data), key
        run.weights_of("best").write_bytes(kept)


def test_an_untouched_run_says_what_was_not_repeated(copied):
    run, data = copied
    for words, left in ((), "training, validation of epochs 1, 2"), (
        ("--quick",), "training, validation of epochs 1, 2, 3, the teacher's measurement, probes, fgsm (--quick)",
    ):  # fmt: skip
        findings = verified(run, data, *words)
        verdict, said = main.conclude(findings, main.not_repeated(parsed(run, data, *words), findings))
        assert verdict == HOLDS and said.endswith(f"; not repeated: {left}")


def test_a_share_that_a_probe_did_not_leave_is_found(copied):
    run, data = copied
    path = run.evaluation / "best" / "suspect.json"
    edit(path, measured={**json.loads(path.read_bytes())["measured"], "radius_0.5": 0.25})
    said = {f.what: f.verdict for f in verified(run, data)}
    assert said["probes best"] == FAILS and said["marks best"] == HOLDS


def test_a_verification_comes_to_its_end_past_records_of_other_images_and_a_gallery_of_another_shape(copied):
    run, data = copied
    path = run.result("best", "pgd")
    path.write_text(json.dumps(changed(json.loads(path.read_bytes()), ("indices_sha256",))))
    index = json.loads(run.gallery("best").read_bytes())
    run.gallery("best").write_text(json.dumps(changed(index, ("shape", 0))))
    said = {f.what for f in verified(run, data, "--attack", "clean") if f.verdict == FAILS}
    assert {"record best pgd", "worst case best", "gallery best", "examples best"} <= said
