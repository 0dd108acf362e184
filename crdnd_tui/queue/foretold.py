"""When each waiting run may start, and when the last of all will have ended: the worker's rules, ahead of time."""

from collections.abc import Sequence
from dataclasses import replace

from crdnd_tui.queue.entry import Entry
from crdnd_tui.queue.sharing import Rules

Stay = tuple[float | None, int | None]  # when a run leaves a device, and its need; None when nobody knows


def plan(
    queued: Sequence[Entry], atwork: Sequence[Entry], rules: Rules, now: float
) -> tuple[list[Entry], float | None]:
    """The waiting runs with their starts, and when all are done; None from the first unknown on. Unix seconds."""
    days = _Days(rules, now)
    for entry in atwork:
        days.put(entry, now, None if entry.left is None else now + entry.left)
    told = []
    for entry in queued:
        if entry.ticket is None or entry.ticket.state == "held":
            told.append(entry)
            continue
        starts = days.first(entry)
        days.put(entry, starts, None if starts is None or entry.takes is None else starts + entry.takes)
        told.append(replace(entry, starts=starts, waits=_reason(entry, atwork, rules)))
    return told, days.end


def _reason(entry: Entry, atwork: Sequence[Entry], rules: Rules) -> str:
    """What it waits for beside its turn, by those at work now; empty when there is nothing to say of it."""
    for place in entry.places:
        words = rules.obstacle(place, [e.need for e in atwork if place in e.places], entry.need)
        if words:
            return words
        if words is not None and entry.devices > 1:
            return f"waits for {place}: it takes {entry.devices} devices"
    return ""


class _Days:
    """Who is on each device from the last foretold start on. What ended before it is forgotten."""

    def __init__(self, rules: Rules, now: float) -> None:
        self._rules, self._now = rules, now
        self._stays: dict[str, list[Stay]] = {}
        self._last: dict[str, float | None] = {}  # the latest start on each device
        self._ends: list[float | None] = []

    @property
    def end(self) -> float | None:
        """When the last one leaves."""
        return max((e for e in self._ends if e is not None), default=None) if None not in self._ends else None

    def put(self, entry: Entry, starts: float | None, ends: float | None) -> None:
        """It is on its devices between these times; behind a start that nobody knows nothing more is foretold."""
        self._ends.append(ends)
        for place in entry.places:
            self._last[place] = starts
            if starts is not None:
                stays = [stay for stay in self._stays.get(place, []) if stay[0] is None or stay[0] > starts]
                self._stays[place] = [*stays, (ends, entry.need)]

    def first(self, entry: Entry) -> float | None:
        """When it may start, not before anyone who waits for the same device and comes first."""
        lasts = [self._last.get(place, self._now) for place in entry.places]
        if None in lasts:
            return None
        begin = max(last for last in lasts if last is not None)
        if self._fits(entry, begin):
            return begin
        ends = {end for place in entry.places for end, _ in self._stays.get(place, [])}
        if None in ends:
            return None  # who leaves first is not known
        later = sorted(end for end in ends if end is not None and end > begin)
        return next((when for when in later if self._fits(entry, when)), None)

    def _fits(self, entry: Entry, when: float) -> bool:
        return all(
            self._rules.obstacle(
                place, [need for end, need in self._stays.get(place, []) if end is None or end > when], entry.need
            )
            is None
            for place in entry.places
        )
