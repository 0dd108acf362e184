"""Fixtures of the tests that break runs: a warm parent of engines, data, and runs that nobody broke, and copies."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.spec.rundir import RunDir
from tests.engine.broken_runs import FINISHED, ForkServer, assert_same, make, short, write_data, write_teacher

NUMERIC = frozenset([
    "test_acm", "test_ascent", "test_attacks", "test_fast_evaluation", "test_fast_path",
    "test_folding", "test_split_batchnorm", "test_losses", "test_method_formulas", "test_methods",
    "test_model_parts", "test_protocol", "test_reference_step", "test_contrastive", "test_sanity_checks",
    "test_teacher_logits_fill", "test_trainer",
])  # fmt: skip
"""Files that compute: what they expect must hold however a processor rounds. `.ci/run` repeats them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.stem in NUMERIC:
            item.add_marker("numeric")


@pytest.fixture(scope="session")
def fork_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    warm = ForkServer(tmp_path_factory.mktemp("fork_server"))
    yield warm
    warm.close()


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    write_teacher(folder)
    return folder


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Data of this test alone, so that nobody else's table lies there."""
    folder = tmp_path / "data"
    folder.mkdir()
    write_data(folder)
    write_teacher(folder)
    return folder


@pytest.fixture(scope="session")
def whole(fork_server: ForkServer, data: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A run that was never broken."""
    run = make(tmp_path_factory.mktemp("whole"), data)
    assert fork_server.work(run) == FINISHED, fork_server.screen.read_text()
    return run


@pytest.fixture
def copied(whole, data, tmp_path) -> tuple[RunDir, Path]:
    """A copy of the whole run, and one of its data, to be tampered with."""
    run = RunDir(tmp_path / "runs" / "tiny")
    shutil.copytree(whole.path, run.path)
    shutil.copytree(data, tmp_path / "data")
    return run, tmp_path / "data"


@pytest.fixture(scope="session")
def whole_short(fork_server: ForkServer, data: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A shorter one."""
    run = make(tmp_path_factory.mktemp("whole_short"), data, short())
    assert fork_server.work(run) == FINISHED, fork_server.screen.read_text()
    return run


@pytest.fixture(scope="session")
def disk_calls(
    fork_server: ForkServer, data: Path, whole_short: RunDir, tmp_path_factory: pytest.TempPathFactory
) -> int:
    """How many calls of the disk the shorter run makes."""
    folder = tmp_path_factory.mktemp("disk_calls")
    run = make(folder, data, short())
    assert fork_server.work(run, at="disk", do="count", into=str(folder / "calls")) == FINISHED
    assert_same(run, whole_short)
    return int((folder / "calls").read_text())
