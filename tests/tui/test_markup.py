"""Words out of a file are never markup: Textual reads a plain `str` in a title, a label or a notice as such."""

import ast
import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.app import App, ComposeResult
from textual.content import Content
from textual.widgets import Static

import crdnd_tui
from crdnd_tui.tui.help import _title
from crdnd_tui.tui.widgets.queue_list import QueueList

ROOT = Path(crdnd_tui.__file__).parent
TITLES = {"border_title", "border_subtitle", "tooltip", "title", "sub_title", "BORDER_TITLE", "BORDER_SUBTITLE"}
TAKES_MARKUP = {"Static", "Label", "OptionList", "SelectionList"}  # unless told otherwise
REFUSED = {"Button", "Checkbox", "Collapsible", "Link", "RadioButton", "Tab", "TabPane", "Tooltip"}
PLAIN = {"Content", "Text", "legend"}  # what they return is no string; a method of that name is another
HOSTILE = "[/b] [red]x[/] [@click=app.quit]z[/]"


def sources() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(ROOT.rglob("*.py")):
        yield path.relative_to(ROOT), ast.parse(path.read_text())


def is_harmless(value: ast.expr) -> bool:
    """No string of which a part is not known here."""
    match value:
        case ast.Constant(value=str(words)):
            return "[" not in words
        case ast.Constant():
            return True
        case ast.IfExp(body=body, orelse=orelse):
            return is_harmless(body) and is_harmless(orelse)
        case ast.Tuple(elts=elements):
            return all(map(is_harmless, elements))
        case ast.Call(func=ast.Name(id="map"), args=[ast.Name(id="Content"), *_]):
            return True
        case ast.Call(func=ast.Name(id=name)):
            return name in PLAIN
    return False


def titled(node: ast.AST) -> tuple[list[str], ast.expr | None]:
    """Titles that a statement or a call gives a value, and the value."""
    match node:
        case ast.Assign(targets=targets, value=value):
            given = [part for target in targets for part in getattr(target, "elts", [target])]
        case ast.AugAssign(target=target, value=value) | ast.AnnAssign(target=target, value=value):
            given = [target]
        case ast.Call(func=ast.Name(id="setattr"), args=[_, ast.Constant(value=str(name)), value]):
            return [name] if name in TITLES else [], value
        case _:
            return [], None
    attributes = [part.attr for part in given if isinstance(part, ast.Attribute)]
    of_a_class = [part.id for part in given if isinstance(part, ast.Name) and part.id.isupper()]
    return [name for name in attributes + of_a_class if name in TITLES], value


def places(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Where a string that is not known here may be read as markup."""
    for node in ast.walk(tree):
        names, value = titled(node)
        if names and value is not None and not is_harmless(value):
            yield node.lineno, f"{names[0]} = {ast.unparse(value)[:60]}"
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        off = any(k.arg == "markup" and isinstance(k.value, ast.Constant) and k.value.value is False
                  for k in node.keywords)  # fmt: skip
        if name in TAKES_MARKUP and not off:
            yield node.lineno, f"{name} without markup=False"
        if name in REFUSED and isinstance(node.func, ast.Name) and not all(map(is_harmless, node.args)):
            yield node.lineno, f"{name} of a string"
        if name == "notify" and not off and not all(map(is_harmless, [*node.args, *(k.value for k in node.keywords)])):
            yield node.lineno, "notify without markup=False"
        computed = name == "setattr" and not isinstance(node.args[1], ast.Constant)
        if computed or name in ("from_markup", "render_str", "with_tooltip"):
            yield node.lineno, name


HELD = {
    ("tui/widgets/chart.py", "border_title"),  # a pair of Contents, made the line before
    ("tui/widgets/foot.py", "tooltip"),  # of our own key bindings
    ("tui/help.py", "from_markup"),  # of what a title's getter escaped
}


def test_no_string_that_is_not_known_here_is_read_as_markup():
    found = [f"{path}:{line}: {what}" for path, tree in sources() for line, what in places(tree)
             if (str(path), what.split(" ")[0]) not in HELD]  # fmt: skip
    assert found == []


@pytest.mark.parametrize(
    "code",
    ["box.border_title = name", "a.border_title, b = x, y", "panel.border_subtitle = f'{n} of {m}'", "Static(words)",
     "Static(id='x')", "self.notify(f'{x} is gone')", "Button(name)", "OptionList(*x)", "w.tooltip = words",
     "self.notify(words, title=name)", "Text.from_markup(x)", "x.border_title = name.title()", "x.border_title += name",
     "x.border_title: str = name", "setattr(x, 'border_title', name)", "setattr(x, which, words)",
     "class Box: BORDER_TITLE = f'{name}'", "x.tooltip = scale.legend(name)"],
)  # fmt: skip
def test_the_test_sees_what_it_is_for(code: str):
    assert list(places(ast.parse(code)))


class Desk(App[None]):
    """A list with a title, and a label in a panel."""

    def compose(self) -> ComposeResult:
        yield QueueList(id="list")
        yield Static("", id="inside", markup=False)


def test_hostile_titles_are_shown_as_they_are_and_read_back_by_help():
    """As of a study that is called so, on Queue."""

    async def look() -> list[str]:
        async with (app := Desk()).run_test() as pilot:
            queue = app.query_one(QueueList)
            queue.entitle(f"Devices \u00b7 {HOSTILE}", HOSTILE)
            await pilot.pause()
            return [_title(queue), Content.from_markup(queue.border_subtitle or "").plain]

    assert asyncio.run(look()) == [f"Devices \u00b7 {HOSTILE}", HOSTILE]
