"""A preset that is being edited: keys change, comments and layout stay.

What the form wrote itself disappears again when it is unset; what the author wrote stays where it was.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli
import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Array, InlineTable, Item, Table

from engine.spec.files import tolerate_unsupported, write_atomically

Key = tuple[str | int, ...]
FAR = "../../"  # a relative path that climbs so far says less than a whole one
NUMBER_CAP = 60  # characters of a number; more is no number that anybody means


class DraftError(Exception):
    """The text is laid out in a way that cannot be edited key by key; nothing was changed."""


class Draft:
    """One text. Every edit leaves valid TOML, or raises DraftError and changes nothing."""

    def __init__(self, text: str, path: Path | None = None) -> None:
        self.text = text
        self.path = path
        self.first = text  # as it was opened or last written

    @property
    def changed(self) -> bool:
        """Whether something would be lost."""
        return self.text != self.first

    def set(self, key: Key, value: object) -> None:
        """This value at this key; tables on the way are made."""
        with _Edit(self) as edit:
            parent = edit.parent(key)
            _put(parent, key[-1], value)

    def unset(self, key: Key) -> None:
        """Nothing at this key any more; a table that is empty then, and says nothing else, goes with it."""
        with _Edit(self) as edit:
            edit.remove(key)

    def switch(self, table: Key, keep: str, value: object) -> None:
        """The table is of another kind now: all its keys but `keep` belonged to the old one, and go."""
        with _Edit(self) as edit:
            inside = edit.parent((*table, keep))
            for other in [other for other in inside if other != keep]:
                del inside[other]
            _put(inside, keep, value)

    def listing(self, key: Key, items: Sequence[Mapping[str, Any]]) -> None:
        """An array of tables, written out whole."""
        with _Edit(self) as edit:
            edit.remove(key, tidy=False)
            if not items:
                _put(edit.parent(key), key[-1], [])
                return
            array = tomlkit.aot()
            for place, item in enumerate(items):
                array.append(_table(item, spaced=place > 0))
            _put(edit.parent(key, listed=True), key[-1], array)

    def insert(self, key: Key, place: int, item: Mapping[str, Any]) -> None:
        """One more table in an array that the text holds, at this place or at its end."""
        with _Edit(self) as edit:
            array = edit.parent(key)[key[-1]]
            if isinstance(array, AoT):
                last = place >= len(array)  # the blank line between two tables belongs to the upper one
                table = _table(item, spaced=last)
                if not last:
                    table.add(tomlkit.nl())
                array.insert(min(place, len(array)), table)
            else:
                inline = tomlkit.inline_table()
                inline.update(item)
                array.insert(min(place, len(array)), inline)

    def rebased(self, folder: Path) -> "Draft":
        """The same preset for another folder: the presets that it names relatively are sought from there."""
        moved = Draft(self.text, self.path)
        here = (self.path or Path("preset")).resolve().parent
        if folder.resolve() == here:
            return moved
        table = tomli.loads(self.text)
        teacher = table.get("teacher")
        named: list[tuple[Key, object]] = [(("extends",), table.get("extends"))]
        if isinstance(teacher, dict):
            named.append((("teacher", "preset"), teacher.get("preset")))
        for key, value in named:
            if isinstance(value, str) and value and not Path(value).is_absolute():
                near = os.path.relpath(here / value, folder.resolve())
                moved.set(key, str((here / value).resolve()) if near.startswith(FAR) else near)
        return moved

    def save(self, path: Path) -> None:
        """Atomically at this path, which is the draft's from now on; OSError when it cannot be written."""
        self.text = self.rebased(path.parent).text
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = path.stat().st_mode & 0o777 if path.exists() else None
        write_atomically(path, self.text.encode())
        if mode is not None:
            with tolerate_unsupported():
                path.chmod(mode)  # as it was
        self.path, self.first = path, self.text


class _Edit:
    """One change of the document: taken over when it leaves valid TOML behind."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        try:
            self._document: Any = tomlkit.parse(draft.text)
        except (TOMLKitError, ValueError, RecursionError) as error:
            raise DraftError("the preset is not valid TOML now") from error

    def __enter__(self) -> "_Edit":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, TOMLKitError | KeyError | IndexError | TypeError | ValueError | AttributeError):
            raise DraftError("this key cannot be edited here") from error
        if error is not None:
            return
        try:
            text = tomlkit.dumps(self._document)
            tomli.loads(text)
        except (TOMLKitError, ValueError) as broken:
            raise DraftError("this preset is laid out so that it can only be edited as text") from broken
        before = self._draft.text
        text = text if before.startswith("\n") else text.lstrip("\n")  # blank lines of tables that are gone
        self._draft.text = text if before.endswith("\n\n") else text.rstrip("\n") + "\n"

    def parent(self, key: Key, *, listed: bool = False) -> Any:  # noqa: ANN401  any container of tomlkit
        """What holds the last part of a key; made where it is not there. `listed`: it will hold only [[tables]]."""
        node = self._document
        for place, part in enumerate(key[:-1]):
            if isinstance(part, str) and part not in node:
                if isinstance(node, InlineTable):
                    node[part] = tomlkit.inline_table()
                else:
                    self._space(node)
                    node[part] = tomlkit.table(is_super_table=listed and place == len(key) - 2)
            node = node[part]
        return node

    def _space(self, node: Any) -> None:  # noqa: ANN401  any container of tomlkit
        """A blank line before a new table."""
        text = tomlkit.dumps(self._document)
        if node is self._document and text and not text.endswith("\n\n"):
            for _ in range(1 if text.endswith("\n") else 2):
                node.add(tomlkit.nl())

    def remove(self, key: Key, *, tidy: bool = True) -> None:
        """Takes a key away, and tables that then hold nothing, not even a comment."""
        nodes = [self._document]
        for part in key[:-1]:
            node = nodes[-1]
            if isinstance(part, str) and part not in node:
                return
            nodes.append(node[part])
        if isinstance(key[-1], str) and key[-1] not in nodes[-1]:
            return
        del nodes[-1][key[-1]]
        if not tidy:
            return
        for place in range(len(nodes) - 1, 0, -1):
            node = nodes[place]
            if isinstance(key[place - 1], int) or len(node) or (isinstance(node, Table) and node.as_string().strip()):
                return
            del nodes[place - 1][key[place - 1]]


def _put(node: Any, key: str | int, value: object) -> None:  # noqa: ANN401  any container of tomlkit
    """Replaces a value, with the comment behind it kept."""
    fresh = value if isinstance(value, AoT) else _item(value)
    if isinstance(key, int) or key not in node:
        node[key] = fresh
        return
    old = node[key]
    if isinstance(old, Item) and isinstance(fresh, Item) and not isinstance(old, Table | AoT):
        fresh.trivia.comment, fresh.trivia.comment_ws = old.trivia.comment, old.trivia.comment_ws
        fresh.trivia.trail = old.trivia.trail
    node[key] = fresh


def _item(value: object) -> Item:
    if isinstance(value, list) and all(isinstance(part, Mapping) for part in value) and value:
        array = tomlkit.array()
        for part in value:
            inline = tomlkit.inline_table()
            inline.update(part)
            array.append(inline)
        return array
    return tomlkit.item(value)


def _table(item: Mapping[str, Any], *, spaced: bool) -> Table:
    table = tomlkit.table()
    if spaced:
        table.trivia.indent = "\n"
    for key, value in item.items():
        table[key] = _item(value)
    return table


def number(text: str) -> Any:  # noqa: ANN401  an integer or float of tomlkit, which keeps how it was written
    """`5e-4` stays `5e-4`; ValueError when it is no number of TOML."""
    if len(text) > NUMBER_CAP:
        raise ValueError("too long for a number")
    try:
        value = tomlkit.value(text)
    except (TOMLKitError, ValueError) as error:
        raise ValueError("no number") from error
    if isinstance(value, bool) or not isinstance(value, int | float) or isinstance(value, Array):
        raise ValueError("no number")
    return value
