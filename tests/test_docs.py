"""The documents say what the code is: layers, names, sizes; and no file names a place on somebody's machine."""

import re
import subprocess
from pathlib import Path
from typing import get_args

import pytest
import tomli
import typer.main

from crdnd_tui.cli.app import app
from engine.spec.attacks import AttackSpec
from engine.spec.data import DataSpec
from engine.spec.methods import MethodSpec
from engine.spec.models import ModelSpec

ROOT = Path(__file__).parent.parent
MAX_LINES = 400
HOMES = ("root/", "work/", "tmp/v", r"home/(?!user\b)\w", "Users/")
PRIVATE = re.compile("|".join("/" + home for home in HOMES))


def documents() -> str:
    pages = [ROOT / "README.md", ROOT / "engine" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return "".join(page.read_text() for page in pages)


def names(union: object) -> list[str]:
    return [spec.model_fields["name"].default for spec in get_args(get_args(union)[0])]


def presets() -> list[str]:
    return sorted(path.stem for path in (ROOT / "presets").glob("*.toml"))


def unsaid(wanted: list[str]) -> list[str]:
    text = documents()
    return [name for name in wanted if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text)]


@pytest.mark.parametrize("package", ["engine", "crdnd_tui"])
def test_the_layers_drawn_are_the_layers_enforced(package):
    drawn = re.findall(r"^```layers\n(.*?)^```", (ROOT / package / "README.md").read_text(), re.M | re.S)
    contracts = tomli.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (enforced,) = (c["layers"] for c in contracts if c["type"] == "layers" and c["containers"] == [package])
    assert len(drawn) == 1
    found = [sorted(re.findall(r"\w+", line)) for line in drawn[0].splitlines() if line.strip()]
    assert found == [sorted(layer.split(" | ")) for layer in enforced]


@pytest.mark.parametrize(
    "wanted",
    [names(MethodSpec), names(AttackSpec), names(ModelSpec), names(DataSpec)],
    ids=["methods", "attacks", "models", "data sets"],
)
def test_every_name_of_a_registry_is_documented(wanted):
    assert unsaid(wanted) == []


def test_every_command_is_documented():
    commands = typer.main.get_command(app).commands
    visible = [name for name, command in commands.items() if not command.hidden]
    assert len(visible) > 5
    assert [name for name in visible if f"crdnd {name}" not in documents()] == []


def test_every_preset_is_documented_by_its_name_or_its_family():
    """`crdnd_cifar10_resnet18` may be written `crdnd_*`; its data set and its student are in the tables above."""
    families = {re.sub(r"_cifar100?_(resnet18|mobilenet_v2)$", "_*", name) for name in presets()}
    assert len(families) > 8
    assert unsaid(sorted(families)) == []


@pytest.mark.parametrize("package", ["engine", "crdnd_tui", "tests"])
def test_no_file_is_too_long(package):
    lengths = {str(path.relative_to(ROOT)): path.read_bytes().count(b"\n") for path in (ROOT / package).rglob("*.py")}
    assert lengths
    assert {path: lines for path, lines in lengths.items() if lines > MAX_LINES} == {}


@pytest.mark.parametrize("page", ["README.md", "engine/README.md", "crdnd_tui/README.md"])
def test_no_page_is_too_long(page):
    assert len((ROOT / page).read_text().splitlines()) <= 200


def test_links_between_pages_lead_somewhere():
    pages = [
        *ROOT.glob("*.md"),
        *(path for folder in ("docs", "engine", "crdnd_tui", "benchmarks") for path in (ROOT / folder).glob("*.md")),
    ]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#:]+)[^):]*\)", page.read_text())]
    assert len(links) > 20
    assert [f"{page.name}: {link}" for page, link in links if not (page.parent / link).exists()] == []


def test_no_file_names_a_place_on_somebodys_machine():
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            capture_output=True, check=False)  # fmt: skip
    if listed.returncode:
        pytest.skip("not a git checkout")
    paths = [ROOT / name.decode() for name in listed.stdout.split(b"\0") if name]
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in paths
        if path.is_file()
        for number, line in enumerate(path.read_bytes().decode("utf-8", "replace").splitlines(), 1)
        if PRIVATE.search(line)
    ]
    assert found == []
