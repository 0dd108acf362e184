"""An engine that trains nothing: it says again what a recorded run of the same method said.

Usage: replaying_engine.py RUN_DIR. It speaks as fast as it can, but judges only once the file `judge` lies beside the
folder of the runs: so a test decides when a run may end.
"""

import fcntl
import gzip
import json
import os
import platform
import re
import shutil
import sys
import time
from pathlib import Path

from engine.spec import toml

RECORDED = Path(__file__).parent / "recorded"
PIECES = 8  # in which the log is written


def main() -> None:
    """A run folder's life."""
    run = Path(sys.argv[1])
    lock = (run / "engine.lock").open("a+")
    fcntl.flock(lock, fcntl.LOCK_EX)
    lock.truncate(0)
    lock.write(json.dumps({"pid": os.getpid(), "host": platform.node()}))
    lock.flush()
    method = re.search(r'\[method\]\nname = "(\w+)"', (run / "config.toml").read_text())
    assert method is not None
    recording = next(RECORDED.glob(f"*-{method[1]}-small_cnn-s0-*"))
    lines = gzip.decompress((recording / "events.jsonl.gz").read_bytes()).replace(
        recording.name.encode(), run.name.encode()
    ).splitlines(keepends=True)  # fmt: skip
    last = json.loads((recording / "status.json").read_text())
    config = toml.read(run / "config.toml")
    mine = {"run": run.name, "pid": os.getpid(), "host": platform.node(), "created": time.time(),
            "config_hash": config.config_hash, "group_hash": config.group_hash}  # fmt: skip

    def note(**changes: object) -> None:
        words = last | mine | {"heartbeat": time.time()} | changes
        (run / "status.tmp").write_text(json.dumps(words))
        (run / "status.tmp").replace(run / "status.json")

    def say(some: list[bytes]) -> None:
        moment = f'"time":{time.time()}'.encode()
        with (run / "events.jsonl").open("ab") as log:
            log.writelines(re.sub(rb'"time":[\d.]+', moment, line) for line in some)

    judging = next(k for k, line in enumerate(lines) if b"evaluation_started" in line)
    for piece in range(PIECES):
        say(lines[judging * piece // PIECES : judging * (piece + 1) // PIECES])
        note(phase="training", epoch=5 * piece, results={})
        time.sleep(0.02)
    while not (run.parent.parent / "judge").exists():
        note(phase="training", results={})
        time.sleep(0.05)
    for k in range(judging, len(lines) - 1):
        say([lines[k]])
        note(phase="evaluation", results={})
        time.sleep(0.01)
    shutil.copytree(recording / "evaluation", run / "evaluation")
    say(lines[-1:])
    note()


main()
