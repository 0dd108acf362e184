"""A study's results table: for each row what was measured, and under it what is in print and how far ours is from it.

A row is never left out: what has not run says so in its place. All numbers are per cent, differences points. Pure.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from crdnd_tui.compare import stats
from crdnd_tui.compare.comparison import Comparison
from crdnd_tui.compare.order import CE, SUITE, OrderedRow, OrderVerdict, order_verdict
from crdnd_tui.compare.rows import ComparisonRow, RobustnessCell, columns, row_notes
from crdnd_tui.compare.runs import ComparedRun
from crdnd_tui.core.attack_names import CLEAN, attack_title
from crdnd_tui.core.format import MINUS
from crdnd_tui.core.marks import Footnotes, Marked
from crdnd_tui.core.text import one_line
from crdnd_tui.study.progress import CellStatus, StudyProgress
from crdnd_tui.study.study import PublishedEntry, ReportBlock, Study, StudyCell, row_blocks
from crdnd_tui.write.comparison_tables import fraction_cell
from crdnd_tui.write.document import Cell, Column, Row, Table
from engine.spec.attacks import KINDS
from engine.spec.statistics import wilson

OUTSIDE = "The printed number lies outside the 95 % interval of ours."
UNSTATED = (
    "CW-2 in print: its constant, its steps and the distance that counts are not stated, so it may be another attack "
    "than ours, and nothing follows from the difference"
)
_INTERVALS = {True: "the 95 % t interval over our seeds", False: "the 95 % Wilson interval of our one run"}
_AS_PRINTED = 10_000  # images behind a printed number, where its decimals say so
_STATES = {"absent": "not run"}  # state of a cell -> what a table says


@dataclass(frozen=True, kw_only=True)
class StudyRuns:
    """What there is of a study: how each cell stands, and the runs as comparisons know them."""

    progress: StudyProgress
    runs: Mapping[str, ComparedRun]  # by id, of the cells that have a run

    @cached_property
    def _by_hash(self) -> Mapping[str, CellStatus]:
        return {cell_status.cell.config_hash: cell_status for cell_status in self.progress.statuses}

    def statuses(self, cells: Iterable[StudyCell]) -> list[CellStatus]:
        return [self._by_hash[cell.config_hash] for cell in cells]

    def of(self, cells: Iterable[StudyCell]) -> list[ComparedRun]:
        return [self.runs[s.run] for s in self.statuses(cells) if s.run in self.runs]

    def evaluated(self, cells: Iterable[StudyCell]) -> list[ComparedRun]:
        return [run for run in self.of(cells) if run.state.table]

    def missing(self, cells: Sequence[StudyCell], attack: str) -> str:
        """Why there is no number of this attack, for the place where it would stand: the states of these runs."""
        states = []
        for cell_status in self.statuses(cells):
            run = self.runs.get(cell_status.run)
            if run is None or attack not in run.cells:
                states.append("not judged" if cell_status.state == "done" else _state(cell_status))
        return ", ".join(dict.fromkeys(states))

    def share(self, cells: Sequence[StudyCell]) -> str:
        """`3` when all have run, `1 of 3`, or `not run`, `waiting`, `failed` of a single one."""
        statuses = self.statuses(cells)
        done = sum(cell_status.state == "done" for cell_status in statuses)
        if done == len(statuses):
            return str(done)
        return _state(statuses[0]) if len(statuses) == 1 else f"{done} of {len(statuses)}"

    def sentence(self, cells: Sequence[StudyCell]) -> str:
        """`1 of 3 seeds: 1 waiting, 1 failed: out of memory`; empty when all have run."""
        told = Counter(
            self._progress(cell_status) for cell_status in self.statuses(cells) if cell_status.state != "done"
        )
        if not told or len(cells) == 1:
            return next(iter(told), "")
        done = len(cells) - sum(told.values())
        return f"{done} of {len(cells)} seeds: " + ", ".join(f"{many} {words}" for words, many in told.items())

    def _progress(self, cell_status: CellStatus) -> str:
        """A state with its reason, or how far it is."""
        run = self.runs.get(cell_status.run)
        if cell_status.state == "running" and run is not None and run.state.training and not run.state.table:
            return f"running, epoch {len(run.state.epochs)} of {run.state.training.epochs}"
        if cell_status.state in ("waiting", "running") or not cell_status.why:
            return _state(cell_status)
        return f"{_state(cell_status)}: {one_line(cell_status.why, 160)}"


def _state(cell_status: CellStatus) -> str:
    return _STATES.get(cell_status.state, cell_status.state)


@dataclass(frozen=True, kw_only=True)
class PrintedNumbers:
    """One source's numbers for one row: attack -> per cent, and attack -> what is to be said of that number."""

    source: str
    values: Mapping[str, float]
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_plain(self) -> bool:
        """Whether it settles an order: both numbers, and no note at either."""
        return all(attack in self.values and attack not in self.notes for attack in (CE, SUITE))


def printed_numbers(published: Sequence[PublishedEntry], place: Mapping[str, str]) -> list[PrintedNumbers]:
    """The sources that print something for this place, each once; a note stands at the values of its own entry."""
    found: dict[str, tuple[dict[str, float], dict[str, str]]] = {}
    for entry in published:
        if all(place.get(axis) == label for axis, label in entry.where.items()):
            values, notes = found.setdefault(entry.source, ({}, {}))
            values.update(entry.values)
            notes.update(dict.fromkeys(entry.values, entry.note) if entry.note else {})
    return [PrintedNumbers(source=source, values=values, notes=notes) for source, (values, notes) in found.items()]


def printed_images(printed: Iterable[PrintedNumbers]) -> int:
    """So many that a second decimal is shown, if any of these numbers has one."""
    values = [value for one in printed for value in one.values.values()]
    return _AS_PRINTED if any(round(value, 1) != value for value in values) else 0


def printed_order(rows: Sequence[tuple[str, Sequence[PrintedNumbers]]]) -> OrderVerdict:
    """What is printed of the order under PGD-SAT and under AutoAttack; `rows` are titles and sources.

    Each row stands with its first source that has both numbers and no note at either.
    """
    n = printed_images(one for _, sources in rows for one in sources)

    def cell(share: float) -> RobustnessCell:
        low, high = wilson(round(share * n), n) if n else (share, share)
        return RobustnessCell(mean=share, low=low, high=high, n=n)

    first = [(title, one) for title, sources in rows for one in [s for s in sources if s.is_plain][:1]]
    return order_verdict([
        OrderedRow(label=f"{title} ({one.source})", cells={a: cell(value / 100) for a, value in one.values.items()})
        for title, one in first
    ])  # fmt: skip


def is_same_attack(attack: str) -> bool:
    """Whether a printed number can be of our attack: one without the ball of the threat model depends on its budget.

    No source states the budget of CW-2 (constant, steps, distance), so nothing is claimed of how far ours is from it.
    """
    return attack not in KINDS or KINDS[attack].bounded


def study_results(study: Study, table: ReportBlock, found: StudyRuns, comparison: Comparison | None) -> Table:
    """One of `table_blocks`; `comparison` is of the runs that were judged."""
    blocks, attacks = row_blocks(study, table), attacks_of(study, table.cells, found)
    base = baseline(study, blocks)
    writer = _ResultsWriter(found, comparison, attacks, bool(found.evaluated(base.cells)))
    lines: list[Row] = []
    for block in blocks:
        sources = printed_numbers(study.published, {**table.place, **block.place})
        lines += writer.block(block, sources, rule=bool(sources and lines))
    there = found.of(table.cells)
    titles = {a: attack_title(a, next((run.cells[a] for run in there if a in run.cells), None)) for a in attacks}
    judged = [(block.title, tuple(found.evaluated(block.cells))) for block in blocks]
    rows = [ComparisonRow(runs=runs, label=title) for title, runs in judged if runs]
    return Table(
        key="results", title="Accuracy in %", head=", ".join(blocks[0].place) or "study", rows=tuple(lines),
        columns=(
            Column(key="runs", title="runs", unit="words"), *(Column(key=a, title=titles[a]) for a in attacks)
        ),
        caption=_caption(table, lines, comparison.conditions if comparison else "", study.layout.remark),
        notes=(*writer.footnotes.notes(), *row_notes(rows)), baseline=base.title,
    )  # fmt: skip


def attacks_of(study: Study, cells: Sequence[StudyCell], found: StudyRuns) -> list[str]:
    """The layout's columns, or all that some run was judged by, or else is to be."""
    if study.layout.attacks:
        return list(study.layout.attacks)
    within, apart = columns(found.of(cells))
    planned = dict.fromkeys(attack.key for cell in cells for attack in cell.config.evaluation.attacks)
    return [*within, *apart] or [CLEAN, *planned]


def baseline(study: Study, blocks: Sequence[ReportBlock]) -> ReportBlock:
    """The row that differences are taken from: the layout's, else the first."""
    asked = study.layout.baseline
    return next((b for b in blocks if asked and all(b.place.get(a) == w for a, w in asked.items())), blocks[0])


class _ResultsWriter:
    """Writes the lines of one table; its footnotes gather as they are met."""

    def __init__(self, found: StudyRuns, comparison: Comparison | None, attacks: Sequence[str], has_base: bool) -> None:
        self.footnotes = Footnotes()
        self._found, self._comparison, self._attacks, self._has_base = found, comparison, attacks, has_base

    def block(self, block: ReportBlock, sources: Sequence[PrintedNumbers], *, rule: bool) -> list[Row]:
        """What was measured, then for each source its numbers and the differences, where there are any."""
        ids = {run.id for run in self._found.evaluated(block.cells)}
        row = next((row for row in self._comparison.rows if row.id in ids), None) if self._comparison else None
        cells = self._comparison.cells if self._comparison else {}
        measured = {a: cell for a in self._attacks if row and (cell := cells.get((row.id, a)))}
        lines, images = [self._own(block, row, measured, rule=rule)], printed_images(sources)
        for source in sources:
            lines.append(self._printed(source, images))
            if row and any(attack in measured for attack in source.values):
                lines.append(self._beside(source, lines[0], row, measured))
        return lines

    def _own(
        self, block: ReportBlock, row: ComparisonRow | None, measured: Mapping[str, RobustnessCell], *, rule: bool
    ) -> Row:  # fmt: skip
        told, share = self._found.sentence(block.cells), self._found.share(block.cells)
        letter = self.footnotes.letter(f"{told}.") if told and told != share else ""
        cells = []
        for attack in self._attacks:
            if row and self._comparison and attack in measured:
                cells.append(self._cell(self._comparison, row, measured[attack], attack))
                continue
            why = row.mixed(attack) if row else ""
            missing = f"its seeds differ: {why}" if why else self._found.missing(block.cells, attack)
            cells.append(Cell(text=missing, barred=bool(why)))
        runs = tuple(run.id for run in self._found.of(block.cells))
        return Row(label=block.title, cells=(Cell(text=share, marks=letter), *cells), runs=runs, rule=rule)

    def _cell(self, comparison: Comparison, row: ComparisonRow, cell: RobustnessCell, attack: str) -> Cell:
        """With its own marks, and that it answers another question than the baseline's."""
        place, contrast = (row.id, attack), comparison.contrasts.get((row.id, attack))
        signs = self.footnotes.marked(
            w for s in row.scored(attack) for w in s.run.state.marks(s.cell.checkpoint, attack)
        )
        why = comparison.reasons.get(place, "") if self._has_base else ""
        other = self.footnotes.letter(f"Not comparable with the baseline: {why}.") if why else ""
        low, high = (cell.low, cell.high) if cell.runs == 1 else (None, None)
        return fraction_cell(
            cell.mean, std=cell.std, low=low, high=high, n=cell.n, runs=cell.runs,
            best=place in comparison.tied, significant=bool(self._has_base and contrast and contrast.is_significant),
            marked=Marked("".join(sorted({*signs.letters, *other})), signs.severity),
        )  # fmt: skip

    def _printed(self, source: PrintedNumbers, images: int) -> Row:
        cells = []
        for attack in self._attacks:
            is_there = attack in source.values
            notes = [source.notes.get(attack, ""), UNSTATED if is_there and not is_same_attack(attack) else ""]
            letters = sorted(self.footnotes.letter(_ended(note)) for note in notes if note)
            cells.append(Cell(value=source.values.get(attack), n=images if is_there else 0, marks="".join(letters)))
        return Row(label=source.source, cells=(Cell(text="printed"), *cells), quiet=True)

    def _beside(
        self, source: PrintedNumbers, own: Row, row: ComparisonRow, measured: Mapping[str, RobustnessCell]
    ) -> Row:  # fmt: skip
        """Ours minus the printed numbers, which are taken as exact, with the 95 % interval of ours."""
        cells = []
        for attack, cell in zip(self._attacks, own.cells[1:], strict=True):
            one, theirs = measured.get(attack), source.values.get(attack)
            if one is None or theirs is None:
                cells.append(Cell())
                continue
            made = Cell(value=100 * one.mean - theirs, n=cell.n, runs=one.runs, severity=cell.severity)
            if is_same_attack(attack):
                seeds = [100 * value for value in row.by_seed(attack).values()]
                _, low, high, *_ = stats.paired_t(seeds) if len(seeds) > 1 else (0.0, 100 * one.low, 100 * one.high)
                made = replace(made, low=low - theirs, high=high - theirs)
                letter = "" if low <= theirs <= high else self.footnotes.letter(OUTSIDE)
            else:
                letter = self.footnotes.letter(_ended(UNSTATED))
            cells.append(replace(made, marks="".join(sorted({*letter, *cell.marks}))))
        label = f"ours {MINUS} {source.source}"
        return Row(label=label, cells=(Cell(text="points"), *cells), quiet=True, unit="points")


def _caption(table: ReportBlock, lines: Sequence[Row], conditions: str, remark: str) -> str:
    """How the runs were judged, what the differences are, and whether the printed recipe is ours."""
    measured = [cell for row in lines if not row.quiet for cell in row.cells if cell.value is not None]
    said = ([conditions] if conditions else []) if measured else ["nothing has been measured yet"]
    if any(row.unit == "points" for row in lines):
        intervals = dict.fromkeys(_INTERVALS[cell.runs > 1] for cell in measured)
        said.append(f"differences are points with {' or '.join(intervals)}; the printed number is taken as exact")
    changed = dict.fromkeys(  # keys that the study sets for its runs, beside the seed and its axes
        setting for cell in table.cells for setting in cell.overrides if setting.partition("=")[0] not in cell.place
    )
    if changed and any(row.quiet for row in lines):
        said.append(f"not the printed recipe: this study sets {', '.join(changed)}")
    said += [remark.rstrip(".")] if remark else []
    return _ended("; ".join(said)) if said else ""


def _ended(sentence: str) -> str:
    return f"{sentence[:1].upper()}{sentence[1:].rstrip('.')}."
