"""The config of an evaluation, from a run or a checkpoint file and the flags of `crdnd evaluate`."""

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
from engine.spec.rundir import RunDir
from engine.spec.training import Evaluation

T = TypeVar("T", bound=Spec)
Weights = Literal["best", "last"]
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
    return _of_run(run, cast(Weights, weights), changes, machine)


def _of_run(run: RunDir, weights: Weights, changes: dict[str, Any], machine: Machine) -> JudgeConfig:
    saved = toml.read(run.config)
    inside = run.path.parent == machine.runs_folder
    if isinstance(saved, RunConfig):
        of: Any = RunTeacher(run=run.id if inside else str(run.path), weights=weights)
        name = f"{saved.title}, {weights}, again"
    else:
        of, name = saved.subject, saved.name
    evaluation = _evaluation(saved.evaluation, weights, changes)
    return JudgeConfig(
        name=name[:120], data=saved.data, subject=of, threat_model=_threat(saved.threat_model, changes),
        evaluation=evaluation,
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
    try:
        return ThreatModel.model_validate(saved.model_dump(mode="json") | {"epsilon": changes["epsilon"]})
    except ValidationError as error:
        raise ConfigError([f"--epsilon: {_said(error)}"]) from None


def _evaluation(saved: Evaluation, weights: Weights, changes: dict[str, Any]) -> Evaluation:
    """The saved protocol with other attacks, and images."""
    attacks = [_part(text, TypeAdapter(AttackSpec), "--attack") for text in changes.get("attacks") or ()]
    table: dict[str, Any] = saved.model_dump(mode="json") | {"checkpoints": [weights]}
    if attacks:
        table["attacks"] = [attack.model_dump(mode="json") for attack in attacks]
    if changes.get("images") is not None:
        table["images"] = changes["images"]
    try:
        return Evaluation.model_validate(table)
    except ValidationError as error:
        raise ConfigError([f"--attack, --images: {_said(error)}"]) from None


def _part(text: str, adapter: TypeAdapter[T], flag: str) -> T:
    """`name:key=value,key=value` as one of a registry."""
    name, _, settings = text.partition(":")
    table: dict[str, Any] = {"name": name}
    for setting in filter(None, settings.split(",")):
        key, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError([f"{flag} {display(text, 100)}: write name:key=value,key=value"])
        table[key.strip()] = _value(value.strip())
    try:
        return adapter.validate_python(table)
    except ValidationError as error:
        raise ConfigError([f"{flag} {display(text, 100)}: {_said(error)}"]) from None


def _value(text: str) -> object:
    """A value of TOML, or a word; `a|b` is a list of them."""
    return [_value(item) for item in text.split("|")] if "|" in text else toml.value_of(text)


def _said(error: ValidationError) -> str:
    """All mistakes in one line."""
    said = []
    for detail in error.errors(include_url=False):
        where = ".".join(str(part) for part in detail["loc"][-2:])
        said.append(f"{display(where, 60)}: {display(detail['msg'], 300)}" if where else display(detail["msg"], 300))
    return "; ".join(said)
