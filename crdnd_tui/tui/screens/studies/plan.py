"""A study's progress as a matrix of runs. Pure."""

from collections.abc import Iterable, Sequence

from crdnd_tui.core.format import duration
from crdnd_tui.core.text import one_line
from crdnd_tui.study.progress import CellStatus, CostSummary, State, StudyProgress
from crdnd_tui.study.study import ReportBlock, Study, row_blocks, table_blocks
from crdnd_tui.tui.screens.studies.desk import Seen
from crdnd_tui.tui.widgets.study_matrix import Band, Plan, Spot

SEED = "seed"
SIGNS: dict[State, tuple[str, str]] = {
    "done": ("\u2713", "good"), "running": ("\u25cf", "accent"), "waiting": ("\u25cc", "text"),
    "held": ("\u2016", "warn"), "stopped": ("\u25cb", "warn"), "killed": ("\u25d0", "warn"),
    "lost": ("?", "bad"), "failed": ("\u2717", "bad"), "absent": ("\u2013", "muted"),
}  # fmt: skip
WORDS: dict[State, str] = {"absent": "not run"}


def plan(seen: Seen) -> Plan:
    """Rows of the report's tables; columns are the seeds, or the tables where there is one seed alone."""
    progress = seen.progress
    if progress is None:
        return Plan()
    study, spots = progress.study, {s.cell.config_hash: _spot(s, seen.cost) for s in progress.statuses}
    head, tables = ", ".join(study.layout.rows or ()), table_blocks(study)
    seeds = study.axes.get(SEED, ())
    if len(seeds) < 2 and len(tables) > 1:
        return Plan(head=head, columns=tuple(t.title for t in tables), bands=tuple(_across(study, tables, spots)))
    bands = []
    for table in tables:
        for row in row_blocks(study, table):
            by_seed = {cell.place.get(SEED, ""): spots[cell.config_hash] for cell in row.cells}
            bands.append(Band(label=row.title, group=table.title, spots=tuple(map(by_seed.get, seeds or ("",)))))
    columns = tuple(f"{SEED} {one_line(label, 12)}" for label in seeds) or ("run",)
    return Plan(head=head, columns=columns, bands=tuple(bands))


def _across(study: Study, tables: Sequence[ReportBlock], spots: dict[str, Spot]) -> Iterable[Band]:
    """The same row of each table on one line."""
    found: dict[tuple[str, ...], dict[int, Spot]] = {}
    titles: dict[tuple[str, ...], str] = {}
    for column, table in enumerate(tables):
        for row in row_blocks(study, table):
            where = tuple(row.place.values())
            titles.setdefault(where, row.title)
            found.setdefault(where, {})[column] = spots[row.cells[0].config_hash]
    for where, cells in found.items():
        yield Band(label=titles[where], spots=tuple(cells.get(column) for column in range(len(tables))))


def _spot(cell_status: CellStatus, cost: CostSummary | None) -> Spot:
    sign, role = SIGNS[cell_status.state]
    return Spot(key=cell_status.cell.config_hash, sign=sign, role=role, words=_brief(cell_status, cost))


def _brief(cell_status: CellStatus, cost: CostSummary | None) -> str:
    """What a few letters can say: how long it took, how far it is, how long it will take, or its state."""
    match cell_status.state:
        case "done":
            seconds = took(cell_status)
            return duration(seconds) if seconds else ""
        case "running":
            status = cell_status.summary.status if cell_status.summary else None
            if status is None or status.phase != "training" or not status.total_steps:
                return "judging" if status is not None and status.phase == "evaluation" else "begins"
            return f"{100 * status.step // status.total_steps} %"
        case "waiting" | "absent":
            takes = cost.left.get(cell_status.cell.config_hash) if cost else None
            return f"~{duration(takes)}" if takes else ""
        case state:
            return state


def took(cell_status: CellStatus) -> float | None:
    """Seconds from its start to its end."""
    ticket, status = cell_status.ticket, cell_status.summary.status if cell_status.summary else None
    if ticket is not None and ticket.started and ticket.ended > ticket.started:
        return ticket.ended - ticket.started
    return status.heartbeat - status.created if status is not None and status.heartbeat > status.created > 0 else None


def compared(progress: StudyProgress, key: str) -> list[str]:
    """Ids of the judged runs of the table in which this run stands, the baseline's first."""
    study, tables = progress.study, table_blocks(progress.study)
    table = next((t for t in tables if any(c.config_hash == key for c in t.cells)), tables[0])
    base = study.layout.baseline
    judged = {s.cell.config_hash: s.run for s in progress.statuses if s.run and s.summary and s.summary.accuracies}
    cells = sorted(table.cells, key=lambda cell: any(cell.place.get(axis) != label for axis, label in base.items()))
    return [judged[cell.config_hash] for cell in cells if cell.config_hash in judged]
