"""What a study says of its report: rows, tables, baseline and numbers in print, each held against its axes. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from crdnd_tui.core.complete import ATTACKS
from crdnd_tui.core.text import display
from crdnd_tui.study import grid
from crdnd_tui.study.grid import Axis
from crdnd_tui.study.study import Cell, Layout, Published
from crdnd_tui.study.written import Printed, Report, Source

SEED = "seed"  # the axis whose runs are averaged
_ALWAYS = ("clean", "worst")


def layout(report: Report, axes: Sequence[Axis], cells: Sequence[Cell], source: Source, problems: list[str]) -> Layout:
    """Every axis but the seed makes rows or tables; all that are not named make rows where none are."""
    names = [axis.name for axis in axes if axis.name != SEED]
    at = source.at("report", "rows")
    tables = _axes(report.tables, "tables", names, source, problems)
    if report.rows is None:
        rows = tuple(name for name in names if name not in tables)
    else:
        rows = _axes(report.rows, "rows", names, source, problems)
    both = [name for name in rows if name in tables]
    problems += [f"{at}: report.rows: {name} makes tables already" for name in both]
    unnamed = [name for name in names if name not in rows and name not in tables]
    if not problems:
        problems += [
            f"{at}: report: add {name} to rows or tables: runs of several would be averaged" for name in unnamed
        ]
    judged = {attack.key for cell in cells for attack in cell.config.evaluation.attacks}
    for attack in report.attacks:
        known = [*_ALWAYS, *sorted(judged)]
        if cells and attack not in known:
            where = source.at("report", "attacks")
            problems.append(
                f"{where}: report.attacks: no run is judged by {display(attack, 60)!r}{grid.near(attack, known)}"
            )
    baseline = _where(report.baseline, axes, (source.at("report", "baseline"), "report.baseline"), problems)
    for name in baseline:
        if not problems and name not in rows:
            problems.append(f"{source.at('report', 'baseline')}: report.baseline: {name} makes no rows")
    return Layout(
        rows=rows, tables=tables, attacks=report.attacks, checkpoint=report.checkpoint, baseline=baseline,
        remark=display(report.remark),
    )  # fmt: skip


def published(
    printed: Sequence[Printed], axes: Sequence[Axis], cells: Sequence[Cell], source: Source, problems: list[str]
) -> tuple[Published, ...]:
    """Numbers in print, in per cent, of places that the grid has."""
    judged = {attack.key for cell in cells for attack in cell.config.evaluation.attacks}
    known = [*_ALWAYS, *ATTACKS, *sorted(judged - set(ATTACKS))]
    found = []
    for k, one in enumerate(printed):
        key = f"published.{k}"
        where = _where(one.where, axes, (source.at("published", k, "where"), f"{key}.where"), problems)
        for attack, value in one.values.items():
            at = f"{source.at('published', k, 'values', attack)}: {key}.values.{display(attack, 60)}"
            if attack not in known:
                problems.append(f"{at}: is no attack{grid.near(attack, known)}")
            if not 0 <= value <= 100:
                problems.append(f"{at}: should be 0 to 100 per cent, not {value!r:.40}")
        values = {attack: float(value) for attack, value in one.values.items()}
        found.append(Published(source=display(one.source), where=where, values=values, note=display(one.note)))
    return tuple(found)


def _axes(named: Sequence[str], key: str, known: Sequence[str], source: Source, problems: list[str]) -> tuple[str, ...]:
    at = source.at("report", key)
    for name in named:
        if name == SEED:
            problems.append(f"{at}: report.{key}: seeds are always averaged, so they make no rows and no tables")
        elif name not in known:
            problems.append(f"{at}: report.{key}: {display(name, 60)!r} is no axis{grid.near(name, known)}")
    return tuple(dict.fromkeys(named))


def _where(table: Mapping[str, Any], axes: Sequence[Axis], at: tuple[str, str], problems: list[str]) -> dict[str, str]:
    """Axis -> label, both of the grid."""
    known = {axis.name: axis.labels for axis in axes if axis.name != SEED}
    origin, key = at
    found = {}
    for name, value in table.items():
        label = grid.named(value)
        if name not in known:
            problems.append(f"{origin}: {key}: {display(name, 60)!r} is no axis of rows{grid.near(name, list(known))}")
        elif label not in known[name]:
            problems.append(
                f"{origin}: {key}.{name}: {display(label, 60)!r} is no label{grid.near(label, known[name])}"
            )
        found[name] = label
    return found
