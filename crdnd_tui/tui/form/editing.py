"""The preset on the New screen: what was typed becomes TOML, and every edit is understood at once.

Only what differs from what would hold anyway is written; what the author wrote himself stays written.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import tomli
from pydantic import ValidationError

from crdnd_tui.core.text import display
from crdnd_tui.tui.form import form, kinds
from crdnd_tui.tui.form.draft import Draft, Key
from crdnd_tui.tui.form.form import MACHINE, NONE, Entry, Form, Sources
from crdnd_tui.tui.form.preset_text import Problem, Understanding, understand
from engine.spec import explain
from engine.spec.config import RunConfig
from engine.spec.machine import Machine


class Editing:
    """A draft, its reading, and the edits that the form can make. Raises DraftError where the text resists."""

    def __init__(self, text: str, path: Path | None = None) -> None:
        self.sources = Sources()
        self.opened: frozenset[Key] = frozenset()
        self.machine: dict[str, Any] = {}  # what was chosen on the form
        self.flags: Mapping[str, Any] = {}  # what the program was started with
        self.open(text, path)

    def open(self, text: str, path: Path | None) -> None:
        """Another preset."""
        self.draft = Draft(text, path)
        self._teacher: Mapping[str, Any] = {}  # taken off by a method without one, given back by one with
        self._out: dict[Key, tuple[int, Mapping[str, Any]]] = {}  # attacks that were taken out: place and settings
        self.opened = frozenset()
        self._states = [(text, dict(self.machine))]  # for undo; `_at` is the present one
        self._at = 0
        self.read()

    def remember(self) -> None:
        """Take the present state as one that undo comes back to; what had been undone is forgotten."""
        state = (self.draft.text, dict(self.machine))
        if state != self._states[self._at]:
            self._states[self._at + 1 :] = [state]
            self._at += 1

    def restore(self, by: int) -> bool:
        """Go to the state so many steps on (-1: undo, 1: redo, 0: the last remembered); False where there is none."""
        place = self._at + by
        if not 0 <= place < len(self._states):
            return False
        self._at = place
        text, machine = self._states[place]
        self.machine = dict(machine)
        self.replace(text)
        return True

    def save(self, path: Path) -> None:
        """Write the preset; undo goes back no further than a text that another folder needed. OSError, DraftError."""
        before = self.draft.text
        self.draft.save(path)
        if self.draft.text != before:
            self._states, self._at = [(self.draft.text, dict(self.machine))], 0
        self.read()

    def replace(self, text: str) -> None:
        """The same preset with another text: it came back from an editor."""
        self.draft.text = text
        self.read()

    def read(self) -> Understanding:
        """Understands the text anew."""
        self.reading = understand(self.draft.text, self.draft.path)
        return self.reading

    @property
    def config(self) -> RunConfig | None:
        """What would be launched; None while something is wrong."""
        return None if self.problems else self.reading.config

    def tab(self, name: str) -> list[Entry]:
        """The rows of one tab, as things stand."""
        reading = self.reading
        made = Form(
            merged=reading.table,
            own=reading.own,
            beneath=reading.beneath,
            extended=reading.extended,
            sources=self.sources,
            opened=self.opened,
        )
        rows = made.tab(name)
        last = next(reversed(form.TABS))
        return [*rows, *made.machine(Machine, self.machine, self.flags)] if name == last else rows

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Of the preset, and of the machine."""
        try:
            Machine.model_validate({**self.flags, **self.machine})
        except ValidationError as error:
            wrong = [(f"{MACHINE}.{detail['loc'][0]}", explain.message(detail)) for detail in error.errors()]
            mine = [Problem(line=f"{key}: {message}", key=key, message=message) for key, message in wrong]
            return (*self.reading.problems, *mine)
        return self.reading.problems

    @property
    def device(self) -> str:
        """What will be asked for."""
        return str(self.machine.get("device", self.flags.get("device", "auto")))

    def enter(self, entry: Entry, text: str) -> None:
        """A value was typed or chosen; nothing at all stands for the default."""
        if entry.key[0] == MACHINE:
            self._set_machine(entry, text)
        elif entry.kind in ("kind", "source"):
            self._switch(entry, text)
        elif text.strip() == "" and not entry.required:
            self._unset(entry.key)
        else:
            value = kinds.read(entry.kind, text, entry.items)
            same = entry.default is not None and kinds.same(value, entry.default)
            if same and not self._is_authors(entry.key):
                self._unset(entry.key)
            else:
                self._materialise(entry.key)
                self.draft.set(entry.key, value)
        self.read()

    def tick(self, entry: Entry) -> None:
        """An attack is taken out of its suite, or added: as it was, where it was, if it had been in before."""
        suite, last = entry.key[:-1], entry.key[-1]
        self._materialise(entry.key)
        listed = self._listed(suite)
        if isinstance(last, int):
            self._out[(*suite, str(listed[last].get("name")))] = (last, listed[last])
            if len(listed) == 1:
                self.draft.listing(suite, [])
            else:
                self.draft.unset(entry.key)
        else:
            place, item = self._out.get(entry.key, (len(listed), {"name": last}))
            if listed:
                self.draft.insert(suite, place, item)
            else:
                self.draft.listing(suite, [item])
        self.opened = frozenset(key for key in self.opened if key[:-1] != suite)
        self._forget_equal(suite)
        self.read()

    def copy(self, entry: Entry) -> Key:
        """The same attack once more behind the first, under a label of its own; its key. Its settings are open."""
        suite, last = entry.key[:-1], entry.key[-1]
        if not isinstance(last, int):
            self.tick(entry)
            return (*suite, len(self._listed(suite)) - 1)
        self._materialise(entry.key)
        listed = self._listed(suite)
        name = str(listed[last].get("name"))
        taken = {str(item.get("label") or item.get("name")) for item in listed}
        label = next(f"{name}_{n}" for n in range(2, len(listed) + 3) if f"{name}_{n}" not in taken)
        rest = {key: value for key, value in listed[last].items() if key not in ("name", "label")}
        self.draft.insert(suite, last + 1, {"name": name, "label": label, **rest})
        self.opened = frozenset([*(key for key in self.opened if key[:-1] != suite), (*suite, last + 1)])
        self.read()
        return (*suite, last + 1)

    def unfold(self, entry: Entry) -> None:
        """The settings of a listed attack are shown, or hidden."""
        if entry.value:
            self.opened ^= {entry.key}

    def reset(self, entry: Entry) -> None:
        """Back to what would hold without the preset's own word."""
        if entry.kind == "heading":
            return
        if entry.key[0] == MACHINE:
            self.machine.pop(str(entry.key[1]), None)
        elif entry.kind == "attack":
            self.draft.unset(entry.key[:-1])
        elif entry.kind in ("kind", "source"):
            self._reset_table(entry.key)
        else:
            self._unset(entry.key)
        self.read()

    def told(self, entries: Sequence[Entry]) -> dict[Key, str]:
        """The messages of a tab, each under the row that is nearest to its key."""
        rows = {entry.dotted: entry.key for entry in entries}
        found: dict[Key, list[str]] = {}
        for problem in self.problems:
            parts = problem.key.split(".") if problem.key else []
            for end in range(len(parts), 0, -1):
                near = ".".join(parts[:end])
                if near in rows:
                    rest = ".".join(parts[end:])
                    found.setdefault(rows[near], []).append(f"{rest}: {problem.message}" if rest else problem.message)
                    break
        return {key: "; ".join(messages) for key, messages in found.items()}

    def short(self, problem: Problem) -> str:
        """Safe to show, with the preset's name in place of its path."""
        path = self.draft.path
        line = problem.line.replace(f"{MACHINE}.", "")
        return display(line.replace(f"{path}:", f"{path.name}:", 1) if path else line)

    def mistakes(self) -> Counter[str]:
        """How many there are on each tab."""
        return Counter(tab for problem in self.problems if (tab := form.tab_of(problem.key)))

    def homeless(self) -> list[Problem]:
        """Problems that belong to no row of any tab."""
        return [problem for problem in self.problems if form.tab_of(problem.key) is None]

    def _set_machine(self, entry: Entry, text: str) -> None:
        name, value = str(entry.key[1]), kinds.read(entry.kind, text)
        if text.strip() == "" or kinds.same(value, entry.default):
            self.machine.pop(name, None)
        else:
            self.machine[name] = value

    def _switch(self, entry: Entry, value: str) -> None:
        if entry.kind == "kind":
            if value == entry.default and not self._is_authors((*entry.key, "name")):
                self.draft.unset(entry.key)
            else:
                self.draft.switch(entry.key, "name", value)
            if entry.key == ("method",):
                self._fit_teacher(value)
        elif value == NONE:
            self._take_teacher_off()
        else:
            self.draft.switch(entry.key, value, "")
            proposals = next((row.options for row in self._peek("Pair") if row.key == (*entry.key, value)), ())
            if proposals:
                self.draft.set((*entry.key, value), proposals[0].value)

    def _peek(self, tab: str) -> list[Entry]:
        self.read()
        return self.tab(tab)

    def _fit_teacher(self, method: str) -> None:
        """A method without a teacher takes it off; the next one with a teacher gets it back."""
        specs = {kinds.tag(spec): spec for spec in kinds.shape_of(RunConfig.model_fields["method"].annotation).specs}
        needs = getattr(specs.get(method), "needs_teacher", None)
        if needs is False:
            self._take_teacher_off()
        elif needs and "teacher" not in self.read().table:
            for key, value in self._teacher.items():
                self.draft.set(("teacher", key), value)

    def _take_teacher_off(self) -> None:
        self._teacher = deepcopy(self.reading.own.get("teacher", self._teacher))
        self.draft.unset(("teacher",))

    def _reset_table(self, key: Key) -> None:
        """Only where something lies beneath: a preset without a method is none."""
        known = _walk(self.reading.extended, key) or _default(key)
        field = RunConfig.model_fields.get(str(key[0]))
        if known is not None or (field is not None and not field.is_required()):
            self.draft.unset(key)

    def _unset(self, key: Key) -> None:
        self.draft.unset(key)
        for end in range(1, len(key)):
            if isinstance(key[end], int):
                self._forget_equal(key[:end])

    def _listed(self, suite: Key) -> list[dict[str, Any]]:
        """The attacks of a suite, wherever they are written."""
        node, given = _walk(self.reading.table, suite), _default(suite)
        return form.listing(node, given)

    def _materialise(self, key: Key) -> None:
        """A suite that lies beneath is written out before one of its attacks changes."""
        for end in range(1, len(key)):
            suite = key[:end]
            is_suite = isinstance(key[end], int) or (end == len(key) - 1 and isinstance(_default(suite), tuple))
            if is_suite and _walk(self.reading.own, suite) is None:
                self.draft.listing(suite, self._listed(suite))

    def _forget_equal(self, suite: Key) -> None:
        """A suite that says what would hold anyway need not be written."""
        own = _walk(_table(self.draft.text), suite)
        if own is None or self._is_authors(suite):
            return
        if form.listing(own, None) == form.listing(_walk(self.reading.beneath, suite), _default(suite)):
            self.draft.unset(suite)

    def _is_authors(self, key: Key) -> bool:
        return _walk(_table(self.draft.first), key) is not None


def _table(text: str) -> dict[str, Any]:
    try:
        return tomli.loads(text)
    except (ValueError, RecursionError):
        return {}


def _walk(node: Any, key: Key) -> Any:  # noqa: ANN401  any TOML value
    for part in key:
        if isinstance(node, Mapping):
            node = node.get(part)
        elif isinstance(node, list) and isinstance(part, int) and part < len(node):
            node = node[part]
        else:
            return None
    return node


def _default(key: Key) -> Any:  # noqa: ANN401  of any field
    """The spec's own value."""
    field = RunConfig.model_fields.get(str(key[0]))
    node = None if field is None or field.is_required() else field.get_default()
    for part in key[1:]:
        node = getattr(node, str(part), None)
    return node
