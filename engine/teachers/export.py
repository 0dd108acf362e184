"""python -P -m engine.teachers.export RUN_FOLDER --to FORMAT --out PATH: a student for other programs.

Says one line of JSON: what was written, or why nothing was. Exit 0 written, 1 failed, 2 refused.
"""

import argparse
import hashlib
import importlib
import io
import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from engine.layers import STATISTICS
from engine.runtime.rng import generator_for
from engine.spec.errors import CrdndError, DataError
from engine.spec.files import write_atomically
from engine.spec.machine import Machine
from engine.spec.models import ModelSpec, PreActResNet18, ResNet18, WideResNet, WideResNetSiLU
from engine.teachers.saved_run import SavedStudent, load_data, load_student, machine_of, read_run

FORMATS = ("onnx", "robustbench", "safetensors")
IMAGES = 64  # random ones, and as many of the test split, on which an ONNX file is compared with the student
ONNX_OPSET = 18
ONNX_TOLERANCE = 1e-4  # largest absolute difference of a logit
ONNX_BATCHES = (1, 64)  # sizes that are tried, to see that the batch axis is free
ARCHITECTURES = "robustbench.model_zoo.architectures"
RB_IMAGE = (3, 32, 32)  # C H W of all that RobustBench 1.1 knows
ONNX_USE = (
    "import onnxruntime\nsession = onnxruntime.InferenceSession('FILE')\n"
    "logits = session.run(['logits'], {'images': x})[0]"
)


def main(arguments: Sequence[str] | None = None) -> int:
    flags, code = _parser().parse_args(arguments), 0
    try:
        line = export(flags.run, flags.to, flags.out, flags.checkpoint, force=flags.force, data=flags.data)
    except CrdndError as error:
        message, code = f"{error.where}: {error.what}" if error.where else error.what, 2
        line = {"event": "failed", "message": message, "hint": error.hint}
    except OSError as error:
        message, code = f"{error.strerror or error}: {error.filename or flags.out}", 1
        line = {"event": "failed", "message": message, "hint": ""}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
    return code


def export(
    folder: Path, kind: str, out: Path, checkpoint: str = "best", *, force: bool = False, data: str | None = None
) -> dict[str, Any]:
    """Write the student and `<out>.json` beside it, each whole or not at all; returns the content of the latter.

    Before the file gets its name it is read back: ONNX by its logits on random and on test images, others by their
    tensors. CrdndError when there is such a file already, or the student cannot be written so.
    """
    out = out.expanduser().absolute()
    beside = out.with_name(f"{out.name}.json")
    if not out.parent.is_dir():
        raise CrdndError("there is no such folder", where=str(out.parent))
    for path in (out, beside):
        if path.is_dir() or (path.exists() and not force):
            raise CrdndError("there is something of this name already", where=str(path), hint="--force replaces files.")
    run, config = read_run(folder)
    machine = machine_of(run, data=data)
    saved = load_student(run, config, checkpoint, machine)
    facts = describe(saved)
    checked: dict[str, str | float]
    if kind == "onnx":
        images, of = _images(saved, machine)
        content, largest = onnx(saved, facts, images)
        how, checked = ONNX_USE, {"largest_difference": largest, "images": of}
    else:
        content, how, tensors = robustbench(saved) if kind == "robustbench" else _safetensors(saved, facts)
        if kind == "safetensors":
            back = safetensors.torch.load(content)
        else:
            back = torch.load(io.BytesIO(content), weights_only=True)
        if back.keys() != tensors.keys() or not all(torch.equal(back[name], tensors[name]) for name in tensors):
            raise CrdndError("the file gives other tensors back than it was given: nothing was written")
        checked = {"tensors": f"all {len(tensors)} read back, bit for bit"}
    said: dict[str, Any] = {
        "event": "exported",
        "format": kind,
        "path": str(out),
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "checked": checked,
        "load": how.replace("FILE", out.name),
        **facts,
    }
    write_atomically(out, content)
    write_atomically(beside, (json.dumps(said, indent=1) + "\n").encode())
    return said


def describe(saved: SavedStudent) -> dict[str, str]:
    """Facts that every exported file carries, as texts."""
    spec, config = saved.config.student, saved.config
    inside = f"{spec.normalization}, inside the model, before its first layer"
    return {
        "what": "crdnd student",
        "run": saved.run.id,
        "config_hash": config.config_hash,
        "checkpoint": saved.checkpoint,
        "epoch": saved.facts.get("epoch", ""),
        "weights_digest": saved.facts.get("digest", ""),
        "architecture": spec.model_dump_json(),
        "method": config.method.name,
        "data": config.data.name,
        "classes": str(saved.classes),
        "norm": config.threat_model.norm,
        "epsilon": str(config.threat_model.epsilon),
        "input": "float32 N C H W in [0, 1], C H W = " + " ".join(str(side) for side in saved.image),
        "output": "logits, N K",
        "normalization": "none: the model takes pixels as they are" if spec.normalization == "none" else inside,
    }


def onnx(saved: SavedStudent, facts: dict[str, str], images: Tensor) -> tuple[bytes, float]:
    """A student as ONNX: float32 images (N C H W) in [0, 1] to logits (N K), for any N.

    Returns the file's content and the largest difference of a logit from torch's on `images`. CrdndError when a package
    is missing, or onnxruntime answers otherwise than torch by more than ONNX_TOLERANCE.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        try:
            importlib.import_module(package)
        except ImportError:
            hint = "pip install 'crdnd-tui[onnx]' brings what ONNX needs."
            raise CrdndError(f"the package {package} is not installed", hint=hint) from None
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore", DeprecationWarning)  # of the packages among themselves
        program = torch.onnx.export(
            saved.net,
            (torch.zeros(2, *saved.image),),
            dynamo=True,
            opset_version=ONNX_OPSET,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    for key, value in sorted(facts.items()):
        model.metadata_props.add(key=key, value=value)
    content: bytes = model.SerializeToString()
    largest = onnx_difference(content, saved, images)
    if not largest <= ONNX_TOLERANCE:
        what = f"onnxruntime's logits differ from torch's by {largest:.1e}, more than {ONNX_TOLERANCE:.0e}"
        hint = "This is a defect of crdnd or of a package; safetensors holds the same student."
        raise CrdndError(f"{what}: nothing was written", hint=hint)
    return content, largest


@torch.no_grad()
def onnx_difference(content: bytes, saved: SavedStudent, images: Tensor) -> float:
    """Largest absolute difference of a logit between onnxruntime and torch, in batches of each of ONNX_BATCHES."""
    import onnxruntime as ort  # noqa: PLC0415  an optional package

    options = ort.SessionOptions()
    options.log_severity_level = 3  # errors only: a warning on stderr would be read as ours
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    largest = 0.0
    for size in ONNX_BATCHES:
        for x in (images if size > 1 else images[:8]).split(size):
            (logits,) = session.run(["logits"], {"images": x.numpy()})
            largest = max(largest, float(np.abs(logits - saved.net(x).numpy()).max()))
    return largest


def robustbench(saved: SavedStudent) -> tuple[bytes, str, dict[str, Tensor]]:
    """A student as RobustBench's own architecture files name its weights: a dict of tensors for strict loading.

    Returns the file's content, the Python that loads it, and the tensors; CrdndError when RobustBench has no such net.
    """
    spec, tensors = saved.config.student, _tensors(saved)
    imports, model, is_normalizing = _robustbench_net(spec, saved.classes)
    if saved.image != RB_IMAGE:
        shape = " x ".join(str(side) for side in saved.image)
        what = f"RobustBench's models take images of 3 x 32 x 32, this student takes {shape}"
        raise CrdndError(what, hint="Export it as safetensors or onnx.")
    lines = ["import torch", imports]
    if spec.normalization != "none" and not is_normalizing:  # RobustBench puts a layer before the net
        mean, std = STATISTICS[spec.normalization]
        constants = {"normalize.mean": torch.tensor(mean), "normalize.std": torch.tensor(std)}
        tensors = {name: value.view(1, -1, 1, 1) for name, value in constants.items()} | {
            f"model.{name}": value for name, value in tensors.items()
        }
        lines.append(f"from {ARCHITECTURES}.utils_architectures import normalize_model")
        model = f"normalize_model({model}, {mean}, {std})"
    lines.append(f"model = {model}")
    lines.append("model.load_state_dict(torch.load('FILE', map_location='cpu', weights_only=True), strict=True)")
    lines.append("model.eval()")
    buffer = io.BytesIO()
    torch.save(tensors, buffer)
    return buffer.getvalue(), "\n".join(lines), tensors


def _robustbench_net(spec: ModelSpec, classes: int) -> tuple[str, str, bool]:
    """RobustBench's net of this kind: import, expression, and whether it has mean and std outside its state dict.

    CrdndError when it has none: no MobileNetV2 of this kind, no small models.
    """
    mean, std = STATISTICS.get(spec.normalization, ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)))
    constants = f"activation_fn=Swish, mean={mean}, std={std}"
    match spec:
        case ResNet18():
            names, model = (
                "resnet import BasicBlock, ResNet",
                f"ResNet(BasicBlock, [2, 2, 2, 2], num_classes={classes})",
            )
        case PreActResNet18(variant="deepmind"):
            names = "dm_wide_resnet import DMPreActResNet, Swish"
            model = f"DMPreActResNet(num_classes={classes}, {constants})"
        case PreActResNet18():
            names, last = "resnet import PreActBlock, PreActResNet", spec.variant == "rice"
            model = f"PreActResNet(PreActBlock, [2, 2, 2, 2], {classes}, bn_before_fc={last}, out_shortcut=True)"
        case WideResNet():
            names, sizes = "wide_resnet import WideResNet", f"depth={spec.depth}, num_classes={classes}"
            model = f"WideResNet({sizes}, widen_factor={spec.width}, sub_block1={spec.sub_block})"
        case WideResNetSiLU():
            names, sizes = "dm_wide_resnet import DMWideResNet, Swish", f"depth={spec.depth}, width={spec.width}"
            model = f"DMWideResNet(num_classes={classes}, {sizes}, {constants})"
        case _:
            what = f"RobustBench has no {spec.title}: nothing there could load it"
            raise CrdndError(what, hint="Export it as safetensors or onnx.")
    return f"from {ARCHITECTURES}.{names}", model, names.startswith("dm_")


def _safetensors(saved: SavedStudent, facts: dict[str, str]) -> tuple[bytes, str, dict[str, Tensor]]:
    """Content, the Python that builds the model and loads the file, and the tensors."""
    spec = saved.config.student
    kind = type(spec).__name__
    how = (
        "import safetensors.torch\n"
        f"from engine.models import {spec.module}\n"
        f"from engine.spec.models import {kind}\n"
        f"spec = {kind}.model_validate_json('{spec.model_dump_json()}')\n"
        f"model = {spec.module}.build(spec, {saved.classes}, {saved.image})\n"
        "model.load_state_dict(safetensors.torch.load_file('FILE'), strict=True)\n"
        "model.eval()"
    )
    tensors = _tensors(saved)
    return safetensors.torch.save(tensors, {**facts, "load": how}), how, tensors


def _tensors(saved: SavedStudent) -> dict[str, Tensor]:
    return {name: value.contiguous().clone() for name, value in saved.tensors.items()}


def _images(saved: SavedStudent, machine: Machine) -> tuple[Tensor, str]:
    """Random images, and real ones where the data set is on this machine; and what they are, in words."""
    random = torch.rand(IMAGES, *saved.image, generator=generator_for(0, "export"))
    try:
        real = load_data(saved.config.data, machine).test.images[:IMAGES].float() / 255
    except (DataError, OSError):
        return random, f"{IMAGES} random; the data set is not on this machine"
    return torch.cat([random, real]), f"{IMAGES} random, {len(real)} of the test split"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m engine.teachers.export", description="A student for other programs."
    )
    parser.add_argument("run", type=Path, help="a run folder")
    parser.add_argument("--to", choices=FORMATS, required=True)
    parser.add_argument("--out", type=Path, required=True, help="the file to write; <out>.json tells about it")
    parser.add_argument("--checkpoint", choices=("best", "last"), default="best")
    parser.add_argument("--data", default=None, help="folder of data sets; that of the run when left out")
    parser.add_argument("--force", action="store_true", help="replace a file of this name")
    return parser


if __name__ == "__main__":
    sys.exit(main())
