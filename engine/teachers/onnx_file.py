"""A student as ONNX: float32 images in [0, 1] to logits, in any number, compared with torch before it is kept."""

import importlib
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.spec.errors import CrdndError
from engine.teachers.saved import SavedStudent

OPSET = 18
TOLERANCE = 1e-4  # largest absolute difference of a logit
BATCHES = (1, 64)  # sizes that are tried, to see that the batch axis is free
PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def make(saved: SavedStudent, facts: dict[str, str], images: Tensor) -> tuple[bytes, float]:
    """The file's content, and the largest difference of a logit from torch's on `images` (N C H W in [0, 1]).

    CrdndError when a package is missing, or onnxruntime answers otherwise than torch by more than TOLERANCE.
    """
    for package in PACKAGES:
        require(package)
    x = torch.zeros(2, *saved.image)
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore", DeprecationWarning)  # of the packages among themselves
        program = torch.onnx.export(
            saved.net,
            (x,),
            dynamo=True,
            opset_version=OPSET,
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
    apart = difference(content, saved, images)
    if not apart <= TOLERANCE:
        raise CrdndError(
            f"onnxruntime's logits differ from torch's by {apart:.1e}, more than {TOLERANCE:.0e}: nothing was written",
            hint="This is a defect of crdnd or of a package; safetensors holds the same student.",
        )
    return content, apart


def difference(content: bytes, saved: SavedStudent, images: Tensor) -> float:
    """Largest absolute difference of a logit between onnxruntime and torch, in batches of each size of BATCHES."""
    ort: Any = require("onnxruntime")
    options = ort.SessionOptions()
    options.log_severity_level = 3  # errors only: a warning on stderr would be read as ours
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    apart = 0.0
    for size in BATCHES:
        part = images if size > 1 else images[:8]
        for x in part.split(size):
            with torch.no_grad():
                expected = saved.net(x).numpy()
            (logits,) = session.run(["logits"], {"images": x.numpy()})
            apart = max(apart, float(np.abs(logits - expected).max()))
    return apart


def require(package: str) -> Any:  # noqa: ANN401  a module
    """The package; CrdndError, with how to install it, when it is not there."""
    try:
        return importlib.import_module(package)
    except ImportError:
        raise CrdndError(
            f"the package {package} is not installed", hint="pip install 'crdnd-tui[onnx]' brings what ONNX needs."
        ) from None
