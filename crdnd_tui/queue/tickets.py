"""Runs that wait for a device: one small file for each in `.queue/tickets`. Readers never lock; whoever writes does.

A ticket tells what is wanted of a run; how the run is, its own folder tells.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct, structs

from crdnd_tui.core.engine_process import ProcessIdentity
from crdnd_tui.core.text import display
from engine.spec import files, locks
from engine.spec.errors import RunFolderError
from engine.spec.files import write_atomically
from engine.spec.rundir import RUN_ID

TicketState = Literal["waiting", "held", "running", "done", "stopped", "failed", "cancelled"]
Where = Literal["up", "down", "top"]
OPEN: frozenset[TicketState] = frozenset({"waiting", "held"})
ENDED: frozenset[TicketState] = frozenset({"done", "stopped", "failed", "cancelled"})
SLOTS = range(1, 65)  # runs at once on a device
PATIENCE = 5.0  # seconds for which another writer may hold the lock
CAP = 1 << 16  # bytes of a ticket
Seconds = Annotated[float, Meta(ge=0, lt=1e11)]  # unix time
Devices = Annotated[int, Meta(ge=1, le=1024)]  # of one run


class Ticket(Struct, frozen=True, kw_only=True):
    """A run's place in the queue and what became of it. Times are unix seconds, 0 when not yet."""

    run: str  # its id
    device: str = "auto"  # as its machine.json says
    devices: Devices = 1  # how many, this one and the next
    state: TicketState = "waiting"
    rank: float = 0.0  # the queue's order; a run that is moved gets one between its new neighbours'
    place: int = 0  # 1 is the next; counted when read, 0 when not waiting or held
    added: Seconds = 0.0
    started: Seconds = 0.0
    ended: Seconds = 0.0
    note: str = ""  # why it ended so
    pid: int = 0  # of its engine
    born: Seconds = 0.0  # when that process began
    study: str = ""  # the name of the study that it is a run of
    stop_on_failure: bool = False  # when it fails, the rest of its study is held

    @property
    def engine_lives(self) -> bool:
        """Whether the process that was started for it is still there."""
        return bool(self.pid) and ProcessIdentity(self.pid, self.born).lives


_decoder = msgspec.json.Decoder(Ticket)


class Queue:
    """The queue of a runs folder. Nothing is made on disk before the first ticket."""

    def __init__(self, runs: Path) -> None:
        self.runs, self.folder = runs, runs / ".queue"
        self._tickets, self._lock, self._settings = (self.folder / n for n in ("tickets", "lock", "settings.toml"))
        self._seen: dict[str, tuple[tuple[int, ...], Ticket | None]] = {}
        self.damaged: list[str] = []  # names of files that were passed over at the last reading, safe to show

    def tickets(self) -> list[Ticket]:
        """In order: at work, waiting and held, then those that ended, the latest first."""
        found = self._read()
        atwork = sorted((t for t in found if t.state == "running"), key=lambda t: (t.started, t.run))
        queued = sorted((t for t in found if t.state in OPEN), key=lambda t: (t.rank, t.run))
        ended = sorted((t for t in found if t.state in ENDED), key=lambda t: (t.ended, t.run), reverse=True)
        return [*atwork, *(structs.replace(t, place=k) for k, t in enumerate(queued, 1)), *ended]

    def ticket(self, run: str) -> Ticket | None:
        return next((ticket for ticket in self.tickets() if ticket.run == run), None)

    @property
    def at_once(self) -> int:
        """How many runs may share a device: 1 unless it was set to something sensible."""
        count = (files.decoded(self._settings, files.toml_table, CAP) or {}).get("at_once")
        return count if type(count) is int and count in SLOTS else 1

    def set_at_once(self, count: int) -> None:
        """RunFolderError when the number makes no sense."""
        if count not in SLOTS:
            raise RunFolderError(f"{count} runs at once on a device; it may be {SLOTS[0]} to {SLOTS[-1]}")
        with self.locked():
            write_atomically(self._settings, f"at_once = {count}  # runs on one device\n".encode())

    def add(self, run: str, device: str, now: float, devices: int = 1) -> Ticket:
        """At the end of the queue; a run that ended in it may come again, and stays a run of its study."""
        with self.locked():
            old = self.ticket(run)
            if old is not None and old.state not in ENDED:
                raise RunFolderError(f"{display(run)} is in the queue already; it is {old.state}")
            last = max((t.rank for t in self._read()), default=0.0)
            kept = {"study": old.study, "stop_on_failure": old.stop_on_failure} if old else {}
            return self._write(
                structs.replace(Ticket(run=run, device=device, devices=devices, rank=last + 1.0, added=now), **kept)
            )

    def add_all(self, wanted: Sequence[Ticket]) -> int:
        """At the end of the queue, in this order; how many were added.

        What is in the queue already is passed over; what ended as a run of the same study comes back to its old place.
        """
        with self.locked():
            known = self._read()
            busy = {t.run for t in known if t.state not in ENDED}
            places = {(t.run, t.study): t.rank for t in known}
            last = max((t.rank for t in known), default=0.0)
            fresh = [t for t in wanted if t.run not in busy]
            for k, t in enumerate(fresh, 1):
                self._write(structs.replace(t, state="waiting", rank=places.get((t.run, t.study), last + k)))
        return len(fresh)

    def change(self, run: str, allowed: Sequence[str], act: Callable[[Ticket], Ticket | None]) -> Ticket | None:
        """The ticket as `act` makes it, or gone when that is None; RunFolderError when its state is not `allowed`."""
        with self.locked():
            ticket = self.ticket(run)
            if ticket is None:
                raise RunFolderError(f"{display(run)} is not in the queue", hint="`crdnd queue list` shows what is.")
            if ticket.state not in allowed:
                raise RunFolderError(f"{display(run)} is {ticket.state}; it would have to be {' or '.join(allowed)}")
            new = act(ticket)
            if new is None:
                self._path(run).unlink(missing_ok=True)
                return None
            return new if new == ticket else self._write(new)

    def hold(self, run: str) -> Ticket | None:
        """It keeps its place but is not started."""
        return self.change(run, ("waiting", "held"), lambda t: structs.replace(t, state="held"))

    def release(self, run: str) -> Ticket | None:
        """It may start again."""
        return self.change(run, ("held", "waiting"), lambda t: structs.replace(t, state="waiting", note=""))

    def move(self, run: str, where: Where) -> Ticket | None:
        """Before its neighbour, behind it, or before all."""
        return self.change(run, ("waiting", "held"), lambda t: structs.replace(t, rank=self._rank(t, where)))

    def clear(self) -> int:
        """Forget those that ended; their runs stay. How many they were."""
        with self.locked():
            ended = [t for t in self._read() if t.state in ENDED]
            for ticket in ended:
                self._path(ticket.run).unlink(missing_ok=True)
        return len(ended)

    def check(self) -> None:
        """RunFolderError when no ticket could be written: then no run folder is made, which would wait for ever."""
        with self.locked():
            if not os.access(self._tickets, os.W_OK | os.X_OK):
                raise RunFolderError("the queue is another user's and cannot be written", where=str(self.folder))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone among writers; RunFolderError when another one does not let go."""
        try:
            files.make_folder(self._tickets)
            lock = locks.open_lock(self._lock)
        except OSError as error:
            raise RunFolderError(f"the queue cannot be written: {error.strerror}", where=str(self.folder)) from None
        try:
            if not locks.acquire(lock, patience=PATIENCE):
                raise RunFolderError("another process holds the queue and does not let go", where=str(self._lock))
            yield
        finally:
            os.close(lock)

    def _rank(self, ticket: Ticket, where: str) -> float:
        """A number between the new neighbours'; all are counted anew when no number is left between them."""
        others = [t for t in self.tickets() if t.state in OPEN and t.run != ticket.run]
        place = {"up": max(0, ticket.place - 2), "down": min(len(others), ticket.place), "top": 0}[where]
        before = others[place - 1].rank if place else None
        after = others[place].rank if place < len(others) else None
        if before is None or after is None:
            return (after or 0.0) - 1.0 if before is None else before + 1.0
        if before < (between := (before + after) / 2) < after:
            return between
        for k, other in enumerate(others):
            self._write(structs.replace(other, rank=float(k if k < place else k + 1)))
        return float(place)

    def _write(self, ticket: Ticket) -> Ticket:
        content = structs.asdict(ticket)
        del content["place"]
        write_atomically(self._path(ticket.run), msgspec.json.encode(content) + b"\n")
        return ticket

    def _path(self, run: str) -> Path:
        if not RUN_ID.fullmatch(run):
            raise RunFolderError(f"`{display(run, 120)}` is no run id")
        return self._tickets / f"{run}.json"

    def _read(self) -> list[Ticket]:
        """All tickets, in no order. A file is decoded when it is new only: it is replaced, never changed."""
        seen: dict[str, tuple[tuple[int, ...], Ticket | None]] = {}
        try:
            with os.scandir(self._tickets) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue  # a file that is being written
                    stamp, old = _stamp(entry), self._seen.get(entry.name)
                    seen[entry.name] = old if old and old[0] == stamp else (stamp, _ticket(Path(entry.path)))
        except OSError:
            seen = {}
        self._seen = seen
        self.damaged = sorted(display(name, 160) for name, (_, ticket) in seen.items() if ticket is None)
        return [ticket for _, ticket in seen.values() if ticket is not None]


def _stamp(entry: "os.DirEntry[str]") -> tuple[int, ...]:
    try:
        found = entry.stat(follow_symlinks=False)
    except OSError:
        return ()
    return found.st_ino, found.st_mtime_ns, found.st_size


def _ticket(path: Path) -> Ticket | None:
    """None for a file that is no ticket: damaged, too large, a link, called otherwise than its run."""
    ticket = files.decoded(path, _decoder.decode, CAP)
    if ticket is None or path.name != f"{ticket.run}.json" or not RUN_ID.fullmatch(ticket.run):
        return None
    shown = {"note": display(ticket.note), "device": display(ticket.device, 20), "study": display(ticket.study, 60)}
    return structs.replace(ticket, place=0, **shown)
