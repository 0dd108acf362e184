"""What one sitting at the terminal holds: folders, machine, what may be changed; and what screens may ask of the app.

Pure values: no Textual, nothing read.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True)
class Session:
    """The flags of `crdnd-tui`."""

    runs: Path
    data: Path
    machine: Mapping[str, Any] = field(default_factory=dict)  # further keys of engine.spec.machine.Machine
    readonly: bool = False
    ascii_only: bool = False
    settings: Path | None = None  # where the theme is remembered; nowhere when None
    frames: float = 4.0  # per second, of the screen in front
    now: Callable[[], float] = time.time  # unix seconds; tests stop this clock

    def machine_with(self, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Keys of engine.spec.machine.Machine: these, and those of the flags."""
        return {**self.machine, **chosen, "data": str(self.data), "runs": str(self.runs)}


class Lab(Protocol):
    """The app, as screens see it."""

    session: Session
    compared: tuple[str, ...]  # ids of the runs that lie side by side
    draft: tuple[str, Path | None] | None  # a preset that waits for the New screen, and where it lies

    def open_run(self, run: str, screen: str = "live") -> None:
        """Show this run (its id) on `live` or `examples`."""

    def compare_runs(self, runs: Sequence[str]) -> None:
        """Lay these runs side by side."""

    def edit_preset(self, text: str, path: Path | None = None) -> None:
        """The New screen with this preset; `path` is where it lies, for what it extends, and where it is saved."""

    def show(self, screen: str) -> None:
        """One of runs, new, live, compare, examples, queue, studies."""

    def start_demo(self) -> object:
        """Replay a recorded run in a folder of its own."""

    @property
    def current(self) -> str:
        """The id of the run in front; empty when there is none."""
