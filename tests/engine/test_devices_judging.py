"""The judgement of a student stays on its device: played with real numbers on a GPU in name."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from engine.evaluate import autoattack
from engine.evaluate.evaluation import accuracies, evaluate
from engine.spec.attacks import CW2, FGSM, PGD, AutoAttack, CWInf, PGDRescaled, ThreatModel
from engine.spec.base import Pixels
from engine.spec.events import Evaluated, Warned
from engine.spec.models import ResNet18
from engine.spec.training import Evaluation, Selection
from engine.teachers import load
from engine.teachers.load import FrozenTeacher, TeacherSource
from tests.engine.pretend import CPU, GPU, Pretended, copied, place
from tests.engine.subjects import folder, images, short_autoattack, subject, trained

BALL = ThreatModel(epsilon=Pixels(0.1))
ATTACKS = (
    FGSM(),
    PGD(steps=2, restarts=2),
    CWInf(steps=2, restarts=2),
    PGDRescaled(steps=2, restarts=2, scales=(0.1, 1.0)),
    CW2(steps=20, search_steps=2, initial_constant=1.0, learning_rate=0.05, radius=0.5),
    AutoAttack(),
)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch):
    """What asks the driver itself is answered here."""
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _device=None: "in name only")
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda _device=None: torch.get_rng_state())
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda _state, _device=None: None)
    monkeypatch.setattr(nn.Parameter, "__deepcopy__", copied)
    with Pretended():
        yield


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(("protocol", "folded"), [("last_iterate", False), ("worst", True)])
def test_every_attack_probe_and_picture_stays_on_the_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str, folded: bool
):
    monkeypatch.setattr(autoattack, "assemble", short_autoattack)
    net, teacher, said = place(trained(robust=True)), place(trained()), []
    suite = Evaluation(attacks=ATTACKS, batch_size=16, gallery=5, protocol=protocol)
    judged = subject(net, 24, teacher=teacher)._replace(device=GPU)
    evaluate(judged, suite, BALL, folder(tmp_path), said.append, lambda: None, folded=folded)
    assert not any(isinstance(event, Warned) and event.code == "not_folded" for event in said)
    assert [event.attack for event in said if isinstance(event, Evaluated)] == [
        "clean",
        *(spec.key for spec in ATTACKS),
        "worst",
    ]
    selection = Selection(by="clean", attacks=ATTACKS[:2], batch_size=16, protocol=suite.protocol)
    found = accuracies(net, images(24), selection, BALL, 0, GPU, lambda: None, folded=folded)
    assert set(found) == {"clean", "fgsm", "pgd"}


@pytest.mark.usefixtures("gpu")
def test_the_teacher_is_measured_on_its_device():
    teacher = place(FrozenTeacher(trained(robust=True)))
    source = TeacherSource(path=Path("weights"), model=ResNet18(), label="teacher", sha256="")
    assert load.check(teacher, source, images(60), BALL, GPU, 0).event.n == 60


@pytest.mark.usefixtures("gpu")
def test_the_gpu_in_name_refuses_what_a_gpu_refuses():
    here, there = torch.ones(3), torch.ones(3).to(GPU)
    assert here.device == CPU and there.device == GPU and (2 * there).device == GPU and there.cpu().device == CPU
    for mixture in (
        lambda: here + there,
        lambda: torch.where(there > 0, here, there),
        lambda: here[there > 0],
        there.numpy,
        lambda: there.__setitem__(torch.tensor([0]), here[:1]),
    ):
        with pytest.raises(RuntimeError):
            mixture()
    value: Tensor = there[torch.tensor([0, 2])]
    assert value.device == GPU  # indices may lie on the CPU
