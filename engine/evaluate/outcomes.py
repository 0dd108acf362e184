"""Records of attacks on the disk, believed only when they agree; and two evaluations of the same images compared.

A record counts as done when it is of the same attack, images, data and weights; anything else is computed again.
"""

import json
import math
import platform
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from engine.evaluate.context import EvaluationContext, RecordIdentity
from engine.spec.attacks import AttackSpec, AutoAttack, ThreatModel
from engine.spec.files import RESULT_CAP, decoded, write_inside
from engine.spec.outcomes import Outcome, decode, encode, unpack
from engine.spec.training import Evaluation, recorded

TURNED, AT_LEAST = 0.005, 2  # share of images, and images, that sums which round otherwise turn at the boundary
CHANGED = 0.002  # of accuracy, or one image: what those turns leave, for they go both ways
EXACT, ROUNDING = 1e-6, 1e-2  # relative, of a detail, on an equal machine and elsewhere
OWN = ("autoattack_", "rescored_", "non_finite")  # beginnings of the marks that an attack gives itself

Verdict = Literal["holds", "fails", "unknown"]
HOLDS: Verdict = "holds"
FAILS: Verdict = "fails"
UNKNOWN: Verdict = "unknown"


class CheckResult(NamedTuple):
    """One check of a verification: it holds, it does not hold, or that cannot be said; and why."""

    what: str
    verdict: Verdict
    words: str

    @classmethod
    def of(cls, what: str, wrong: str, words: str) -> "CheckResult":
        """It fails because of what is `wrong`; where that is empty, it holds."""
        return cls(what, FAILS, wrong) if wrong else cls(what, HOLDS, words)


def describe(spec: AttackSpec | None, threat_model: ThreatModel, evaluation: Evaluation) -> dict[str, Any]:
    """The attack in full, as it is recorded; None is no attack."""
    own = recorded(spec, evaluation.protocol) if spec else {"name": "clean"}
    package = {"package": f"pyautoattack {versions()['pyautoattack']}"} if isinstance(spec, AutoAttack) else {}
    return {
        **own,
        **package,
        "norm": threat_model.norm,
        "epsilon": str(threat_model.epsilon),
        "seed": evaluation.seed,
        "batch_size": evaluation.batch_size,
    }


def fingerprint(spec: dict[str, Any], context: EvaluationContext, identity: RecordIdentity) -> str:
    """All that the numbers in a kept batch depend on, as text."""
    how = [context.device.type, *(["folded"] if context.folded is not None else [])]
    return json.dumps([spec, identity, context.gallery.tolist(), versions(), *how], sort_keys=True)


def write(path: Path, outcome: Outcome) -> None:
    """The record is on the disk, whole, when this returns."""
    write_inside(path, encode(outcome))


def read(path: Path, spec: dict[str, Any], identity: RecordIdentity) -> Outcome | None:
    """The finished record of exactly this attack; None when there is none, a damaged one, or another's."""
    outcome = decoded(path, decode, RESULT_CAP)
    if outcome is None or outcome.spec != spec:
        return None
    return outcome if all(getattr(outcome, key) == value for key, value in identity._asdict().items()) else None


def versions() -> dict[str, str]:
    """Of the libraries that the numbers come from."""
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "pyautoattack": metadata.version("pyautoattack"),
    }


def device_name(device: torch.device) -> str:
    """The GPU's name, or cpu."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def bits(outcome: Outcome) -> Tensor:
    """N bools: who is right under the attack."""
    return torch.tensor(unpack(outcome.robust, outcome.n))


def compare_outcomes(stored: Outcome, found: Outcome, apart: list[str]) -> CheckResult:
    """Whether a second evaluation gives the same answers; `apart` names what differs between the two machines.

    The attack must be the stored one in every setting. On an equal machine every image must come out the same.
    Elsewhere sums round otherwise, and a few images at the boundary may turn: up to max(AT_LEAST, TURNED n) of them,
    and the accuracy by max(1 / n, CHANGED). Beyond that nothing can be said: neither is it explained, nor is it shown
    on the machine of the run.
    """
    what, n = f"again {stored.checkpoint} {stored.attack}", stored.n
    others = changes(stored.versions, found.versions, found.versions)
    others += changes(*({"device": one.device, "folded": one.folded} for one in (stored, found)))
    others += [words for words in apart if words.split()[0] not in {other.split()[0] for other in others}]
    noted = f"; now {', '.join(others)}" if others else ""
    if found.n != n:
        return CheckResult(what, FAILS, f"{n} images were judged, {found.n} are there now")
    settings = [key for key in {**stored.spec, **found.spec} if key != "package"]  # its version is the machine's
    if differing := changes(stored.spec, found.spec, settings):
        return CheckResult(what, FAILS, f"the attack is not the one that was stored: {', '.join(differing)}{noted}")
    robust, robust_now = bits(stored), bits(found)
    turned = int(((robust != robust_now) | (torch.tensor(stored.predicted) != torch.tensor(found.predicted))).sum())
    if not turned:
        if beside := _beside(stored, found, ROUNDING if others else EXACT):
            return CheckResult(what, UNKNOWN if others else FAILS, f"the answers are the same, {beside}{noted}")
        return CheckResult(what, HOLDS, f"identical: the same answer on all {n:,} images{noted}")
    shares = f"{100 * stored.accuracy:.2f} -> {100 * found.accuracy:.2f} %"
    words = f"{turned:,} of {n:,} images differ, accuracy {shares}"
    if not others:
        return CheckResult(what, FAILS, f"{words}, on an equal device with equal libraries")
    if turned <= max(AT_LEAST, TURNED * n) and abs(int(robust_now.sum() - robust.sum())) <= max(1, CHANGED * n):
        return CheckResult(what, HOLDS, f"{words}, within what the difference explains{noted}")
    return CheckResult(what, UNKNOWN, f"{words}, more than the difference explains{noted}")


def _beside(stored: Outcome, found: Outcome, tolerance: float) -> str:
    """In words, which details, and which marks that an attack gives itself, are others."""
    apart = [
        f"{key} {stored.details.get(key)} -> {found.details.get(key)}"
        for key in {**stored.details, **found.details}
        if not math.isclose(
            stored.details.get(key, math.inf), found.details.get(key, -math.inf), rel_tol=tolerance, abs_tol=tolerance
        )
    ]
    then, now = ({mark for mark in one.marks if mark.startswith(OWN)} for one in (stored, found))
    apart += [f"{mark} is {'lacking' if mark in now else 'marked'}" for mark in sorted(then ^ now)]
    return f"not what is said beside them: {', '.join(apart)}" if apart else ""


def changes(then: Mapping[str, Any], now: Mapping[str, Any], keys: Iterable[str] | None = None) -> list[str]:
    """`key then -> now` of each key (None: those of `then`) whose values differ."""
    keys = then if keys is None else keys
    return [f"{key} {then.get(key)} -> {now.get(key)}" for key in keys if then.get(key) != now.get(key)]


def machines_apart(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """In words, what of the machine and the libraries is another than when the run was evaluated."""
    parts = (
        (then, now, ("python", "platform", "processor", "instructions", "threads", "device")),
        (then.get("packages"), now.get("packages", {}), ("torch", "pyautoattack", "numpy", "torchvision")),
        (then.get("gpu"), now.get("gpu"), ("name", "cuda", "cudnn")),
    )
    return [
        words
        for one, other, keys in parts
        if isinstance(one, Mapping) and isinstance(other, Mapping)
        for words in changes(one, other, [key for key in keys if key in one])
    ]
