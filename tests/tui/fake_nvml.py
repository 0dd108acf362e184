"""A made-up driver of GPUs."""

from types import SimpleNamespace

GIB = 1 << 30


class FakeError(Exception):
    """What pynvml raises."""


class FakeNvml:
    """A driver with these cards: (name, used, total, busy); busy None is a slice that does not say."""

    NVMLError = FakeError

    def __init__(self, *cards, there=True, processes=None):
        self.cards, self.there, self.asked = list(cards), there, 0
        self.processes = processes or {}  # card -> [(pid, bytes)]; bytes None where the driver does not say

    def nvmlInit(self):  # noqa: N802  pynvml's name
        self.asked += 1
        self._answer()

    def _answer(self):
        if not self.there:
            raise FakeError("driver not loaded")

    def nvmlDeviceGetCount(self):  # noqa: N802  pynvml's name
        self._answer()
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802  pynvml's name
        self._answer()
        if self.cards[index] is None:
            raise FakeError("GPU is lost")
        return index

    def nvmlDeviceGetMemoryInfo(self, handle):  # noqa: N802  pynvml's name
        _, used, total, _ = self.cards[handle]
        return SimpleNamespace(used=used, total=total)

    def nvmlDeviceGetName(self, handle):  # noqa: N802  pynvml's name
        return self.cards[handle][0]

    def nvmlDeviceGetUUID(self, handle):  # noqa: N802  pynvml's name
        return f"GPU-{handle}"

    def nvmlDeviceGetUtilizationRates(self, handle):  # noqa: N802  pynvml's name
        busy = self.cards[handle][3]
        if busy is None:
            raise FakeError("not supported")
        return SimpleNamespace(gpu=busy)

    def nvmlDeviceGetComputeRunningProcesses(self, handle):  # noqa: N802  pynvml's name
        if self.processes.get(handle) == "refused":
            raise FakeError("not supported")
        return [SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in self.processes.get(handle, [])]
