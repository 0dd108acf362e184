"""Real runs that ship with the package, for the demo: what the engine wrote, without weights, host and user.

A file that ends in .gz is packed; nothing else was changed but the paths and the host's name.
"""

import gzip
from collections.abc import Iterator
from pathlib import Path

import msgspec

from engine.spec import status as status_file
from engine.spec.events import Event, RunStarted, decode
from engine.spec.status import Status

FOLDER = Path(__file__).parent / "runs"
HOST = "demo-host"
LOG = "events.jsonl"


class Recording:
    """One recorded run."""

    def __init__(self, name: str) -> None:
        self.path = FOLDER / name

    @property
    def status(self) -> Status:
        """As the engine left it, named so that nobody takes it for a run of this machine."""
        last = status_file.decode((self.path / "status.json").read_bytes())
        return msgspec.structs.replace(last, name=f"demo {last.name}", host=HOST)

    @property
    def id(self) -> str:
        """Of the recorded run, without its date."""
        return self.status.run[16:]

    def events(self, run: str, name: str) -> list[Event]:
        """All of them, said by a run of this id and name."""
        lines = gzip.decompress((self.path / f"{LOG}.gz").read_bytes()).splitlines()
        events = decode(lines).events
        return [
            msgspec.structs.replace(event, run=run, name=name) if isinstance(event, RunStarted) else event
            for event in events
        ]

    def before(self) -> Iterator[tuple[str, bytes]]:
        """What lies in the folder before the first event: config, preset, machine, provenance."""
        for path in sorted(self.path.glob("*")):
            if path.suffix in (".toml", ".json") and path.name != "status.json":
                yield path.name, path.read_bytes()

    def results(self) -> dict[str, bytes]:
        """What the evaluation wrote, by its place: `evaluation/best/clean.json`; pixels before their index."""
        found = {}
        paths = [path for path in (self.path / "evaluation").rglob("*") if path.is_file()]
        for path in sorted(paths, key=lambda path: (".f32" not in path.name, path.name)):
            place, content = path.relative_to(self.path).as_posix(), path.read_bytes()
            packed = path.suffix == ".gz"
            found[place.removesuffix(".gz")] = gzip.decompress(content) if packed else content
        return found
