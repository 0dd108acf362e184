"""A study as a document: its tables with what is in print, tests against the baseline, and what the order is worth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from crdnd_tui.compare.comparison import Comparison, compare
from crdnd_tui.compare.order import CE, SUITE
from crdnd_tui.compare.runs import ComparedRun, read_runs
from crdnd_tui.core.attack_names import CLEAN
from crdnd_tui.core.format import count
from crdnd_tui.core.text import one_line
from crdnd_tui.study.progress import StudyProgress, read_progress
from crdnd_tui.study.study import ReportBlock, Study, row_blocks, table_blocks
from crdnd_tui.write import comparison_details, comparison_figures, comparison_tables, study_tables
from crdnd_tui.write.comparison_document import lead
from crdnd_tui.write.document import Document, Figure, Origin, Table
from crdnd_tui.write.escape import slug
from crdnd_tui.write.run_document import run_origins
from crdnd_tui.write.study_tables import StudyRuns, printed_images, printed_numbers, printed_order
from engine.spec.rundir import RunDir

_TESTED = (CLEAN, CE, SUITE)  # attacks whose differences are shown with their tests


@dataclass(frozen=True, kw_only=True)
class _Part:
    """One of the report's tables, and the comparison of its rows when two were judged."""

    table: ReportBlock
    results: Table
    comparison: Comparison | None
    printed: str  # what the numbers in print say of the order

    def titled(self, words: str) -> str:
        return f"{self.table.title}: {words}" if self.table.title else words

    def key(self, word: str) -> str:
        return "-".join([word, *(slug(label) for label in self.table.place.values())])


def study_document(study: Study, runs: Path, *, checkpoint: str = "", now: float = 0.0) -> Document:
    """What there is of the study in this folder, now (unix seconds); `checkpoint` in place of the layout's."""
    progress = read_progress(study, runs, now)
    wanted = checkpoint or study.layout.checkpoint
    found = study_runs(progress, runs, wanted, now)
    parts = [_part(study, table, found) for table in table_blocks(study)]
    judged = {run.checkpoint for run in found.runs.values() if run.state.table}
    other = f"No run was judged at `{wanted}`: {' and '.join(sorted(judged))} is shown."
    return Document(
        title=study.title,
        lead=tuple(words for part in parts for words in _lead(part)),
        tables=tuple(table for part in parts for table in _tables(part)),
        figures=tuple(figure for part in parts for figure in _figures(part)),
        origins=_origins(study, found, {s.run: runs / s.run for s in progress.statuses if s.run}),
        made=now,
        version=metadata.version("crdnd-tui"),
        warnings=(*_warnings(progress), *([other] if judged and wanted not in judged else [])),
    )


def study_runs(progress: StudyProgress, runs: Path, checkpoint: str, now: float) -> StudyRuns:
    """The runs of a study, read; compared by this checkpoint."""
    read = read_runs([RunDir(runs / one.run) for one in progress.statuses if one.run], now)
    return StudyRuns(progress=progress, runs={run.id: replace(run, wanted=checkpoint) for run in read})


def _part(study: Study, table: ReportBlock, found: StudyRuns) -> _Part:
    blocks = row_blocks(study, table)
    compared = compare_blocks(study, blocks, found)
    rows = [(block.title, printed_numbers(study.published, {**table.place, **block.place})) for block in blocks]
    images = printed_images(one for _, sources in rows for one in sources)
    words = printed_order(rows).text
    return _Part(
        table=table,
        results=study_tables.study_results(study, table, found, compared),
        comparison=compared if compared and len(compared.rows) > 1 else None,
        printed=f"In print{f' (as of {count(images)} images)' if images else ''}, {words}." if words else "",
    )


def compare_blocks(study: Study, blocks: Sequence[ReportBlock], found: StudyRuns) -> Comparison | None:
    """The rows that were judged, called as the study calls them; None where none was."""
    runs = []
    for block in blocks:
        judged = found.evaluated(block.cells)
        runs += [replace(r, label=f"{block.title} s{r.seed}" if len(judged) > 1 else block.title) for r in judged]
    if not runs:
        return None
    base = found.evaluated(study_tables.baseline(study, blocks).cells)
    return compare(runs, checkpoint=runs[0].wanted, baseline=base[0].id if base else "", grouped=True)


def _lead(part: _Part) -> list[str]:
    measured = lead(part.comparison) if part.comparison else ()
    return [part.titled(words) for words in (*measured, part.printed) if words]


def _tables(part: _Part) -> list[Table]:
    """The results, the differences that are tested, and what a comparison of the rows has to say beside them."""
    made: list[Table | None] = [part.results]
    if (compared := part.comparison) is not None:
        asked = [attack for attack in _TESTED if attack in compared.attacks]
        ends = comparison_details.overfitting_table(compared)
        made += [
            comparison_tables.differences_table(compared, asked) if asked else None,
            comparison_details.masking_table(compared), comparison_details.worst_class_table(compared),
            replace(ends, appendix=True) if ends else None, comparison_details.classes_table(compared),
            comparison_tables.config_table(compared),
        ]  # fmt: skip
    known = [table for table in made if table is not None and table.rows]
    return [replace(table, key=part.key(table.key), title=part.titled(table.title)) for table in known]


def _figures(part: _Part) -> list[Figure]:
    if part.comparison is None:
        return []
    first, gap = comparison_figures.figures(part.comparison), comparison_figures.gap_bars(part.comparison)
    ahead = [figure for figure in first if figure.key in ("tradeoff", "attacks")]
    made = [*ahead, *([gap] if gap else []), *(figure for figure in first if figure not in ahead)]
    return [replace(figure, key=part.key(figure.key), title=part.titled(figure.title)) for figure in made]


def _origins(study: Study, found: StudyRuns, folders: Mapping[str, Path]) -> tuple[Origin, ...]:
    """Runs in the order of the tables."""
    runs: dict[str, ComparedRun] = {}
    for table in table_blocks(study):
        for block in row_blocks(study, table):
            label = ", ".join(word for word in (table.title, block.title) if word)
            runs |= {run.id: replace(run, label=label) for run in found.of(block.cells)}
    return run_origins(list(runs.values()), folders)


def _warnings(progress: StudyProgress) -> tuple[str, ...]:
    """How much is missing, and why runs failed."""
    counts = {state: many for state, many in progress.counts.items() if many and state != "done"}
    if not counts:
        return ()
    told = ", ".join(f"{many} {'not run' if state == 'absent' else state}" for state, many in counts.items())
    failed = [s for s in progress.statuses if s.state == "failed" and s.why]
    whys = [f"failed, {s.cell.text}: {one_line(s.why, 200)}" for s in failed]
    done = f"{progress.counts['done']} of {len(progress.statuses)} runs are done"
    return (f"{done}; {told}. `crdnd study` goes on with them.", *whys)
