"""The command crdnd-tui: what it accepts, what it imports, how soon it is there, and what its exit code says."""

import os
import re
import subprocess
import sys
import threading

import pytest

from crdnd_tui.tui import terminal
from tests.tui.pilot import recorded
from tests.tui.terminal import MAIN, ROOT, Terminal


def call(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Without any terminal."""
    return subprocess.run(
        [sys.executable, "-c", MAIN, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        stdin=subprocess.DEVNULL, env={**os.environ, "TERM": "xterm-256color", **environment},
    )  # fmt: skip


def test_help_says_what_there_is_and_draws_nothing():
    done = call("--help", COLUMNS="200")
    assert done.returncode == 0
    for option in ("--demo", "--speed", "--readonly", "--theme", "--ascii", "--runs", "--data", "--device"):
        assert option in done.stdout


def test_without_a_terminal_it_says_what_works_without_one():
    done = call("--runs", "nowhere")
    assert (done.returncode, done.stdout) == (2, "")
    assert "draws on a terminal" in done.stderr and "crdnd show" in done.stderr
    assert "\x1b" not in done.stderr


def test_an_unknown_theme_is_a_mistake_of_one_line():
    for done in (call("--theme", "pink"), call(CRDND_THEME="pink")):
        assert done.returncode == 2
        assert done.stderr == "--theme may be dark or light, not `pink`.\n"


@pytest.mark.parametrize(
    "arguments", [["--speed", "0"], ["--fps", "0"], ["--threads", "-1"], ["--pink"], ["a", "b"]], ids=" ".join
)
def test_what_cannot_be_is_refused(arguments):
    assert call(*arguments).returncode == 2


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (["no-such-run"], {}, r"no run `no-such-run`"),
        (["2026"], {}, r"may mean \d+ runs"),
        (["--demo", "2026"], {}, r"--demo opens its own run"),
        ([], {"TERM": "dumb"}, r"TERM is dumb"),
        ([], {"TERM": ""}, r"TERM is dumb or not set"),
    ],
    ids=["unknown run", "two runs", "demo of a run", "dumb", "no TERM"],
)
def test_what_cannot_be_drawn_is_refused_in_a_terminal_too(tmp_path, arguments, environment, words):
    runs = recorded(tmp_path / "runs", "rslad-small_cnn")
    with Terminal(*arguments, "--runs", str(runs), **environment) as terminal_:
        assert terminal_.code() == 2
        assert terminal_.screen.display[0].strip()
        assert "\x1b[?1049h" not in terminal_.said.decode()  # the other screen was never switched to
        assert re.search(words, terminal_.text), terminal_.text


def test_a_terminal_that_is_gone_is_noticed():
    read, write = os.openpty()
    noticed = threading.Event()
    before = os.dup(0)
    try:
        os.dup2(write, 0)
        watcher = threading.Thread(target=terminal._when_hung_up, args=(noticed.set,), daemon=True)
        watcher.start()
        assert not noticed.wait(0.2)
        os.close(read)
        assert noticed.wait(10)
    finally:
        os.dup2(before, 0)
        os.close(before)
        os.close(write)


@pytest.mark.parametrize(
    ("environment", "unicode"),
    [
        ({"LC_ALL": "C"}, False), ({"LC_ALL": "POSIX"}, False), ({"LC_ALL": "C.UTF-8"}, True), ({}, True),
        ({"LC_ALL": "en_XX.UTF-8"}, True), ({"LC_ALL": "xx_XX.ISO-8859-1"}, False),
        ({"PYTHONIOENCODING": "ascii"}, False),
    ],
    ids=str,
)  # fmt: skip
def test_what_the_locale_can_show(environment, unicode):
    program = "from crdnd_tui.tui.terminal import _shows_unicode; print(_shows_unicode())"
    clean = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True,
                          env=clean | environment)  # fmt: skip
    assert done.stdout.strip() == str(unicode)


VISITED = """
import asyncio, sys
from pathlib import Path
from crdnd_tui.tui.app import SCREENS, LabApp
from crdnd_tui.core.session import Session
from tests.tui.pilot import settle
HEAVY = {"torch", "torchvision", "numpy", "scipy", "matplotlib", "sklearn", "jaxtyping"}
runs = Path(sys.argv[1])
async def look():
    app = LabApp(Session(runs=runs, data=runs.parent / "data"))
    async with app.run_test(size=(120, 36)) as pilot:
        await settle(pilot)
        print("painted", *sorted(HEAVY & set(sys.modules)), sep=",")
        for screen in SCREENS:
            app.current, app.compared = sys.argv[2], tuple(sys.argv[2:4])
            app.show(screen)
            await settle(pilot)
        app.action_help()
        await settle(pilot)
    print("visited", *sorted(HEAVY & set(sys.modules)), sep=",")
asyncio.run(look())
"""


def test_the_first_picture_needs_no_numpy_and_no_screen_torch(tmp_path):
    runs = recorded(tmp_path / "runs")
    ids = sorted(path.name for path in runs.iterdir() if "small_cnn-s0" in path.name)[:2]
    done = subprocess.run([sys.executable, "-c", VISITED, str(runs), *ids], cwd=ROOT, capture_output=True, text=True,
                          timeout=120, check=False)  # fmt: skip
    painted, visited = (line.split(",")[1:] for line in done.stdout.splitlines())
    assert painted == [] and set(visited) <= {"numpy", "scipy"}, done.stderr  # charts are arrays, tests are SciPy's


def loaded(program: str, *watched: str) -> set[str]:
    """Which of these modules the program leaves behind."""
    command = [
        sys.executable,
        "-c",
        f"{program}\nimport sys; print('LOADED', *(m for m in {watched!r} if m in sys.modules))",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.rpartition("LOADED")[2].split())


def test_help_waits_for_neither_textual_nor_the_registries():
    program = f"import sys; sys.argv = ['crdnd-tui', '--help']\ntry: exec({MAIN!r})\nexcept SystemExit: pass"
    assert loaded(program, "textual", "pydantic") == set()


def test_the_first_picture_waits_for_no_registry_and_no_driver():
    program = "import crdnd_tui.tui.app, crdnd_tui.tui.screens.runs.screen"
    assert loaded(program, "torch", "numpy", "pydantic", "tomlkit", "pynvml") == set()
