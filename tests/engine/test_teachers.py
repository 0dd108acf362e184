"""Laws of teachers: found where the spec says, frozen for good, and refused when they are not what they claim."""

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from engine.layers import Normalize
from engine.spec import events, files, status, toml
from engine.spec.attacks import ThreatModel
from engine.spec.base import Pixels
from engine.spec.config import CheckpointTeacher, PresetTeacher, RobustBenchTeacher, RunConfig, RunTeacher
from engine.spec.data import Digits, Folder
from engine.spec.errors import CrdndError, TeacherError
from engine.spec.folders import finished_run
from engine.spec.methods import ARD, Natural
from engine.spec.models import ModelSpec, Normalization, SmallCNN
from engine.spec.robustbench import lookup
from engine.spec.rundir import RunDir
from engine.teachers import foreign, load, weights
from engine.teachers.load import FrozenTeacher, TeacherSource
from engine.types import Split

LEVELS = (0.2, 0.4, 0.6, 0.8)
CPU = torch.device("cpu")


class Bands(nn.Module):
    """Tells four brightnesses apart, exactly: the nearest of LEVELS. A band is 0.1 wide on either side."""

    def __init__(self, normalization: Normalization = "none") -> None:
        super().__init__()
        self.normalize = Normalize(normalization, 3)
        self.register_buffer("levels", torch.tensor(LEVELS))
        self.bn = nn.BatchNorm2d(3)
        self.asked = 0

    def forward(self, x: Tensor) -> Tensor:
        self.asked += len(x)
        brightness = self.normalize(x).mean(dim=(1, 2, 3))  # B
        return -100 * (brightness[:, None] - self.levels).square() + 0 * self.bn(x).sum()


def _split(n: int = 400, wrong: int = 0) -> Split:
    labels = torch.arange(n) % 4
    images = (torch.tensor(LEVELS)[labels] * 255).round().to(torch.uint8).view(n, 1, 1, 1).repeat(1, 3, 4, 4)
    labels[:wrong] = (labels[:wrong] + 1) % 4
    return Split(images, labels)


def _source(clean: float | None = None, robust: float | None = None, tolerance: float = 0.03) -> TeacherSource:
    return TeacherSource(
        path=Path("w.pt"),
        model=SmallCNN(),
        label="bands",
        sha256="ab",
        expected_clean=clean,
        expected_robust=robust,
        tolerance=tolerance,
    )


def _check(
    net: nn.Module, source: TeacherSource, split: Split, epsilon: float = 8 / 255, seed: int = 0
) -> load.TeacherCheck:
    return load.check(FrozenTeacher(net), source, split, ThreatModel(epsilon=Pixels(epsilon)), CPU, seed)


@pytest.mark.parametrize(("epsilon", "robust"), [(8 / 255, 1.0), (0.09, 1.0), (0.15, 0.0)])
def test_accuracies_are_those_known_by_hand(epsilon: float, robust: float) -> None:
    event = _check(Bands(), _source(), _split(), epsilon).event
    assert (event.clean, event.robust, event.n) == (1.0, robust, 400)
    assert (event.source, event.model, event.sha256) == ("bands", "SmallCNN-16", "ab")


def test_an_image_that_is_wrong_unperturbed_is_not_robust() -> None:
    event = _check(Bands(), _source(), _split(400, wrong=100)).event
    assert (event.clean, event.robust) == (0.75, 0.75)


def test_512_images_are_measured_equally_many_of_each_class() -> None:
    net = Bands()
    assert _check(net, _source(), _split(2000)).event.n == 512
    assert net.asked == 512 * (1 + 10 + 1)  # once clean, ten steps, once at the end


@pytest.mark.parametrize("normalization", ["cifar10", "cifar100"])
def test_a_normalization_too_many_is_an_error_with_its_usual_causes(normalization: Normalization) -> None:
    with pytest.raises(TeacherError) as caught:
        _check(Bands(normalization), _source(clean=0.95), _split())
    text = str(caught.value)
    assert "clean images; its source says 95.0 %" in text and "w.pt" in text
    for cause in ("wrong checkpoint", "normalization", "padding", "another data set"):
        assert cause in text


def test_a_figure_may_miss_its_claim_by_the_tolerance_and_two_standard_errors() -> None:
    # claim 0.9 of 400 images: 0.9 - 0.03 - 2 sqrt(0.09 / 400) = 0.84
    assert _check(Bands(), _source(clean=0.9), _split(400, wrong=60)).event.clean == 0.85
    with pytest.raises(TeacherError, match=r"right on 83\.0 % of 400"):
        _check(Bands(), _source(clean=0.9), _split(400, wrong=68))
    _check(Bands(), _source(clean=0.9, tolerance=0.05), _split(400, wrong=68))


def test_a_figure_above_its_claim_is_no_error_for_the_images_may_be_known_to_the_teacher() -> None:
    assert _check(Bands(), _source(clean=0.5, robust=0.2), _split()).warnings == []


def test_a_robust_miss_is_a_warning() -> None:
    checked = _check(Bands(), _source(clean=1.0, robust=0.5), _split(), epsilon=0.15)
    assert [warning.code for warning in checked.warnings] == ["teacher_less_robust"]
    assert "0.0 % of 400 images under PGD-10; its source says 50.0 %" in checked.warnings[0].message


def test_a_claim_for_a_smaller_radius_says_nothing() -> None:
    source = dataclasses.replace(_source(robust=0.5), expected_epsilon=8 / 255)
    checked = _check(Bands(), source, _split(), epsilon=0.15)
    assert checked.event.expected_robust is None and checked.warnings == []
    assert _check(Bands(), source, _split(), epsilon=8 / 255).event.expected_robust == 0.5


def test_a_teacher_at_chance_without_a_claim_is_a_warning() -> None:
    checked = _check(Bands(), _source(), _split(400, wrong=300))
    assert [warning.code for warning in checked.warnings] == ["teacher_at_chance"]


def test_logits_that_are_not_finite_are_an_error() -> None:
    net = Bands()
    net.levels.fill_(torch.nan)
    with pytest.raises(TeacherError, match="not finite"):
        _check(net, _source(), _split())


def test_the_check_is_repeatable_and_leaves_the_random_state_alone() -> None:
    events = []
    for global_seed in (1, 2):
        torch.manual_seed(global_seed)
        before = torch.get_rng_state()
        events.append(_check(Bands(), _source(), _split(2000), epsilon=0.11).event)
        assert torch.equal(torch.get_rng_state(), before)
    assert (events[0].clean, events[0].robust) == (events[1].clean, events[1].robust)


def test_a_teacher_stays_in_eval_mode_and_has_no_gradients() -> None:
    net = Bands().train()
    parent = nn.Module()
    parent.teacher = FrozenTeacher(net)
    parent.train()
    assert parent.training and not any(module.training for module in parent.teacher.modules())
    assert not any(parameter.requires_grad for parameter in parent.parameters())
    before = net.bn.running_mean.clone()
    x = torch.rand(4, 3, 4, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(parent.teacher(x).sum(), x)
    assert bool(gradient.any())  # an attack may look through it
    assert torch.equal(net.bn.running_mean, before)


def test_a_checkpoint_is_loaded_frozen_without_touching_the_random_state(tmp_path: Path) -> None:
    def build(spec: ModelSpec) -> nn.Module:
        assert spec == SmallCNN()
        return nn.Linear(3, 2)

    state = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}
    torch.save({"state_dict": {f"module.{name}": value for name, value in state.items()}}, tmp_path / "w.pt")
    before = torch.get_rng_state()
    teacher, notes = load.load(dataclasses.replace(_source(), path=tmp_path / "w.pt"), build, CPU)
    assert torch.equal(torch.get_rng_state(), before)
    assert notes == [] and not teacher.training
    assert torch.equal(teacher.net.weight, state["weight"])


def _run(runs: Path, name: str, config: RunConfig, created: float, phase: status.Phase = "done") -> RunDir:
    run = RunDir(runs / name)
    run.weights.mkdir(parents=True)
    run.config.write_text(toml.dump(config))
    said = status.Status(run=name, phase=phase, config_hash=config.config_hash, created=created)
    run.status.write_bytes(status.encode(said))
    for which in ("best", "last"):
        weights.save(run.weights_of(which), nn.Linear(3, 2), {"checkpoint": which})
    return run


CONFIG = RunConfig(name="teacher", data=Digits(), student=SmallCNN(), method=Natural())


def test_the_newest_finished_run_of_the_same_experiment_is_found(tmp_path: Path) -> None:
    assert finished_run(tmp_path / "none", CONFIG) is None
    _run(tmp_path, "old", CONFIG, created=1.0)
    _run(tmp_path, "new", CONFIG.model_copy(update={"name": "another name"}), created=2.0)
    _run(tmp_path, "other", CONFIG.model_copy(update={"seed": 1}), created=3.0)
    _run(tmp_path, "failed", CONFIG, created=4.0, phase="failed")
    found = finished_run(tmp_path, CONFIG)
    assert found is not None and found.id == "new"


def test_damaged_runs_are_passed_over(tmp_path: Path) -> None:
    _run(tmp_path, "good", CONFIG, created=1.0)
    bad = [_run(tmp_path, f"bad{i}", CONFIG, created=2.0 + i) for i in range(4)]
    bad[0].status.write_bytes(b"{")
    bad[1].config.write_text(toml.dump(CONFIG.model_copy(update={"seed": 1})))
    bad[2].config.write_text("nonsense")
    bad[3].weights_of("best").unlink()
    found = finished_run(tmp_path, CONFIG)
    assert found is not None and found.id == "good"


def test_a_run_and_a_preset_lead_to_their_students_weights(tmp_path: Path) -> None:
    run = _run(tmp_path, "run1", CONFIG, created=1.0)
    for spec in (RunTeacher(run="run1", weights="last"), PresetTeacher(preset="t.toml", weights="last", config=CONFIG)):
        source = load.locate(spec, runs=tmp_path, data=tmp_path, dataset="digits")
        assert source.path == run.weights_of("last")
        assert source.sha256 == files.sha256(source.path)
        assert source.model == CONFIG.student
        assert foreign.read(source.path).tensors.keys() == {"weight", "bias"}


def test_what_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    def locate(spec: CheckpointTeacher | RunTeacher | PresetTeacher | RobustBenchTeacher) -> TeacherSource:
        return load.locate(spec, runs=tmp_path, data=tmp_path, dataset="cifar10")

    with pytest.raises(TeacherError, match="no such checkpoint"):
        locate(CheckpointTeacher(checkpoint="w.pt", model=SmallCNN()))
    with pytest.raises(CrdndError, match="no run `run1`"):
        locate(RunTeacher(run="run1"))
    with pytest.raises(TeacherError, match="no finished run"):
        locate(PresetTeacher(preset="t.toml", config=CONFIG))
    with pytest.raises(TeacherError, match="unknown RobustBench model"):
        locate(RobustBenchTeacher(robustbench="Nobody2020"))
    run = _run(tmp_path, "run1", CONFIG, created=1.0)
    run.weights_of("best").unlink()
    with pytest.raises(TeacherError, match="no `best` weights"):
        locate(RunTeacher(run="run1"))


def _with_log(run: RunDir, classes: tuple[str, ...], clean: float | None = None) -> RunDir:
    said: list[events.Event] = [
        events.TrainingStarted(
            epochs=1, steps_per_epoch=1, images=9, classes=list(classes), device="cpu", student_parameters=1
        )
    ]
    if clean is not None:
        said.append(
            events.Validated(epoch=1, step=1, n=200, accuracy={"clean": clean}, by="clean", best=True, seconds=1.0)
        )
    run.events.write_bytes(b"".join(events.encode(event) for event in said))
    return run


@pytest.mark.parametrize(
    ("theirs", "ours", "said"),
    [
        (("cat", "dog"), ("cat", "dog"), ""),
        (("cat", "hot_dog"), ("Cat", "hot dog"), ""),
        (("0", "1"), ("cat", "dog"), ""),  # an npz counts its classes
        (("cat", "dog"), ("dog", "cat"), "in another order: class 0 is dog here and was cat there"),
        (("cat", "dog"), ("cat", "owl"), "other classes: class 1 is owl here and was dog there"),
        (("cat", "dog", "owl"), ("cat", "dog"), "class 2 is not there here and was owl there"),
        ((), ("cat", "dog"), ""),
    ],
)
def test_a_teacher_of_a_run_must_have_known_these_classes(
    theirs: tuple[str, ...], ours: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    _with_log(_run(tmp_path, "run1", CONFIG, created=1.0), theirs)
    source = load.locate(RunTeacher(run="run1"), runs=tmp_path, data=tmp_path, dataset="digits")
    if not said:
        load.check_classes(source, ours)
        return
    with pytest.raises(TeacherError, match=said):
        load.check_classes(source, ours)


def test_a_teacher_far_below_its_own_record_is_refused_on_its_own_data_and_noted_on_other(tmp_path: Path) -> None:
    run = _with_log(_run(tmp_path, "run1", CONFIG, created=1.0), ("a", "b"), clean=0.95)
    source = load.locate(RunTeacher(run="run1"), runs=tmp_path, data=tmp_path, dataset="digits")
    assert source.record is not None and (source.record.clean, source.record.n) == (0.95, 200)

    def check(wrong: int, data: Digits | Folder) -> list[str]:
        found = load.check(FrozenTeacher(Bands()), source, _split(400, wrong), ThreatModel(), CPU, 0, data)
        return [warning.code for warning in found.warnings]

    assert check(30, Digits()) == []  # 92.5 %: within five points
    with pytest.raises(
        TeacherError, match=r"right on 80\.0 % of 400 clean images; its own run recorded 95\.0 % of 200"
    ):
        check(80, Digits(validation=99))
    assert check(80, Folder(path="elsewhere")) == ["teacher_below_record"]
    run.events.unlink()
    source = load.locate(RunTeacher(run="run1"), runs=tmp_path, data=tmp_path, dataset="digits")
    assert source.record is not None and source.record.clean is None and check(300, Digits()) == ["teacher_at_chance"]


def test_a_few_images_below_a_record_prove_nothing() -> None:
    record = load.TeacherRecord(data=Digits(), clean=1.0, n=30)
    source = dataclasses.replace(_source(), record=record)
    found = load.check(FrozenTeacher(Bands()), source, _split(20, wrong=2), ThreatModel(), CPU, 0, Digits())
    assert found.event.clean == 0.9 and found.warnings == []


def test_a_record_is_believed_before_a_validation_and_damage_is_passed_over(tmp_path: Path) -> None:
    run = _with_log(_run(tmp_path, "run1", CONFIG, created=1.0), ("a", "b"), clean=0.95)
    run.result("best", "clean").parent.mkdir(parents=True)
    run.result("best", "clean").write_bytes(b"[" * 5000)
    run.events.write_bytes(b"\xff\n{}\n" + run.events.read_bytes())
    source = load.locate(RunTeacher(run="run1"), runs=tmp_path, data=tmp_path, dataset="digits")
    assert source.record is not None and source.record.classes == ("a", "b") and source.record.clean == 0.95


def test_a_prefix_is_no_part_of_a_config_that_does_not_name_one() -> None:
    plain = CheckpointTeacher(checkpoint="w.pt", model=SmallCNN())
    named = plain.model_copy(update={"prefix": "student."})
    method = {"data": Digits(), "student": SmallCNN(), "method": ARD()}
    one, other = (RunConfig(teacher=teacher, **method) for teacher in (plain, named))
    assert "prefix" not in toml.dump(one) and "student." in toml.dump(other)
    assert one.config_hash != other.config_hash


def test_two_networks_of_one_file_have_tables_of_their_own() -> None:
    plain = _source()
    one, other = (dataclasses.replace(plain, prefix=prefix) for prefix in ("student.", "teacher."))
    assert plain.identity == plain.sha256
    assert len({plain.identity, one.identity, other.identity}) == 3


def test_a_checkpoint_is_relative_to_the_data_folder_and_may_be_pinned(tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_bytes(b"abc")
    found = files.sha256(tmp_path / "w.pt")
    for name in ("w.pt", str(tmp_path / "w.pt")):
        spec = CheckpointTeacher(checkpoint=name, model=SmallCNN(), sha256=found, expected_clean=0.9, tolerance=0.01)
        source = load.locate(spec, runs=tmp_path, data=tmp_path, dataset="digits")
        assert (source.path, source.sha256) == (tmp_path / "w.pt", found)
        assert (source.expected_clean, source.tolerance) == (0.9, 0.01)
    other = CheckpointTeacher(checkpoint="w.pt", model=SmallCNN(), sha256="0" * 64)
    with pytest.raises(TeacherError, match="the preset says 0000"):
        load.locate(other, runs=tmp_path, data=tmp_path, dataset="digits")


def test_a_robustbench_file_laid_by_hand_is_used_recorded_and_pinned(tmp_path: Path) -> None:
    spec = RobustBenchTeacher(robustbench="Chen2021LTD_WRN34_10")
    path = tmp_path / "teachers" / "robustbench" / "cifar10" / "Chen2021LTD_WRN34_10.pt"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"first")
    source = load.locate(spec, runs=tmp_path, data=tmp_path, dataset="cifar10")
    entry = lookup("cifar10", "Chen2021LTD_WRN34_10")
    assert (source.path, source.model, source.sha256) == (path, entry.model, files.sha256(path))
    assert (source.expected_clean, source.expected_robust) == (entry.clean, entry.autoattack)
    path.write_bytes(b"second")
    with pytest.raises(TeacherError, match="SHA-256"):
        load.locate(spec, runs=tmp_path, data=tmp_path, dataset="cifar10")


def test_of_several_runs_of_a_preset_the_one_with_the_recorded_hash_is_meant_else_the_newest(tmp_path: Path) -> None:
    runs = [_run(tmp_path, f"run{i}", CONFIG, created=float(i)) for i in (1, 2)]
    weights.save(runs[0].weights_of("best"), nn.Linear(3, 2), {"of": "the first"})
    spec = PresetTeacher(preset="t.toml", config=CONFIG)

    def found(sha256: str) -> Path:
        return load.locate(spec, runs=tmp_path, data=tmp_path, dataset="digits", sha256=sha256).path

    assert found("") == found("0" * 64) == runs[1].weights_of("best")
    for run in runs:
        assert found(files.sha256(run.weights_of("best"))) == run.weights_of("best")
