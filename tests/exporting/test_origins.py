"""Where numbers come from, as the run folder tells it, also when that is damaged."""

import json

import pytest

from crdnd_tui.write.run_document import run_origins
from tests.compare.runs import judged


def test_an_origin_tells_what_the_engine_wrote(tmp_path):
    told = {
        "config_hash": "a" * 64, "device": "cpu", "threads": 1, "git": {"commit": "c" * 40, "dirty": True},
        "packages": {"torch": "2.9", "numpy": "1"}, "data_sha256": {"test": "d" * 64},
    }  # fmt: skip
    (tmp_path / "provenance.json").write_text(json.dumps(told))
    (origin,) = run_origins([judged("crdnd-0", 1, 1, seed=7)], {"crdnd-0": tmp_path})
    assert (origin.run, origin.label, origin.state, origin.seed) == ("crdnd-0", "crdnd-0", "done", 7)
    assert origin.config_hash == "a" * 64
    assert dict(origin.facts) == {
        "versions": "torch 2.9", "device": "cpu, 1 thread", "commit": "cccccccccccc, with changes",
        "test data": "sha256 dddddddddddd",
    }  # fmt: skip


@pytest.mark.parametrize("content", ["", "{", "[]", '{"packages": 3, "git": [], "seed": {}}', "[" * 100_000])
def test_a_damaged_provenance_is_an_origin_with_fewer_facts(tmp_path, content):
    (tmp_path / "provenance.json").write_text(content)
    (origin,) = run_origins([judged("crdnd-0", 1, 1)], {"crdnd-0": tmp_path})
    assert (origin.run, origin.facts) == ("crdnd-0", ())


def test_a_link_is_no_provenance(tmp_path):
    (tmp_path / "elsewhere.json").write_text('{"device": "cpu"}')
    (tmp_path / "provenance.json").symlink_to(tmp_path / "elsewhere.json")
    (origin,) = run_origins([judged("crdnd-0", 1, 1)], {"crdnd-0": tmp_path})
    assert origin.facts == ()
