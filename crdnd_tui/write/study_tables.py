"""The report's tables: for each row what was measured, and under it what is in print and how far ours is from it. Pure.

A row is never left out: what has not run says so in its place. All numbers are per cent, differences points.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from crdnd_tui.compare import comparison, stats
from crdnd_tui.compare.comparison_side import Side, by_draw, reason
from crdnd_tui.compare.contrasts import contrasts, leaders
from crdnd_tui.compare.stats import SeedMean
from crdnd_tui.core import marks, report
from crdnd_tui.core.format import MINUS
from crdnd_tui.study import naming
from crdnd_tui.study.naming import Block
from crdnd_tui.study.study import Cell as Wanted
from crdnd_tui.study.study import Study
from crdnd_tui.write import printed
from crdnd_tui.write.document import Cell, Column, Row, Table
from crdnd_tui.write.footnotes import Footnotes
from crdnd_tui.write.missing import Reach
from crdnd_tui.write.printed import Printed
from engine.spec.events import Evaluated

OUTSIDE = "The printed number lies outside the 95 % interval of ours."
UNSTATED = (
    "CW-2 in print: its constant, its steps and the distance that counts are not stated, so it may be another attack "
    "than ours, and nothing follows from the difference"
)
_BEARS = {True: "the 95 % t interval over our seeds", False: "the 95 % Wilson interval of our one run"}
_RUNS = Column(key="runs", title="runs", unit="words")


def results(study: Study, table: Block, reach: Reach, wanted: str, conditions: str = "") -> Table:
    """One of `naming.tables`; `wanted` is the checkpoint, `conditions` begin the caption: how the runs were judged."""
    blocks = naming.rows(study, table)
    attacks = attacks_of(study, table.cells, reach, wanted)
    rows = compared(blocks, reach)
    base = baseline(study, blocks)
    against = next((row for row in rows if row.label == base.title), next(iter(rows), None))
    best = {a: leaders(rows, against, wanted, a) if against else frozenset() for a in attacks}
    tested = contrasts(rows, against, wanted, attacks) if against and against.label == base.title else {}
    apart = frozenset(key for key, contrast in tested.items() if contrast.significant)
    writer = _Writer(reach, wanted, attacks, best, apart, reach.judged(base.cells))
    lines: list[Row] = []
    for block in blocks:
        sources = printed.of_row(study.published, {**table.place, **block.place})
        lines += writer.block(block, sources, rule=bool(sources and lines))
    return Table(
        key="results", title="Accuracy in %", head=", ".join(blocks[0].place) or "study",
        columns=(_RUNS, *(Column(key=a, title=_title(a, table.cells, reach, wanted)) for a in attacks)),
        rows=tuple(lines), caption=_caption(table, lines, conditions, study.layout.remark),
        notes=(*writer.notes.lines(), *comparison.of_rows(rows, wanted)), baseline=base.title,
    )  # fmt: skip


def attacks_of(study: Study, cells: Sequence[Wanted], reach: Reach, wanted: str) -> list[str]:
    """The layout's columns, or all that some run was judged by, or else is to be."""
    if study.layout.attacks:
        return list(study.layout.attacks)
    within, apart = comparison.columns(reach.runs(cells), wanted)
    planned = dict.fromkeys(attack.key for cell in cells for attack in cell.config.evaluation.attacks)
    return [*within, *apart] or [report.CLEAN, *planned]


def compared(blocks: Sequence[Block], reach: Reach) -> list[comparison.Row]:
    """The rows that have been judged, as comparisons know them."""
    found = [(block, tuple(reach.judged(block.cells))) for block in blocks]
    return [comparison.Row(sides=judged, label=block.title) for block, judged in found if judged]


def baseline(study: Study, blocks: Sequence[Block]) -> Block:
    """The row that differences are taken from: the layout's, else the first."""
    asked = study.layout.baseline
    return next((b for b in blocks if asked and all(b.place.get(a) == w for a, w in asked.items())), blocks[0])


class _Writer:
    """Writes the lines of one table; its notes gather as they are met."""

    def __init__(
        self, reach: Reach, wanted: str, attacks: Sequence[str],
        best: Mapping[str, frozenset[str]], apart: frozenset[tuple[str, str]], base: Sequence[Side],
    ) -> None:  # fmt: skip
        self.notes = Footnotes()
        self._reach, self._wanted, self._attacks = reach, wanted, attacks
        self._best, self._apart = best, apart  # (first run of the row, attack): differs from the baseline
        self._base = next(iter(base), None)

    def block(self, block: Block, sources: Sequence[Printed], *, rule: bool) -> list[Row]:
        """What was measured, then for each source its numbers and the differences, where there are any."""
        samples = {attack: self._sample(block, attack) for attack in self._attacks}
        lines, images = [self._measured(block, samples, rule=rule)], printed.images(sources)
        for source in sources:
            lines.append(self._printed(source, images))
            if any(samples[attack] is not None for attack in source.values if attack in samples):
                lines.append(self._beside(source, lines[0], samples))
        return lines

    def _have(self, block: Block, attack: str) -> list[tuple[Side, Evaluated]]:
        """The runs of this row that have been through this attack."""
        there = self._reach.runs(block.cells)
        return [(side, cell) for side in there if (cell := side.cell(self._wanted, attack)) is not None]

    def _differ(self, block: Block, attack: str) -> str:
        """Why the seeds have no mean; empty when they have one."""
        have = [side for side, _ in self._have(block, attack)]
        return next((why for side in have[1:] if (why := reason(side, have[0], self._wanted, attack))), "")

    def _sample(self, block: Block, attack: str) -> SeedMean | None:
        """In per cent: of one run with its Wilson interval, of several with the t interval of their mean."""
        have = [cell for _, cell in self._have(block, attack)]
        if not have or self._differ(block, attack):
            return None
        means = list(by_draw((side, cell.accuracy) for side, cell in self._have(block, attack)).values())
        if len(means) == 1:  # one run, or one network that was judged again
            return SeedMean(1, 100 * means[0], None, 100 * have[0].low, 100 * have[0].high)
        return stats.seed_mean([100 * mean for mean in means])

    def _measured(self, block: Block, samples: Mapping[str, SeedMean | None], *, rule: bool) -> Row:
        told, share = self._reach.sentence(block.cells), self._reach.share(block.cells)
        letter = self.notes.letter(f"{told}.") if told and told != share else ""
        cells = tuple(self._cell(block, attack, samples[attack]) for attack in self._attacks)
        runs = tuple(side.id for side in self._reach.runs(block.cells))
        return Row(label=block.title, cells=(Cell(text=share, marks=letter), *cells), runs=runs, rule=rule)

    def _cell(self, block: Block, attack: str, sample: SeedMean | None) -> Cell:
        if sample is None:
            why = self._differ(block, attack)
            missing = self._reach.word(block.cells, self._wanted, attack)
            return Cell(text=f"its seeds differ: {why}" if why else missing, barred=bool(why))
        have = self._have(block, attack)
        one, row = sample.n == 1, self._reach.judged(block.cells)[0].id
        return Cell(
            value=sample.mean, std=sample.std, runs=sample.n, n=min(cell.n for _, cell in have),
            low=sample.low if one else None, high=sample.high if one else None,
            best=row in self._best[attack], significant=(row, attack) in self._apart,
            marks=self._marks(block, [side for side, _ in have], attack),
            severity=marks.worst(w.code for side, cell in have for w in side.state.marks(cell.checkpoint, attack)),
        )  # fmt: skip

    def _marks(self, block: Block, have: Sequence[Side], attack: str) -> str:
        """Why the number may mislead: the judgement's own marks, and that it answers another question."""
        letters = [self.notes.mark(w) for s in have for w in s.state.marks(s.judged(self._wanted), attack)]
        why = reason(have[0], self._base, self._wanted, attack) if self._base and have[0] is not self._base else ""
        letters += [self.notes.letter(f"Not comparable with the baseline: {why}.")] if why else []
        return "".join(sorted(set(letters)))

    def _printed(self, source: Printed, images: int) -> Row:
        cells = []
        for attack in self._attacks:
            there = attack in source.values
            notes = [source.notes.get(attack, ""), UNSTATED if there and not printed.is_same_attack(attack) else ""]
            cells.append(
                Cell(value=source.values.get(attack), n=images if there else 0,
                     marks="".join(sorted(self.notes.letter(_ended(note)) for note in notes if note)))
            )  # fmt: skip
        return Row(label=source.source, cells=(Cell(text="printed"), *cells), quiet=True)

    def _beside(self, source: Printed, own: Row, samples: Mapping[str, SeedMean | None]) -> Row:
        cells = []
        for attack, cell in zip(self._attacks, own.cells[1:], strict=True):
            sample, theirs = samples[attack], source.values.get(attack)
            if sample is None or theirs is None:
                cells.append(Cell())
            else:
                found = self._difference(attack, sample, theirs, cell.n)
                letters = "".join(sorted({*found.marks, *cell.marks}))
                cells.append(replace(found, marks=letters, severity=cell.severity))
        return Row(
            label=f"ours {MINUS} {source.source}", cells=(Cell(text="points"), *cells), quiet=True, unit="points"
        )

    def _difference(self, attack: str, sample: SeedMean, theirs: float, images: int) -> Cell:
        found = printed.apart(sample.mean, sample.low, sample.high, theirs)
        if not printed.is_same_attack(attack):
            return Cell(value=found.difference, n=images, runs=sample.n, marks=self.notes.letter(_ended(UNSTATED)))
        letter = self.notes.letter(OUTSIDE) if found.outside else ""
        return Cell(
            value=found.difference, low=found.low, high=found.high, n=images, runs=sample.n, marks=letter
        )  # fmt: skip


def _caption(table: Block, lines: Sequence[Row], conditions: str, remark: str) -> str:
    """How the runs were judged, what the differences are, and whether the printed recipe is ours."""
    measured = [cell for row in lines if not row.quiet for cell in row.cells if cell.value is not None]
    said = ([conditions] if conditions else []) if measured else ["nothing has been measured yet"]
    if any(row.unit == "points" for row in lines):
        bears = {cell.runs > 1: _BEARS[cell.runs > 1] for cell in measured}
        said.append(f"differences are points with {' or '.join(bears.values())}; the printed number is taken as exact")
    changed = _changed(table)
    if changed and any(row.quiet for row in lines):
        said.append(f"not the printed recipe: this study sets {changed}")
    said += [remark.rstrip(".")] if remark else []
    return _ended("; ".join(said)) if said else ""


def _changed(table: Block) -> str:
    """Keys that the study sets for its runs, beside the seed and its axes."""
    settings = dict.fromkeys(
        setting for cell in table.cells for setting in cell.overrides if setting.partition("=")[0] not in (*cell.place,)
    )
    return ", ".join(settings)


def _title(attack: str, cells: Sequence[Wanted], reach: Reach, wanted: str) -> str:
    there = reach.runs(cells)
    return report.title(attack, next((c for s in there if (c := s.cell(wanted, attack)) is not None), None))


def _ended(sentence: str) -> str:
    return f"{sentence[:1].upper()}{sentence[1:].rstrip('.')}."
