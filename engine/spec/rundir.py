"""The names in a run folder, and how a run is found by its id. The two halves of the product share nothing else."""

import os
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from engine.spec import files
from engine.spec.errors import RunFolderError

RUN_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,119}")
_CREATED = re.compile(rb'"created":\s*([0-9]{1,12}(?:\.[0-9]{1,12})?)(?=[,}\s])')
_DATED = re.compile(r"(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)(?![0-9])")
_begun: dict[tuple[Path, str], float] = {}  # known for good


class _Inside:
    """A path that is built when it is read: a list of 10,000 runs reads few."""

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
        return self.path.name

    def leads_out(self, path: Path) -> bool:
        """Return whether a folder between the run's own and `path` is a link."""
        inside = path.relative_to(self.path).parts[:-1]
        return any(os.path.islink(self.path.joinpath(*inside[: k + 1])) for k in range(len(inside)))  # noqa: PTH114

    def weights_of(self, checkpoint: str) -> Path:
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


def check(run: RunDir) -> None:
    """Raise RunFolderError when a part of the folder is of another kind, or a link, which leads an engine out of it.

    Other files in checkpoints and evaluation are no worse than damaged ones: they are passed over and made anew.
    """

    def refuse_if(place: Path, wrong: bool, what: str) -> None:
        if wrong:
            hint = "Put what belongs there in its place."
            raise RunFolderError(f"{place.relative_to(run.path)} {what}", where=str(run.path), hint=hint)

    def refuse_link(place: Path) -> None:
        refuse_if(place, os.path.islink(place), "is a link, and an engine follows none out of its folder")  # noqa: PTH114

    tops = [run.checkpoints, run.weights, run.evaluation, run.path / ".ranks"]
    named = {getattr(run, name) for name, part in vars(RunDir).items() if isinstance(part, _Inside)}
    for place in sorted({*named, *tops, run.path / ".reserve"}):
        refuse_link(place)
        refuse_if(place, place in tops and os.path.lexists(place) and not files.is_folder(place), "should be a folder")
        refuse_if(place, place not in tops and files.is_folder(place), "is a folder where a file belongs")
    for top in tops:
        for at, inner, names in os.walk(top):
            for name in (*inner, *(names if top == run.weights else ())):
                refuse_link(Path(at, name))
                refuse_if(Path(at, name), name in names and not files.is_regular(Path(at, name)), "is no regular file")


def created(run: Path) -> float:
    """Return the unix seconds at which a run was begun, from its status, else from its id; 0 when neither tells.

    Ids are UTC; older ones are of the local time where they were made.
    """
    content = files.read(f"{run}/status.json") or b""
    said = _CREATED.search(content)
    if said is not None and (seconds := float(said[1])) > 0.0:
        return seconds
    return dated(run.name)


def dated(name: str) -> float:
    """Return the unix seconds of the date in a run's id; 0 without one."""
    digits = _DATED.match(name)
    try:
        return datetime(*map(int, digits.groups()), tzinfo=UTC).timestamp() if digits else 0.0  # type: ignore[arg-type, misc]
    except ValueError:  # the thirteenth month
        return 0.0


def newest_first(runs: Path, names: Iterable[str]) -> list[str]:
    """Sort run ids by their creation; reading every status costs 0.2 s for 10,000 runs, once."""
    for name in (names := list(names)):
        if (runs, name) not in _begun:
            _begun[runs, name] = created(runs / name)
    return sorted(names, key=lambda name: (_begun[runs, name], name), reverse=True)


def find(runs: Path, name: str) -> RunDir:
    """Find the run of this id, or whose id starts with it, or at this path; RunFolderError when there is none."""
    near: list[Path] = []  # what may be meant
    if RUN_ID.fullmatch(name):
        if files.is_file(runs / name / "config.toml"):
            return RunDir(runs / name)
        near = sorted(runs.glob(f"{name}*"))
        starts = [path for path in near if files.is_file(path / "config.toml")]
        if len(starts) > 1:
            names = ", ".join(path.name for path in starts[:5])
            raise RunFolderError(f"`{name}` may mean {len(starts)} runs: {names}", hint="Write more of the id.")
        if starts:
            return RunDir(starts[0])
    try:
        near.append(path := Path(name).expanduser())
        if files.is_file(path / "config.toml"):
            return RunDir(path.resolve())
    except (OSError, ValueError, RuntimeError):  # no path at all: too long, a zero byte, nobody's home
        pass
    for path in near:
        if why := damage(RunDir(path)):
            hint = "Put its config.toml back; `crdnd show` tells what is left of it."
            raise RunFolderError(f"run {path.name} is damaged: {why}", where=str(path), hint=hint)
    raise RunFolderError(f"no run `{name}` in {runs}", hint="`crdnd runs` lists them; --runs names another folder.")


def damage(run: RunDir) -> str:
    """Say why parts of a run are no run; empty where the config can be read, or the folder holds no part of a run."""
    if not files.is_folder(run.path) or (files.is_regular(run.config) and os.access(run.config, os.R_OK)):
        return ""
    if not os.access(run.path, os.R_OK | os.X_OK):
        return "its folder may not be read by this user"
    if not files.is_regular(run.status) and not files.is_regular(run.events):
        return ""
    if os.path.lexists(run.config) and not os.access(run.config, os.R_OK):
        return "config.toml may not be read by this user"
    return "config.toml is missing or no regular file"
