"""`crdnd` as a user calls it, but imported once: a server forks one process for every command, and for its engines.

`python -m tests.program serve [ENGINE]`: requests on stdin are JSON lines (args, cwd, env, out, err, warm), answers are
exit codes. A command of `warm` finds torch imported. ENGINE is a script that takes the place of `python -m engine`.
"""

import io
import json
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SECONDS = 300  # after so long a command dies of SIGALRM
WITH_ENGINE = ("run", "evaluate", "verify")


class Program:
    """The server, seen from a test; it ends with its standard input."""

    def __init__(self, folder: Path, *engine: Path) -> None:
        self._out, self._err = folder / "stdout", folder / "stderr"
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.program", "serve", *map(str, engine)], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def __call__(self, *args: str, cwd: Path, env: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
        request = {"args": args, "cwd": str(cwd), "env": dict(env), "warm": args[:1] and args[0] in WITH_ENGINE}
        for path in (self._out, self._err):
            path.unlink(missing_ok=True)
        stdin, stdout = self._server.stdin, self._server.stdout
        assert stdin is not None and stdout is not None
        stdin.write(json.dumps(request | {"out": str(self._out), "err": str(self._err)}) + "\n")
        stdin.flush()
        code = int(stdout.readline())
        said = [path.read_bytes().decode("utf-8", "replace") for path in (self._out, self._err)]
        return subprocess.CompletedProcess(args, code, *said)

    def close(self) -> None:
        self._server.communicate()


def serve(*engine: str) -> None:
    """Answer requests until stdin ends."""
    import jinja2  # noqa: F401  a command loads these two on use; here once for all
    import scipy.special  # noqa: F401

    from crdnd_tui.cli import app, compare, evaluate, follow  # noqa: F401
    from crdnd_tui.core import engine_process

    if engine:
        engine_process.engine_command = lambda run: [sys.executable, *engine, str(run.path)]
    warm = bool(engine)
    for line in sys.stdin:
        request = json.loads(line)
        if request["warm"] and not warm:
            from tests.engine import fork_server

            fork_server.warm_up()
            warm = True
        child = os.fork()
        if child == 0:
            _become_command(request)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _become_command(request: dict[str, Any]) -> None:
    """The process of one command; never returns."""
    from crdnd_tui.cli.app import main

    signal.alarm(SECONDS)
    for number, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, request["out"], os.O_WRONLY | os.O_CREAT),
        (2, request["err"], os.O_WRONLY | os.O_CREAT),
    ):
        descriptor = os.open(path, flags, 0o644)
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    subprocess.Popen = Fork  # type: ignore[misc]
    sys.argv = ["crdnd", *request["args"]]
    _run(main)


def _run(main: Any) -> None:
    """Call it as a program's last deed, with text files on the descriptors 1 and 2."""
    encoding = os.environ.get("PYTHONIOENCODING", "utf-8")
    sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb", closefd=False), encoding=encoding)
    sys.stderr = io.TextIOWrapper(os.fdopen(2, "wb", closefd=False), encoding=encoding, line_buffering=True)
    code = 0
    try:
        main()
    except SystemExit as leave:
        code = leave.code if isinstance(leave.code, int) else int(leave.code is not None)
    except BaseException:  # noqa: BLE001  its traceback is what the test must see
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        code = 70
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class Fork(subprocess.Popen[Any]):
    """A child that is a module of the engine keeps what its parent has imported, instead of importing it anew."""

    def __init__(self, command: Any, **how: Any) -> None:
        words = list(command)
        if words[:3] == [sys.executable, "-P", "-m"] and words[3].partition(".")[0] == "engine":
            how["preexec_fn"] = partial(_become_module, words[3], words[4:], how.get("env") or dict(os.environ))
        super().__init__(command, **how)


def _become_module(module: str, words: list[str], env: Mapping[str, str]) -> None:
    os.closerange(3, 1024)  # the pipe on which the parent waits, too
    signal.alarm(0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = [module, *words]
    _run(partial(runpy.run_module, module, run_name="__main__", alter_sys=True))


if __name__ == "__main__":
    serve(*sys.argv[2:])
