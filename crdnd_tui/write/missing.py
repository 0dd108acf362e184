"""How far the runs of a row are, in words: what has not run is told, never left out. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from crdnd_tui.compare.comparison_side import Side
from crdnd_tui.core.text import one_line
from crdnd_tui.study.standing import Progress, Standing
from crdnd_tui.study.study import Cell

_CALLED = {"absent": "not run"}  # state of a cell -> what a table says


@dataclass(frozen=True, kw_only=True)
class Reach:
    """What there is of a study: how each cell stands, and the runs as comparisons know them."""

    progress: Progress
    sides: Mapping[str, Side]  # run id -> side, of the cells that have a run

    @cached_property
    def _by_hash(self) -> Mapping[str, Standing]:
        return {standing.cell.config_hash: standing for standing in self.progress.standings}

    def standings(self, cells: Iterable[Cell]) -> list[Standing]:
        """Of these cells, in their order."""
        return [self._by_hash[cell.config_hash] for cell in cells]

    def runs(self, cells: Iterable[Cell]) -> list[Side]:
        """Those that there are of these cells."""
        return [self.sides[s.run] for s in self.standings(cells) if s.run in self.sides]

    def judged(self, cells: Iterable[Cell]) -> list[Side]:
        """Those that have numbers."""
        return [side for side in self.runs(cells) if side.state.table]

    def word(self, cells: Sequence[Cell], wanted: str, attack: str) -> str:
        """Why there is no number of this attack, for the place where it would stand: the states of these runs."""
        states = []
        for standing in self.standings(cells):
            side = self.sides.get(standing.run)
            if side is None or side.cell(wanted, attack) is None:
                states.append("not judged" if standing.state == "done" else _called(standing))
        return ", ".join(dict.fromkeys(states))

    def share(self, cells: Sequence[Cell]) -> str:
        """`3` when all have run, `1 of 3`, or `not run`, `waiting`, `failed` of a single one."""
        standings = self.standings(cells)
        done = sum(standing.state == "done" for standing in standings)
        if done == len(standings):
            return str(done)
        return _called(standings[0]) if len(standings) == 1 else f"{done} of {len(standings)}"

    def sentence(self, cells: Sequence[Cell]) -> str:
        """`1 of 3 seeds: 1 waiting, 1 failed: out of memory`; empty when all have run."""
        told = Counter(self._told(standing) for standing in self.standings(cells) if standing.state != "done")
        if not told:
            return ""
        if len(cells) == 1:
            return next(iter(told))
        done = len(cells) - sum(told.values())
        return f"{done} of {len(cells)} seeds: " + ", ".join(f"{many} {words}" for words, many in told.items())

    def _told(self, standing: Standing) -> str:
        """A state with its reason, or how far it is."""
        side = self.sides.get(standing.run)
        if standing.state == "running" and side is not None and side.state.training and not side.state.table:
            return f"running, epoch {len(side.state.epochs)} of {side.state.training.epochs}"
        if standing.state in ("waiting", "running") or not standing.why:
            return _called(standing)
        return f"{_called(standing)}: {one_line(standing.why, 160)}"


def _called(standing: Standing) -> str:
    return _CALLED.get(standing.state, standing.state)
