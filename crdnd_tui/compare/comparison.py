"""The robustness table of several runs, rows by attacks with intervals, marks and tests: one value for all media. Pure.

The Compare screen, `crdnd compare`, reports and papers' tables are all made from it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from crdnd_tui.compare.order import CE, SUITE, OrderedRow, OrderVerdict, order_verdict
from crdnd_tui.compare.rows import (
    ComparisonRow,
    RobustnessCell,
    WorstClass,
    columns,
    make_rows,
    refusal,
    row_notes,
    rows_incomparable,
)  # fmt: skip
from crdnd_tui.compare.runs import ComparedRun
from crdnd_tui.compare.significance import Contrast, contrasts, leaders, told_apart
from crdnd_tui.core import marks
from crdnd_tui.core.attack_names import CLEAN, WORST, attack_title
from crdnd_tui.core.format import count
from crdnd_tui.core.marks import Footnotes, Marked, Note
from crdnd_tui.core.text import one_line
from engine.spec.events import Evaluated

DROP = "drop"  # the column AutoAttack minus PGD-SAT
Place = tuple[str, str]  # row id, attack


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Runs as rows, attacks as columns; only equal to itself."""

    runs: tuple[ComparedRun, ...]
    rows: tuple[ComparisonRow, ...]
    base: ComparisonRow  # the row that the others are compared with
    within: tuple[str, ...]  # clean, the attacks of the threat model, the worst case
    apart: tuple[str, ...]  # attacks of another threat model
    cells: Mapping[Place, RobustnessCell]
    reasons: Mapping[Place, str]  # why a cell is no number to compare with the baseline's
    badges: Mapping[str, str]  # row id -> why the whole row cannot be compared
    contrasts: Mapping[Place, Contrast]  # with the baseline; of every other row
    tied: frozenset[Place]  # cannot be told from the best of the column
    order: OrderVerdict  # what PGD-SAT and AutoAttack say of the order
    footnotes: Footnotes  # of all marks
    notes: tuple[Note, ...]  # on the cells' marks and on whole rows

    @property
    def others(self) -> list[ComparisonRow]:
        return [row for row in self.rows if row.id != self.base.id]

    @property
    def attacks(self) -> list[str]:
        """All that were evaluated, those of another threat model last."""
        return [*self.within, *self.apart]

    @property
    def columns(self) -> tuple[str, ...]:
        """Of the table within the threat model: AutoAttack minus PGD-SAT comes last."""
        return (*self.within, *([DROP] if any(column == DROP for _, column in self.cells) else []))

    @property
    def empty(self) -> dict[str, str]:
        """Row id -> why it shows no number, or fewer seeds than it has."""
        return {row.id: why for row in self.rows if (why := _emptiness(row))}

    @property
    def strongest(self) -> str:
        """AutoAttack where two rows have it, else the worst case, else whatever comes last; empty when nothing is.

        Figures that are not believed count only where there are no others.
        """
        order = [SUITE, WORST, *reversed(self.within)]
        found = {a: [cell for row in self.rows if (cell := self.cells.get((row.id, a)))] for a in order}
        shared = [a for a in order if a != CLEAN and sum(not cell.is_struck for cell in found[a]) > 1]
        shared += [a for a in order if len(found[a]) > 1]
        return next(iter(shared), next((a for a in (SUITE, WORST, *self.attacks) if a in self.attacks), ""))

    def delta(self, row: str, attack: str) -> float | None:
        """A cell minus the baseline's, in points; None where there is none, or none that means anything."""
        one, two = self.cells.get((row, attack)), self.cells.get((self.base.id, attack))
        barred = (row, attack) in self.reasons or row in self.badges
        return None if one is None or two is None or barred else 100 * (one.mean - two.mean)

    def comparable(self, attack: str) -> list[tuple[ComparisonRow, RobustnessCell | None]]:
        """Rows whose numbers under this attack answer the question that the baseline's answer, with their cells."""
        fair = [row for row in self.rows if (row.id, attack) not in self.reasons]
        return [(row, self.cells.get((row.id, attack))) for row in fair]

    def left_out(self, attack: str) -> tuple[Note, ...]:
        whys = ((row.label, self.reasons.get((row.id, attack))) for row in self.rows)
        return tuple(("", f"{label}: left out, not comparable: {why}.") for label, why in whys if why)

    def whole_refusal(self, row: ComparisonRow) -> str:
        """Why a row has no difference at all to the baseline; empty when it has one."""
        found = [self.contrasts[row.id, attack] for attack in self.attacks]
        if any(one.difference is not None for one in found):
            return ""
        barred = dict.fromkeys(one.why for one in found if one.kind == "refused")
        if why := self.badges.get(row.id) or "; ".join(barred):
            return f"not comparable: {why}"
        whys = (_emptiness(one) for one in (row, self.base))
        return next(filter(None, whys), "no attack that both have been through")

    def marked(self, *rows: ComparisonRow, attacks: Sequence[str], checkpoint: str | None = None) -> Marked:
        """Marks of a figure made of these rows' results; checkpoint None is the compared one, "" validation."""
        found = []
        for run, attack in product((run for row in rows for run in row.runs), attacks):
            place = run.checkpoint if checkpoint is None else checkpoint
            if not place or attack in run.state.table.get(place, {}):
                found.append(self.footnotes.marked(run.state.marks(place, attack)))
        return marks.joined(found)

    def difference_marked(self, row: ComparisonRow, attack: str) -> Marked:
        return self.marked(row, self.base, attacks=[attack])

    def worst_class(self, row: ComparisonRow, attack: str) -> WorstClass | None:
        barred = (row.id, attack) in self.reasons
        return None if barred else row.worst_class(attack, self.marked(row, attacks=[attack]))

    def _example(self, attack: str) -> Evaluated | None:
        """Some run's result, the baseline's first: for the attack's settings."""
        return next((run.cells[attack] for run in (*self.base.runs, *self.runs) if attack in run.cells), None)

    def title(self, attack: str) -> str:
        """What papers call it; CW-2 with its budget."""
        return attack_title(attack, self._example(attack))

    @property
    def is_grouped(self) -> bool:
        return any(row.draws > 1 for row in self.rows)

    @property
    def conditions(self) -> str:
        """In which ball, on which images, of which checkpoint, by which AutoAttack the baseline was judged."""
        cell = self._example(self.strongest) or self._example(CLEAN)
        if cell is None:
            return ""
        epsilon = one_line(str(cell.spec.get("epsilon", "")), 12)
        images = f"all {count(cell.n)}" if cell.n == cell.of else f"{count(cell.n)} of {count(cell.of)}"
        data = one_line(self.base.runs[0].data, 40)
        specs = [run.cells[SUITE].spec for run in self.runs if SUITE in run.cells]
        named = (
            " of ".join(one_line(str(spec[key]), 30) for key in ("version", "package") if key in spec) for spec in specs
        )
        suites = " and ".join(dict.fromkeys(filter(None, named)))
        said = [
            f"L-inf, epsilon {epsilon}" if epsilon else "",
            f"{images} {one_line(cell.split, 20)} images{f' of {data}' if data else ''}",
            f"checkpoint {one_line(cell.checkpoint, 20)}",
            f"AutoAttack {suites}" if suites else "",
        ]
        return "; ".join(filter(None, said))

    def caption(self, *said: str) -> str:
        """Sentences on a table or figure, and the conditions behind them, which `bare` takes off again."""
        words = "; ".join(filter(None, (*said, self.conditions)))
        return f"{words}." if words else ""

    def bare(self, caption: str) -> str:
        """The caption where the conditions are told once for all."""
        left = caption.removesuffix(f"{self.conditions}.").removesuffix("; ").removesuffix(".")
        return f"{left}." if left else ""


def compare(
    runs: Sequence[ComparedRun], *, checkpoint: str = "best", baseline: str = "", grouped: bool = False
) -> Comparison:  # fmt: skip
    """At least one run. `baseline` is the id of any run of the row to compare with; the first row otherwise."""
    runs = [replace(run, wanted=checkpoint) for run in runs]
    rows = make_rows(runs, grouped=grouped)
    base = next((row for row in rows if baseline in row.ids), rows[0])
    within, apart = columns(runs)
    attacks = [*within, *apart]
    footnotes = _all_footnotes(runs, attacks)
    cells = {(r.id, a): cell for r in rows for a in attacks if (cell := r.cell(a, footnotes)) is not None}
    reasons = {(r.id, a): why for r in rows for a in attacks if (why := refusal(r, base, a))}
    badges = {r.id: why for r in rows if r is not base and (why := rows_incomparable(r, base))}
    for row in rows:
        if (found := _drop(row, footnotes)) is not None and (row.id, CE) in cells:
            cells[row.id, DROP] = found
            whys = [reasons[row.id, attack] for attack in (SUITE, CE) if (row.id, attack) in reasons]
            reasons |= {(row.id, DROP): whys[0]} if whys and row.id not in badges else {}
    by_label = {row.label: row for row in rows}

    def tested(one: str, two: str, attack: str) -> bool | None:
        return told_apart(by_label[one], by_label[two], attack, len(rows))

    fair = {a: [row for row in rows if (row.id, a) not in reasons] for a in attacks}
    used = "".join(cell.marked.letters for cell in cells.values())
    return Comparison(
        runs=tuple(runs), rows=tuple(rows), base=base, within=tuple(within), apart=tuple(apart), cells=cells,
        reasons=reasons, badges=badges, contrasts=contrasts(rows, base, attacks),
        tied=frozenset((row, a) for a in attacks for row in leaders(fair[a], a)),
        order=order_verdict([_ordered(row, cells, reasons) for row in rows], tested), footnotes=footnotes,
        notes=(*footnotes.notes(used), *row_notes(rows)),
    )  # fmt: skip


def _all_footnotes(runs: Sequence[ComparedRun], attacks: Sequence[str]) -> Footnotes:
    """Of all marks, column by column; those of the other checkpoint, and of validation, come behind."""
    made = Footnotes()
    places = [(run, run.checkpoint, attack) for attack in attacks for run in runs]
    for run in runs:
        places += [(run, c, a) for c in ("", *run.state.table) for a in (*attacks, *run.state.attacks)]
    for run, checkpoint, attack in places:
        made.marked(run.state.marks(checkpoint, attack))
    return made


def _drop(row: ComparisonRow, footnotes: Footnotes) -> RobustnessCell | None:
    """AutoAttack minus PGD-SAT, over the runs that have been through both; with the marks of both."""
    both = tuple(run for run in row.runs if SUITE in run.cells and CE in run.cells)
    whole = ComparisonRow(runs=both, label=row.label)
    one, two = (whole.cell(attack, footnotes) for attack in (SUITE, CE))
    if one is None or two is None:
        return None
    found = marks.joined((one.marked, two.marked))
    return RobustnessCell(mean=one.mean - two.mean, runs=one.runs, of=row.draws, n=min(one.n, two.n), marked=found)


def _ordered(
    row: ComparisonRow, cells: Mapping[Place, RobustnessCell], reasons: Mapping[Place, str]
) -> OrderedRow:  # fmt: skip
    """The numbers that are comparable and believed.

    Without AutoAttack where it has not judged the same runs as PGD-SAT: means of other runs have no difference.
    """
    fair = {a: c for (r, a), c in cells.items() if r == row.id and (r, a) not in reasons and not c.is_struck}
    if CE in fair and SUITE in fair and fair[CE].ids != fair[SUITE].ids:
        del fair[SUITE]
    return OrderedRow(label=row.label, cells=fair)


def _emptiness(row: ComparisonRow) -> str:
    """Why a row shows no number at all, or fewer seeds than it has; empty when it shows all."""
    if row.evaluated:
        return "" if row.evaluated == row.draws else f"{row.evaluated} of {row.draws} seeds are judged"
    run = row.runs[0]
    at_work = run.status in ("running", "starting", "stopping")
    nothing = "nothing judged yet" if at_work or run.status == "queued" else "no results"
    if at_work and run.state.training:
        return f"{run.status}, epoch {len(run.state.epochs)} of {run.state.training.epochs}; {nothing}"
    return f"{run.status}{f': {run.why}' if run.why else ''}; {nothing}"
