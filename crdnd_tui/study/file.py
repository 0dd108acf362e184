"""A study file -> Study. Every mistake is found at once, each with file, line and key."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from crdnd_tui.core.complete import ATTACKS
from crdnd_tui.core.text import display
from crdnd_tui.study import grid
from crdnd_tui.study.grid import CellResolver, GridAxis, GridCase, GridSetting, Key, StudySource
from crdnd_tui.study.study import PublishedEntry, ReportLayout, Study, StudyCell
from engine.spec import files, toml
from engine.spec.base import Many, Spec
from engine.spec.errors import ConfigError
from engine.spec.explain import explain, in_file_order
from engine.spec.toml_text import decode_utf8

SEED = "seed"  # the axis whose runs are averaged
TOLD = 5  # pairs of equal runs
_ALWAYS = ("clean", "worst")
_Labels = Mapping[str, Sequence[str]]  # axis -> labels


class StudyFile(Spec):
    """The whole file, as it is written. Labels and settings may be of several kinds and are looked at one by one."""

    name: Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[A-Za-z0-9_.+-]*$")]
    title: Annotated[str, Field(max_length=120)] = ""
    preset: Annotated[str, Field(max_length=300)] = ""
    set: dict[str, Any] = Field(default_factory=dict)
    grid: Annotated[dict[str, Any], Field(min_length=1)]
    leave_out: Many[dict[str, Any]] = ()
    report: ReportLayout = ReportLayout()
    published: Many[PublishedEntry] = ()


def open_file(path: Path) -> tuple[StudyFile, StudySource]:
    """What the file says; ConfigError with every mistake that can be seen without its grid."""
    content = files.read(path.resolve(), toml.MAX_BYTES)
    if content is None:
        raise ConfigError([f"{path}: no study: it should be a file that can be read, of {toml.MAX_BYTES >> 10} KiB"])
    try:
        text = decode_utf8(content)
    except ValueError as error:
        raise ConfigError([f"{path}: not valid TOML: {error}"]) from None
    table = toml.parse(path, text)
    source = StudySource(path, text)
    try:
        return StudyFile.model_validate(table), source
    except ValidationError as error:
        origins = {key: f"{path}:{line}" for key, line in source.lines.items()} | {(): str(path)}
        raise ConfigError(in_file_order(explain(error, StudyFile, origins))) from None


def read_study(path: Path) -> Study:
    """The study with all its cells, in the order of the grid; ConfigError with every mistake."""
    said, source = open_file(path)
    shared = grid.settings(said.set, source, ("set",))
    templates = (said.preset, *_case_presets(said.grid))
    axes = grid.axes(said.grid, {slot for name in templates for slot in grid.slots(name)}, source)
    labels = {axis.name: tuple(case.label for case in axis.cases) for axis in axes}
    left_out = [_labels(table, labels, source, ("leave_out", k)) for k, table in enumerate(said.leave_out)]
    for k, table in enumerate(said.leave_out):
        if not table:
            source.complain(("leave_out", k), "names no axis, so it leaves out everything")
    if not said.preset and not any(all(case.preset for case in axis.cases) for axis in axes):
        source.complain(("preset",), "is missing, and no axis names one for each of its cases")
    for slot in grid.slots(said.preset):
        if slot not in labels:
            source.complain(("preset",), f"{{{display(slot, 40)}}} is no axis{grid.near(slot, list(labels))}")
    cells = [] if source.problems else _cells(said, axes, shared, left_out, source)
    judged = {attack.key for cell in cells for attack in cell.config.evaluation.attacks}
    report_axes = {name: of for name, of in labels.items() if name != SEED}  # seeds are averaged
    layout = _layout(said.report, report_axes, judged, source)
    published = tuple(_published(k, one, report_axes, judged, source) for k, one in enumerate(said.published))
    if source.problems:
        raise ConfigError(in_file_order(list(dict.fromkeys(source.problems))))
    return Study(
        name=said.name, title=said.title or said.name, path=path, axes=labels, cells=tuple(cells), layout=layout,
        published=published, text=source.text,
    )  # fmt: skip


def _case_presets(value: object) -> Iterator[str]:
    """Presets of single cases, however deep their axis lies."""
    if isinstance(value, dict):
        for item in value.values():
            yield from _case_presets(item)
    elif isinstance(value, list):
        presets = (item.get("preset") for item in value if isinstance(item, dict))
        yield from (preset for preset in presets if isinstance(preset, str))


def _labels(table: Mapping[str, Any], axes: _Labels, source: StudySource, at: Key) -> dict[str, list[str]]:
    """Axis -> labels of a table that names places of the grid; a single label may stand without brackets."""
    found: dict[str, list[str]] = {}
    for name, value, key in grid.flat(table, at):
        if name not in axes:
            source.complain(key, f"is no axis{grid.near(name, list(axes))}")
            continue
        found[name] = [grid.named(item) for item in (value if isinstance(value, list) else [value])]
        for label in found[name]:
            if label not in axes[name]:
                source.complain(key, f"{display(label, 60)!r} is no label{grid.near(label, axes[name])}")
    return found


def _place(table: Mapping[str, Any], axes: _Labels, source: StudySource, at: Key) -> dict[str, str]:
    """Axis -> label of a table that names one label on each."""
    found = _labels(table, axes, source, at)
    for name, labels in found.items():
        if len(labels) != 1:
            source.complain((*at, name), "should be one label")
    return {name: next(iter(labels), "") for name, labels in found.items()}


def _cells(
    said: StudyFile,
    axes: Sequence[GridAxis],
    shared: Sequence[GridSetting],
    left_out: Sequence[_Labels],
    source: StudySource,
) -> list[StudyCell]:
    """Those that are wanted and can be run; two of an equal config are a mistake."""
    resolver, cells = CellResolver(source), []
    for cases in product(*(axis.cases for axis in axes)):
        place = {axis.name: case.label for axis, case in zip(axes, cases, strict=True)}
        if any(all(place[name] in labels for name, labels in out.items()) for out in left_out):
            continue
        inside = [*shared, *(setting for case in cases for setting in case.settings)]
        cell = resolver.cell(place, *_template(said, axes, cases), inside)
        if cell is not None:
            cells.append(cell)
    if not cells and not source.problems:
        source.problems.append(f"{source.at('leave_out', 0)}: leave_out: leaves no run of the grid")
    seen: dict[str, StudyCell] = {}
    equal = [(cell, first) for cell in cells if (first := seen.setdefault(cell.config_hash, cell)) is not cell]
    for one, other in equal[:TOLD]:
        source.complain(("grid",), f"({one.text}) is the very same run as ({other.text}); leave one out")
    if len(equal) > TOLD:
        source.complain(("grid",), f"and {len(equal) - TOLD:,} more runs are the same as others")
    return cells


def _template(said: StudyFile, axes: Sequence[GridAxis], cases: Sequence[GridCase]) -> tuple[str, Key]:
    """The preset of a combination with its slots, and the key at which a mistake in its name is told."""
    for axis, case in reversed(list(zip(axes, cases, strict=True))):
        if case.preset:
            return case.preset, axis.key
    filled = [axis.key for axis in axes if axis.name in grid.slots(said.preset)]
    return said.preset, filled[0] if len(filled) == 1 else ("preset",)


def _layout(report: ReportLayout, axes: _Labels, judged: set[str], source: StudySource) -> ReportLayout:
    """Every axis makes rows or tables; all that are not named make rows where none are."""
    for key, named in (("tables", report.tables), ("rows", report.rows or ())):
        for name in named:
            if name == SEED:
                source.complain(("report", key), "seeds are always averaged, so they make no rows and no tables")
            elif name not in axes:
                source.complain(("report", key), f"{display(name, 60)!r} is no axis{grid.near(name, list(axes))}")
    tables = tuple(dict.fromkeys(report.tables))
    rest = (name for name in axes if name not in tables)
    rows = tuple(dict.fromkeys(rest if report.rows is None else report.rows))
    for name in (name for name in rows if name in tables):
        source.complain(("report", "rows"), f"{name} makes tables already")
    if not source.problems:
        for name in (name for name in axes if name not in (*rows, *tables)):
            source.complain(("report", "rows"), f"add {name} to rows or tables: runs of several would be averaged")
    known = [*_ALWAYS, *sorted(judged)]
    for attack in (attack for attack in report.attacks if judged and attack not in known):
        near = grid.near(attack, known)
        source.complain(("report", "attacks"), f"no run is judged by {display(attack, 60)!r}{near}")
    baseline = _place(report.baseline, axes, source, ("report", "baseline"))
    for name in baseline:
        if not source.problems and name not in rows:
            source.complain(("report", "baseline"), f"{name} makes no rows")
    return report.model_copy(update={"rows": rows, "tables": tables, "baseline": baseline})


def _published(k: int, one: PublishedEntry, axes: _Labels, judged: set[str], source: StudySource) -> PublishedEntry:
    """Numbers in print, in per cent, of places that the grid has."""
    known = [*_ALWAYS, *ATTACKS, *sorted(judged - set(ATTACKS))]
    for attack, value in one.values.items():
        key = ("published", k, "values", attack)
        if attack not in known:
            source.complain(key, f"is no attack{grid.near(attack, known)}")
        if not 0 <= value <= 100:
            source.complain(key, f"should be 0 to 100 per cent, not {value!r:.40}")
    return one.model_copy(update={"where": _place(one.where, axes, source, ("published", k, "where"))})
