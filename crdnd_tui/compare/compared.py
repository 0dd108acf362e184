"""Reads the runs that are compared, and goes on reading while they grow. Nothing in a folder can raise.

A folder that is gone, damaged or no run at all is a side that says so.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from crdnd_tui.compare.comparison_side import Choice, Side, labels, twinned
from crdnd_tui.core import library, report
from crdnd_tui.core.format import percent
from crdnd_tui.core.pages import SIGNS
from crdnd_tui.core.run_reader import RunReader
from crdnd_tui.core.session import Session
from crdnd_tui.core.text import display, one_line
from engine.spec import files
from engine.spec.rundir import RUN_ID, RunDir

MAX_RUNS = 60  # of which seeds make one row: a study of a dozen methods


class _Reader:
    """One run."""

    def __init__(self, run: RunDir) -> None:
        self._run = run
        self._reader = RunReader(run)
        self._config: tuple[object, Mapping[str, Any]] = (None, {})

    def read(self, now: float) -> Side:
        """How the run is now."""
        summary = library.summary(self._run, now=now) if files.is_folder(self._run.path) else None
        name = display(self._run.id)
        if summary is None:
            there = files.is_folder(self._run.path)
            return _missing(name, "the folder holds no run" if there else "the folder is gone")
        self._reader.read()
        state = self._reader.state if summary.state in library.LIVING else self._reader.final()
        return Side(
            id=name, sign=SIGNS[summary.state][0], word=summary.state, why=summary.why, config=self._table(),
            group=summary.status.group_hash if summary.status else "", state=state, records=self._reader.images(state),
        )  # fmt: skip

    def _table(self) -> Mapping[str, Any]:
        content = files.read(self._run.config)
        if self._config[0] != content:
            self._config = (content, _parsed(content))
        return self._config[1]


def _missing(run: str, why: str) -> Side:
    return Side(id=display(run), sign="!", word="missing", why=why)


def choices(rows: Iterable[library.Summary]) -> list[Choice]:
    """Runs that have something to compare, in this order; not those that wait or cannot be read."""
    return [_choice(row) for row in rows if row.state not in ("queued", "damaged")]


def _choice(row: library.Summary) -> Choice:
    status = row.status
    words, result = row.id, ""
    if status is not None:
        teacher = f" from {status.teacher}" if status.teacher not in ("", "-") else ""
        method = status.method or "judged"
        words = one_line(f"{method}: {status.student}{teacher} on {status.data}, seed {status.seed}", 160)
        result = next(
            (
                f"{'worst' if attack == report.WORST else report.title(attack)} {percent(of[attack]):>5} %"
                f"{row.sign(attack)}"
                for of in (row.judged,)
                for attack in (report.WORST, "autoattack", "pgd_sat", "clean")
                if attack in of
            ),
            "",
        )
    return Choice(id=row.id, sign=SIGNS[row.state][0], state=row.state, words=words, result=result)


def _parsed(content: bytes | None) -> Mapping[str, Any]:
    try:
        return files.toml_table(content or b"")
    except files.MalformedError:
        return {}  # no keys to compare


def sides(runs: Sequence[RunDir], now: float) -> list[Side]:
    """These runs as they are now, read once; as many as are asked for, wherever they lie."""
    return _labelled([_Reader(run).read(now) for run in runs])


def _labelled(read: Sequence[Side]) -> list[Side]:
    """The same with names that tell them apart."""
    names = labels([(side.id, side.config) for side in read])
    return twinned([replace(side, label=name) for side, name in zip(read, names, strict=True)])


class Compared:
    """The readers of the runs on the screen; runs that come and go keep what was read of the others."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._readers: dict[str, _Reader] = {}
        self._before: list[Side] = []

    def read(self, ids: Sequence[str]) -> tuple[list[Side], bool]:
        """All sides in this order, and whether anything changed since the last call."""
        runs, now = self._session.runs, self._session.now()
        self._readers = {
            run: self._readers.get(run) or _Reader(RunDir(runs / run))
            for run in ids[:MAX_RUNS]
            if RUN_ID.fullmatch(run)
        }
        found = [
            self._readers[run].read(now) if run in self._readers else _missing(run, "no run has such an id")
            for run in ids[:MAX_RUNS]
        ]
        read = _labelled(found)
        changed = not _same(read, self._before)
        self._before = read
        return read, changed


def _same(now: Sequence[Side], before: Sequence[Side]) -> bool:
    """By identity where contents are large."""
    return len(now) == len(before) and all(
        one.state is two.state
        and one.config is two.config
        and (one.id, one.label, one.word, one.why, one.group, one.records)
        == (two.id, two.label, two.word, two.why, two.group, two.records)
        for one, two in zip(now, before, strict=True)
    )
