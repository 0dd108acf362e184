"""The table as people read it, to the letter; and the progress of a run that is followed, at every size."""

import io

import pytest
from msgspec.structs import replace
from rich.cells import cell_len
from rich.console import Console

from crdnd_tui.cli.follow import ProgressView, bars, latest
from crdnd_tui.cli.output import is_lively
from crdnd_tui.core import report
from crdnd_tui.core.narrate import Narrator
from crdnd_tui.core.state import RunState, fold
from engine.spec.events import (
    AttackProgressed,
    EpochDone,
    Evaluated,
    EvaluationStarted,
    Event,
    RunStarted,
    RunStopped,
    StageStarted,
    StepDone,
    TableFilled,
    TrainingStarted,
    Validated,
    Warned,
)
from engine.spec.marks import MARKS


def cell(checkpoint: str, attack: str, accuracy: float, n: int = 10_000) -> Evaluated:
    return Evaluated(checkpoint=checkpoint, attack=attack, accuracy=accuracy, n=n, of=10_000, low=accuracy - 0.01,
                     high=accuracy + 0.01, seconds=1.0, spec={"epsilon": "8/255"},
                     per_class=[accuracy, accuracy - 0.2, accuracy + 0.05])  # fmt: skip


TRAINING = TrainingStarted(epochs=2, steps_per_epoch=2, images=10, classes=["plane", "cat", "ship"], device="cpu",
                           student_parameters=1)  # fmt: skip
JUDGED: list[Event] = [
    TRAINING,
    EvaluationStarted(checkpoints=["best", "last"], attacks=["pgd_sat", "cw_inf", "autoattack"], n=10_000, of=10_000),
    cell("best", "clean", 0.8341), cell("best", "pgd_sat", 0.5106), cell("best", "cw_inf", 0.4899),
    cell("best", "autoattack", 0.4655), cell("best", "worst", 0.4655),
    cell("last", "clean", 0.8512), cell("last", "pgd_sat", 0.4803),
    Warned(code="margin_below_ce", message="Believe AutoAttack.", checkpoint="best", attack="pgd_sat"),
    Warned(code="margin_below_ce", message="Believe AutoAttack.", checkpoint="last", attack="pgd_sat"),
    Warned(code="slow", message="The disk is slow."),
]  # fmt: skip
GOLDEN = """\
                     best                       last
  ────────────────────────────────────────────────────────────────────
  clean             83.41   [82.41, 84.41]     85.12   [84.12, 86.12]
  PGD-SAT           51.06 a [50.06, 52.06]     48.03 a [47.03, 49.03]
  CW-inf            48.99   [47.99, 49.99]         –
  AutoAttack        46.55   [45.55, 47.55]         –
  ────────────────────────────────────────────────────────────────────
  worst of L-inf    46.55   [45.55, 47.55]         –

  L-inf, epsilon 8/255 · % right of all 10,000 test images, 95 % intervals
  a The margin attack finds far more adversarial images than the cross-entropy
    attack, which the scale of the logits probably misleads. Believe the worst
    case.
  ! The disk is slow.
  checks for figures that mislead: not known
  worst of L-inf: worst case per image
  PGD-SAT (a) (best) minus CW-inf +2.1, AutoAttack +4.5 points"""  # noqa: RUF001  dashes stand where no number is yet

ALONE: list[Event] = [
    EvaluationStarted(checkpoints=["best"], attacks=["pgd_sat", "pgd_trades", "cw_2", "autoattack"], n=500, of=500),
    *[Evaluated(checkpoint="best", attack=attack, accuracy=accuracy, n=500, of=500, low=accuracy - 0.04,
                high=accuracy + 0.04, seconds=1.0, spec={"name": attack, "epsilon": "8/255"} | more,
                per_class=[accuracy, accuracy - 0.1], details=details)
      for attack, accuracy, more, details in [
          ("clean", 0.9, {}, {}), ("pgd_sat", 0.6, {}, {}), ("pgd_trades", 0.625, {}, {}),
          ("cw_2", 0.25, {"radius": 0.8}, {"median_l2": 0.6313, "found": 1.0}),
          ("autoattack", 0.5, {"version": "standard", "package": "pyautoattack 0.2.0"},
           {"after_apgd-ce": 0.56, "after_apgd-t": 0.51, "after_fab-t": 0.5, "after_square": 0.5}),
          ("worst", 0.5, {}, {}),
      ]],
    *[Warned(code="suite_below_pgd", checkpoint="best", attack=attack,
             message=f"{attack} leaves much. {MARKS['suite_below_pgd']}") for attack in ("pgd_sat", "pgd_trades")],
    *[Warned(code="steps_help", checkpoint="best", attack="pgd_trades",
             message=f"{figures} {MARKS['steps_help']}") for figures in ("9 fall to 5.", "8 fall to 5.")],
]  # fmt: skip
GOLDEN_ALONE = """\
                    best                    worst class
  ──────────────────────────────────────────────────────────────────────────────
  clean             90.0    [86.0, 94.0]     80.0 class 1   ██████████████████
  PGD-SAT           60.0 a  [56.0, 64.0]     50.0 class 1   ████████████
  PGD-TRADES        62.5 ab [58.5, 66.5]     52.5 class 1   ████████████▌
  AutoAttack        50.0    [46.0, 54.0]     40.0 class 1   ██████████
  ──────────────────────────────────────────────────────────────────────────────
  worst of L-inf    50.0    [46.0, 54.0]     40.0 class 1   ██████████
  CW-2, L2 0.8      25.0    [21.0, 29.0]     15.0 class 1   █████

  L-inf, epsilon 8/255 · % right of all 500 test images, 95 % intervals
  a AutoAttack finds far more adversarial images than PGD, which this model
    probably misleads. Believe the worst case.
  b 9 fall to 5; 8 fall to 5. Five times the steps fool many more images, so the
    attack had not converged. Give it more steps.
  checks for figures that mislead: not known
  worst of L-inf: worst case per image; another threat model and left out: CW-2
  PGD-SAT (a) minus AutoAttack +10.0 points
  CW-2, L2 0.8: median L2 distance 0.6313, a mistake found for 100.0 %
  AutoAttack standard of pyautoattack 0.2.0: after APGD-CE 56.0, APGD-T 51.0,
    FAB-T 50.0, Square 50.0"""


def text(state: RunState, width: int = 80, *, ascii_only: bool = False) -> str:
    return "\n".join(line.plain.rstrip() for line in report.table(state, width, ascii_only=ascii_only))


def test_the_table_to_the_letter() -> None:
    assert text(fold(JUDGED)) == GOLDEN


def test_a_mark_of_a_newer_engine_is_told_in_its_own_words() -> None:
    mark = Warned(code="of_a_newer_engine", message="Believe AutoAttack.", checkpoint="best", attack="pgd_sat")
    told = text(fold([*(event for event in JUDGED if not isinstance(event, Warned)), mark]))
    assert "  PGD-SAT           51.06 a [50.06, 52.06]" in told and "  a Believe AutoAttack." in told.splitlines()


def test_one_checkpoint_has_room_for_bars_and_equal_marks_share_a_letter_and_a_sentence() -> None:
    assert text(fold(ALONE)) == GOLDEN_ALONE


def test_a_low_terminal_keeps_the_latest_numbers() -> None:
    shown = [line.plain for line in report.table(fold(ALONE), 60, height=5)]
    assert len(shown) == 5
    assert "worst of L-inf" in shown[-1] and "AutoAttack" in shown[-2]


def test_a_narrow_terminal_loses_intervals_before_numbers() -> None:
    shown = text(fold(JUDGED), 50)
    assert "46.55" in shown and "[" not in shown.split("\n\n")[0]
    assert max(len(line) for line in shown.split("\n\n")[0].splitlines()) <= 50


def test_an_ascii_table_is_ascii_and_as_aligned() -> None:
    shown = text(fold(JUDGED), ascii_only=True)
    assert shown.isascii()
    assert "51.06 a" in shown
    rows = [line for line in shown.splitlines() if "[" in line and "." in line]
    assert len({line.index("[") for line in rows}) == 1


def test_a_subset_says_so() -> None:
    assert "% right of 500 of 10,000 test images" in text(fold([TRAINING, cell("best", "clean", 0.5, n=500)]))
    assert " 50.0 " in text(fold([TRAINING, cell("best", "clean", 0.5, n=500)]))  # one decimal is all it can carry


def test_no_cell_no_table() -> None:
    assert report.table(RunState()) == []


def test_words_of_a_run_are_no_markup() -> None:
    events: list[Event] = [*JUDGED[:3], Warned(code="x", message="[bold red]really[/]")]
    assert "! [bold red]really[/]" in text(fold(events))


RUNNING: list[Event] = [
    RunStarted(run="20261122-192645-crdnd-small_cnn-s0-033d", name="", config_hash="", pid=1, host="h"),
    StageStarted(stage="training"),
    TRAINING,
    *[StepDone(step=n, epoch=1, loss=2.0 / n, terms={"clean": None, "robust": 1.0}, learning_rate=0.1,
               images_per_second=50.0) for n in (1, 2)],
    EpochDone(epoch=1, step=2, loss=1.0, terms={}, learning_rate=0.1, seconds=1.0, teacher_clean=[0.9, 0.8, 1.0],
              teacher_robust=[0.5, 0.4, 0.6]),
    Validated(epoch=1, step=2, n=9, accuracy={"clean": 0.8, "cw_inf": 0.4}, by="cw_inf", best=True, seconds=1.0),
    StepDone(step=3, epoch=2, loss=None, terms={}, learning_rate=0.1, images_per_second=50.0),
]  # fmt: skip
PROGRESS = AttackProgressed(checkpoint="last", attack="autoattack", part="apgd-ce", done=3, total=9, robust=0.4)


def drawn(events: list[Event], width: int = 80, height: int = 24, *, ascii_only: bool = False) -> list[str]:
    """The lines that `crdnd run` keeps at the foot of a terminal of this size."""
    encoding = "ascii" if ascii_only else "utf-8"
    screen = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=screen, width=width, height=height, force_terminal=True, color_system=None)
    view = ProgressView(console, "CRDND on digits", "Ctrl-C: stop")
    view.show(fold(events), events)
    view.close()
    with console.capture() as captured:
        console.print(view._bars.get_renderable())
    return captured.get().splitlines()


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (60, 16), (40, 10), (20, 3)])
@pytest.mark.parametrize("events", [[], RUNNING, [*RUNNING, *JUDGED, PROGRESS]], ids=["waiting", "training", "judging"])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_progress_fits_its_terminal(size: tuple[int, int], events: list[Event], ascii_only: bool) -> None:
    lines = drawn(events, *size, ascii_only=ascii_only)
    assert all(cell_len(line) <= size[0] for line in lines)
    assert not ascii_only or all(line.isascii() for line in lines)
    assert any("Ctrl-C" in line for line in lines)


@pytest.mark.parametrize(
    ("environment", "lively"),
    [({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False), ({"TERM": "xterm", "NO_COLOR": "1"}, False)],
)
def test_nothing_is_redrawn_in_a_dumb_terminal_or_without_colours(environment: dict[str, str], lively: bool) -> None:
    assert is_lively(Console(file=io.StringIO(), force_terminal=True, _environ=environment)) == lively
    assert not is_lively(Console(file=io.StringIO(), _environ=environment))


def test_progress_shows_losses_validation_pace_and_what_is_left() -> None:
    shown = "\n".join(drawn(RUNNING, 100))
    for words in ("epoch 2/2", " 75 %", "nan", "best epoch 1", "CW-inf 40.0", "50 images/s", "0 s left"):
        assert words in shown


def test_progress_shows_where_the_time_goes_and_how_it_is_computed() -> None:
    exact = [replace(e, shares={"inner": 0.75, "outer": 0.25}) if isinstance(e, StepDone) else e for e in RUNNING]
    begun = replace(TRAINING, switches={"inner": "bfloat16", "table": "lazy", "folded": "on"})
    fast = [begun if e is TRAINING else e for e in exact]

    def shown(events: list[Event]) -> list[str]:
        return [line.plain for line in latest(fold(events))]

    assert "time        inner maximisation 75 %, outer step 25 %" in shown(fast)
    assert "computed    inner bfloat16, table lazy, folded" in shown(fast)
    assert "computed    exact" in shown(exact)
    assert not [line for line in shown(RUNNING) if line.startswith(("time ", "computed "))]
    (told,) = Narrator().lines([begun], fold(fast))
    assert told.endswith("on cpu; inner bfloat16, table lazy, folded")


def test_the_teachers_table_is_told_by_quarters_and_ends_with_the_training() -> None:
    begun: list[Event] = [*RUNNING[:1], StageStarted(stage="table")]
    filling = [*begun, *(TableFilled(filled=k / 100) for k in range(60))]
    assert bars(fold(filling), 0.0) == [("teacher's table", 0.59, 1.0, "")]
    told = [line for line in Narrator().lines(filling, fold(filling)) if "table" in line]
    assert told == ["teacher's table 0.0 %", "teacher's table 25.0 %", "teacher's table 50.0 %"]
    stopped = RunStopped(reason="stop file", step=0)
    for event in (StageStarted(stage="training"), TRAINING, stopped):
        assert fold([*filling, event]).filled is None


def test_an_attack_without_a_start_counts_its_time_from_its_first_progress() -> None:
    state = fold([AttackProgressed(checkpoint="best", attack="suspect", part="more steps", done=0, total=9, robust=0.4,
                                   time=50.0)])  # fmt: skip
    assert state.attack_since == 50.0


def test_progress_shows_how_far_an_attack_is_and_the_table_as_it_grows() -> None:
    shown = "\n".join(drawn([*JUDGED, PROGRESS], 100))
    assert "last AutoAttack APGD-CE" in shown and " 33 % " in shown and "40.0 % stand" in shown and "46.55" in shown
    judged, attack = bars(fold([*JUDGED, PROGRESS]), 0.0)
    assert (attack[1], attack[2]) == (3, 9) and judged[1] == sum(len(row) for row in fold(JUDGED).table.values())


def test_the_eta_is_what_is_left_at_the_latest_pace() -> None:
    assert fold(RUNNING).eta_seconds == pytest.approx(1 * 5 / 50)  # one step of 5 images at 50 a second
