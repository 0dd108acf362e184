"""The fast path of a run, put together: what its machine allows, what its nets are worth, and its teacher's table."""

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from engine.data.augment import Feed
from engine.fast.filling import ROWS, fill, legal, pays, verify
from engine.fast.path import FastPath
from engine.fast.plan import FastPlan, NetworkCost, decide
from engine.fast.table import Places, Table, chunks_of, open_table
from engine.run.context import RunContext
from engine.runtime import provenance
from engine.runtime.rng import seed_for
from engine.spec.config import RunConfig
from engine.spec.cost import model_cost
from engine.spec.events import StageStarted, TableFilled, Warned
from engine.spec.models import ModelSpec
from engine.spec.tables import Key, TableError, tables_folder
from engine.spec.units import bytes_text
from engine.teachers.load import TeacherSource
from engine.types import Dataset, Nets

GIB = 2**30


def plan_of(config: RunConfig, context: RunContext, dataset: Dataset, source: TeacherSource | None) -> FastPlan:
    """What this run switches on, on this device."""

    def asked(spec: ModelSpec) -> NetworkCost:
        _n, channels, height, width = dataset.train.images.shape
        return NetworkCost(
            model_cost(spec, len(dataset.classes), (channels, height, width)).macs, spec.cpu_half, spec.cpu_paired
        )

    return decide(
        context.machine,
        context.device,
        asked(config.student),
        asked(source.model) if source else None,
        eval_attack=config.inner.student_mode == "eval",
        ranks=context.ranks.world_size,
    )


def build_fast_path(plan: FastPlan, context: RunContext, nets: Nets, student_mode: str) -> FastPath:
    """The fast path around these nets; of what cannot be folded, and of an attack in train mode, notes tell."""
    fast = FastPath(nets, plan, context.ranks)
    context.notes += fast.notes
    if student_mode == "train" and not plan.exact:
        context.notes.append(f"the attack climbs on the student itself, in train mode: {_in_train_mode(plan, context)}")
    return fast


def _in_train_mode(plan: FastPlan, context: RunContext) -> str:
    if plan.inner == torch.bfloat16:
        return "bfloat16, as inner_precision says"
    kind = "TF32" if context.machine.tf32 and context.device.type == "cuda" else "float32"
    return f"{kind}; inner_precision=bfloat16 changes that"


@dataclass(frozen=True, kw_only=True)
class TeacherLogitsBuilder:
    """A run's teacher table on its way: whether there is to be one, and what it lacks."""

    fast: FastPath
    config: RunConfig
    context: RunContext
    source: TeacherSource
    dataset: Dataset
    data_sha256: str
    feed: Feed
    resumed: bool

    def lay(self) -> None:
        """A complete table, where that pays or the run began with one; else a note says why not."""
        wanted = self._wanted()
        self.fast.without_table()
        if wanted == "off" or self.fast.teacher is None:
            return
        key, ranks, opened = self._key(), self.context.ranks, list[Table]()

        def work(_rank: int) -> str:
            try:
                opened.append(self._filled(key))
            except TableError as error:
                return _words(error)
            return ""

        why_not = ranks.on_leader(lambda: self._look(key, self._asked(wanted)))
        refused = "" if why_not else next(filter(None, ranks.share(ranks.world_size, work)), "")
        if not why_not and not refused:
            self.fast.with_table(opened[0], self.feed)
            self.context.notes.append(f"teacher table {key.id}: complete, {bytes_text(key.table_bytes)}")
            return
        for table in opened:
            table.close()
        self.context.notes.append(f"no teacher table: {why_not or refused}")
        if refused or wanted == "complete":
            equal = "; the run goes on without, and agrees to rounding with what it would have been" * self.resumed
            message = f"no teacher table: {why_not or refused}{equal}"
            self.context.reporter.say(Warned(code="table_unwritable", message=message))

    def _wanted(self) -> str:
        """What the machine says; where that is `auto`, a resumed run has what its last engine had.

        Older engines had `lazy` tables, which filled as they went: that is asked anew.
        """
        wanted = self.fast.plan.table
        if wanted != "auto" or not self.resumed:
            return wanted
        had = self.context.ranks.on_leader(lambda: provenance.before(self.context.run.provenance).get("switches"))
        if not isinstance(had, dict):
            return "auto"
        return {"complete": "complete", "lazy": "auto"}.get(str(had.get("table")), "off")

    def _asked(self, wanted: str) -> float:
        """Teacher forwards on natural images that all planned runs would take without a table."""
        epochs = max(self.config.training.epochs, self.context.machine.table_epochs)
        return math.inf if wanted == "complete" else float(epochs * len(self.feed))

    def _look(self, key: Key, asked: float) -> str:
        """Why there is to be no table, or nothing. One that lies is set aside."""
        assert self.fast.teacher is not None
        if why_not := legal(self.fast.teacher.net):
            return why_not
        chunks = chunks_of(key, self.feed.places)
        few = f"{asked:.0f} teacher forwards are planned, fewer than the {{}} that it lacks"
        if not pays(asked, len(chunks) * key.rows) and not (self._folder / key.id).is_dir():
            return few.format(len(chunks) * key.rows)
        try:
            table, trouble = self._open(key)
        except TableError as error:
            return _words(error)
        with table:
            missing = table.absent(chunks)
            present = np.setdiff1d(chunks, missing)
            lie = self._lie(table, present) if len(present) else ""
            try:
                if lie:
                    table.set_aside()
            except TableError as error:  # another user's, or on a shelf that is only read
                why_not = f"{lie}; it cannot be set aside: {_words(error)}"
                self.context.reporter.say(
                    Warned(code="table_damaged", message=f"a teacher table is not used: {why_not}")
                )
                return why_not
        if trouble or lie:
            message = f"a teacher table was set aside, and a new one is begun: {trouble or lie}"
            self.context.reporter.say(Warned(code="table_damaged", message=message))
        if lie:
            return self._look(key, asked)
        return "" if pays(asked, len(missing) * key.rows) else few.format(len(missing) * key.rows)

    def _lie(self, table: Table, present: Places) -> str:
        """One chunk is computed again: why the table must not be believed, or nothing."""
        assert self.fast.teacher is not None
        chunk = int(present[seed_for(self.config.seed, "table") % len(present)])
        lie, equal = verify(table, self.fast.teacher.compute, self._images, chunk)
        if not lie and not equal:
            self.context.notes.append("the teacher table equals what this machine computes to rounding, not to the bit")
        return lie

    def _filled(self, key: Key) -> Table:
        """The table with all that the run needs; all ranks work on it, and each ends when nothing is missing."""
        assert self.fast.teacher is not None
        compute, context = self.fast.teacher.compute, self.context
        table, _ = self._open(key)
        missing, said = table.absent(chunks_of(key, self.feed.places)), -1

        def say(share: float) -> None:
            nonlocal said
            if int(100 * share) > said:
                said = int(100 * share)
                context.reporter.say(TableFilled(filled=share))

        try:
            if len(missing):
                context.reporter.say(StageStarted(stage="table"))
                fill(table, compute, self._images, missing, context.pause, say)
        except BaseException:
            table.close()
            raise
        return table

    @cached_property
    def _images(self) -> torch.Tensor:
        return self.dataset.train.images.to(self.context.device)

    @property
    def _folder(self) -> Path:
        return tables_folder(self.context.machine.data_folder)

    def _open(self, key: Key) -> tuple[Table, str]:
        limit = int(self.context.machine.table_gib * GIB)
        return open_table(self._folder, key, limit, teacher=self.source.label, data=self.config.data.name)

    def _key(self) -> Key:
        n, channels, height, width = self.dataset.train.images.shape
        device, machine, plan = self.context.device, self.context.machine, self.fast.plan
        half = plan.teacher == torch.bfloat16
        return Key(
            teacher_sha256=self.source.identity,
            model=self.source.model.model_dump_json(),
            data_sha256=self.data_sha256,
            images=n,
            classes=len(self.dataset.classes),
            padding=self.config.data.crop_padding,
            flip=self.config.data.flip,
            image=(channels, height, width),
            precision="bfloat16" if half else "float32",
            folded=plan.folded_teacher or half,
            layout=self.context.layout_of(self.source.model),
            device=provenance.arithmetic(device) + ", tf32" * (machine.tf32 and not half and device.type == "cuda"),
            torch=str(torch.__version__),
            rows=ROWS[device.type],
        )


def _words(error: TableError) -> str:
    return " ".join(filter(None, (error.what, error.hint)))
