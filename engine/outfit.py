"""The fast path of a run, put together: what its machine allows, what its nets are worth, and its teacher's table."""

import torch

from engine.augment import Feed
from engine.fast.filling import fill, legal, verify
from engine.fast.natural import CHUNK, Natural
from engine.fast.path import FastPath
from engine.fast.plan import Asked, Plan, decide
from engine.fast.table import Table, expected_views, open_table, planned
from engine.provenance import processor
from engine.runtime import seed_for
from engine.spec.config import RunConfig
from engine.spec.cost import model_cost
from engine.spec.events import StageStarted, TableFilled, Warned
from engine.spec.models import ModelSpec
from engine.spec.tables import Key, TableError, tables_folder
from engine.spec.units import bytes_text
from engine.stage import Stage
from engine.teachers import Source
from engine.types import Dataset, Nets

GIB = 2**30


def plan_of(config: RunConfig, stage: Stage, dataset: Dataset, source: Source | None) -> Plan:
    """What this run switches on, on this device."""

    def asked(spec: ModelSpec) -> Asked:
        _n, channels, height, width = dataset.train.images.shape
        return Asked(
            model_cost(spec, len(dataset.classes), (channels, height, width)).macs, spec.cpu_half, spec.cpu_paired
        )

    return decide(
        stage.machine,
        stage.device,
        asked(config.student),
        asked(source.model) if source else None,
        eval_attack=config.inner.student_mode == "eval",
        ranks=stage.crew.world,
    )


def outfit(plan: Plan, stage: Stage, nets: Nets) -> FastPath:
    """The fast path around these nets; of what cannot be folded, a note says why."""
    fast = FastPath(nets, plan, stage.crew)
    stage.notes += fast.notes
    return fast


def lay_table(
    fast: FastPath, config: RunConfig, stage: Stage, source: Source, dataset: Dataset, data_sha256: str, feed: Feed
) -> None:
    """Open the teacher's table where the plan wants one, and fill it where that pays; else a note says why not."""
    assert fast.teacher is not None
    if fast.plan.table == "off":
        return
    key = _key(fast, config, stage, source, dataset, data_sha256)
    why_not = legal(fast.teacher.net)
    table = None
    if not why_not:
        try:
            table = _on_all_ranks(fast, config, stage, source, dataset, key)
        except TableError as error:
            why_not = " ".join(filter(None, (error.what, error.hint)))
    if table is None:
        fast.without_table()
        stage.notes.append(f"no teacher table: {why_not}")
        return
    chunk = CHUNK[stage.device.type]
    mode = planned(config.training.epochs, key.views, fast.plan.table, stage.device.type == "cuda")
    fast.with_table(Natural(table=table, teacher=fast.teacher, feed=feed, crew=stage.crew, chunk=chunk), mode)
    needed = expected_views(config.training.epochs, key.views)
    stage.notes.append(
        f"teacher table {table.path.name}: {mode}, {needed:.0f} of {key.views} views needed, "
        f"{bytes_text(key.table_bytes)} when full"
    )


def _key(fast: FastPath, config: RunConfig, stage: Stage, source: Source, dataset: Dataset, data_sha256: str) -> Key:
    n, channels, height, width = dataset.train.images.shape
    cuda = stage.device.type == "cuda"
    half = fast.plan.teacher == torch.bfloat16
    tf32 = stage.machine.tf32 and not half
    return Key(
        teacher_sha256=source.sha256,
        model=source.model.model_dump_json(),
        data_sha256=data_sha256,
        images=n,
        classes=len(dataset.classes),
        padding=config.data.crop_padding,
        flip=config.data.flip,
        image=(channels, height, width),
        precision="bfloat16" if half else "float32",
        folded=fast.plan.folded_teacher or half,
        layout=stage.layout_of(source.model),
        device=(torch.cuda.get_device_name(stage.device) + ", tf32" * tf32) if cuda else processor(),
        torch=str(torch.__version__),
    )


def _on_all_ranks(fast: FastPath, config: RunConfig, stage: Stage, source: Source, dataset: Dataset, key: Key) -> Table:
    """The table; of several ranks the leading one looks at it first, and either all have it or none."""
    if stage.crew.world == 1:
        return _believed(fast, config, stage, source, dataset, key)

    def trouble() -> str:
        try:
            _believed(fast, config, stage, source, dataset, key).close()
        except TableError as error:
            return error.what
        return ""

    why_not, table = stage.crew.lead(trouble), None
    if not why_not:
        try:
            table = _open(config, stage, source, key)
        except TableError as error:
            why_not = error.what
    if stage.crew.agree(table is None):
        if table is not None:
            table.close()
        raise TableError(why_not or "another rank cannot open it", kind="unknown")
    assert table is not None
    return table


def _open(config: RunConfig, stage: Stage, source: Source, key: Key) -> Table:
    folder, limit = tables_folder(stage.machine.data_folder), int(stage.machine.table_gib * GIB)
    return open_table(folder, key, limit, teacher=source.label, data=config.data.name)


def _believed(fast: FastPath, config: RunConfig, stage: Stage, source: Source, dataset: Dataset, key: Key) -> Table:
    """The table, some of whose records were computed again; one that lies is set aside, and a new one begun."""
    assert fast.teacher is not None
    try:
        table = _open(config, stage, source, key)
    except TableError as error:
        if error.kind != "damaged":
            raise
        stage.reporter.say(Warned(code="table_damaged", message=f"{error.what}; a new teacher table is begun"))
        table = _open(config, stage, source, key)
    images, chunk = dataset.train.images.to(stage.device), CHUNK[stage.device.type]
    lie = verify(table, fast.teacher.compute, images, chunk, seed_for(config.seed, "table"))
    if not lie:
        return table
    if where := table.set_aside():
        stage.reporter.say(Warned(code="table_damaged", message=f"a teacher table was set aside as {where}: {lie}"))
    return _open(config, stage, source, key)


def fill_table(fast: FastPath, stage: Stage, dataset: Dataset) -> None:
    """All views of the run's images before the first step, shared by the ranks, where the plan is to do so."""
    natural = fast.natural
    if natural is None or fast.plan.table != "complete":
        return
    stage.reporter.say(StageStarted(stage="table"))
    said = -1

    def say(share: float) -> None:
        nonlocal said
        if int(100 * share) > said:
            said = int(100 * share)
            stage.reporter.say(TableFilled(filled=min(share, 1.0)))

    images = dataset.train.images.to(stage.device)

    def fill_own(rank: int) -> None:
        own = natural.feed.places[rank :: stage.crew.world]
        try:
            fill(natural.table, natural.teacher.compute, images, own, natural.chunk, stage.pause, say)
        except TableError as error:
            fast.give_up_keeping(error.what)

    stage.crew.share(stage.crew.world, fill_own)
