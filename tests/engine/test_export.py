"""A student in other programs' formats: the same tensors, the same logits, and facts that say whose they are."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import safetensors
import safetensors.torch
import torch
from torch import nn

from engine.spec import files
from engine.spec.config import RunConfig
from engine.spec.errors import CrdndError
from engine.spec.rundir import RunDir
from engine.teachers import export, weights
from engine.teachers.saved_run import SavedStudent, build
from tests.engine.broken_runs import tiny

ROOT = Path(__file__).parent.parent.parent
# Names and shapes of RobustBench 1.1.1's own nets, as its architecture files build them.
KEYS = json.loads((Path(__file__).parent / "robustbench_keys.json").read_text())
SMALL = [
    {"name": "small_cnn", "width": 4},
    {"name": "small_resnet", "width": 4},
    {"name": "wide_resnet", "depth": 10, "width": 1, "normalization": "cifar10"},
    {"name": "wide_resnet_silu", "depth": 10, "width": 1},
]
LARGE = [{"name": "mobilenet_v2"}, {"name": "preact_resnet18", "variant": "deepmind"}]


def saved(student: dict, *, data: str = "cifar10", image: tuple[int, int, int] = (3, 32, 32)) -> SavedStudent:
    """A student whose batch norms have seen something."""
    config = RunConfig.model_validate({"data": {"name": data}, "student": student, "method": {"name": "natural"}})
    net = build(config.student, 10, image)
    generator = torch.Generator().manual_seed(4)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.copy_(torch.randn(module.num_features, generator=generator) / 10)
            module.running_var.copy_(torch.rand(module.num_features, generator=generator) + 0.5)
    facts = {"digest": "d" * 64, "epoch": "3"}
    return SavedStudent(run=RunDir(Path("some-run")), config=config, checkpoint="best", net=net.eval(),
                 tensors=net.state_dict(), facts=facts, classes=10, image=image)  # fmt: skip


def student(run: RunDir) -> nn.Module:
    net = build(tiny().student, 10, (1, 8, 8))
    net.load_state_dict(weights.load(run.weights_of("best"))[0])
    return net.eval()


def test_safetensors_are_loaded_by_safetensors_alone_and_say_whose_they_are(whole, tmp_path):
    out = tmp_path / "student.safetensors"
    said = export.export(whole.path, "safetensors", out)
    assert said == json.loads((tmp_path / "student.safetensors.json").read_text())
    with safetensors.safe_open(out, framework="np") as file:
        facts, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert facts["run"] == whole.id
    assert facts["config_hash"] == tiny().config_hash
    assert facts["weights_digest"] == weights.load(whole.weights_of("best"))[1]["digest"]
    assert (facts["epsilon"], facts["classes"], facts["data"]) == ("16/255", "10", "npz")
    assert facts["input"] == "float32 N C H W in [0, 1], C H W = 1 8 8"
    assert json.loads(facts["architecture"]) == {"name": "small_cnn", "width": 4, "normalization": "none"}
    own = student(whole).state_dict()
    assert tensors.keys() == own.keys()
    assert all(np.array_equal(tensors[name], own[name].numpy()) for name in own)


def test_the_lines_that_load_a_file_of_safetensors_give_the_student(whole, tmp_path, monkeypatch):
    said = export.export(whole.path, "safetensors", tmp_path / "s.safetensors", "last")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(said["load"], names)
    own, x = weights.load(whole.weights_of("last"))[0], torch.rand(3, 1, 8, 8)
    expected = build(tiny().student, 10, (1, 8, 8))
    expected.load_state_dict(own)
    assert torch.equal(names["model"](x), expected.eval()(x))


def test_onnx_answers_as_torch_does_for_any_number_of_images(whole, tmp_path):
    said = export.export(whole.path, "onnx", tmp_path / "s.onnx")
    assert 0.0 <= said["checked"]["largest_difference"] <= export.ONNX_TOLERANCE
    assert said["checked"]["images"] == "64 random, 60 of the test split"
    session = onnxruntime.InferenceSession(tmp_path / "s.onnx")
    assert [(i.name, i.type) for i in session.get_inputs()] == [("images", "tensor(float)")]
    facts = session.get_modelmeta().custom_metadata_map
    assert (facts["run"], facts["config_hash"]) == (whole.id, tiny().config_hash)
    net = student(whole)
    for n in (1, 5, 33):
        x = torch.rand(n, 1, 8, 8)
        (logits,) = session.run(["logits"], {"images": x.numpy()})
        assert np.abs(logits - net(x).detach().numpy()).max() < export.ONNX_TOLERANCE


@pytest.mark.parametrize(
    "spec", [*SMALL, *(pytest.param(s, marks=pytest.mark.slow) for s in LARGE)], ids=lambda spec: spec["name"]
)
def test_every_architecture_becomes_onnx_without_a_warning(spec, recwarn):
    subject, x = saved(spec), torch.rand(3, 3, 32, 32)
    _, apart = export.onnx(subject, export.describe(subject), x)
    assert apart <= export.ONNX_TOLERANCE
    assert [str(w.message) for w in recwarn if "onnx" in str(w.message).lower()] == []


def test_an_onnx_file_that_answers_otherwise_is_not_written(whole, tmp_path, monkeypatch):
    content = {}

    def apart(made, subject, images):
        content["made"] = made
        return 2 * export.ONNX_TOLERANCE

    monkeypatch.setattr(export, "onnx_difference", apart)
    with pytest.raises(CrdndError, match=r"differ from torch's by 2\.0e-04"):
        export.export(whole.path, "onnx", tmp_path / "s.onnx")
    assert content["made"]
    assert list(tmp_path.iterdir()) == []


def test_the_difference_is_the_largest_of_a_logit():
    subject, x = saved(SMALL[0]), torch.rand(3, 3, 32, 32)
    content, _ = export.onnx(subject, {}, x)
    with torch.no_grad():
        subject.net.linear.bias[7] += 0.5
    assert export.onnx_difference(content, subject, x) == pytest.approx(0.5, abs=1e-4)


def test_a_missing_package_is_named_with_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(CrdndError) as caught:
        export.onnx(saved(SMALL[0]), {}, torch.rand(1, 3, 32, 32))
    assert "onnxscript" in caught.value.what
    assert "pip install 'crdnd-tui[onnx]'" in caught.value.hint


@pytest.mark.parametrize("name", KEYS)
def test_robustbench_s_own_nets_take_the_file_strictly(name, tmp_path):
    subject = saved(json.loads(name))
    content, how, _ = export.robustbench(subject)
    (tmp_path / "s.pt").write_bytes(content)
    found = torch.load(tmp_path / "s.pt", weights_only=True)
    constants = {key for key in KEYS[name] if key.startswith("normalize.")}
    assert {key: list(value.shape) for key, value in found.items()} == KEYS[name]
    for key in found.keys() - constants:
        assert torch.equal(found[key], subject.tensors[key.removeprefix("model.") if constants else key])
    assert "strict=True" in how


@pytest.mark.parametrize("spec", [{"name": "mobilenet_v2"}, {"name": "small_cnn"}, {"name": "small_resnet"}])
def test_a_student_that_robustbench_does_not_know_is_refused(spec):
    with pytest.raises(CrdndError, match="RobustBench has no") as caught:
        export.robustbench(saved(spec))
    assert "safetensors or onnx" in caught.value.hint


def test_robustbench_takes_no_small_grey_images():
    with pytest.raises(CrdndError, match="take images of 3 x 32 x 32, this student takes 1 x 8 x 8"):
        export.robustbench(saved({"name": "resnet18"}, data="digits", image=(1, 8, 8)))


def test_a_file_that_is_there_is_replaced_only_by_force(whole, tmp_path):
    out = tmp_path / "s.safetensors"
    out.write_bytes(b"mine")
    with pytest.raises(CrdndError, match="something of this name already"):
        export.export(whole.path, "safetensors", out)
    assert out.read_bytes() == b"mine"
    said = export.export(whole.path, "safetensors", out, force=True)
    assert said["bytes"] == out.stat().st_size
    assert files.sha256(out) == said["sha256"]
    assert len(list(tmp_path.iterdir())) == 2


def test_damaged_weights_are_not_exported(whole, tmp_path):
    broken = RunDir(tmp_path / "run")
    broken.weights.mkdir(parents=True)
    for name in ("config", "machine"):
        getattr(broken, name).write_bytes(getattr(whole, name).read_bytes())
    content = bytearray(whole.weights_of("best").read_bytes())
    content[-3] ^= 1
    broken.weights_of("best").write_bytes(content)
    with pytest.raises(CrdndError, match="digest"):
        export.export(broken.path, "safetensors", tmp_path / "s.safetensors")
    assert not (tmp_path / "s.safetensors").exists()


def test_as_a_program_it_says_one_line_and_its_exit_code(whole, tmp_path, capsys):
    command = [sys.executable, "-P", "-m", "engine.teachers.export", whole.path, "--to", "safetensors"]
    done = subprocess.run(
        [*command, "--out", "s.safetensors"],
        check=False, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=tmp_path,
    )  # fmt: skip
    (line,) = map(json.loads, done.stdout.splitlines())
    assert (done.returncode, line["event"], line["path"]) == (0, "exported", str(tmp_path / "s.safetensors"))
    assert export.main([str(whole.path), "--to", "robustbench", "--out", str(tmp_path / "s.pt")]) == 2
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert line["event"] == "failed" and "SmallCNN" in line["message"]
