"""A run's events -> series, and how long it will take. Fed with what is new only, so that a long run costs no more."""

from collections.abc import Sequence
from typing import NamedTuple

from crdnd_tui.chart.series import PointSeries
from crdnd_tui.core import fast_path
from crdnd_tui.core.state import RunState
from engine.spec.events import DeviceSampled, StepDone

SPREAD_AFTER = 50  # steps; before them a spread would be a guess
_RECENT = 200  # step events that the pace is read from
_GIB = 1 << 30


class Eta(NamedTuple):
    """Seconds that the training still needs: at the median pace, and at its 90th and 10th percentile."""

    median: float
    low: float | None  # None until enough steps were seen
    high: float | None


class Curves:
    """All series of one run. `feed` takes each state of it, and begins again when that state went back."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._seen: RunState | None = None
        self.loss = PointSeries()
        self.terms: dict[str, PointSeries] = {}
        self.learning_rate = PointSeries()
        self.pace = PointSeries()  # images per second
        self.shares: dict[str, PointSeries] = {}  # of the time: part -> per cent, by step
        self.accuracy: dict[str, PointSeries] = {}  # by epoch; fractions
        self.memory = PointSeries()  # GiB on the GPU, by step
        self.busy = PointSeries()  # per cent, by step
        self._device: DeviceSampled | None = None

    def feed(self, state: RunState) -> bool:
        """Append what this state has more than the last; whether anything was."""
        before = self._seen
        if before is not None and not _continues(before, state):
            self._begin()
            before = None
        steps = state.steps[len(before.steps) if before else 0 :]
        validations = state.validations[len(before.validations) if before else 0 :]
        self._steps(steps)
        for event in validations:
            for attack, value in event.accuracy.items():
                self.accuracy.setdefault(attack, PointSeries()).append(event.epoch, value)
        moved = self._device_moved(state)
        self._seen = state
        return bool(steps or validations or moved or before is None)

    def _steps(self, steps: Sequence[StepDone]) -> None:
        self.loss.extend((e.step, e.loss) for e in steps)
        self.learning_rate.extend((e.step, e.learning_rate) for e in steps)
        self.pace.extend((e.step, e.images_per_second) for e in steps)
        for name in dict.fromkeys(name for e in (*steps[:1], *steps[-1:]) for name in e.terms):
            series = self.terms.setdefault(name, PointSeries())
            series.extend((e.step, e.terms[name]) for e in steps if name in e.terms)

        told = [e for e in steps if e.shares and fast_path.is_true(e.shares)]
        for part in dict.fromkeys(part for e in told for part in e.shares if part in fast_path.TITLES):
            series = self.shares.setdefault(part, PointSeries())
            series.extend((e.step, 100 * e.shares[part]) for e in told if part in e.shares)

    def _device_moved(self, state: RunState) -> bool:
        device = state.device
        if device is None or device is self._device:
            return False
        self._device = device
        self.memory.append(state.step, device.used / _GIB)
        if device.utilisation is not None:
            self.busy.append(state.step, device.utilisation)
        return True


def _continues(before: RunState, state: RunState) -> bool:
    """Whether `state` is `before` and more: the same run, whose log was not cut back."""
    for old, new in ((before.steps, state.steps), (before.validations, state.validations)):
        if len(new) < len(old) or (old and new[len(old) - 1] is not old[-1]):
            return False
    return before.run in ("", state.run)


def eta(state: RunState) -> Eta | None:
    """Of the training, from the paces of recent steps; validations between epochs come on top."""
    if state.training is None:
        return None
    paces = sorted(e.images_per_second for e in state.steps[-_RECENT:] if e.images_per_second > 0)
    if not paces:
        return None
    left = max(0, state.total_steps - state.step) * state.training.images / max(1, state.training.steps_per_epoch)
    if len(paces) < SPREAD_AFTER:
        return Eta(left / quantile(paces, 0.5), None, None)
    return Eta(left / quantile(paces, 0.5), left / quantile(paces, 0.9), left / quantile(paces, 0.1))


def quantile(ordered: Sequence[float], share: float) -> float:
    """Of values in ascending order, between the two nearest."""
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
