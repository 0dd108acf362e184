"""A judgement beside the one that was stored, image by image, and what a difference may come from."""

import math
from collections.abc import Mapping
from typing import Any

from engine.evaluate.verdict import FAILS, HOLDS, UNKNOWN, Finding
from engine.spec.outcomes import Outcome, unpack

TURNED, AT_LEAST = 0.005, 2  # share of images, and images, that sums which round otherwise turn at the boundary
CHANGED = 0.002  # of accuracy, or one image: what those turns leave, for they go both ways
EXACT, ROUNDING = 1e-6, 1e-2  # relative, of a detail, on an equal machine and elsewhere
OWN = ("autoattack_", "rescored_", "non_finite")  # beginnings of the marks that an attack gives itself
_PLACES = ("python", "platform", "processor", "instructions", "threads", "device")


def compare(stored: Outcome, found: Outcome, apart: list[str]) -> Finding:
    """Whether a second judgement gives the same answers; `apart` names what differs between the two machines.

    The attack must be the stored one in every setting. On an equal machine every image must come out the same.
    Elsewhere sums round otherwise, and a few images at the boundary may turn: up to max(AT_LEAST, TURNED n) of them,
    and the accuracy by max(1 / n, CHANGED). Beyond that nothing can be said: neither is it explained, nor is it shown
    on the machine of the run.
    """
    what, n = f"again {stored.checkpoint} {stored.attack}", stored.n
    others = [f"{name} {stored.versions.get(name)} -> {value}" for name, value in found.versions.items()
              if stored.versions.get(name) != value]  # fmt: skip
    others += [] if stored.device == found.device else [f"device {stored.device} -> {found.device}"]
    others += [] if stored.folded == found.folded else [f"folded {stored.folded} -> {found.folded}"]
    others += [words for words in apart if words.split()[0] not in {other.split()[0] for other in others}]
    noted = f"; now {', '.join(others)}" if others else ""
    if found.n != n:
        return Finding(what, FAILS, f"{n} images were judged, {found.n} are there now")
    if settings := _settings(stored.spec, found.spec):
        return Finding(what, FAILS, f"the attack is not the one that was stored: {', '.join(settings)}{noted}")
    pairs = zip(unpack(stored.robust, n), stored.predicted, unpack(found.robust, n), found.predicted, strict=True)
    turned = sum((robust, guess) != (robust_, guess_) for robust, guess, robust_, guess_ in pairs)
    if not turned:
        apart_ = _beside(stored, found, ROUNDING if others else EXACT)
        if apart_:
            return Finding(what, UNKNOWN if others else FAILS, f"the answers are the same, {apart_}{noted}")
        return Finding(what, HOLDS, f"identical: the same answer on all {n:,} images{noted}")
    shares = f"{100 * stored.accuracy:.2f} -> {100 * found.accuracy:.2f} %"
    words = f"{turned:,} of {n:,} images differ, accuracy {shares}"
    if not others:
        return Finding(what, FAILS, f"{words}, on an equal device with equal libraries")
    change = abs(sum(unpack(found.robust, n)) - sum(unpack(stored.robust, n)))
    if turned <= max(AT_LEAST, TURNED * n) and change <= max(1, CHANGED * n):
        return Finding(what, HOLDS, f"{words}, within what the difference explains{noted}")
    return Finding(what, UNKNOWN, f"{words}, more than the difference explains{noted}")


def _beside(stored: Outcome, found: Outcome, tolerance: float) -> str:
    """What else a record says and this judgement does not: details, and the marks that an attack gives itself."""
    keys = [*stored.details, *(key for key in found.details if key not in stored.details)]
    apart = [
        f"{key} {stored.details.get(key)} -> {found.details.get(key)}"
        for key in keys
        if not math.isclose(stored.details.get(key, math.inf), found.details.get(key, -math.inf), rel_tol=tolerance,
                            abs_tol=tolerance)
    ]  # fmt: skip
    then, now = ({mark for mark in one.marks if mark.startswith(OWN)} for one in (stored, found))
    apart += [f"{mark} is {'lacking' if mark in now else 'marked'}" for mark in sorted(then ^ now)]
    return f"not what is said beside them: {', '.join(apart)}" if apart else ""


def _settings(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What of the attack is another, in words; the version of its package is the machine's, and told with it."""
    keys = [key for key in (*then, *(key for key in now if key not in then)) if key != "package"]
    return [f"{key} {then.get(key)} -> {now.get(key)}" for key in keys if then.get(key) != now.get(key)]


def machines_apart(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """In words, what of the machine and the libraries is another than when the run was judged."""
    apart = [f"{key} {then[key]} -> {now.get(key)}" for key in _PLACES if key in then and then[key] != now.get(key)]
    packages, own = then.get("packages"), now.get("packages", {})
    if isinstance(packages, Mapping):
        counted = ("torch", "pyautoattack", "numpy", "torchvision")
        apart += [f"{name} {packages[name]} -> {own.get(name)}" for name in counted
                  if name in packages and packages[name] != own.get(name)]  # fmt: skip
    gpu, here = then.get("gpu"), now.get("gpu")
    if isinstance(gpu, Mapping) and isinstance(here, Mapping):
        apart += [f"{key} {gpu[key]} -> {here.get(key)}" for key in ("name", "cuda", "cudnn")
                  if key in gpu and gpu[key] != here.get(key)]  # fmt: skip
    return apart
