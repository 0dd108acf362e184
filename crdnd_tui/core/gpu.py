"""The GPUs of this machine, as NVML tells them; none where there is no driver. Nothing is imported without one."""

import os
from dataclasses import dataclass
from typing import Any

_nvml: list[Any] = []  # the module, once it answered; [None] when there is none


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
        except pynvml.NVMLError:
            _nvml.append(None)
    return _nvml[0]


def cards() -> list[Card]:
    """All GPUs; a card that does not answer is left out."""
    nvml = _library()
    if nvml is None:
        return []
    try:
        many = nvml.nvmlDeviceGetCount()
    except nvml.NVMLError:  # the driver was taken away; it may come back
        return []
    found = []
    for index in range(many):
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            memory = nvml.nvmlDeviceGetMemoryInfo(handle)
            name, uuid = _text(nvml.nvmlDeviceGetName(handle)), _text(nvml.nvmlDeviceGetUUID(handle))
            short = name.removeprefix("NVIDIA ")
            found.append(Card(index, short, memory.used, memory.total, _busy(nvml, handle), uuid))
        except nvml.NVMLError:
            continue
    return found


def visible() -> list[Card | None]:
    """The GPUs in CUDA's order, as CUDA_VISIBLE_DEVICES leaves them; None for one that is no whole card of ours."""
    found = cards()
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return list(found)
    chosen: list[Card | None] = []
    for word in (part.strip() for part in named.split(",")):
        if not word or word.startswith("-"):  # CUDA stops reading here, too
            break
        chosen.append(next((card for card in found if _is_called(card, word)), None))
    return chosen


def _is_called(card: Card, word: str) -> bool:
    """By its number or by the beginning of its UUID."""
    return card.index == int(word) if word.isdecimal() else card.uuid.startswith(word)


def _busy(nvml: Any, handle: Any) -> int | None:  # noqa: ANN401  a module without types
    try:
        return int(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
    except nvml.NVMLError:  # MIG slices do not say
        return None


def _text(words: str | bytes) -> str:
    return words.decode("utf-8", "replace") if isinstance(words, bytes) else words  # bytes from old drivers
