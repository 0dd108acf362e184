"""A judgement beside the one that was stored, image by image, and what a difference may come from."""

from collections.abc import Mapping
from typing import Any

from engine.spec.outcomes import Outcome, unpack
from engine.verdict import FAILS, HOLDS, Finding

EXPLAINED = 0.02  # share of images whose answer another device or library is known to turn, at the decision boundary
AT_LEAST = 2  # images, where that share is less than so many
_PLACES = ("python", "platform", "processor", "instructions", "threads", "device")


def compare(stored: Outcome, found: Outcome, apart: list[str]) -> Finding:
    """Whether a second judgement gives the same answers; `apart` names what differs between the two machines.

    On an equal machine every image must come out the same. Elsewhere sums round otherwise, and a few images at the
    boundary may turn: up to EXPLAINED of them is what such a difference explains.
    """
    what, n = f"again {stored.checkpoint} {stored.attack}", stored.n
    others = [f"{name} {stored.versions.get(name)} -> {value}" for name, value in found.versions.items()
              if stored.versions.get(name) != value]  # fmt: skip
    others += [] if stored.device == found.device else [f"device {stored.device} -> {found.device}"]
    others += [words for words in apart if words.split()[0] not in {other.split()[0] for other in others}]
    noted = f"; now {', '.join(others)}" if others else ""
    if found.n != n:
        return Finding(what, FAILS, f"{n} images were judged, {found.n} are there now")
    if stored.spec != found.spec and not others:
        return Finding(what, FAILS, "the attack is not the one that was stored")
    pairs = zip(unpack(stored.robust, n), stored.predicted, unpack(found.robust, n), found.predicted, strict=True)
    turned = sum((robust, guess) != (robust_, guess_) for robust, guess, robust_, guess_ in pairs)
    if not turned:
        return Finding(what, HOLDS, f"identical: the same answer on all {n:,} images{noted}")
    shares = f"{100 * stored.accuracy:.2f} -> {100 * found.accuracy:.2f} %"
    words = f"{turned:,} of {n:,} images differ, accuracy {shares}"
    if not others:
        return Finding(what, FAILS, f"{words}, on an equal device with equal libraries")
    within = turned <= max(AT_LEAST, EXPLAINED * n)
    said = "within" if within else "outside of"
    return Finding(what, HOLDS if within else FAILS, f"{words}, {said} what the difference explains{noted}")


def differing(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
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
