"""Which runs of a folder are at work: asked every two seconds by the head line, and on leaving. Reads: in a thread."""

import os
import time
from pathlib import Path
from typing import NamedTuple

from crdnd_tui.core.run_status import LIVING, Summary
from crdnd_tui.core.scan import shared

RECENT = 1.5  # seconds for which what another saw is good enough


class AtWork(NamedTuple):
    """Runs with an engine, newest first, and whether this very process plays the demo."""

    engines: list[Summary]
    demo: bool


def at_work(runs: Path, recent: float = RECENT) -> AtWork:
    """An absent folder has none. A run that this process plays is no engine's: it ends with the terminal."""
    scan = shared(runs).recent(time.time(), recent)
    rows = [row.summary for row in scan.rows]
    played = [row for row in rows if row.status is not None and row.status.pid == os.getpid()]
    return AtWork([row for row in rows if row.state in LIVING and row not in played], bool(played))
