"""What the Studies screen reads, again and again: progress and cost of every study, the report of the one in front.

Blocks: for threads alone. What it gives is frozen.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from crdnd_tui.study.progress import CellStatus, CostEstimator, CostSummary, ProgressReader, StudyProgress
from crdnd_tui.tui.screens.studies.shelf import Entry, Shelf
from crdnd_tui.write import study_document
from crdnd_tui.write.document import Document

REST = 4.0  # times as long as a report took to make, until the next one of a study at work

_Mark = tuple[object, ...]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A study as it is now; no progress where its file is broken."""

    entry: Entry
    progress: StudyProgress | None = None
    cost: CostSummary | None = None


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Which study is in front, and whose numbers its report is to show; "" as its file says."""

    key: str = ""
    checkpoint: str = ""


class Desk:
    """One for a screen. One look at a time."""

    def __init__(self, runs: Path, device: str) -> None:
        self._runs, self._device = runs, device
        self._shelf, self._reader = Shelf(runs), ProgressReader(runs)
        self._estimators: dict[str, CostEstimator] = {}
        self._costs: dict[str, tuple[_Mark, CostSummary]] = {}
        self._report: tuple[Asked, _Mark, Document] | None = None
        self._next = 0.0  # by the monotonic clock: when another report may be made

    def look(self, now: float, front: str, opened: Iterable[Path] = ()) -> tuple[Seen, ...]:
        """Every study; the time that is left of the one in front is told anew each time."""
        return tuple(self._seen(entry, now, entry.key == front) for entry in self._shelf.entries(opened))

    def forget_mistakes(self) -> None:
        """Broken files are read again."""
        self._shelf.forget_mistakes()

    def report(self, of: Seen, asked: Asked, now: float) -> Document | None:
        """Made again only when a result or a state is another one, and not too often; None for a broken file."""
        study, progress = of.entry.study, of.progress
        if study is None or progress is None:
            return None
        mark, known = (study, *_mark(progress)), self._report
        if known is not None and known[0] == asked and (known[1] == mark or time.monotonic() < self._next):
            return known[2]
        began = time.monotonic()
        document = study_document.study_document(study, self._runs, checkpoint=asked.checkpoint, now=now)
        if known is not None and known[0] == asked and _same(known[2], document):
            document = known[2]
        self._next = time.monotonic() + REST * (time.monotonic() - began)
        self._report = asked, mark, document
        return document

    def _seen(self, entry: Entry, now: float, front: bool) -> Seen:
        if entry.study is None:
            return Seen(entry=entry)
        progress = self._reader.read(entry.study, now)
        mark, known = _mark(progress), self._costs.get(entry.key)
        if known is None or known[0] != mark or (front and progress.counts["running"]):
            estimator = self._estimators.setdefault(entry.key, CostEstimator(self._runs, self._device))
            known = self._costs[entry.key] = mark, estimator.estimate(progress, now)
        return Seen(entry=entry, progress=progress, cost=known[1])


def _mark(progress: StudyProgress) -> _Mark:
    """Changes when a run begins, ends or is judged by one attack more."""
    runs = tuple((s.cell.config_hash, s.state, s.run, s.why, _judged(s)) for s in progress.statuses)
    return runs, tuple((t.config_hash, t.state) for t in progress.teachers), progress.at_once


def _judged(cell_status: CellStatus) -> str:
    status = cell_status.summary.status if cell_status.summary else None
    return repr(status.results) if status else ""


def _same(one: Document, other: Document) -> bool:
    """Whether both say the same, whenever they were made."""
    return replace(one, made=0.0) == replace(other, made=0.0)
