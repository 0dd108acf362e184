"""Where a run lives: the names in a run folder. The folder is the only thing the two halves share."""

import re
from pathlib import Path

from engine.spec.errors import RunFolderError

RUN_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,119}")


class _Inside:
    """A path that is made when it is asked for: a list of 10,000 runs asks for few."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, run: "RunDir", _: object = None) -> Path:
        return run.path / self._name


class RunDir:
    """One run folder. One owner per file: the engine writes all of these but `stop` and `notes.toml`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    preset = _Inside("preset.toml")  # as the user wrote it
    config = _Inside("config.toml")  # resolved, every default written out; made before the engine starts
    machine = _Inside("machine.json")
    provenance = _Inside("provenance.json")
    events = _Inside("events.jsonl")
    discarded = _Inside("events.discarded.jsonl")  # what a resumed engine cut off and did again
    status = _Inside("status.json")
    log = _Inside("engine.log")
    lock = _Inside("engine.lock")
    stop = _Inside("stop")  # touched by whoever wants the engine to stop after its step
    checkpoints = _Inside("checkpoints")
    weights = _Inside("weights")
    evaluation = _Inside("evaluation")

    @property
    def id(self) -> str:
        """The folder's name."""
        return self.path.name

    def weights_of(self, checkpoint: str) -> Path:
        """Of the student at `best` or `last`."""
        return self.weights / f"{checkpoint}.safetensors"

    def result(self, checkpoint: str, attack: str) -> Path:
        """The record of one attack on one checkpoint: accuracy, per class, confusion, outcomes of every image."""
        return self.evaluation / checkpoint / f"{attack}.json"

    def gallery(self, checkpoint: str) -> Path:
        """Index of the adversarial examples; their pixels lie beside it, raw."""
        return self.evaluation / checkpoint / "gallery.json"

    def partial(self, checkpoint: str, attack: str) -> Path:
        """Batches of an attack that has not ended."""
        return self.evaluation / checkpoint / f"{attack}.partial"


def find(runs: Path, name: str) -> RunDir:
    """The run of this id, or whose id starts with it, or at this path."""
    if RUN_ID.fullmatch(name):
        exact = runs / name
        if (exact / "config.toml").is_file():
            return RunDir(exact)
        starts = sorted(p for p in runs.glob(f"{name}*") if (p / "config.toml").is_file())
        if len(starts) == 1:
            return RunDir(starts[0])
        if len(starts) > 1:
            names = ", ".join(p.name for p in starts[:5])
            raise RunFolderError(f"`{name}` may mean {len(starts)} runs: {names}", hint="Write more of the id.")
    try:
        path = Path(name).expanduser()
        if (path / "config.toml").is_file():
            return RunDir(path.resolve())
    except (OSError, ValueError, RuntimeError):  # no path at all: too long, a zero byte, nobody's home
        pass
    raise RunFolderError(f"no run `{name}` in {runs}", hint="`crdnd runs` lists them; --runs names another folder.")
