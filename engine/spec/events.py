"""What a run says, one JSON object per line of `events.jsonl`. An event is a fact that has happened: past tense.

The engine is the only writer. `seq` counts from 1 without gaps; `time` is unix seconds, for display only.
Numbers that are not finite are written as null (JSON has none); a line with numbers out of range is damage.
"""

import time
from collections.abc import Iterable
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Struct

VERSION = 1

Fraction = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Count = Annotated[int, msgspec.Meta(ge=0, le=10**12)]
Seconds = Annotated[float, msgspec.Meta(ge=0.0, le=1e12)]
Rate = Annotated[float, msgspec.Meta(ge=0.0, le=1e15)]
Moment = Annotated[float, msgspec.Meta(ge=-1e11, le=1e11)]  # unix seconds
MAX_LINE = 1 << 20  # bytes; a longer line is damage


class _Event(Struct, frozen=True, kw_only=True, tag_field="event"):
    v: int = VERSION
    seq: int = 0  # given by the reporter
    time: Moment = msgspec.field(default_factory=time.time)  # unix seconds


class RunStarted(_Event, frozen=True, kw_only=True, tag="run_started"):
    """The engine holds the folder and has read its config."""

    run: str
    name: str
    config_hash: str
    pid: int
    host: str


class RunResumed(_Event, frozen=True, kw_only=True, tag="run_resumed"):
    """Said in place of all that an earlier engine did after its last checkpoint: it is done again."""

    step: Count
    discarded: Count  # events cut off, kept in events.discarded.jsonl
    checkpoint: str  # file name, empty when there was none
    pid: int
    host: str


class StageStarted(_Event, frozen=True, kw_only=True, tag="stage_started"):
    """What the engine is busy with: teacher, data, check, table, training, evaluation."""

    stage: str


class TeacherRunStarted(_Event, frozen=True, kw_only=True, tag="teacher_run_started"):
    """The teacher's preset had no finished run: that run is worked on first, in its own folder."""

    run: str
    waiting: bool = False  # another engine is at it already


class TeacherChecked(_Event, frozen=True, kw_only=True, tag="teacher_checked"):
    """The teacher measured before the first step."""

    source: str
    model: str
    sha256: str
    clean: Fraction  # fraction
    robust: Fraction  # fraction, under PGD-10 in the run's threat model
    n: Count
    expected_clean: Fraction | None = None
    expected_robust: Fraction | None = None


class TableFilled(_Event, frozen=True, kw_only=True, tag="table_filled"):
    """The teacher's logits on natural images are computed before the first step: how far."""

    filled: Fraction


class TrainingStarted(_Event, frozen=True, kw_only=True, tag="training_started"):
    """All parts are built; the first step follows."""

    epochs: Count
    steps_per_epoch: Count
    images: Count  # per epoch
    classes: list[str]
    device: str
    student_parameters: int
    notes: list[str] = []  # what runtime decided: precision, layout, threads
    switches: dict[str, str] = {}  # the fast path's: name -> on, off, bfloat16, complete, ...; empty in exact runs


class StepDone(_Event, frozen=True, kw_only=True, tag="step_done"):
    """Means over the steps since the last such event; said at steps fixed by the config, not by the clock."""

    step: Count  # of the whole run, counted from 1
    epoch: Count  # counted from 1
    loss: float | None
    terms: dict[str, float | None]
    learning_rate: float
    images_per_second: Rate
    shares: dict[str, Fraction] = {}  # of the time: data, teacher, inner, outer


class EpochDone(_Event, frozen=True, kw_only=True, tag="epoch_done"):
    """An epoch's means, and what the method learnt about its teacher."""

    epoch: Count
    step: Count
    loss: float | None
    terms: dict[str, float | None]
    learning_rate: float
    seconds: Seconds
    teacher_clean: list[Fraction] = []  # accuracy per class on clean images, which ACM's M1 uses next; fractions
    teacher_robust: list[Fraction] = []  # on the student's adversarial images, M2
    recall_clean: list[Fraction] = []  # a_j that M1 is made of now, eq. (2); learnt in the epoch before
    recall_robust: list[Fraction] = []  # of M2
    acm_clean: list[list[float]] = []  # M1, row by row; left out where it has over 400 entries
    acm_robust: list[list[float]] = []  # M2
    student_clean: list[Fraction] = []  # the student's own training accuracies per class, in train mode
    student_robust: list[Fraction] = []
    peak_memory: int | None = None  # bytes on the GPU


class Validated(_Event, frozen=True, kw_only=True, tag="validated"):
    """The student on the validation images after an epoch."""

    epoch: Count
    step: Count
    n: Count
    accuracy: dict[str, Fraction]  # fraction per attack, with `clean`
    by: str  # which of them selects
    best: bool  # whether this epoch is the best so far
    seconds: Seconds
    per_class: dict[str, list[Fraction]] = {}  # fractions, clean and the selecting attack


class CheckpointSaved(_Event, frozen=True, kw_only=True, tag="checkpoint_saved"):
    """All that a resumed run needs is on disk."""

    step: Count
    epoch: Count  # finished epochs
    file: str
    bytes: int


class EvaluationStarted(_Event, frozen=True, kw_only=True, tag="evaluation_started"):
    """Which attacks will be run on which images of the test split."""

    checkpoints: list[str]
    attacks: list[str]
    n: Count
    of: Count  # size of the whole split
    split: str = "test"


class AttackStarted(_Event, frozen=True, kw_only=True, tag="attack_started"):
    """One attack on one checkpoint begins."""

    checkpoint: str
    attack: str


class AttackProgressed(_Event, frozen=True, kw_only=True, tag="attack_progressed"):
    """How far an attack is; `part` names the attack inside AutoAttack."""

    checkpoint: str
    attack: str
    part: str
    done: Count  # images of this part
    total: Count
    robust: Fraction  # accuracy so far over all n images, fraction


class Evaluated(_Event, frozen=True, kw_only=True, tag="evaluated"):
    """One cell of the robustness table."""

    checkpoint: str  # best or last
    attack: str  # clean, an attack's key, or worst (over all attacks within the threat model)
    accuracy: Fraction  # fraction in [0, 1]
    n: Count
    of: Count  # size of the whole split
    low: Fraction  # Wilson 95 % interval
    high: Fraction
    seconds: Seconds
    spec: dict[str, Any] = {}  # the attack's full specification, with epsilon and seed
    per_class: list[Fraction] = []
    details: dict[str, float] = {}  # such as the median L2 distance of CW_2
    split: str = "test"


class Warned(_Event, frozen=True, kw_only=True, tag="warned"):
    """Something a reader of the numbers must know. A `mark` stands beside the cell it concerns."""

    code: str
    message: str
    checkpoint: str = ""
    attack: str = ""


class Probed(_Event, frozen=True, kw_only=True, tag="probed"):
    """How many checks a checkpoint's figures have been put to; a figure without a mark passed those, and no others."""

    checkpoint: str
    done: Count
    of: Count
    left_out: dict[str, str] = {}  # check -> why it was not made


class DeviceSampled(_Event, frozen=True, kw_only=True, tag="device_sampled"):
    """The GPU at the end of an epoch or attack."""

    name: str
    used: int  # bytes
    total: Count
    utilisation: int | None = None  # per cent


class RunFinished(_Event, frozen=True, kw_only=True, tag="run_finished"):
    """All stages are done."""

    seconds: Seconds  # of this engine process


class RunStopped(_Event, frozen=True, kw_only=True, tag="run_stopped"):
    """Asked to stop, saved, and left; `crdnd resume` goes on."""

    reason: str  # stop file, SIGTERM, SIGINT, SIGUSR1, SIGUSR2
    step: Count


class RunFailed(_Event, frozen=True, kw_only=True, tag="run_failed"):
    """The run cannot go on."""

    kind: str
    message: str
    hint: str = ""


Event = (
    RunStarted
    | RunResumed
    | StageStarted
    | TeacherRunStarted
    | TeacherChecked
    | TableFilled
    | TrainingStarted
    | StepDone
    | EpochDone
    | Validated
    | CheckpointSaved
    | EvaluationStarted
    | AttackStarted
    | AttackProgressed
    | Evaluated
    | Warned
    | Probed
    | DeviceSampled
    | RunFinished
    | RunStopped
    | RunFailed
)

_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


class Decoded(NamedTuple):
    """Events of complete lines, and how many lines were passed over."""

    events: list[Event]
    unknown: int  # kinds or versions that a newer engine says
    damaged: int  # lines that are no event at all


class _Tag(Struct):
    event: str


KINDS = frozenset(kind.__struct_config__.tag for kind in Event.__args__)


def encode(event: Event) -> bytes:
    return msgspec.json.encode(event) + b"\n"


def decode(lines: Iterable[bytes]) -> Decoded:
    """Events in complete lines. Unknown kinds and damaged lines are passed over and counted, never raised."""
    events, unknown, damaged = list[Event](), 0, 0
    for line in lines:
        if not line.strip():
            continue
        try:
            if len(line) > MAX_LINE:
                raise ValueError("line too long")
            events.append(_decoder.decode(line))
        except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
            newer = _is_of_a_newer_engine(line)
            unknown, damaged = unknown + newer, damaged + (not newer)
    return Decoded(events, unknown, damaged)


def _is_of_a_newer_engine(line: bytes) -> bool:
    try:
        return len(line) <= MAX_LINE and msgspec.json.decode(line, type=_Tag).event not in KINDS
    except (ValueError, RecursionError):
        return False
