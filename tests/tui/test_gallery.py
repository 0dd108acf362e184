"""Galleries: what is right is read, and what is damaged becomes words."""

import json
import math
from array import array

import numpy as np
import pytest

from crdnd_tui.core import gallery
from crdnd_tui.core.gallery import GalleryError
from tests.tui.pilot import RECORDED
from tests.tui.shelves import example, hang


def _picture(*values):
    return np.array([[values]])


def test_pixels_are_those_that_were_written(tmp_path):
    one = example(7, 0, 1)
    values = [0.0, 0.25, 0.5, 1.0, 0.125, 0.25, 0.5, 0.875]
    hang(tmp_path, {"pgd_sat": [one]}, values=values)
    hall = gallery.load(tmp_path)
    assert (hall.classes, hall.shape, list(hall.sets)) == (("cat", "dog", "deer", "ship"), (1, 2, 2), ["pgd_sat"])
    x, x_adv = gallery.pixels(hall, "pgd_sat").pair(one)
    assert x.shape == (1, 2, 2) and (x.ravel().tolist(), x_adv.ravel().tolist()) == (values[:4], values[4:])


def test_a_recorded_gallery_has_the_same_images_for_every_attack():
    (folder,) = RECORDED.glob("*-crdnd-small_cnn-s0-*/evaluation/best")
    hall = gallery.load(folder)
    assert len({tuple(e.index for e in shelf.examples) for shelf in hall.sets.values()}) == 1
    pixels = gallery.pixels(hall, "pgd_sat")
    for one in hall.examples("pgd_sat"):
        x, x_adv = pixels.pair(one)
        assert gallery.linf(x, x_adv) <= 40 / 255 + 1e-6
        assert x_adv.min() >= 0 and x_adv.max() <= 1


def test_distances_by_hand():
    assert gallery.linf(_picture(0.0, 0.5), _picture(0.3, 0.1)) == pytest.approx(0.4)
    assert gallery.l2(_picture(0.0, 0.5), _picture(0.3, 0.1)) == pytest.approx(0.5)
    assert gallery.linf(_picture(math.nan, 0.5), _picture(0.0, 0.5)) == 0.0


def test_the_divergence_by_hand():
    assert gallery.divergence([0.5, 0.5], [0.25, 0.75]) == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3))
    assert gallery.divergence([0.3, 0.7], [0.3, 0.7]) == 0.0
    assert gallery.divergence([1.0, 0.0], [0.0, 1.0]) == math.inf
    assert gallery.divergence([0.0, 1.0], [0.0, 1.0]) == 0.0
    assert gallery.divergence([], []) is None
    assert gallery.divergence([None, 1.0], [0.5, 0.5]) is None


def test_verdicts():
    assert gallery.verdict(example(0, 0, 1)) == "fooled"
    assert gallery.verdict(example(0, 0, 0)) == "stands"
    assert gallery.verdict(example(0, 0, 1, before=2)) == "wrong before"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"v":1}', b"[" * 100_000, b"\xff\xfe"])
def test_a_damaged_index_becomes_words(tmp_path, content):
    (tmp_path / "gallery.json").write_bytes(content)
    with pytest.raises(GalleryError, match=r"gallery\.json"):
        gallery.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda g: g.update(shape=[1, 0, 8]), "cannot be shown"),
        (lambda g: g.update(shape=[2, 8, 8]), "cannot be shown"),
        (lambda g: g.update(shape=[1, 10**9, 10**9]), "cannot be shown"),
        (lambda g: g.update(classes=[]), "0 classes"),
        (lambda g: g["attacks"]["pgd_sat"].update(file="../../etc/passwd"), "elsewhere"),
        (lambda g: g["attacks"]["pgd_sat"].update(file="/etc/passwd"), "elsewhere"),
        (lambda g: g["attacks"]["pgd_sat"].update(file=""), "elsewhere"),
        (lambda g: g["attacks"]["pgd_sat"]["examples"][0].update(label=4), "do not exist"),
        (lambda g: g["attacks"]["pgd_sat"]["examples"][0].update(predicted_clean=-2), "do not exist"),
        (lambda g: g["attacks"]["pgd_sat"]["examples"][0].update(student_clean=[1.0]), "do not exist"),
        (lambda g: g["attacks"]["pgd_sat"]["examples"][0].update(student_clean=[7.0, 0, 0, 0]), "do not exist"),
        (lambda g: g["attacks"]["pgd_sat"]["examples"].append(g["attacks"]["pgd_sat"]["examples"][0]), "twice"),
    ],
)
def test_an_index_that_lies_becomes_words(tmp_path, change, words):
    hang(tmp_path, {"pgd_sat": [example(7, 0, 1)]})
    index = json.loads((tmp_path / "gallery.json").read_bytes())
    change(index)
    (tmp_path / "gallery.json").write_text(json.dumps(index))
    with pytest.raises(GalleryError, match=words):
        gallery.load(tmp_path)


def _changed(folder, **fields):
    index = json.loads((folder / "gallery.json").read_bytes())
    index["attacks"]["fgsm"]["examples"][0].update(fields)
    (folder / "gallery.json").write_text(json.dumps(index))
    return gallery.load(folder)


@pytest.mark.parametrize("offset", [-4, 1, 20, 10**12])
def test_an_offset_outside_the_file_becomes_words(tmp_path, offset):
    hang(tmp_path, {"fgsm": [example(7, 0, 1)]})
    with pytest.raises(GalleryError, match="shorter than its index says"):
        gallery.pixels(_changed(tmp_path, adversarial_offset=offset), "fgsm")


def other_bytes(path):
    path.write_bytes(array("f", [0.0] * 8).tobytes())


def gone(path):
    path.rename(path.with_name("away"))


def linked(path):
    gone(path)
    path.symlink_to(path.with_name("away"))


def too_large(path):
    path.write_bytes(b"\0" * 64)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [(other_bytes, "not those that the engine wrote"), *((f, "no regular file") for f in (gone, linked, too_large))],
)
def test_pixels_that_are_not_what_they_should_be_become_words(tmp_path, monkeypatch, spoil, words):
    hang(tmp_path, {"fgsm": [example(7, 0, 1)]})
    hall = gallery.load(tmp_path)
    monkeypatch.setattr(gallery, "PIXEL_CAP", 63)
    spoil(tmp_path / "fgsm.f32")
    with pytest.raises(GalleryError, match=words):
        gallery.pixels(hall, "fgsm")


def test_names_of_classes_cannot_steer_the_terminal(tmp_path):
    hang(tmp_path, {"fgsm": [example(7, 0, 1)]}, names=("a\x1b[2Jb", "[red]", "x\ny", "z" * 300))
    names = gallery.load(tmp_path).classes
    assert "\x1b" not in names[0]
    assert names[1:3] == ("[red]", "x y")
    assert len(names[3]) <= 24
