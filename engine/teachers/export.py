"""python -P -m engine.teachers.export RUN_FOLDER --to FORMAT --out PATH: a student for other programs.

Says one line of JSON: what was written, or why nothing was. Exit 0 written, 1 failed, 2 refused.
"""

import argparse
import hashlib
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from engine.runtime.rng import generator_for
from engine.spec.errors import CrdndError, DataError
from engine.spec.files import write_atomically
from engine.spec.machine import Machine
from engine.teachers import onnx_file, robustbench_file
from engine.teachers.saved import SavedStudent, load_data, load_student, machine_of, read_run

FORMATS = {"safetensors": ".safetensors", "onnx": ".onnx", "robustbench": ".pt"}
IMAGES = 64  # random ones, and as many of the test split, on which a file is compared with the student


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the file; one line of JSON on stdout, and the exit code."""
    flags = _parser().parse_args(arguments)
    try:
        _say(export(flags.run, flags.to, flags.out, flags.checkpoint, force=flags.force, data=flags.data))
    except CrdndError as error:
        return _complain(error.what if not error.where else f"{error.where}: {error.what}", error.hint, 2)
    except OSError as error:
        return _complain(f"{error.strerror or error}: {error.filename or flags.out}", "", 1)
    return 0


def export(
    folder: Path, kind: str, out: Path, checkpoint: str = "best", *, force: bool = False, data: str | None = None
) -> dict[str, Any]:
    """Write the student and `<out>.json` beside it, each whole or not at all; returns what that file says.

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
    content, how, checked = _made(saved, kind, facts, machine)
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
    """What a file says of itself wherever it goes; texts, as every format carries them."""
    spec, config = saved.config.student, saved.config
    normalization = (
        "none: the model takes pixels as they are"
        if spec.normalization == "none"
        else f"{spec.normalization}, inside the model, before its first layer"
    )
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
        "normalization": normalization,
    }


def _made(
    saved: SavedStudent, kind: str, facts: dict[str, str], machine: Machine
) -> tuple[bytes, str, dict[str, str | float]]:
    """Content, the Python that loads it, and what was compared."""
    if kind == "onnx":
        images, of = _images(saved, machine)
        content, apart = onnx_file.make(saved, facts, images)
        how = (
            "import onnxruntime\nsession = onnxruntime.InferenceSession('FILE')\n"
            "logits = session.run(['logits'], {'images': x})[0]"
        )
        return content, how, {"largest_difference": apart, "images": of}
    if kind == "robustbench":
        content, how, tensors = robustbench_file.make(saved)
        back = torch.load(io.BytesIO(content), weights_only=True)
    else:
        tensors = {name: value.contiguous().clone() for name, value in saved.tensors.items()}
        how = _how(saved)
        content = safetensors.torch.save(tensors, {**facts, "load": how})
        back = safetensors.torch.load(content)
    if back.keys() != tensors.keys() or not all(torch.equal(back[name], tensors[name]) for name in tensors):
        raise CrdndError("the file gives other tensors back than it was given: nothing was written")
    return content, how, {"tensors": f"all {len(tensors)} read back, bit for bit"}


def _how(saved: SavedStudent) -> str:
    """The Python that builds the model and loads the file; with crdnd installed, or after its model file."""
    spec = saved.config.student
    return (
        "import safetensors.torch\n"
        f"from engine.models import {spec.module}\n"
        f"from engine.spec.models import {type(spec).__name__}\n"
        f"spec = {type(spec).__name__}.model_validate_json('{spec.model_dump_json()}')\n"
        f"model = {spec.module}.build(spec, {saved.classes}, {saved.image})\n"
        "model.load_state_dict(safetensors.torch.load_file('FILE'), strict=True)\n"
        "model.eval()"
    )


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
    parser.add_argument("--to", choices=sorted(FORMATS), required=True)
    parser.add_argument("--out", type=Path, required=True, help="the file to write; <out>.json tells about it")
    parser.add_argument("--checkpoint", choices=("best", "last"), default="best")
    parser.add_argument("--data", default=None, help="folder of data sets; that of the run when left out")
    parser.add_argument("--force", action="store_true", help="replace a file of this name")
    return parser


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _complain(message: str, hint: str, code: int) -> int:
    _say({"event": "failed", "message": message, "hint": hint})
    return code


if __name__ == "__main__":
    sys.exit(main())
