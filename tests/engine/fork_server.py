"""A warm parent of engines: it imports torch once, then forks an engine, or waits for one, at each line on its stdin.

In the child one fault may be planted: the k-th visit of a place does something. All else is the engine as it is.
The first byte of the shared file says what the child is busy with, the second how often it has begun that.
"""

import json
import logging
import mmap
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import engine

ENGINE = Path(engine.__file__).parent
BUSY = {"starting": 0, "training": 1, "validation": 2, "checkpoint": 3, "evaluation": 4}
CALLS = ("write", "fsync", "ftruncate", "replace", "rename", "unlink", "rmdir")  # of os: all that touch the disk


def warm_up() -> None:
    """Import and do once what costs each engine seconds before its first step."""
    import torch

    from engine.run import job  # noqa: F401
    from engine.runtime import provenance

    torch.set_num_threads(1)
    facts = provenance.collect(torch.device("cpu"))  # asks git and all packages: a second, once
    provenance.collect = lambda _device: facts
    net = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, fused=True)  # the first one imports for seconds
    net(torch.ones(1, 2)).sum().backward()
    optimizer.step()


def main() -> None:
    warm_up()
    with open(sys.argv[1], "r+b") as file:  # noqa: PTH123
        shared = mmap.mmap(file.fileno(), 8)
    print("ready", flush=True)  # noqa: T201
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            print(os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1]), flush=True)  # noqa: T201
            continue
        shared[:8] = bytes(8)
        pid = os.fork()
        if pid == 0:
            _child(order, shared)
        print(pid, flush=True)  # noqa: T201
    os._exit(0)  # torch takes its time to leave in order


def _child(order: dict[str, Any], shared: mmap.mmap) -> None:
    """What `python -m engine RUN_DIR` does, on a screen of its own."""
    screen = os.open(order["screen"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(screen, 1)
    os.dup2(screen, 2)
    _watch(shared)
    if fault := order.get("fault"):
        _plant(fault, Path(order["run"]))
    from engine.runtime import torchrun

    torchrun.start = lambda run, _module, *_: ForkedEngine(run)  # type: ignore[assignment]
    _work(order["run"])


class ForkedEngine:
    """What Popen offers of a teacher's engine, forked from its student's: it need not import torch anew."""

    returncode: int | None = None

    def __init__(self, run: Any) -> None:
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            os.closerange(3, 1024)  # the student's files, and the locks on them
            logging.getLogger().handlers.clear()  # the student's
            log = os.open(run.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.dup2(log, 1)
            os.dup2(log, 2)
            _work(str(run.path))

    def poll(self) -> int | None:
        if self.returncode is None:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if found else None
        return self.returncode


def _work(run: str) -> None:
    """Be an engine of this run, and end with its exit code."""
    sys.argv = ["engine", run]
    from engine.__main__ import main as engine_main

    code = 70
    try:
        code = engine_main()
    except BaseException:  # noqa: BLE001  a forked child must not go on as its parent
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(code)


def _around(owner: Any, name: str, before: Callable[[], None], after: Callable[[], None] = lambda: None) -> None:
    inner = getattr(owner, name)

    def wrapped(*args: Any, **keywords: Any) -> Any:
        before()
        try:
            return inner(*args, **keywords)
        finally:
            after()

    setattr(owner, name, wrapped)


def _watch(shared: mmap.mmap) -> None:
    """Say in shared memory what the engine is busy with."""
    from engine.run import run
    from engine.train import checkpoint
    from engine.train.loop import Trainer
    from engine.train.selection import Selector

    nested = [0]

    def enter(what: str) -> Callable[[], None]:
        def entered() -> None:
            nested.append(BUSY[what])
            shared[0] = nested[-1]
            shared[1 + BUSY[what]] = (shared[1 + BUSY[what]] + 1) % 256

        return entered

    def leave() -> None:
        nested.pop()
        shared[0] = nested[-1]

    for owner, name, what in (
        (Trainer, "_train_epoch", "training"),
        (Selector, "validate", "validation"),
        (checkpoint, "save", "checkpoint"),
        (run, "evaluate", "evaluation"),
    ):
        _around(owner, name, enter(what), leave)


def _plant(fault: dict[str, Any], run: Path) -> None:
    """At the k-th visit of the place, counted from 1, do it."""
    if limit := fault.get("file_size"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))  # Python ignores SIGXFSZ: EFBIG is raised
        return
    if fault["at"] == "disk":
        _plant_in_disk(fault)
        return
    visits = 0

    def visit() -> None:
        nonlocal visits
        visits += 1
        if visits == fault["k"]:
            _act(fault["do"], run)

    _around(*_place(fault["at"]), visit)


def _place(name: str) -> tuple[Any, str]:
    from engine.evaluate.context import InterruptibleNet
    from engine.fast import teacher_logits
    from engine.methods import crdnd
    from engine.train import checkpoint, loop

    places = {"step": (loop, "train_step"), "forward": (InterruptibleNet, "forward"), "save": (checkpoint, "save"),
              "loss": (crdnd.Method, "loss")}  # fmt: skip
    return (places | {"table": (teacher_logits.TeacherLogits, "_put"), "aside": (teacher_logits, "set_aside")})[name]


def _act(what: str, run: Path) -> None:
    import torch

    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what.startswith("SIG"):
        os.kill(os.getpid(), signal.Signals[what])
    elif what == "stop file":
        (run / "stop").touch()
        time.sleep(0.3)  # longer than the engine waits between two looks
    elif what == "out of memory":
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore lines")
    elif what == "full":
        raise OSError(28, "No space left on device")
    elif what == "stack":
        names = [frame.name for frame in traceback.extract_stack() if frame.filename.startswith(f"{ENGINE}/")]
        (run / "stack").write_text("\n".join(names[names.index("main") :]))
    elif what == "defect":
        raise ZeroDivisionError("planted")
    else:
        raise AssertionError(what)


class _Half:
    """A file object whose writes pass through os.write, so that they count as such."""

    def __init__(self, handle: int) -> None:
        self.handle = handle

    def __enter__(self) -> "_Half":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.handle)

    def write(self, content: bytes) -> None:
        while content:
            content = content[os.write(self.handle, content) :]

    def flush(self) -> None:
        """Nothing is held back."""

    def fileno(self) -> int:
        return self.handle


def _plant_in_disk(fault: dict[str, Any]) -> None:
    """The k-th call that changes the disk dies (`die`), dies in the middle (`half`), or fails (`full`, `once`).

    `count` lets all pass and writes their number to the file that is named.
    """
    calls = 0
    real: Any = os.fdopen
    os.fdopen = lambda file, mode="r", **words: _Half(file) if "w" in mode and not words else real(file, mode, **words)  # type: ignore[assignment]

    def wrap(name: str) -> None:
        inner = getattr(os, name)

        def wrapped(*args: Any, **keywords: Any) -> Any:
            nonlocal calls
            if name == "write" and args[0] in (1, 2):
                return inner(*args)
            calls += 1
            what = fault["do"]
            if what == "count":
                with open(fault["into"], "w") as file:  # noqa: PTH123
                    file.write(str(calls))
            elif what in ("die", "half") and calls == fault["k"]:
                if what == "half" and name == "write":
                    inner(args[0], args[1][: len(args[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            elif name == "write" and (calls >= fault["k"] if what == "full" else calls == fault["k"]):
                if len(args[1]) > 1:
                    inner(args[0], args[1][: len(args[1]) // 2])  # a full disk takes what fits
                if what == "short":
                    return len(args[1]) // 2
                raise OSError(28, "No space left on device")
            return inner(*args, **keywords)

        setattr(os, name, wrapped)

    for name in CALLS:
        wrap(name)


if __name__ == "__main__":
    main()
