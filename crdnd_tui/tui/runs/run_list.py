"""A list of runs as it is looked at: filtered, ordered, grouped, some selected. Pure; drawing it is the screen's."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from rich.text import Text

from crdnd_tui.core import marks
from crdnd_tui.core.palette import Palette
from crdnd_tui.core.run_status import ACCURACIES
from crdnd_tui.core.scan import ListedRun, Scan
from crdnd_tui.core.text import DISPUTED, one_line
from crdnd_tui.tui.runs import query, run_rows
from crdnd_tui.tui.runs.columns import Column, Line
from crdnd_tui.tui.runs.groups import Group, grouped
from crdnd_tui.tui.runs.query import Query
from crdnd_tui.tui.runs.run_rows import MEASURED, NEWEST, near
from engine.spec.marks import Severity

GROUP = "group:"  # before the key of a group's line; run ids have no colon


class RunList:
    """What the screen remembers. `arrange` after any change; then `keys`, `columns` and `line` are a table's."""

    def __init__(self) -> None:
        self.scan: Scan | None = None
        self.places: Mapping[str, str] = {}  # run -> place in the queue
        self.query: Query = query.parse("")
        self.filtered = False
        self.complaint = ""  # about the text of the filter
        self.column, self.falling, self.in_groups = NEWEST, True, False
        self.selected: frozenset[str] = frozenset()
        self.hidden: frozenset[str] = frozenset()
        self.keys: list[str] = []
        self.columns: list[Column] = []
        self._closed: frozenset[str] = frozenset()
        self._rows: dict[str, ListedRun] = {}
        self._groups: dict[str, Group] = {}
        self._guides: dict[str, str] = {}
        self._view = run_rows.View(now=0.0)
        self._severities: set[Severity] = set()
        self._asked: object = None

    def found(self, scan: Scan, places: Mapping[str, str]) -> bool:
        """The folder was looked at; whether anything changed."""
        if self.scan == scan and self.places == places:
            return False
        self.scan, self.places = scan, places
        if scan.whole:
            self.selected &= {row.id for row in scan.rows}
        return True

    def filter(self, text: str) -> None:
        """Of a text that is not understood, the words before the mistake count."""
        parsed = query.parse(text)
        self.complaint = " \u00b7 ".join(filter(None, (parsed.problem, parsed.hint)))
        words = text.split()
        while parsed.problem and words:
            words.pop()
            parsed = query.parse(" ".join(words))
        self.query, self.filtered = parsed, bool(words)

    def arrange(self, now: float) -> None:
        """Which rows there are, in which order; of 10,000 that is not asked again for a row that is selected."""
        asked = (self.scan, self.query, self.column, self.falling, self.in_groups, self._closed)
        if asked != self._asked:
            self._asked = asked
            self._order()
        self._view = replace(self._view, now=now, selected=self.selected, places=self.places)
        self.columns = run_rows.columns(list(islice(self._rows.values(), MEASURED)), self._view, self.hidden)

    def _order(self) -> None:
        rows, matches = self.scan.rows if self.scan else (), self.query.matches
        shown = run_rows.ordered(
            (row for row in rows if matches(row.summary, row.notes)), self.column, falling=self.falling
        )
        self._rows = {row.id: row for row in shown}
        self._groups, self._guides = {}, {}
        self.keys = self._grouped(shown) if self.in_groups else list(self._rows)
        fine = any(row.summary.status is not None and row.summary.status.results_n >= 10_000 for row in shown)
        self._severities = run_rows.severities(shown)
        self._view = replace(
            self._view,
            best=run_rows.best(shown),
            spread=bool(self._groups),
            fine=fine,
            signs=max((len(marks.SIGNS[severity]) for severity in self._severities), default=0),
        )

    def _grouped(self, rows: Sequence[ListedRun]) -> list[str]:
        keys: list[str] = []
        for group in grouped((row.summary for row in rows), self.column, falling=self.falling):
            if len(group.runs) > 1:
                key = GROUP + group.key
                self._groups[key] = group
                keys.append(key)
                if key in self._closed:
                    continue
                self._guides |= {run.id: "\u2502" for run in group.runs} | {group.runs[-1].id: "\u2575"}
            keys += [run.id for run in group.runs]
        return keys

    def line(self, key: str) -> Line:
        """Of a run or of a group."""
        if key in self._groups:
            return run_rows.group_line(self._groups[key], self._view, is_open=key not in self._closed)
        return replace(run_rows.line(self._rows[key], self._view), guide=self._guides.get(key, ""))

    def under(self, key: str) -> list[ListedRun]:
        """The run of this key, or all of the group."""
        ids = [run.id for run in self._groups[key].runs] if key in self._groups else [key]
        return [self._rows[id_] for id_ in ids if id_ in self._rows]

    def targets(self, key: str) -> list[ListedRun]:
        """The selected runs wherever they are; without any, those under the cursor."""
        if self.selected and self.scan:
            return [row for row in self.scan.rows if row.id in self.selected]
        return self.under(key)

    def compared(self, key: str) -> list[str]:
        """The selected runs; without any, the ones under the cursor and the pinned ones."""
        rows = self.targets(key)
        if not self.selected and self.scan:
            rows = [*rows, *(row for row in self.scan.rows if row.notes.pinned)]
        return list(dict.fromkeys(row.id for row in rows))

    def select(self, key: str) -> None:
        """On and off; of a group all, or none when all were."""
        ids = {row.id for row in self.under(key)}
        self.selected = self.selected - ids if ids <= self.selected else self.selected | ids

    def is_group(self, key: str) -> bool:
        """Whether this is a group's line."""
        return key in self._groups

    def fold(self, key: str, is_open: bool | None = None) -> str:
        """Close or open the group of this line, or turn it round; the key of the group's line, empty without one."""
        if key in self._rows and is_open is False:
            key = next((k for k, group in self._groups.items() if any(run.id == key for run in group.runs)), "")
        if key not in self._groups:
            return ""
        opened = key in self._closed if is_open is None else is_open
        self._closed = self._closed - {key} if opened else self._closed | {key}
        return key

    def sort_next(self, shown: Sequence[str]) -> None:
        """By the next of the columns in sight; after the last one, the newest first."""
        order = [NEWEST, *shown]
        self.column = order[(order.index(self.column) + 1) % len(order)] if self.column in order else NEWEST
        self.falling = True

    def sort_by(self, column: str) -> None:
        """By this column, or the other way round when it is already."""
        self.falling = not self.falling if column == self.column else True
        self.column = column

    def caption(self) -> str:
        """How many there are and in which order."""
        count = len(self.scan.rows) if self.scan else 0
        words = [f"{len(self._rows):,} of {count:,} shown" if self.filtered else f"{count:,} run{'s' * (count != 1)}"]
        if self.in_groups:
            words.insert(0, f"{len(self._groups)} group{'s' * (len(self._groups) != 1)} of seeds")
        if self.column != NEWEST:
            words.insert(0, f"by {run_rows.CHOICES.get(self.column, self.column)}")
        if self.selected:
            words.append(f"{len(self.selected)} selected")
        if said := marks.legend(self._severities):
            words.append(said)
        if any(row.summary.disputes(column) for row in islice(self._rows.values(), MEASURED) for column in ACCURACIES):
            words.append(f"{DISPUTED} its files do not agree")
        return " \u00b7 ".join(words)

    @property
    def is_empty(self) -> bool:
        """Whether a card should say why there is nothing."""
        return self.scan is not None and self.scan.whole and not self._rows

    @property
    def has_no_runs(self) -> bool:
        """Whether even without the filter there is nothing."""
        return self.is_empty and self.scan is not None and not self.scan.rows


def card(scan: Scan, folder: Path, filter_text: str, palette: Palette) -> Text:
    """Why there is nothing to see, and what to press."""
    text, where = Text(), one_line(near(folder), 56)
    if scan.problem:
        text.append(f"{where} cannot be read\n", f"bold {palette.bad}")
        text.append(f"{scan.problem}\n\nAnother folder:  ", palette.muted)
        text.append("crdnd-tui --runs FOLDER", palette.text)
        return text
    keys = [("n", "New run"), ("D", "Demo: a recorded run, played again"), ("?", "All keys")]
    if scan.rows:
        text.append("No run matches  ", f"bold {palette.text}")
        text.append(one_line(filter_text, 44) + "\n\n", palette.warn)
        keys = [("/", "Change the filter"), ("esc", f"Clear it: all {len(scan.rows):,} runs")]
    else:
        text.append(f"No runs in {where} yet\n\n", f"bold {palette.text}")
    for key, words in keys:
        text.append(f"{key:>3}  ", f"bold {palette.accent}")
        text.append(f"{words}\n", palette.text)
    if not scan.rows:
        text.append("\nor in a shell  ", palette.muted)
        text.append("crdnd run presets/quickstart.toml", palette.text)
    text.rstrip()
    return text
