"""The config of an evaluation, from a run or a checkpoint file and the flags of `crdnd evaluate`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from crdnd_tui.core.text import display
from engine.spec import rundir, toml
from engine.spec.attacks import AttackSpec, ThreatModel
from engine.spec.base import Spec
from engine.spec.config import CheckpointTeacher, JudgeConfig, RunConfig, RunTeacher
from engine.spec.data import DataSpec
from engine.spec.errors import ConfigError, RunFolderError
from engine.spec.machine import Machine
from engine.spec.models import ModelSpec
from engine.spec.training import Evaluation

T = TypeVar("T", bound=Spec)
_FLAGS = (("--model", "model"), ("--data-set", "data_set"))  # without which a checkpoint file cannot be judged


def judge_config(subject: str, changes: dict[str, Any], machine: Machine) -> JudgeConfig:
    """From a run: its data, threat model and protocol. From a checkpoint file: --model and --data-set say it."""
    weights = changes.get("weights") or "best"
    if weights not in ("best", "last"):
        raise ConfigError([f"--weights is best or last, not `{display(str(weights), 40)}`"])
    path = Path(subject).expanduser()
    if path.is_file():
        return _of_checkpoint(path, changes)
    try:
        run = rundir.find(machine.runs_folder, subject)
    except RunFolderError as error:
        raise ConfigError([f"`{display(subject, 200)}` is neither a checkpoint file nor a run", str(error)]) from None
    said = [flag for flag, key in _FLAGS if changes.get(key)] + ["--prefix"] * (changes.get("prefix") is not None)
    if said:
        raise ConfigError([f"{said[0]} is said of a checkpoint file, and {display(run.id)} is a run"])
    saved = toml.read(run.config)
    if isinstance(saved, RunConfig):
        named = run.id if run.path.parent == machine.runs_folder else str(run.path)
        of: Any = RunTeacher(run=named, weights=cast(Literal["best", "last"], weights))
        name = f"{saved.title}, {weights}, again"
    else:
        of, name = saved.subject, saved.name
    return JudgeConfig(
        name=name[:120], data=saved.data, subject=of, threat_model=_threat(saved.threat_model, changes),
        evaluation=_evaluation(saved.evaluation, weights, changes),
    )  # fmt: skip


def _of_checkpoint(path: Path, changes: dict[str, Any]) -> JudgeConfig:
    missing = [flag for flag, key in _FLAGS if not changes.get(key)]
    if missing:
        raise ConfigError(
            [f"a checkpoint file does not say what it is: add {' and '.join(missing)}",
             "such as --model resnet18 --data-set cifar10, or --model wide_resnet:depth=34,normalization=none"]
        )  # fmt: skip
    model: ModelSpec = _part(str(changes["model"]), TypeAdapter(ModelSpec), "--model")
    data: DataSpec = _part(str(changes["data_set"]), TypeAdapter(DataSpec), "--data-set")
    return JudgeConfig(
        name=f"{model.title} from {path.name}"[:120], data=data,
        subject=CheckpointTeacher(checkpoint=str(path.resolve()), model=model, prefix=changes.get("prefix")),
        threat_model=_threat(ThreatModel(), changes), evaluation=_evaluation(Evaluation(), "best", changes),
    )  # fmt: skip


def _threat(saved: ThreatModel, changes: dict[str, Any]) -> ThreatModel:
    if not changes.get("epsilon"):
        return saved
    with _mistakes_of("--epsilon"):
        return ThreatModel.model_validate(saved.model_dump(mode="json") | {"epsilon": changes["epsilon"]})


def _evaluation(saved: Evaluation, weights: str, changes: dict[str, Any]) -> Evaluation:
    """The saved protocol with other attacks, and images."""
    table: dict[str, Any] = saved.model_dump(mode="json") | {"checkpoints": [weights]}
    attacks = [_part(text, TypeAdapter(AttackSpec), "--attack") for text in changes.get("attacks") or ()]
    if attacks:
        table["attacks"] = [attack.model_dump(mode="json") for attack in attacks]
    if changes.get("images") is not None:
        table["images"] = changes["images"]
    with _mistakes_of("--attack, --images"):
        return Evaluation.model_validate(table)


def _part(text: str, adapter: TypeAdapter[T], flag: str) -> T:
    """`name:key=value,key=value` as one of a registry; `a|b` is a list of values."""
    name, _, settings = text.partition(":")
    table: dict[str, Any] = {"name": name}
    for setting in filter(None, settings.split(",")):
        key, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError([f"{flag} {display(text, 100)}: write name:key=value,key=value"])
        items = [toml.value_of(item) for item in value.strip().split("|")]
        table[key.strip()] = items if len(items) > 1 else items[0]
    with _mistakes_of(f"{flag} {display(text, 100)}"):
        return adapter.validate_python(table)


@contextmanager
def _mistakes_of(flag: str) -> Iterator[None]:
    """All mistakes of a flag in one line."""
    try:
        yield
    except ValidationError as error:
        said = []
        for detail in error.errors(include_url=False):
            where = display(".".join(map(str, detail["loc"][-2:])), 60)
            said.append(f"{where}: " * bool(where) + display(detail["msg"], 300))
        raise ConfigError([f"{flag}: {'; '.join(said)}"]) from None
