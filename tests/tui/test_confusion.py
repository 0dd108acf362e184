"""Records of judged attacks: matrices by hand, damage as words."""

import json

import pytest

from crdnd_tui.core import confusion
from crdnd_tui.core.confusion import ConfusionMatrix
from tests.tui.shelves import judge

LABELS = [0, 0, 1, 1, 2]


@pytest.fixture
def folder(tmp_path):
    """Of the records of one checkpoint."""
    made = tmp_path / "evaluation" / "best"
    made.mkdir(parents=True)
    return made


def _judged(folder):
    judge(folder, "clean", LABELS, [0, 0, 1, 2, 2], 3)
    judge(folder, "fgsm", LABELS, [0, 1, 1, 0, -1], 3)
    return confusion.load(folder)


def test_the_three_matrices_by_hand(folder):
    found = _judged(folder)
    assert confusion.matrix(found, "fgsm", "clean").rows == [[2, 0, 0], [0, 1, 1], [0, 0, 1]]
    adversarial = confusion.matrix(found, "fgsm", "adversarial")
    assert adversarial.rows == [[1, 1, 0], [1, 1, 0], [0, 0, 0]]  # -1 has no column
    assert (adversarial.share(0, 1), adversarial.share(2, 2)) == (0.5, 0.0)
    assert confusion.matrix(found, "fgsm", "difference").rows == [[-1, 1, 0], [1, 0, -1], [0, 0, -1]]


def test_other_images_have_no_difference(folder):
    judge(folder, "clean", [0, 1], [0, 1], 3)
    judge(folder, "fgsm", LABELS, LABELS, 3)
    assert "no difference" in confusion.matrix(confusion.load(folder), "fgsm", "difference")


def test_what_is_missing_or_damaged_becomes_words(folder):
    _judged(folder)
    record = json.loads((folder / "fgsm.json").read_bytes())
    (folder / "fgsm.json").write_text(json.dumps(record | {"accuracy": 0.9}))
    (folder / "pgd.json").write_bytes(b"[" * 100_000)
    (folder / "cw_inf.json").write_text(json.dumps(record | {"confusion": [[1, 1, 9], [1, 1, 0], [0, 0, 0]]}))
    (folder / "link.json").symlink_to(folder / "clean.json")
    found = confusion.load(folder)
    assert list(found.outcomes) == ["clean"]
    assert set(found.troubles) == {"fgsm", "pgd", "cw_inf", "link"}
    assert "damaged" in confusion.matrix(found, "fgsm", "adversarial")
    assert "has not been judged" in confusion.matrix(found, "autoattack", "adversarial")


def test_indices_beside_the_records_are_none(folder):
    _judged(folder)
    (folder / "gallery.json").write_text("{}")
    (folder / "suspect.json").write_text("{}")
    assert confusion.load(folder).troubles == {}
    assert confusion.load(folder / "absent").outcomes == {}


def test_neighbouring_classes_are_summed():
    rows = [[c + 10 * r for c in range(3)] for r in range(3)]
    matrix = ConfusionMatrix(mode="clean", rows=rows, counts=[1, 1, 1])
    assert confusion.coarse(matrix, 2) == [[0 + 1 + 10 + 11, 2 + 12], [20 + 21, 22]]
    assert confusion.coarse(matrix, 1) == rows
    assert matrix.largest == 22


def test_the_worst_mistakes_come_first():
    matrix = ConfusionMatrix(mode="adversarial", rows=[[9, 1, 0, 4]] * 4, counts=[14] * 4)
    assert confusion.worst(matrix, 0) == [(3, 4), (1, 1)]


@pytest.mark.parametrize(
    ("written", "value"),
    [("8/255", 8 / 255), (0.5, 0.5), ("0.25", 0.25), *((no, None) for no in ("x", "1/0", 7, "9" * 4000, True))],
)
def test_epsilon_is_a_fraction_or_nothing(folder, written, value):
    judge(folder, "fgsm", LABELS, LABELS, 3, epsilon=written)
    assert confusion.bounds(confusion.load(folder), "fgsm").epsilon == value


def test_a_radius_is_what_binds_cw_2(folder):
    judge(folder, "cw_2", LABELS, LABELS, 3, radius=0.5)
    bounds = confusion.bounds(confusion.load(folder), "cw_2")
    assert (bounds.bounded, bounds.radius) == (False, 0.5)
    assert confusion.bounds(confusion.load(folder), "pgd", "8/255").words == "8/255"
