"""A study as a document: its tables with what is in print, tests against the baseline, and what the order is worth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from crdnd_tui.compare import compared, within
from crdnd_tui.compare.comparison_side import Side
from crdnd_tui.compare.comparison_verdict import CE, SUITE
from crdnd_tui.core import report
from crdnd_tui.core.format import count
from crdnd_tui.core.text import one_line
from crdnd_tui.study import naming, standing
from crdnd_tui.study.naming import Block
from crdnd_tui.study.standing import Progress
from crdnd_tui.study.study import Study
from crdnd_tui.write import (
    of_classes,
    of_comparison,
    of_configs,
    of_differences,
    of_gaps,
    of_origins,
    of_worst,
    printed,
    study_tables,
)
from crdnd_tui.write.document import Bar, Document, Figure, Origin, Table
from crdnd_tui.write.escape import slug
from crdnd_tui.write.laid import Laid, ids
from crdnd_tui.write.missing import Reach
from crdnd_tui.write.printed import Printed
from engine.spec.rundir import RunDir

_TESTED = (report.CLEAN, CE, SUITE)  # attacks whose differences are shown with their tests


@dataclass(frozen=True, kw_only=True)
class _Part:
    """One of the report's tables, and the comparison of its rows when two were judged."""

    table: Block
    results: Table
    laid: Laid | None
    printed: str  # what the numbers in print say of the order

    def titled(self, words: str) -> str:
        return f"{self.table.title}: {words}" if self.table.title else words

    def key(self, word: str) -> str:
        return "-".join([word, *(slug(label) for label in self.table.place.values())])


def study_document(study: Study, runs: Path, *, checkpoint: str = "", now: float = 0.0) -> Document:
    """What there is of the study in this folder, now (unix seconds); `checkpoint` in place of the layout's."""
    progress = standing.look(study, runs, now)
    reach = reached(progress, runs, now)
    wanted = checkpoint or study.layout.checkpoint
    parts = [_part(study, table, reach, wanted) for table in naming.tables(study)]
    return Document(
        title=study.title,
        lead=tuple(words for part in parts for words in _lead(part)),
        tables=tuple(table for part in parts for table in _tables(part)),
        figures=tuple(figure for part in parts for figure in _figures(part)),
        origins=_origins(study, reach, {s.run: runs / s.run for s in progress.standings if s.run}),
        made=now,
        version=metadata.version("crdnd-tui"),
        warnings=(*_warnings(progress), *_other_checkpoint(reach, wanted)),
    )


def reached(progress: Progress, runs: Path, now: float) -> Reach:
    """The runs of a study, read."""
    found = [standing.run for standing in progress.standings if standing.run]
    sides = compared.sides([RunDir(runs / run) for run in found], now)
    return Reach(progress=progress, sides={side.id: side for side in sides})


def _part(study: Study, table: Block, reach: Reach, wanted: str) -> _Part:
    blocks = naming.rows(study, table)
    laid = _laid(study, blocks, reach, wanted)
    return _Part(
        table=table,
        results=study_tables.results(study, table, reach, wanted, laid.conditions if laid else ""),
        laid=laid if laid and len(laid.rows) > 1 else None,
        printed=_in_print([(b.title, printed.of_row(study.published, {**table.place, **b.place})) for b in blocks]),
    )


def _laid(study: Study, blocks: Sequence[Block], reach: Reach, wanted: str) -> Laid | None:
    """The rows that were judged, side by side; None where none was."""
    sides = [named for block in blocks for named in _named(block, reach.judged(block.cells))]
    if not sides:
        return None
    base = reach.judged(study_tables.baseline(study, blocks).cells)
    return of_comparison.lay(sides, wanted=wanted, baseline=base[0].id if base else "", grouped=True)


def _in_print(rows: Sequence[tuple[str, Sequence[Printed]]]) -> str:
    """What is printed of the order; empty where too little is."""
    images = printed.images([one for _, sources in rows for one in sources])
    words = printed.order(rows).words
    return f"In print{f' (as of {count(images)} images)' if images else ''}, {words}." if words else ""


def _named(block: Block, sides: Sequence[Side]) -> list[Side]:
    """Called as the row is; seeds of one row apart."""
    if len(sides) == 1:
        return [replace(sides[0], label=block.title)]
    return [replace(side, label=f"{block.title} s{side.seed}") for side in sides]


def _lead(part: _Part) -> list[str]:
    measured = of_comparison.lead(part.laid) if part.laid else ()
    return [part.titled(words) for words in (*measured, *([part.printed] if part.printed else []))]


def _tables(part: _Part) -> list[Table]:
    """The results, the differences that are tested, and what a comparison of the rows has to say beside them."""
    made = [part.results]
    if part.laid is not None:
        asked = [attack for attack in _TESTED if attack in part.laid.attacks]
        made += [of_differences.differences(part.laid, asked)] if asked else []
        beside = (
            of_gaps.masking(part.laid), of_worst.worst_class(part.laid), _appended(of_gaps.overfitting(part.laid)),
            of_classes.classes(part.laid), of_configs.configs(part.laid),
        )  # fmt: skip
        made += [table for table in beside if table is not None]
    return [replace(table, key=part.key(table.key), title=part.titled(table.title)) for table in made if table.rows]


def _appended(table: Table | None) -> Table | None:
    return None if table is None else replace(table, appendix=True)


def _figures(part: _Part) -> list[Figure]:
    if part.laid is None:
        return []
    first, second = of_comparison.figures(part.laid), gaps(part.laid)
    ahead = [figure for figure in first if figure.key in ("tradeoff", "attacks")]
    made = [*ahead, *([second] if second else []), *(figure for figure in first if figure not in ahead)]
    return [replace(figure, key=part.key(figure.key), title=part.titled(figure.title)) for figure in made]


def gaps(laid: Laid) -> Figure | None:
    """PGD-SAT minus AutoAttack in each row, as bars in points; None where no row has been through both."""
    title = f"{laid.title(CE)} minus {laid.title(SUITE)}"
    bars = []
    for place, row in enumerate(laid.rows):
        gap = within.gap(row.sides, laid.wanted, CE, SUITE)
        if gap.difference is not None:
            low, high = (None if end is None else 100 * end for end in (gap.low, gap.high))
            value = 100 * gap.difference
            found = laid.marked(row, CE, SUITE)
            bars.append(
                Bar(
                    label=row.label, value=value, low=low, high=high, colour=place, series=title, runs=ids(row),
                    marks=found.letters, severity=found.severity,
                )
            )  # fmt: skip
    if not bars:
        return None
    figure = Figure(
        key="gap", title=title, kind="bars", x="method", y=f"{title}, points", bars=tuple(bars),
        caption=f"How far cross-entropy PGD flatters; bars: 95 % intervals; {laid.conditions}.",
    )  # fmt: skip
    return laid.legended(figure)


def _origins(study: Study, reach: Reach, folders: Mapping[str, Path]) -> tuple[Origin, ...]:
    """Runs in the order of the tables."""
    sides: dict[str, Side] = {}
    for table in naming.tables(study):
        for block in naming.rows(study, table):
            label = ", ".join(word for word in (table.title, block.title) if word)
            for side in reach.runs(block.cells):
                sides[side.id] = replace(side, label=label)
    return of_origins.origins(list(sides.values()), folders)


def _warnings(progress: Progress) -> tuple[str, ...]:
    """How much is missing, and why runs failed."""
    counts = {state: many for state, many in progress.counts.items() if many and state != "done"}
    if not counts:
        return ()
    told = ", ".join(f"{many} {'not run' if state == 'absent' else state}" for state, many in counts.items())
    failed = [s for s in progress.standings if s.state == "failed"]
    whys = [f"{s.cell.words}: {one_line(s.why, 200)}" for s in failed if s.why]
    done = progress.counts["done"]
    known = f"{done} of {len(progress.standings)} runs are done; {told}. `crdnd study` goes on with them."
    return (known, *(f"failed, {why}" for why in whys))


def _other_checkpoint(reach: Reach, wanted: str) -> tuple[str, ...]:
    """That the numbers are not of the checkpoint that was asked for, where that is so of all."""
    judged = {side.judged(wanted) for side in reach.sides.values() if side.state.table}
    if not judged or wanted in judged:
        return ()
    return (f"No run was judged at `{wanted}`: {' and '.join(sorted(judged))} is shown.",)
