"""What an import drags in, measured in fresh interpreters."""

import subprocess
import sys
from pathlib import Path

import pytest

import engine

ROOT = Path(engine.__file__).parent.parent
HEAVY = {"torch", "torchvision", "numpy", "sklearn", "jaxtyping", "textual", "typer", "rich"}
SPECS = sorted(f"engine.spec.{path.stem}" for path in (ROOT / "engine" / "spec").glob("*.py") if path.stem[0] != "_")


def loaded_by(statement: str) -> set[str]:
    """Modules that are there after the statement and were not before it."""
    program = f"import sys; before = set(sys.modules); {statement}; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=100,
                          check=True)  # fmt: skip
    return set(done.stdout.split())


def test_the_engine_alone_imports_nothing():
    assert loaded_by("import engine") == {"engine"}


def test_the_vocabulary_needs_neither_torch_nor_a_terminal():
    assert len(SPECS) > 10
    assert not loaded_by("import " + ", ".join(SPECS)) & HEAVY


@pytest.mark.parametrize("module", ["engine.spec.events", "engine.spec.status", "engine.spec.rundir"])
def test_what_a_list_of_runs_reads_needs_no_registry(module):
    assert not loaded_by(f"import {module}") & (HEAVY | {"pydantic", "tomlkit"})


@pytest.mark.parametrize("module", ["engine.run.job", "engine.__main__"])
def test_an_engine_says_that_it_lives_before_it_loads_torch(module):
    assert not loaded_by(f"import {module}") & HEAVY


def test_comparisons_and_documents_load_no_numeric_library_before_they_need_one():
    found = loaded_by(
        "import crdnd_tui.write.comparison_summary, crdnd_tui.write.study_document, crdnd_tui.write.run_document"
    )
    assert not found & {"scipy", "numpy", "matplotlib", "jinja2", "textual"}
