"""The GPUs of this machine, as NVML tells them; none where there is no driver. Nothing is imported without one."""

import os
from dataclasses import dataclass
from typing import Any

_nvml: list[Any] = []  # the module, once it answered; [None] when there is none
_why_none: list[str] = []  # what the driver answered then


@dataclass(frozen=True, slots=True)
class Card:
    """One GPU now."""

    index: int
    name: str
    used: int  # bytes
    total: int
    busy: int | None  # per cent
    uuid: str


def _library() -> Any:  # noqa: ANN401  a module without types
    if not _nvml:
        import pynvml  # noqa: PLC0415  25 ms, and a driver is asked

        try:
            pynvml.nvmlInit()
            _nvml.append(pynvml)
        except pynvml.NVMLError as error:
            _nvml.append(None)
            _why_none.append(str(error))
    return _nvml[0]


def cards() -> list[Card]:
    """All GPUs; a card that does not answer is left out."""
    nvml, found = _library(), list[Card]()
    if nvml is None:
        return []
    try:
        many = nvml.nvmlDeviceGetCount()
    except nvml.NVMLError:  # the driver was taken away; it may come back
        return []
    for index in range(many):
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            memory = nvml.nvmlDeviceGetMemoryInfo(handle)
            name, uuid = map(_text, (nvml.nvmlDeviceGetName(handle), nvml.nvmlDeviceGetUUID(handle)))
        except nvml.NVMLError:
            continue
        try:
            busy = int(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
        except nvml.NVMLError:  # MIG slices do not say
            busy = None
        found.append(Card(index, name.removeprefix("NVIDIA "), memory.used, memory.total, busy, uuid))
    return found


def why_none() -> str:
    """What the driver answered where `cards` found none."""
    return "; ".join(_why_none) or "it counts none"


def visible() -> list[Card | None]:
    """The GPUs in CUDA's order, as CUDA_VISIBLE_DEVICES leaves them; None for one that is no whole card of ours."""
    found = cards()
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return list(found)
    chosen: list[Card | None] = []
    for word in map(str.strip, named.split(",")):
        if not word or word.startswith("-"):  # CUDA stops reading here, too
            break
        fits = (card for card in found if (card.index == int(word) if word.isdecimal() else card.uuid.startswith(word)))
        chosen.append(next(fits, None))
    return chosen


def _text(words: str | bytes) -> str:
    return words.decode("utf-8", "replace") if isinstance(words, bytes) else words  # bytes from old drivers
