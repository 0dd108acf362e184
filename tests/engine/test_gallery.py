"""The gallery can be read with the standard library alone, and holds the same images for every attack."""

import hashlib
import json
from array import array
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from engine.spec.attacks import CW2, FGSM, PGD
from engine.spec.gallery import decode
from engine.spec.outcomes import decode as decode_outcome
from engine.spec.outcomes import unpack
from engine.spec.rundir import RunDir
from engine.spec.training import Evaluation
from tests.engine.subjects import BALL, evaluated, images, pixels, subject, trained

SHOWN = Evaluation(attacks=(FGSM(), PGD(steps=3)), batch_size=16, gallery=20, suspect=False)


def shown(path: Path, net: nn.Module, teacher: nn.Module | None, evaluation: Evaluation = SHOWN) -> RunDir:
    return evaluated(path, subject(net, 60, teacher=teacher), evaluation)[1]


def read(file: Path, offset: int, count: int) -> list[float]:
    numbers = array("f")
    with file.open("rb") as stream:
        stream.seek(offset)
        numbers.frombytes(stream.read(4 * count))
    return list(numbers)


def test_pixels_and_probabilities_are_those_of_the_networks(tmp_path: Path) -> None:
    net, teacher = trained(robust=True), trained()
    run = shown(tmp_path, net, teacher)
    index = json.loads(run.gallery("best").read_bytes())
    channels, height, width = index["shape"]
    count = channels * height * width
    x, y = pixels(60)
    assert list(index["attacks"]) == ["fgsm", "pgd"] and index["classes"][3] == "d"
    for attack, shelf in index["attacks"].items():
        file = run.gallery("best").parent / shelf["file"]
        assert hashlib.sha256(file.read_bytes()).hexdigest() == shelf["sha256"]
        assert file.stat().st_size == 20 * 2 * 4 * count
        robust = unpack(decode_outcome(run.result("best", attack).read_bytes()).robust, 60)
        for example in shelf["examples"]:
            place = example["index"]  # here the split is judged whole
            clean = read(file, example["clean_offset"], count)
            adversarial = torch.tensor(read(file, example["adversarial_offset"], count)).view(1, 1, 8, 8)
            assert torch.equal(torch.tensor(clean).view(1, 1, 8, 8), x[place : place + 1])
            assert example["label"] == int(y[place])
            assert float((adversarial - x[place]).abs().max()) <= float(BALL.epsilon) + 1e-6
            with torch.no_grad():
                before, after = net(x[place : place + 1]).softmax(1), net(adversarial).softmax(1)
                guess = teacher(adversarial).softmax(1)
            assert example["student_clean"] == pytest.approx(before[0].tolist(), abs=1e-5)
            assert example["student_adversarial"] == pytest.approx(after[0].tolist(), abs=1e-5)
            assert example["teacher_adversarial"] == pytest.approx(guess[0].tolist(), abs=1e-5)
            assert example["predicted_clean"] == int(before.argmax())
            assert example["fooled"] == (example["predicted_clean"] == example["label"] and not robust[place])
            assert example["fooled"] <= (example["predicted_adversarial"] != example["label"])


def test_the_same_two_images_of_every_class_hang_under_every_attack(tmp_path: Path) -> None:
    gallery = decode(shown(tmp_path, trained(), None).gallery("best").read_bytes())
    places = [[example.index for example in shelf.examples] for shelf in gallery.attacks.values()]
    assert places[0] == places[1]
    assert torch.bincount(images(60).labels[places[0]]).tolist() == [2] * 10
    assert all(example.teacher_clean == [] for example in gallery.attacks["fgsm"].examples)


def test_the_prediction_is_of_the_image_that_hangs_there_also_where_the_attack_failed(tmp_path: Path) -> None:
    too_far = CW2(steps=40, search_steps=2, initial_constant=1.0, learning_rate=0.05, radius=1e-6)
    run = shown(tmp_path, trained(), None, SHOWN.model_copy(update={"attacks": (too_far,)}))
    examples = decode(run.gallery("best").read_bytes()).attacks["cw_2"].examples
    answers = [example.student_adversarial.index(max(example.student_adversarial)) for example in examples]
    assert not any(example.fooled for example in examples)
    assert any(answer != example.label for answer, example in zip(answers, examples, strict=True))
    assert [example.predicted_adversarial for example in examples] == answers


def test_no_gallery_is_no_file(tmp_path: Path) -> None:
    run = shown(tmp_path, trained(), None, SHOWN.model_copy(update={"gallery": 0}))
    assert not run.gallery("best").exists() and not list(run.evaluation.rglob("*.f32"))


def test_probabilities_that_are_not_finite_are_null(tmp_path: Path) -> None:
    class Never(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1)[:, :10] * torch.nan

    gallery = decode(shown(tmp_path, Never(), None).gallery("best").read_bytes())
    example = gallery.attacks["fgsm"].examples[0]
    assert example.student_clean == [None] * 10
    assert example.predicted_clean == example.predicted_adversarial == -1 and not example.fooled


def test_other_weights_begin_another_gallery(tmp_path: Path) -> None:
    shown(tmp_path, trained(), None)
    run = shown(tmp_path, trained(robust=True), None, SHOWN.model_copy(update={"attacks": (FGSM(),)}))
    assert list(decode(run.gallery("best").read_bytes()).attacks) == ["fgsm"]
