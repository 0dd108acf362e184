"""A crdnd that is imported once and forked for every command, as a user's shell would start it, but sooner.

Reads one JSON line for each command from stdin (args, cwd, env, out, err) and answers with its exit code.
"""

import io
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import jinja2  # noqa: F401  these two are loaded by a command on use; here once for all
import scipy.special  # noqa: F401

from crdnd_tui.cli import compare, evaluate, follow  # noqa: F401  imported once for all
from crdnd_tui.cli.app import main
from crdnd_tui.core import engine_process

ENGINE = Path(__file__).parent / "fake_engine.py"
SECONDS = 60  # after so long a command dies of SIGALRM


def become(request: dict[str, Any]) -> None:
    """The process of one command; never returns."""
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
    encoding = request["env"]["PYTHONIOENCODING"]
    sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb", closefd=False), encoding=encoding)
    sys.stderr = io.TextIOWrapper(os.fdopen(2, "wb", closefd=False), encoding=encoding, line_buffering=True)
    sys.argv = ["crdnd", *request["args"]]
    try:
        main()
    except SystemExit as leave:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(leave.code if isinstance(leave.code, int) else 1)
    finally:  # an error that nobody caught: its traceback is what the test must see
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        sys.stderr.flush()
        os._exit(70)


def serve() -> None:
    engine_process.engine_command = lambda folder: [sys.executable, str(ENGINE), str(folder.path)]
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            become(json.loads(line))
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
