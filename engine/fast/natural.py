"""The teacher on natural images, out of its table: looked up, and computed where the table lacks a view.

    batch k of an epoch --Feed.views--> which views --Table.find--> logits of those present
                                            |--the others, of this batch and the next few--> Teacher.compute --> Table

The draws of an epoch are known before it begins, so views of several batches to come are computed in one large batch.
"""

from dataclasses import dataclass, field

import torch

from engine.augment import Draws, Feed
from engine.crew import Crew
from engine.fast.filling import answers, in_chunks
from engine.fast.standins import Teacher
from engine.fast.table import Table, Views
from engine.spec.tables import TableError
from engine.types import Images, Logits

CHUNK = {"cpu": 16, "cuda": 512}  # views computed at once; from 16 on, a CPU gives each row the same bits


@dataclass(kw_only=True)
class Natural:
    """One run's use of a table."""

    table: Table
    teacher: Teacher
    feed: Feed
    crew: Crew
    chunk: int
    trouble: str = ""  # why nothing more is kept
    _ready: tuple[int, int] = field(default=(-1, 0))  # the epoch, and its batches that the table holds already

    def logits(self, draws: Draws, epoch: int, number: int, x: Images) -> Logits:
        """The teacher's answer to this rank's rows of batch `number`, on the device of x, float32.

        `draws` lie on the CPU: nothing waits for the device to know which views are looked up.
        """
        rows = self.crew.rows(len(x))
        views = Views(*(part[rows] for part in self.feed.views(draws, number)))
        found = None
        if not self.trouble:
            try:
                self._look_ahead(draws, epoch, number)
                found = answers(self.table, views, x[rows], self.teacher.compute, self.chunk)
            except TableError as error:  # a full disk takes no more: the run goes on
                self.trouble = error.what
        if found is None:
            found = self._without_keeping(views, x[rows])
        found = found.pin_memory() if x.is_cuda else found  # else the host would wait for the copy
        return found.to(x.device, non_blocking=True)

    def _without_keeping(self, views: Views, x: Images) -> Logits:
        """As `answers`, but the table gets nothing more."""
        logits, present = self.table.find(views)
        lacking = (~present).nonzero().squeeze(1)  # M
        if len(lacking):
            logits[lacking] = in_chunks(self.teacher.compute, x[lacking.to(x.device)], self.chunk)
        return logits

    def _look_ahead(self, draws: Draws, epoch: int, number: int) -> None:
        """Compute what the coming batches lack, once a chunk holds more than a batch."""
        ahead = self.chunk // self.feed.batch_size
        if ahead < 2 or self.crew.world > 1 or (epoch == self._ready[0] and number < self._ready[1]):
            return
        last = min(number + ahead, -(-len(self.feed) // self.feed.batch_size))
        self._ready = (epoch, last)
        coming = range(number, last)
        views = Views(*(torch.cat(parts) for parts in zip(*(self.feed.views(draws, k) for k in coming), strict=True)))
        lacking = self.table.missing(views)
        if not bool(lacking.any()):
            return
        wanted = Views(*(part[lacking] for part in views))
        moved = self.feed.moved(draws)
        x = torch.cat([self.feed.batch(moved, k)[0] for k in coming])[lacking.to(self.feed.device)]
        self.table.write(wanted, in_chunks(self.teacher.compute, x, self.chunk))
