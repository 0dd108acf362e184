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
from typing import NamedTuple

import torch
from torch import Tensor, nn

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
from engine.types import Dataset, Images, Logits, Split

IMAGES = 512  # measured before the first step
STEPS = 10
MAX_LOG = 64 << 20  # bytes of a teacher's log
RECORD_DROP, RECORD_ERRORS = 0.05, 3.0  # fraction and standard errors that a teacher may lie below its own record
CLAIM_ERRORS = 2.0  # standard errors of the sample that a figure may lie below its claim, beside the tolerance


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
        """Eval mode, for any `mode`."""
        return super().train(False)

    def forward(self, x: Images) -> Logits:
        """The net's logits."""
        logits: Logits = self.net(x)
        return logits


def locate(spec: TeacherSpec, *, runs: Path, data: Path, dataset: str, sha256: str = "") -> TeacherSource:
    """The weights that the spec names, on this machine; RobustBench models are downloaded once.

    `data` is the folder that relative checkpoints are in and downloads go to, `runs` that of run folders. Where several
    runs are of a preset, the one whose weights have this `sha256` is meant, else the newest.
    TeacherError when they are missing or not what the spec says.
    """
    match spec:
        case CheckpointTeacher():
            return _checkpoint(spec, data)
        case RobustBenchTeacher():
            return _robustbench(spec, data, dataset)
        case RunTeacher():
            return _of_run(rundir.find(runs, spec.run), spec)
        case PresetTeacher():
            return _of_preset(spec, runs, sha256)


def _checkpoint(spec: CheckpointTeacher, data: Path) -> TeacherSource:
    path = data / Path(spec.checkpoint).expanduser()
    if not files.is_file(path):
        hint = "`checkpoint` is relative to the data folder, or absolute."
        raise TeacherError("there is no such checkpoint", where=str(path), hint=hint)
    found = files.sha256(path)
    if spec.sha256 and found != spec.sha256:
        what = f"the SHA-256 of this file is {found[:16]}..., the preset says {spec.sha256[:16]}..."
        raise TeacherError(what, where=str(path), hint="It is another file than the preset was written for.")
    return TeacherSource(
        path=path,
        model=spec.model,
        label=path.name,
        sha256=found,
        expected_clean=spec.expected_clean,
        expected_robust=spec.expected_robust,
        tolerance=spec.tolerance,
        prefix=spec.prefix,
    )


def robustbench_path(data: Path, dataset: str, name: str) -> Path:
    """Where in the data folder a model of RobustBench lies, once it is downloaded."""
    return data / "teachers" / "robustbench" / dataset / f"{name}.pt"


def _robustbench(spec: RobustBenchTeacher, data: Path, dataset: str) -> TeacherSource:
    entry = robustbench.lookup(dataset, spec.robustbench)
    path = robustbench_path(data, dataset, spec.robustbench)
    record = path.with_name(f"{path.name}.sha256")
    recorded = (files.read(record) or b"").decode("ascii", "replace").strip() if files.is_file(path) else ""
    found = download.fetch(
        entry.source,
        path,
        expected_sha256=entry.sha256 or recorded,
        min_bytes=entry.min_bytes,
        max_bytes=entry.max_bytes,
    )
    if not recorded:
        with contextlib.suppress(OSError):  # a shared data folder may be read-only: then nothing is pinned
            files.write_inside(record, f"{found}\n".encode())
    return robustbench_source(spec, path, dataset, found)


def robustbench_source(spec: RobustBenchTeacher, path: Path, dataset: str, sha256: str) -> TeacherSource:
    """The model of RobustBench whose file lies here, and what is claimed of it."""
    entry, claimed = robustbench.lookup(dataset, spec.robustbench), spec.expected_robust
    return TeacherSource(
        path=path,
        model=entry.model,
        label=spec.robustbench,
        sha256=sha256,
        expected_clean=entry.clean if spec.expected_clean is None else spec.expected_clean,
        expected_robust=entry.autoattack if claimed is None else claimed,  # PGD-10 never finds more than AutoAttack
        expected_epsilon=entry.epsilon if claimed is None else None,
        tolerance=spec.tolerance,
    )


def _of_preset(spec: PresetTeacher, runs: Path, sha256: str) -> TeacherSource:
    if spec.config is None:
        raise TeacherError("the teacher's preset was not read", where=spec.preset)
    run = finished_run(runs, spec.config)
    if sha256:
        known = [run for run, _ in equal_runs(runs, spec.config) if files.is_regular(run.weights_of(spec.weights))]
        run = next((one for one in known if files.sha256(one.weights_of(spec.weights)) == sha256), run)
    if run is None:
        raise TeacherError(f"the teacher's preset has no finished run in {runs}", where=spec.preset)
    return _of_run(run, spec)


def _of_run(run: RunDir, spec: RunTeacher | PresetTeacher) -> TeacherSource:
    config = toml.read(run.config)
    if not isinstance(config, RunConfig):
        raise TeacherError("this run is an evaluation: it has no student", where=str(run.path))
    path = run.weights_of(spec.weights)
    if not files.is_regular(path):
        raise TeacherError(f"this run has no `{spec.weights}` weights yet", where=str(run.path))
    return TeacherSource(
        path=path,
        model=config.student,
        label=f"{run.id} ({spec.weights})",
        sha256=files.sha256(path),
        expected_clean=spec.expected_clean,
        expected_robust=spec.expected_robust,
        tolerance=spec.tolerance,
        record=_recorded(run, config, spec.weights),
    )


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
    chosen = stratified(split.labels.cpu(), n, seed, "teacher check").to(split.labels.device)
    images, labels = split.images[chosen], split.labels[chosen]
    spec = Ascent(steps=STEPS, step_size=Pixels(float(threat_model.epsilon) / 4), start="uniform")
    clean = robust = 0
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed_for(seed, "teacher check", "start"))
        for some, of in zip(images.split(128), labels.split(128), strict=True):
            x, y = to_pixels(some.to(device)), of.to(device)
            logits = ask(teacher, x)
            if not bool(torch.isfinite(logits).all()):
                raise TeacherError("the teacher's logits are not finite numbers", where=source.label)
            right = logits.argmax(dim=1) == y
            clean += int(right.sum())
            if bool(right.any()):
                robust += _count_robust(teacher, x[right], y[right], threat_model, spec)
    event = TeacherChecked(
        source=source.label,
        model=source.model.title,
        sha256=source.sha256,
        clean=clean / n,
        robust=robust / n,
        n=n,
        expected_clean=source.expected_clean,
        expected_robust=_robust_claim(source, threat_model),
    )
    if source.expected_clean is not None and _misses(event.clean, source.expected_clean, n, source.tolerance):
        claimed = percent(source.expected_clean)
        raise TeacherError(
            f"the teacher is right on {percent(event.clean)} of {n} clean images; its source says {claimed}",
            where=str(source.path),
            hint="Usual causes: wrong checkpoint; input normalization applied twice, or not at all (`normalization` "
            "of its model); another padding (WideResNetSiLU for DeepMind's, WideResNet for TRADES'); another data set.",
        )
    warnings = _warnings(event, int(split.labels.max()) + 1, source.tolerance)
    if below := _below_record(event, source):
        if source.record and data is not None and _same_images(source.record.data, data):
            hint = "Usual causes: its data has changed; its weights have."
            raise TeacherError(below, where=str(source.path), hint=hint)
        warnings.append(Warned(code="teacher_below_record", message=below))
    return TeacherCheck(event, warnings)


def _below_record(event: TeacherChecked, source: TeacherSource) -> str:
    """A sentence if the teacher is significantly and by more than five points below its own record; else empty."""
    own = source.record
    if own is None or own.clean is None or not own.n or source.expected_clean is not None:
        return ""
    pooled = (event.clean * event.n + own.clean * own.n) / (event.n + own.n)
    error = math.sqrt(pooled * (1 - pooled) * (1 / event.n + 1 / own.n))
    if own.clean - event.clean <= max(RECORD_DROP, RECORD_ERRORS * error):
        return ""
    here = f"the teacher is right on {percent(event.clean)} of {event.n} clean images"
    return f"{here}; its own run recorded {percent(own.clean)} of {own.n}"


def _same_images(a: DataSpec, b: DataSpec) -> bool:
    ignored = {"validation", "split_seed", "train_images", "crop_padding", "flip"}
    return a.model_dump(exclude=ignored) == b.model_dump(exclude=ignored)


def _count_robust(teacher: nn.Module, x: Images, y: Tensor, threat_model: ThreatModel, spec: Ascent) -> int:
    x_adv = ascend(lambda z: cross_entropy(teacher(z), y), x, threat_model, spec)
    return int((ask(teacher, x_adv).argmax(dim=1) == y).sum())


def _robust_claim(source: TeacherSource, threat_model: ThreatModel) -> float | None:
    """What the source claims within this radius; a claim for a smaller one says nothing."""
    if source.expected_epsilon is not None and source.expected_epsilon < float(threat_model.epsilon) - 0.001:
        return None
    return source.expected_robust


def _misses(accuracy: float, claim: float, n: int, tolerance: float) -> bool:
    return accuracy < claim - tolerance - CLAIM_ERRORS * math.sqrt(claim * (1 - claim) / n)


def _warnings(event: TeacherChecked, classes: int, tolerance: float) -> list[Warned]:
    warnings = []
    if event.expected_robust is not None and _misses(event.robust, event.expected_robust, event.n, tolerance):
        found, claim = percent(event.robust), percent(event.expected_robust)
        text = f"the teacher is right on {found} of {event.n} images under PGD-10; its source says {claim}"
        warnings.append(Warned(code="teacher_less_robust", message=text))
    if event.expected_clean is None and event.clean <= 1 / classes + CLAIM_ERRORS * math.sqrt(1 / classes / event.n):
        text = f"the teacher is right on {percent(event.clean)} of {event.n} clean images, hardly more than chance"
        warnings.append(Warned(code="teacher_at_chance", message=text))
    return warnings
