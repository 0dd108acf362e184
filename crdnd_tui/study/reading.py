"""A study file -> Study. Every mistake is found at once, each with file, line and key."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from crdnd_tui.core.text import display
from crdnd_tui.study import grid
from crdnd_tui.study.grid import Axis, Case, Setting
from crdnd_tui.study.laying import layout, published
from crdnd_tui.study.resolving import Resolver
from crdnd_tui.study.study import Cell, Study
from crdnd_tui.study.written import Source, Written, open_file
from engine.spec.errors import ConfigError
from engine.spec.explain import in_file_order

TOLD = 5  # pairs of equal runs


def read(path: Path) -> Study:
    """The study with all its cells, in the order of the grid; ConfigError with every mistake."""
    said, source = open_file(path)
    problems: list[str] = []
    shared = grid.settings(said.set, source, ("set",), problems)
    axes = grid.axes(said.grid, _templates(said), source, problems)
    left = _left_out(said, axes, source, problems)
    _check_template(said, axes, source, problems)
    cells: list[Cell] = []
    if not problems:
        cells = _cells(said, axes, shared, left, source, problems)
    plan = layout(said.report, axes, cells, source, problems)
    printed = published(said.published, axes, cells, source, problems)
    if problems:
        raise ConfigError(in_file_order(list(dict.fromkeys(problems))))
    return Study(
        name=said.name,
        title=said.title or said.name,
        path=path,
        axes={axis.name: axis.labels for axis in axes},
        cells=tuple(cells),
        layout=plan,
        published=printed,
        text=source.text,
    )


def _templates(said: Written) -> list[str]:
    """Names of presets with slots in them: the study's, and those of single cases."""
    return [said.preset, *_case_presets(said.grid)]


def _case_presets(value: object) -> Iterator[str]:
    """Of all cases, however deep their axis lies."""
    if isinstance(value, dict):
        if isinstance(value.get("preset"), str):
            yield value["preset"]
        for item in value.values():
            yield from _case_presets(item)
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, dict):
                yield from _case_presets({key: inner for key, inner in item.items() if key == "preset"})


def _check_template(said: Written, axes: Sequence[Axis], source: Source, problems: list[str]) -> None:
    names = [axis.name for axis in axes]
    if not said.preset and not any(all(case.preset for case in axis.cases) for axis in axes):
        problems.append(f"{source.at('preset')}: preset: is missing, and no axis names one for each of its cases")
    for slot in grid.slots(said.preset):
        if slot not in names:
            problems.append(
                f"{source.at('preset')}: preset: {{{display(slot, 40)}}} is no axis{grid.near(slot, names)}"
            )


def _left_out(
    said: Written, axes: Sequence[Axis], source: Source, problems: list[str]
) -> list[Mapping[str, Sequence[str]]]:
    """Tables of axis -> labels that are not wanted together."""
    known = {axis.name: axis.labels for axis in axes}
    found: list[Mapping[str, Sequence[str]]] = []
    for k, table in enumerate(said.leave_out):
        wanted: dict[str, Sequence[str]] = {}
        for name, value in _dotted(table):
            origin = f"{source.at('leave_out', k, name)}: leave_out.{k}.{display(name, 60)}"
            if name not in known:
                problems.append(f"{origin}: is no axis{grid.near(name, list(known))}")
                continue
            wanted[name] = [grid.named(item) for item in (value if isinstance(value, list) else [value])]
            for label in wanted[name]:
                if label not in known[name]:
                    problems.append(f"{origin}: {display(label, 60)!r} is no label{grid.near(label, known[name])}")
        if not table:
            problems.append(f"{source.at('leave_out', k)}: leave_out.{k}: names no axis, so it leaves out everything")
        found.append(wanted)
    return found


def _dotted(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _dotted(value, f"{above}{key}.")
        else:
            yield above + key, value


def _cells(
    said: Written,
    axes: Sequence[Axis],
    shared: Sequence[Setting],
    left: Sequence[Mapping[str, Sequence[str]]],
    source: Source,
    problems: list[str],
) -> list[Cell]:
    """Those that are wanted and can be run; two of an equal config are a mistake."""
    resolver, cells = Resolver(source, problems), []
    for cases in grid.combinations(axes):
        place = {axis.name: case.label for axis, case in zip(axes, cases, strict=True)}
        if any(all(place[name] in labels for name, labels in out.items()) for out in left):
            continue
        template, origin, key = _template(said, axes, cases, source)
        inside = [*shared, *(setting for case in cases for setting in case.settings)]
        cell = resolver.cell(place, grid.fill(template, place), (origin, key), inside)
        if cell is not None:
            cells.append(cell)
    if not cells and not problems:
        problems.append(f"{source.at('leave_out', 0)}: leave_out: leaves no run of the grid")
    problems += _twins(cells, source)
    return cells


def _twins(cells: Sequence[Cell], source: Source) -> list[str]:
    """Pairs of equal configs, which would be one run in two rows; the first few of them."""
    seen: dict[str, Cell] = {}
    pairs = [(cell, twin) for cell in cells if (twin := seen.setdefault(cell.config_hash, cell)) is not cell]
    at = f"{source.at('grid')}: grid: "
    told = [f"{at}({one.words}) is the very same run as ({other.words}); leave one out" for one, other in pairs[:TOLD]]
    return told + ([f"{at}and {len(pairs) - TOLD:,} more runs are the same as others"] if len(pairs) > TOLD else [])


def _template(said: Written, axes: Sequence[Axis], cases: Sequence[Case], source: Source) -> tuple[str, str, str]:
    """The preset of a combination with its slots, and where a mistake in its name is told."""
    own = [(axis, case) for axis, case in zip(axes, cases, strict=True) if case.preset]
    if own:
        axis, case = own[-1]
        return case.preset, axis.origin, f"grid.{axis.name}"
    filled = [axis for axis in axes if axis.name in grid.slots(said.preset)]
    if len(filled) == 1:
        return said.preset, filled[0].origin, f"grid.{filled[0].name}"
    return said.preset, source.at("preset"), "preset"
