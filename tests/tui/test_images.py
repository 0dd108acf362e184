"""What is read of result files: one bit for each image."""

import json

from hypothesis import given
from hypothesis import strategies as st

from crdnd_tui.compare.runs import ComparedRuns
from crdnd_tui.core.result_files import Images
from crdnd_tui.core.session import Session
from engine.spec.outcomes import confusion
from tests.compare.runs import classified, seen
from tests.tui.pilot import recorded


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=200))
def test_only_counts_images_right_in_one_alone(pairs):
    first, second = (seen("".join("01"[bit] for bit in bits)) for bits in zip(*pairs, strict=True))
    assert first.only(second) == (pairs.count((True, False)), pairs.count((False, True)))
    assert first.count == sum(one for one, _ in pairs)


def test_unknown_hashes_are_not_the_same_images():
    assert not Images(n=1, right=1).same(Images(n=1, right=1))
    assert Images(n=1, right=1).only(Images(n=1, right=0)) is None
    assert Images(n=1, right=1, indices="i", data="d").only(Images(n=1, right=0, indices="i", data="d")) == (1, 0)


def test_a_damaged_file_takes_its_bits_away_and_nothing_else(tmp_path):
    runs = recorded(tmp_path / "runs", "crdnd-small_cnn-s0")
    (run,) = runs.iterdir()
    path = run / "evaluation" / "best" / "autoattack.json"
    whole, session = path.read_bytes(), Session(runs=runs, data=tmp_path)
    path.write_bytes(whole[: len(whole) // 2])
    ((side,), _) = ComparedRuns(session).read([run.name])
    assert side.scored("autoattack") is None
    assert side.scored("clean").record.right is not None
    path.write_bytes(whole)
    compared = ComparedRuns(session)
    ((side,), _) = compared.read([run.name])
    assert side.scored("autoattack").record.count == round(side.cells.get("autoattack").accuracy * 597)
    assert compared.read([run.name])[1] is False


def test_a_file_of_another_judgement_than_the_log_tells_of_has_no_bits(tmp_path):
    runs = recorded(tmp_path / "runs", "crdnd-small_cnn-s0")
    (run,) = runs.iterdir()
    folder = run / "evaluation" / "best"
    (folder / "autoattack.json").write_bytes((folder / "clean.json").read_bytes())
    ((side,), _) = ComparedRuns(Session(runs=runs, data=tmp_path)).read([run.name])
    assert side.scored("autoattack") is None


def test_what_is_judged_anew_is_read_anew(tmp_path):
    runs = recorded(tmp_path / "runs", "crdnd-small_cnn-s0")
    (run,) = runs.iterdir()
    compared, folder = ComparedRuns(Session(runs=runs, data=tmp_path)), run / "evaluation" / "best"
    ((before,), _) = compared.read([run.name])
    assert before.scored("autoattack").record.count < before.scored("clean").record.count
    anew = json.loads((folder / "clean.json").read_text()) | {"attack": "autoattack"}
    (folder / "autoattack.json").write_text(json.dumps(anew))
    lines = (run / "events.jsonl").read_text().splitlines()
    event = next(json.loads(line) for line in lines if '"evaluated"' in line and '"attack":"clean"' in line)
    with (run / "events.jsonl").open("a") as log:
        log.write(json.dumps(event | {"seq": len(lines) + 1, "attack": "autoattack"}) + "\n")
    ((after,), changed) = compared.read([run.name])
    assert changed
    assert after.scored("autoattack").record.count == after.scored("clean").record.count


@given(st.lists(st.tuples(*[st.integers(0, 2)] * 3), min_size=1, max_size=60))
def test_images_of_a_class_are_counted_without_their_labels(triples):
    labels, first, second = (list(part) for part in zip(*triples, strict=True))
    here, there = classified(labels, first), classified(labels, second)
    assert here.confusion == tuple(map(tuple, confusion(labels, first, len(here.counts))))
    for k in range(min(len(here.counts), len(there.counts))):
        mine = [(label == one, label == two) for label, one, two in triples if label == k]
        assert here.only_of(there, k) == (mine.count((True, False)), mine.count((False, True)))
    assert here.only_of(there, 3) is None


def test_a_record_that_is_mended_has_its_bits_again(tmp_path):
    runs = recorded(tmp_path / "runs", "crdnd-small_cnn-s0")
    (run,) = runs.iterdir()
    path = run / "evaluation" / "best" / "autoattack.json"
    whole, compared = path.read_bytes(), ComparedRuns(Session(runs=runs, data=tmp_path))
    ((before,), _) = compared.read([run.name])
    path.write_bytes(whole[: len(whole) // 2])
    ((side,), changed) = compared.read([run.name])
    assert changed and side.scored("autoattack") is None and side.cells.get("autoattack") is None
    assert side.scored("clean").record.right is not None
    path.write_bytes(whole)
    ((side,), changed) = compared.read([run.name])
    assert changed and side.scored("autoattack").record == before.scored("autoattack").record
    assert side.cells.get("autoattack") == before.cells.get("autoattack")
    assert compared.read([run.name])[1] is False
