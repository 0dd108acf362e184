"""Teachers: locate, load, freeze, and measure before the first step.

A teacher that silently sees its images normalized twice costs a whole run: it is measured on images that were held
out of the student's training set, and refused when it misses what its source claims.
"""

import contextlib
import hashlib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from engine.ascent import ascend
from engine.data.augment import to_pixels
from engine.losses import ask, cross_entropy
from engine.runtime.rng import seed_for, stratified
from engine.spec import events, files, outcomes, robustbench, rundir, toml
from engine.spec.attacks import Ascent, ThreatModel
from engine.spec.base import Pixels
from engine.spec.config import CheckpointTeacher, PresetTeacher, RobustBenchTeacher, RunConfig, RunTeacher, TeacherSpec
from engine.spec.data import DataSpec
from engine.spec.errors import TeacherError, percent
from engine.spec.events import TeacherChecked, TrainingStarted, Validated, Warned
from engine.spec.folders import equal_runs, finished_run
from engine.spec.models import ModelSpec
from engine.spec.rundir import RunDir
from engine.teachers import download, foreign
from engine.types import Dataset, Images, Labels, Logits, Split

IMAGES = 512  # measured before the first step
STEPS = 10
MAX_LOG = 64 << 20  # bytes of a teacher's log
RECORD_DROP, RECORD_ERRORS = 0.05, 3.0  # fraction and standard errors that a teacher may lie below its own record
CLAIM_ERRORS = 2.0  # standard errors of the sample that a figure may lie below its claim, beside the tolerance
SAME_IMAGES = {
    "validation",
    "split_seed",
    "train_images",
    "crop_padding",
    "flip",
}  # keys that leave the images as they are
CAUSES = (
    "Usual causes: wrong checkpoint; input normalization applied twice, or not at all (`normalization` of its model); "
    "another padding (WideResNetSiLU for DeepMind's, WideResNet for TRADES'); another data set."
)


@dataclass(frozen=True, kw_only=True)
class TeacherSource:
    """Where a teacher's weights lie, what model they fit, and what their source claims of them."""

    path: Path
    model: ModelSpec
    label: str
    sha256: str
    expected_clean: float | None = None  # fraction
    expected_robust: float | None = None  # fraction under PGD-10, or a lower bound of it
    expected_epsilon: float | None = None  # radius of `expected_robust`; None = that of the run
    tolerance: float = 0.03
    prefix: str | None = None  # of its names in the file, where several fit
    record: "TeacherRecord | None" = None  # of the run that made it

    @property
    def identity(self) -> str:
        """SHA-256 that tells this network from others, those in the same file included."""
        named = f"{self.sha256} {self.prefix}"
        return self.sha256 if self.prefix is None else hashlib.sha256(named.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class TeacherRecord:
    """What the run that made a teacher recorded of it."""

    data: DataSpec
    classes: tuple[str, ...] = ()  # empty when its log does not tell
    clean: float | None = None  # fraction of `n` test or validation images
    n: int = 0


class TeacherCheck(NamedTuple):
    """The measurement of a teacher, and warnings for a reader of the run's numbers."""

    event: TeacherChecked
    warnings: list[Warned]


class FrozenTeacher(nn.Module):
    """A net whose weights do not change: always in eval mode, whatever mode its parent is put in, without gradients."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> "FrozenTeacher":
        return super().train(False)

    def forward(self, x: Images) -> Logits:
        logits: Logits = self.net(x)
        return logits


def locate(
    spec: TeacherSpec, *, runs: Path, data: Path, dataset: str, sha256: str = "", downloads: bool = True
) -> TeacherSource:
    """The weights that the spec names, on this machine; RobustBench models are downloaded once.

    `data` is the folder that relative checkpoints are in and downloads go to, `runs` that of run folders. Where several
    runs are of a preset, the one whose weights have this `sha256` is meant, else the newest.
    TeacherError when they are missing or not what the spec says.
    """
    match spec:
        case CheckpointTeacher():
            path = data / Path(spec.checkpoint).expanduser()
            if not files.is_file(path):
                hint = "`checkpoint` is relative to the data folder, or absolute."
                raise TeacherError("there is no such checkpoint", where=str(path), hint=hint)
            found = files.sha256(path)
            if spec.sha256 and found != spec.sha256:
                what = f"the SHA-256 of this file is {found[:16]}..., the preset says {spec.sha256[:16]}..."
                raise TeacherError(what, where=str(path), hint="It is another file than the preset was written for.")
            return TeacherSource(
                path=path, model=spec.model, label=path.name, sha256=found, prefix=spec.prefix, **_claims(spec)
            )
        case RobustBenchTeacher():
            return _robustbench(spec, data, dataset, downloads=downloads)
        case RunTeacher():
            return _of_run(rundir.find(runs, spec.run), spec)
        case PresetTeacher():
            return _of_run(_run_of_preset(spec, runs, sha256), spec)


def _claims(spec: TeacherSpec) -> dict[str, Any]:
    return {name: getattr(spec, name) for name in ("expected_clean", "expected_robust", "tolerance")}


def robustbench_path(data: Path, dataset: str, name: str) -> Path:
    """Where in the data folder a model of RobustBench lies, once it is downloaded."""
    return data / "teachers" / "robustbench" / dataset / f"{name}.pt"


def _robustbench(spec: RobustBenchTeacher, data: Path, dataset: str, *, downloads: bool) -> TeacherSource:
    entry = robustbench.lookup(dataset, spec.robustbench)
    path = robustbench_path(data, dataset, spec.robustbench)
    if not downloads:
        if not path.is_file():
            raise TeacherError("is not on this machine", where=spec.robustbench)
        found = files.sha256(path)
    else:
        record = path.with_name(f"{path.name}.sha256")
        recorded = (files.read(record) or b"").decode("ascii", "replace").strip() if files.is_file(path) else ""
        limits = {"min_bytes": entry.min_bytes, "max_bytes": entry.max_bytes}
        found = download.fetch(entry.source, path, expected_sha256=entry.sha256 or recorded, **limits)
        if not recorded:
            with contextlib.suppress(OSError):  # a shared data folder may be read-only: then nothing is pinned
                files.write_inside(record, f"{found}\n".encode())
    published = {"expected_clean": entry.clean}
    if spec.expected_robust is None:  # PGD-10 never finds more than AutoAttack
        published |= {"expected_robust": entry.autoattack, "expected_epsilon": entry.epsilon}
    said = {name: value for name, value in _claims(spec).items() if value is not None}
    return TeacherSource(path=path, model=entry.model, label=spec.robustbench, sha256=found, **(published | said))


def _run_of_preset(spec: PresetTeacher, runs: Path, sha256: str) -> RunDir:
    if spec.config is None:
        raise TeacherError("the teacher's preset was not read", where=spec.preset)
    run = finished_run(runs, spec.config)
    for one, _ in equal_runs(runs, spec.config) if sha256 else ():
        path = one.weights_of(spec.weights)
        if files.is_regular(path) and files.sha256(path) == sha256:
            run = one
            break
    if run is None:
        raise TeacherError(f"the teacher's preset has no finished run in {runs}", where=spec.preset)
    return run


def _of_run(run: RunDir, spec: RunTeacher | PresetTeacher) -> TeacherSource:
    config, path = toml.read(run.config), run.weights_of(spec.weights)
    if not isinstance(config, RunConfig):
        raise TeacherError("this run is an evaluation: it has no student", where=str(run.path))
    if not files.is_regular(path):
        raise TeacherError(f"this run has no `{spec.weights}` weights yet", where=str(run.path))
    label, record = f"{run.id} ({spec.weights})", _recorded(run, config, spec.weights)
    found = files.sha256(path)
    return TeacherSource(path=path, model=config.student, label=label, sha256=found, record=record, **_claims(spec))


def _recorded(run: RunDir, config: RunConfig, checkpoint: str) -> TeacherRecord:
    """Its classes by the log; its clean accuracy by the record, or the last validation. What cannot be read is not."""
    said = events.decode((files.read(run.events, MAX_LOG) or b"").splitlines()).events
    classes = next((event.classes for event in said if isinstance(event, TrainingStarted)), [])
    clean, n = None, 0
    for event in said:
        if isinstance(event, Validated) and (event.best or checkpoint == "last") and "clean" in event.accuracy:
            clean, n = event.accuracy["clean"], event.n
    record = files.decoded(run.result(checkpoint, "clean"), outcomes.decode, files.RESULT_CAP)
    if record is not None and 0 <= record.accuracy <= 1 and record.n > 0:
        clean, n = record.accuracy, record.n
    return TeacherRecord(data=config.data, classes=tuple(classes), clean=clean, n=n)


def check_classes(source: TeacherSource, classes: tuple[str, ...]) -> None:
    """TeacherError when the run that made the teacher knew other classes, or these in another order.

    Numbers are no names: a set that only counts its classes fits any.
    """
    theirs = source.record.classes if source.record else ()
    ours, known = ([re.sub("[_-]", " ", name.casefold()).strip() for name in names] for names in (classes, theirs))
    if not known or ours == known or [str(n) for n in range(len(ours))] in (ours, known):
        return
    place = next((n for n, (a, b) in enumerate(zip(ours, known, strict=False)) if a != b), min(len(ours), len(known)))
    a, b = (names[place][:60] if place < len(names) else "not there" for names in (classes, theirs))
    how = "in another order" if sorted(ours) == sorted(known) else "other classes"
    what = f"the teacher's run knew {how}: class {place} is {a} here and was {b} there"
    raise TeacherError(what, where=source.label, hint="Name a teacher of this data, or rename the class folders.")


def load(
    source: TeacherSource, build: Callable[[ModelSpec], nn.Module], device: torch.device
) -> tuple[FrozenTeacher, list[str]]:
    """The frozen teacher on its device, and notes of what was tolerated in its file.

    `build` makes a fresh net of the spec for the data set's classes. The random state is as before.
    """
    with torch.random.fork_rng(devices=[]):
        net = build(source.model)
    notes = foreign.fit(net, source.path, source.prefix)
    return FrozenTeacher(net).to(device), notes


def check_split(validation: Split, dataset: Dataset) -> Split:
    """Images that a teacher is measured on: validation images, or those of training where they are too few."""
    return validation if len(validation.labels) >= IMAGES else dataset.train


def check(
    teacher: nn.Module,
    source: TeacherSource,
    split: Split,
    threat_model: ThreatModel,
    device: torch.device,
    seed: int,
    data: DataSpec | None = None,
) -> TeacherCheck:
    """Measure the teacher on up to 512 images of `split`, stratified: clean, and under PGD-10 in the threat model.

    `split` holds validation images: the test split is touched once, after training. Published figures are of the
    test split, and a teacher may have been trained on these very images, so only a figure *below* its claim, by more
    than the tolerance and two standard errors of the sample, is held against it. TeacherError for the clean one, a
    warning for the robust one. What the teacher's own run recorded is a claim, too: an error on the `data` of that
    run, else a warning. Neither the random state nor any other net is touched.
    """
    n = min(IMAGES, len(split.labels))
    clean, robust = _measure(teacher, source, split, threat_model, device, seed)
    claimed, robust_claim = source.expected_clean, source.expected_robust
    if source.expected_epsilon is not None and source.expected_epsilon < float(threat_model.epsilon) - 0.001:
        robust_claim = None  # a claim for a smaller radius says nothing
    event = TeacherChecked(
        source=source.label,
        model=source.model.title,
        sha256=source.sha256,
        clean=clean,
        robust=robust,
        n=n,
        expected_clean=claimed,
        expected_robust=robust_claim,
    )
    found, warnings = f"the teacher is right on {percent(clean)} of {n} clean images", dict[str, str]()
    if claimed is not None and _misses(clean, claimed, n, source.tolerance):
        raise TeacherError(f"{found}; its source says {percent(claimed)}", where=str(source.path), hint=CAUSES)
    if robust_claim is not None and _misses(robust, robust_claim, n, source.tolerance):
        under_attack = f"the teacher is right on {percent(robust)} of {n} images under PGD-10"
        warnings["teacher_less_robust"] = f"{under_attack}; its source says {percent(robust_claim)}"
    chance = 1 / (int(split.labels.max()) + 1)
    if claimed is None and clean <= chance + CLAIM_ERRORS * math.sqrt(chance / n):
        warnings["teacher_at_chance"] = f"{found}, hardly more than chance"
    own = source.record
    if own and own.n and own.clean is not None and claimed is None and _is_below_record(clean, n, own.clean, own.n):
        below = f"{found}; its own run recorded {percent(own.clean)} of {own.n}"
        if data is not None and own.data.model_dump(exclude=SAME_IMAGES) == data.model_dump(exclude=SAME_IMAGES):
            hint = "Usual causes: its data has changed; its weights have."
            raise TeacherError(below, where=str(source.path), hint=hint)
        warnings["teacher_below_record"] = below
    return TeacherCheck(event, [Warned(code=code, message=message) for code, message in warnings.items()])


def _measure(
    teacher: nn.Module, source: TeacherSource, split: Split, threat_model: ThreatModel, device: torch.device, seed: int
) -> tuple[float, float]:
    """Clean and PGD-10 accuracy on up to IMAGES images of the split, stratified."""
    n = min(IMAGES, len(split.labels))
    chosen = stratified(split.labels.cpu(), n, seed, "teacher check").to(split.labels.device)
    spec = Ascent(steps=STEPS, step_size=Pixels(float(threat_model.epsilon) / 4), start="uniform")
    clean = robust = 0
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed_for(seed, "teacher check", "start"))
        for some in chosen.split(128):
            x, y = to_pixels(split.images[some].to(device)), split.labels[some].to(device)
            logits = ask(teacher, x)
            if not bool(torch.isfinite(logits).all()):
                raise TeacherError("the teacher's logits are not finite numbers", where=source.label)
            right = logits.argmax(dim=1) == y
            clean += int(right.sum())
            if bool(right.any()):
                robust += _count_robust(teacher, x[right], y[right], threat_model, spec)
    return clean / n, robust / n


def _count_robust(teacher: nn.Module, x: Images, y: Labels, threat_model: ThreatModel, spec: Ascent) -> int:
    x_adv = ascend(lambda z: cross_entropy(teacher(z), y), x, threat_model, spec)
    return int((ask(teacher, x_adv).argmax(dim=1) == y).sum())


def _misses(accuracy: float, claim: float, n: int, tolerance: float) -> bool:
    return accuracy < claim - tolerance - CLAIM_ERRORS * math.sqrt(claim * (1 - claim) / n)


def _is_below_record(clean: float, n: int, recorded: float, of: int) -> bool:
    """Whether significantly, and by more than five points."""
    pooled = (clean * n + recorded * of) / (n + of)
    error = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / of))
    return recorded - clean > max(RECORD_DROP, RECORD_ERRORS * error)
