"""What a run writes down about itself: code, packages, machine, data; and nothing from the environment."""

import hashlib
import json
import subprocess

import torch

from engine.runtime import provenance
from engine.types import Dataset, Split

CPU = torch.device("cpu")


def dataset() -> Dataset:
    images = torch.arange(2 * 3 * 4 * 4, dtype=torch.uint8).view(2, 3, 4, 4)
    return Dataset(train=Split(images, torch.tensor([0, 1])), test=Split(images + 1, torch.tensor([1, 0])),
                   classes=("a", "b"))  # fmt: skip


def test_the_facts_name_code_packages_and_machine(tmp_path):
    provenance.write(tmp_path / "provenance.json", provenance.collect(CPU))
    facts = json.loads((tmp_path / "provenance.json").read_text())
    assert facts["packages"]["torch"] == torch.__version__.partition("+")[0]
    assert set(facts["packages"]) == set(provenance.PACKAGES)
    assert {"python", "platform", "processor", "instructions", "cores", "threads", "git"} <= set(facts)
    assert facts["device"] == "cpu"
    assert "gpu" not in facts


def test_no_environment_variable_is_written_down_but_the_two_of_slurm(monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "hunter2-and-more")
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    monkeypatch.setenv("SLURM_JWT", "hunter3-and-more")
    facts = provenance.collect(CPU)
    assert "hunter" not in json.dumps(facts)
    assert facts["slurm"] == {"SLURM_JOB_ID": "4711"}


def test_the_digest_of_a_split_is_the_sha256_of_shape_pixels_and_labels():
    given = dataset()
    by_hand = hashlib.sha256(b"(2, 3, 4, 4)" + bytes(range(96)) + bytes([0] * 8 + [1] + [0] * 7)).hexdigest()
    assert provenance.data_digest(given)["train"] == by_hand


def test_one_pixel_or_label_or_another_shape_changes_the_digest_of_its_split_alone():
    before = provenance.data_digest(dataset())
    pixel, label = dataset(), dataset()
    pixel.train.images[1, 2, 3, 3] += 1
    label.train.labels[0] = 1
    wide = Dataset(train=Split(dataset().train.images.view(2, 3, 2, 8), dataset().train.labels),
                   test=dataset().test, classes=("a", "b"))  # fmt: skip
    for changed in (pixel, label, wide):
        after = provenance.data_digest(changed)
        assert after["train"] != before["train"]
        assert after["test"] == before["test"]


def test_the_layout_in_memory_does_not_change_the_digest():
    turned = dataset()
    strided = Split(turned.train.images.to(memory_format=torch.channels_last), turned.train.labels)
    assert provenance.data_digest(Dataset(train=strided, test=turned.test, classes=("a", "b"))) == (
        provenance.data_digest(turned)
    )


def git(folder, *words: str) -> str:
    settings = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", "-C", str(folder), *settings, *words], capture_output=True, text=True, check=True).stdout  # fmt: skip  # noqa: E501


def test_git_says_the_commit_and_whether_files_differ_from_it(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "file").write_text("1")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-q", "-m", "first")
    commit = git(tmp_path, "rev-parse", "HEAD").strip()
    assert provenance._git(tmp_path) == {"commit": commit, "dirty": False}
    (tmp_path / "file").write_text("2")
    assert provenance._git(tmp_path) == {"commit": commit, "dirty": True}


def test_no_repository_and_no_git_are_no_error(tmp_path, monkeypatch):
    assert provenance._git(tmp_path) == {"commit": None}
    (tmp_path / ".git").mkdir()
    assert provenance._git(tmp_path)["commit"] is None
    monkeypatch.setenv("PATH", "")
    assert provenance._git(tmp_path) == {"commit": None, "reason": "FileNotFoundError"}


def test_a_resumed_run_keeps_what_its_earlier_engines_were(tmp_path):
    path = tmp_path / "provenance.json"
    for facts in ({"commit": "a"}, {"commit": "b"}, {"commit": "b"}, {"commit": "c"}):
        provenance.write(path, facts)
    assert json.loads(path.read_bytes()) == {"commit": "c", "earlier": [{"commit": "a"}, {"commit": "b"}]}


def test_a_damaged_record_is_replaced(tmp_path):
    path = tmp_path / "provenance.json"
    path.write_bytes(b"{")
    provenance.write(path, {"commit": "a"})
    assert json.loads(path.read_bytes()) == {"commit": "a"}
