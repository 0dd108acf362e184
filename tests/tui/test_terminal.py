"""crdnd-tui in real pseudo-terminals: sizes, colours, locales, a lost terminal, tmux, and true exit codes."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.tui.pilot import recorded
from tests.tui.terminal import MAIN, PATIENCE, ROOT, Terminal

pytestmark = pytest.mark.slow
RUN = "20261122-215714-crdnd-small_cnn-s0-ea68"


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> str:
    return str(recorded(tmp_path_factory.mktemp("terminal") / "runs", "small_cnn-s0"))


def colours(said: bytes) -> set[str]:
    """The kinds of colour that were asked for: true, 256, 16."""
    codes = b";".join(re.findall(rb"\x1b\[([0-9;]*)m", said)).decode()
    named = {"true": r"[34]8;2;", "256": r"[34]8;5;", "16": r"(^|;)(3[0-7]|4[0-7]|9[0-7]|10[0-7])(;|$)"}
    bare = re.sub(r"[34]8;(2;\d+;\d+;\d+|5;\d+)", "", codes)
    return {kind for kind, code in named.items() if re.search(code, bare if kind == "16" else codes)}


def test_it_starts_shows_the_runs_helps_and_leaves(runs):
    with Terminal("--runs", runs) as shown:
        shown.wait("crdnd.*1 Runs.*6 Queue")
        shown.wait("small_cnn")
        shown.press("?")
        shown.wait("Keys on Runs")
        shown.press("escape")
        shown.wait_gone("Keys on Runs")
        shown.press("t")
        shown.wait("theme light")
        shown.press("q")
        assert shown.code() == 0
        assert shown.said.rstrip().endswith(b"l") and b"\x1b[?1049l" in shown.said  # the screen was given back


def test_it_follows_the_size_of_the_window(runs):
    with Terminal("--runs", runs, size=(120, 36)) as shown:
        shown.wait("6 Queue")
        for width, height in ((40, 10), (200, 60), (81, 25), (120, 36)):
            shown.resize(width, height)
            shown.wait(r"crdnd.*1 Runs")
            text = shown.wait(r"\n[^\n]*\? Help  q Quit[^\n]*$")  # the footer, upon the last line
            assert len(text.split("\n")) == height
        shown.press("q")
        assert shown.code() == 0


def test_the_named_run_is_opened(runs):
    with Terminal(RUN[:24], "--runs", runs) as shown:
        shown.wait(r"3 Live")
        shown.wait("AutoAttack +45.6")
        shown.press("1")
        shown.wait("rslad")
        shown.press("q")
        assert shown.code() == 0


def test_the_environment_names_the_folder_and_the_theme(runs):
    with Terminal(CRDND_RUNS=runs, CRDND_THEME="light") as shown:
        shown.wait("small_cnn")
        assert b"48;2;251;251;249" in shown.said  # the light background
        shown.press("q")
        assert shown.code() == 0


def test_the_theme_is_remembered_unless_another_is_named(runs, tmp_path):
    light, settings = b"48;2;251;251;249", {"XDG_CONFIG_HOME": str(tmp_path)}
    for flags, keys, lit in (
        (["--readonly"], "t", True), ([], "t", True), ([], "", True), (["--theme", "dark"], "", False),
    ):  # fmt: skip
        with Terminal("--runs", runs, *flags, **settings) as shown:
            shown.wait("small_cnn")
            if keys:
                assert light not in shown.said
                shown.press(keys)
                shown.wait("theme light")
            shown.press("q")
            assert shown.code() == 0
            assert (light in shown.said) is lit


@pytest.mark.parametrize(
    ("environment", "kinds"),
    [
        ({}, {"true"}),
        ({"COLORTERM": ""}, {"256"}),
        ({"COLORTERM": "", "TERM": "xterm"}, {"16"}),
        ({"COLORTERM": "", "TERM": "screen"}, {"16"}),
        ({"NO_COLOR": "1"}, {"true"}),
    ],
    ids=["true colour", "256", "16", "screen", "no colour"],
)
def test_as_many_colours_as_the_terminal_has(runs, environment, kinds):
    with Terminal("--runs", runs, **environment) as shown:
        shown.wait("small_cnn")
        assert colours(bytes(shown.said)) == kinds
        if "NO_COLOR" in environment:
            used = re.findall(rb"[34]8;2;(\d+);(\d+);(\d+)", shown.said)
            assert all(red == green == blue for red, green, blue in used)
        shown.press("q")
        assert shown.code() == 0


@pytest.mark.parametrize(
    ("flags", "environment"), [([], {"LC_ALL": "C"}), (["--ascii"], {})], ids=["LC_ALL=C", "--ascii"]
)
def test_an_ascii_terminal_gets_nothing_else(runs, flags, environment):
    with Terminal(RUN, "--runs", runs, *flags, **environment) as shown:
        shown.wait("3 Live")
        shown.look(0.5)
        for key, title in (("1", "Runs"), ("6", "Queue"), ("?", "Keys on")):
            shown.press(key)
            shown.wait(title)
            shown.look(0.3)
        shown.press("escape", "q")
        assert shown.code() == 0
        assert [hex(byte) for byte in shown.said if byte > 127] == []


def test_ctrl_c_leaves_at_once_when_nothing_is_at_work(runs):
    with Terminal("--runs", runs) as shown:
        shown.wait("small_cnn")
        shown.press("ctrl+c")
        assert shown.code() == 0


ENGINE = """
import fcntl, os, sys, time
lock = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR)
fcntl.flock(lock, fcntl.LOCK_EX)
os.pwrite(lock, b'{"pid": %d}' % os.getpid(), 0)
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def at_work(runs, tmp_path):
    """A runs folder with one living run, as far as its lock tells."""
    folder = tmp_path / "runs"
    shutil.copytree(Path(runs) / RUN, folder / RUN)
    status = folder / RUN / "status.json"
    words = status.read_text().replace('"phase":"done"', '"phase":"training"')
    status.write_text(re.sub(r'"heartbeat":[\d.]+', f'"heartbeat":{time.time()}', words))
    command = [sys.executable, "-c", ENGINE, str(folder / RUN / "engine.lock")]
    engine = subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE)
    assert engine.stdout.readline() == b"held\n"
    yield str(folder), engine
    engine.kill()
    engine.wait()
    engine.stdout.close()


@pytest.mark.parametrize("key", ["q", "ctrl+c", "ctrl+q"])
def test_leaving_says_first_what_goes_on(at_work, key):
    folder, engine = at_work
    with Terminal("--runs", folder) as shown:
        shown.wait("1 running")
        shown.press(key)
        shown.wait("1 run goes on in the background")
        shown.press("escape")
        shown.wait_gone("in the background")
        shown.press(key)
        shown.wait("in the background")
        shown.press("q")
        assert shown.code() == 0
    assert engine.poll() is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_told_to_go_it_goes_gives_the_screen_back_and_kills_no_run(at_work, number):
    folder, engine = at_work
    with Terminal("--runs", folder) as shown:
        shown.wait("1 running")
        shown.child.kill(number)
        assert shown.code() == 128 + number
        assert b"\x1b[?1049l" in shown.said
    assert engine.poll() is None


@pytest.mark.parametrize("ignoring", ["", "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); "])
def test_a_lost_terminal_ends_it_within_two_seconds_and_no_run(at_work, ignoring, tmp_path, monkeypatch):
    folder, engine = at_work
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # where no other test has a demo
    shown = Terminal("--demo", "--runs", folder, command=[sys.executable, "-c", ignoring + MAIN, "--demo"])
    try:
        shown.wait("3 Live")
        shown.wait("demo")
        assert len(list(tmp_path.glob("crdnd-demo-*"))) == 1
        began = time.monotonic()
        os.close(shown.child.child_fd)  # as when the terminal's window is closed
        shown.child.closed = True
        while shown.child.ptyproc.isalive() and time.monotonic() - began < PATIENCE:
            time.sleep(0.02)
        assert time.monotonic() - began < 2.5
        assert shown.child.ptyproc.exitstatus == 129
        assert engine.poll() is None
        assert list(tmp_path.glob("crdnd-demo-*")) == []
    finally:
        if shown.child.ptyproc.isalive():
            os.kill(shown.child.pid, signal.SIGKILL)


def test_a_crash_is_told_and_the_exit_code_is_not_zero(runs):
    broken = "import crdnd_tui.tui.screens.runs.screen as runs; runs.RunsScreen.body = lambda self: 1 // 0; "
    with Terminal(command=[sys.executable, "-c", broken + MAIN, "--runs", runs]) as shown:
        assert shown.code() == 1
        assert b"ZeroDivisionError" in shown.said


def test_the_demo_plays_and_leaves_nothing(tmp_path):
    with Terminal("--demo", "--speed", "50", TMPDIR=str(tmp_path), folder=ROOT) as shown:
        shown.wait("3 Live")
        shown.wait("demo")
        [folder] = tmp_path.glob("crdnd-demo-*")
        assert folder.is_dir()
        shown.press("1")
        shown.wait("demo rslad|demo")
        shown.press("q")  # no question: the demo is no run that goes on
        assert shown.code() == 0
    assert list(tmp_path.glob("crdnd-demo-*")) == []


def tmux(socket: Path, *arguments: str) -> str:
    command = ["tmux", "-S", str(socket), "-f", "/dev/null", *arguments]
    clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}  # no COLUMNS of a test before
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True, env=clean).stdout


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_it_works_in_tmux_and_its_runs_survive_the_server(at_work):
    folder, engine = at_work
    socket = Path(tempfile.mkdtemp()) / "s"  # a socket's path may not be long

    def wait(text: str, *, gone: bool = False) -> None:
        end = time.monotonic() + PATIENCE
        while bool(re.search(text, drawn := tmux(socket, "capture-pane", "-p", "-t", "lab"))) == gone:
            assert time.monotonic() < end, f"no change of `{text}`:\n{drawn}"
            time.sleep(0.1)

    environment = f"LC_ALL=C.UTF-8 PYTHONPATH={ROOT}"
    command = f"env {environment} {sys.executable} -c '{MAIN}' --runs {folder}; echo left with $?; sleep 60"
    tmux(socket, "new-session", "-d", "-s", "lab", "-x", "120", "-y", "36", command)
    try:
        wait("1 running")
        tmux(socket, "send-keys", "-t", "lab", "?")
        wait("Keys on Runs")
        tmux(socket, "resize-window", "-t", "lab", "-x", "60", "-y", "15")
        wait(r"1 Runs +2 3 4 5 6 ")
        tmux(socket, "send-keys", "-t", "lab", "Escape")
        wait("Keys on Runs", gone=True)
        tmux(socket, "send-keys", "-t", "lab", "q")
        wait("in the background")
        tmux(socket, "send-keys", "-t", "lab", "q")
        wait("left with 0")
    finally:
        tmux(socket, "kill-server")
        shutil.rmtree(socket.parent)
    assert engine.poll() is None
