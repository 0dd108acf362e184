"""The fast path of a run: what its machine allows, what its nets are worth, and its table of teacher logits."""

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from engine.data.augment import Feed
from engine.fast.path import FastPath
from engine.fast.plan import NetworkCost, decide
from engine.fast.teacher_logits import ROWS, TeacherLogits, chunks_of, open_table, why_unrepeatable
from engine.run.context import RunContext
from engine.runtime import provenance
from engine.runtime.rng import seed_for
from engine.spec.config import RunConfig
from engine.spec.cost import model_cost
from engine.spec.errors import bytes_text
from engine.spec.events import StageStarted, TableFilled, Warned
from engine.spec.files import read_table
from engine.spec.models import ModelSpec
from engine.spec.teacher_logits import TableError, TableKey, tables_folder
from engine.teachers.load import TeacherSource
from engine.types import Dataset, Nets

GIB = 2**30


def build_fast_path(
    config: RunConfig, context: RunContext, nets: Nets, dataset: Dataset, source: TeacherSource | None
) -> FastPath:
    """The fast path around these nets; notes tell what cannot be folded, and how an attack in train mode computes."""

    def cost(spec: ModelSpec) -> NetworkCost:
        macs = model_cost(spec, len(dataset.classes), dataset.image).macs
        return NetworkCost(macs, spec.cpu_half, spec.cpu_paired)

    machine, device, ranks = context.machine, context.device, context.ranks
    eval_attack = config.inner.student_mode == "eval"
    of_teacher = cost(source.model) if source else None
    plan = decide(machine, device, cost(config.student), of_teacher, eval_attack=eval_attack, ranks=ranks.world_size)
    fast = FastPath(nets, plan, ranks)
    context.notes += fast.notes
    if not eval_attack and not plan.exact:
        how = "bfloat16, as inner_precision says"
        if plan.inner != torch.bfloat16:
            kind = "TF32" if machine.tf32 and device.type == "cuda" else "float32"
            how = f"{kind}; inner_precision=bfloat16 changes that"
        context.notes.append(f"the attack climbs on the student itself, in train mode: {how}")
    return fast


@dataclass(frozen=True, kw_only=True)
class TeacherLogitsOpener:
    """Opens a complete table of a teacher's logits for a run's fast path, or notes why there is none."""

    fast: FastPath
    config: RunConfig
    context: RunContext
    source: TeacherSource
    dataset: Dataset
    data_sha256: str
    feed: Feed
    resumed: bool

    def open_teacher_logits(self) -> None:
        """Open a complete table where that pays or the run began with one; else note why not, or warn."""
        wanted = self._wanted()
        self.fast.without_table()
        if wanted == "off" or self.fast.teacher is None:
            return
        context, opened = self.context, list[TeacherLogits]()

        def fill(_rank: int) -> str:
            try:
                opened.append(self._filled())
            except TableError as error:
                return _text(error)
            return ""

        epochs = max(self.config.training.epochs, context.machine.table_epochs)
        planned = math.inf if wanted == "complete" else float(epochs * len(self.feed))
        refusal = context.ranks.on_leader(lambda: self._refusal(planned))
        failure = "" if refusal else next(filter(None, context.ranks.share(context.ranks.world_size, fill)), "")
        if not refusal and not failure:
            self.fast.with_table(opened[0], self.feed)
            context.notes.append(f"teacher table {self._key.id}: complete, {bytes_text(self._key.table_bytes)}")
            return
        for table in opened:
            table.close()
        context.notes.append(f"no teacher table: {refusal or failure}")
        if failure or wanted == "complete":
            equal = "; the run goes on without, and agrees to rounding with what it would have been" * self.resumed
            self._warn("table_unwritable", f"no teacher table: {refusal or failure}{equal}")

    def _wanted(self) -> str:
        """The machine's switch; where that is `auto`, a resumed run has what its last engine had.

        Older engines had `lazy` tables, which filled as they went: these count as `auto`.
        """
        wanted = self.fast.plan.table
        if wanted != "auto" or not self.resumed:
            return wanted
        had = self.context.ranks.on_leader(lambda: read_table(self.context.run.provenance).get("switches"))
        if not isinstance(had, dict):
            return "auto"
        return {"complete": "complete", "lazy": "auto"}.get(str(had.get("table")), "off")

    def _refusal(self, planned: float) -> str:
        """Why there is to be no table, or nothing. One that holds other logits than the teacher's is set aside.

        `planned`: teacher forwards on natural images that all planned runs would take without a table.
        """
        assert self.fast.teacher is not None
        if why_not := why_unrepeatable(self.fast.teacher.net):
            return why_not
        chunks, rows = chunks_of(self._key, self.feed.places), self._key.rows
        few = f"{planned:.0f} teacher forwards are planned, fewer than the {{}} that it lacks"
        if len(chunks) * rows >= planned and not (self._folder / self._key.id).is_file():
            return few.format(len(chunks) * rows)
        try:
            table, trouble = self._open()
        except TableError as error:
            return _text(error)
        with table:
            missing = table.absent(chunks)
            present = np.setdiff1d(chunks, missing)
            chosen = seed_for(self.config.seed, "table")
            mismatch = self._mismatch(table, int(present[chosen % len(present)])) if len(present) else ""
            try:
                if mismatch:
                    table.set_aside()
            except TableError as error:  # another user's, or in a folder that is only read
                why_not = f"{mismatch}; it cannot be set aside: {_text(error)}"
                self._warn("table_damaged", f"a teacher table is not used: {why_not}")
                return why_not
        if trouble or mismatch:
            self._warn("table_damaged", f"a teacher table was set aside, and a new one is begun: {trouble or mismatch}")
        if mismatch:
            return self._refusal(planned)
        return "" if len(missing) * rows < planned else few.format(len(missing) * rows)

    def _mismatch(self, table: TeacherLogits, chunk: int) -> str:
        """One chunk is computed again: why the table must not be believed, or nothing."""
        assert self.fast.teacher is not None
        mismatch, equal = table.verify(self.fast.teacher.compute, self._images, chunk)
        if not mismatch and not equal:
            self.context.notes.append("the teacher table equals what this machine computes to rounding, not to the bit")
        return mismatch

    def _filled(self) -> TeacherLogits:
        """The table with all that the run needs; all ranks fill it, and each ends when nothing is missing."""
        assert self.fast.teacher is not None
        context, percent = self.context, -1
        table, _ = self._open()
        missing = table.absent(chunks_of(self._key, self.feed.places))

        def say(share: float) -> None:
            nonlocal percent
            if int(100 * share) > percent:
                percent = int(100 * share)
                context.reporter.say(TableFilled(filled=share))

        try:
            if len(missing):
                context.reporter.say(StageStarted(stage="table"))
                table.fill(self.fast.teacher.compute, self._images, missing, context.pause, say)
        except BaseException:
            table.close()
            raise
        return table

    def _open(self) -> tuple[TeacherLogits, str]:
        limit = int(self.context.machine.table_gib * GIB)
        return open_table(self._folder, self._key, limit, teacher=self.source.label, data=self.config.data.name)

    def _warn(self, code: str, message: str) -> None:
        self.context.reporter.say(Warned(code=code, message=message))

    @property
    def _folder(self) -> Path:
        return tables_folder(self.context.machine.data_folder)

    @cached_property
    def _images(self) -> torch.Tensor:
        return self.dataset.train.images.to(self.context.device)

    @cached_property
    def _key(self) -> TableKey:
        device, machine, plan = self.context.device, self.context.machine, self.fast.plan
        half = plan.teacher == torch.bfloat16
        return TableKey(
            teacher_sha256=self.source.identity,
            model=self.source.model.model_dump_json(),
            data_sha256=self.data_sha256,
            images=len(self.dataset.train.images),
            classes=len(self.dataset.classes),
            padding=self.config.data.crop_padding,
            flip=self.config.data.flip,
            image=self.dataset.image,
            precision="bfloat16" if half else "float32",
            folded=plan.folded_teacher or half,
            layout=self.context.layout_of(self.source.model),
            device=provenance.arithmetic(device) + ", tf32" * (machine.tf32 and not half and device.type == "cuda"),
            torch=str(torch.__version__),
            rows=ROWS[device.type],
        )


def _text(error: TableError) -> str:
    return " ".join(filter(None, (error.what, error.hint)))
