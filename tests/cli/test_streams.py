"""Closed and full standard streams, and names of a user's modules that are ours or Python's, too. Real processes."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.spec.process import replace_closed_streams
from tests.cli.conftest import DRIVER, ROOT, Crdnd

CLOSED = [" ".join(some) for n in (1, 2, 3) for some in itertools.combinations(("<&-", ">&-", "2>&-"), n)]


def shell(line: str, crdnd: Crdnd) -> subprocess.CompletedProcess[str]:
    (crdnd.home / "driver.py").write_text(DRIVER)
    command = f'crdnd() {{ "{sys.executable}" driver.py "$@"; }}; python() {{ "{sys.executable}" "$@"; }}; {line}'
    return subprocess.run(["bash", "-c", command], cwd=crdnd.home, env=crdnd.environment(), text=True, timeout=100,
                          capture_output=True, check=False)  # fmt: skip


def test_a_run_is_made_whatever_stream_is_closed(crdnd: Crdnd) -> None:
    said = shell("crdnd run tiny.toml --detach <&- >&- 2> err; echo $?; crdnd runs 2>&- >&-; echo $?", crdnd)
    assert said.stdout == "0\n0\n", said.stderr
    assert (crdnd.home / "err").read_text() == ""
    assert len([path for path in crdnd.runs.iterdir() if path.name[0] != "."]) == 1


@pytest.mark.parametrize("closed", CLOSED)
def test_a_file_that_is_opened_later_never_gets_the_place_of_a_closed_stream(closed: str, tmp_path: Path) -> None:
    code = (
        "import os, sys; from engine.spec.process import replace_closed_streams; replace_closed_streams(); "
        "file = open('mine', 'w'); os.write(1, b'out'); os.write(2, b'err'); print('out'); "
        "print('err', file=sys.stderr); file.write(str(file.fileno())); sys.stdin.read()"
    )
    command, ours = f'"{sys.executable}" -c "{code}" {closed}', os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run(
        ["bash", "-c", command], check=True, cwd=tmp_path, timeout=60, env=ours, capture_output=True, input=b""
    )
    assert int((tmp_path / "mine").read_text()) > 2


def test_streams_that_are_open_stay_as_they_are() -> None:
    before = (sys.stdin, sys.stdout, sys.stderr)
    replace_closed_streams()
    assert (sys.stdin, sys.stdout, sys.stderr) == before


def test_an_engine_without_streams_says_what_it_is_asked_wrongly_by_its_exit_code(tmp_path: Path) -> None:
    command = f'"{sys.executable}" -m engine <&- >&- 2>&-'
    assert subprocess.run(["bash", "-c", command], cwd=ROOT, check=False, timeout=60).returncode == 2


@pytest.mark.parametrize("line", ["crdnd check tiny.toml", "python -m crdnd_tui --help",
                                  "python -c 'from crdnd_tui.tui.terminal import main; main()' --help"])  # fmt: skip
def test_a_full_disk_behind_stdout_is_a_sentence(crdnd: Crdnd, line: str) -> None:
    said = shell(f"{line} > /dev/full", crdnd)
    assert (said.returncode, said.stderr) == (1, "No space left on device\n")


SHADOWS = ("engine", "queue", "random", "tests", "presets", "utils", "tempfile", "secrets", "logging")


@pytest.fixture
def shadowed(crdnd: Crdnd) -> Crdnd:
    """A user's folder with modules of many names, and a package `engine` for PYTHONPATH."""
    for name in SHADOWS:
        (crdnd.home / f"{name}.py").write_text("raise SystemExit('a user\\'s module')")
    package = crdnd.home / "theirs" / "engine"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('a user\\'s package')")
    return crdnd


@pytest.mark.parametrize("module", ["crdnd_tui.cli.app", "crdnd_tui.tui.terminal", "crdnd_tui.queue.worker"])
def test_the_package_engine_is_ours_wherever_a_user_has_one(shadowed: Crdnd, module: str) -> None:
    code = f"import {module}, engine; from engine.spec import events; print(engine.__file__)"
    path = os.pathsep.join([str(shadowed.home / "theirs"), str(ROOT)])
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=shadowed.home, text=True, capture_output=True,
                          env=shadowed.environment(PYTHONPATH=path), timeout=60, check=False)  # fmt: skip
    assert done.stdout.strip() == str(ROOT / "engine" / "__init__.py"), done.stderr


def test_modules_of_the_working_folder_are_not_taken_for_pythons_or_ours(shadowed: Crdnd) -> None:
    said = shell("python -m crdnd_tui check tiny.toml", shadowed)
    assert said.returncode == 0, said.stderr


def test_an_engine_finds_ours_before_any_other() -> None:
    from crdnd_tui.core import engine_process
    from engine.runtime import torchrun

    for environment in (engine_process.environment(), torchrun.child_environment()):
        assert environment["PYTHONPATH"].split(os.pathsep)[0] == str(ROOT)
