"""The table as people read it, to the letter; and the progress of a run that is followed, at every size."""

import io

import pytest
from msgspec.structs import replace
from rich.cells import cell_len
from rich.console import Console

from crdnd_tui.cli.follow import ProgressView, bars, latest
from crdnd_tui.cli.output import is_lively
from crdnd_tui.core.narrate import Narrator
from crdnd_tui.core.state import RunState, fold
from crdnd_tui.core.text import open_streams
from crdnd_tui.write import tables
from crdnd_tui.write.run_tables import SPARE, results_table, shell_document, state_document
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
  The student (best) is right on 83.41 % of 10,000 test images as they are, and
  on 46.55 % under the worst of all attacks within the threat model (95 %
  interval 45.55 to 47.55).

  PGD-SAT (a) minus CW-inf +2.1, AutoAttack +4.5 points: how far the
  cross-entropy attack reads too high.

  Robustness
                                                                     worst
  attack                  accuracy, best          accuracy, last  class, %
  ────────────────────────────────────────────────────────────────────────
  clean           83.41   [82.41, 84.41]  85.12   [84.12, 86.12]    63.4
  PGD-SAT         51.06 a [50.06, 52.06]  48.03 a [47.03, 49.03]    31.1 a
  CW-inf          48.99   [47.99, 49.99]      –                     29.0
  AutoAttack      46.55   [45.55, 47.55]      –                     26.6
  ────────────────────────────────────────────────────────────────────────
  worst of L-inf  46.55   [45.55, 47.55]      –                     26.6

  L-inf, epsilon 8/255 · % right of all 10,000 test images, 95 % intervals.
  a The margin attack finds far more adversarial images than the cross-entropy
    attack, which the scale of the logits probably misleads. Believe the worst
    case.
  The disk is slow.
  Checks for figures that mislead: not known.
  In brackets: 95 % interval.
  No room here for: which; time; settings."""  # noqa: RUF001  dashes stand where no number is yet

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


def text(events: list[Event], width: int = 80) -> str:
    told = state_document(fold(events))
    return "\n".join(line.plain.rstrip() for line in tables.document_lines(told, width, spare=SPARE))


def test_the_table_to_the_letter() -> None:
    assert text(JUDGED) == GOLDEN


def test_a_shell_tells_what_is_missing_what_each_checkpoint_rests_on_and_warnings_apart() -> None:
    started = EvaluationStarted(checkpoints=["best"], attacks=["pgd_sat", "cw_2", "autoattack"], n=500, of=500)
    cw_2 = Evaluated(checkpoint="last", attack="cw_2", accuracy=0.3, n=500, of=500, low=0.2, high=0.4, seconds=1.0,
                     spec={"name": "cw_2", "radius": 0.5}, details={"median_l2": 0.7, "found": 1.0})  # fmt: skip
    told = shell_document(fold([*JUDGED, cw_2]), flaws=["one line is damaged"])
    said = "\n".join(line.plain for line in tables.document_lines(told, 160, spare=SPARE))
    assert "  ! The disk is slow." in said and "  ! one line is damaged" in said
    assert "CW-2, L2 0.5 (last): median L2 distance 0.7" in said
    assert "worst of L-inf: worst case per image." in said and "settings" not in said
    unfinished = shell_document(fold([TRAINING, started, cell("best", "pgd_sat", 0.51)]))
    rows = {row.label: row.cells[0] for row in unfinished.tables[0].rows}
    assert (rows["AutoAttack"].value, rows["PGD-SAT"].value) == (None, pytest.approx(51))
    assert shell_document(fold([TRAINING])).lead == ()  # nothing was to be judged yet


def test_a_mark_of_a_newer_engine_is_told_in_its_own_words() -> None:
    mark = Warned(code="of_a_newer_engine", message="Believe AutoAttack.", checkpoint="best", attack="pgd_sat")
    told = text([*(event for event in JUDGED if not isinstance(event, Warned)), mark])
    assert "  PGD-SAT         51.06 a [50.06, 52.06]" in told and "  a Believe AutoAttack." in told.splitlines()


def test_equal_marks_share_a_letter_and_a_sentence_and_what_numbers_rest_on_is_said() -> None:
    told = " ".join(text(ALONE, 200).split())
    for words in (
        "PGD-SAT 60.0 a [56.0, 64.0]", "PGD-TRADES 62.5 ab [58.5, 66.5]", "CW-2, L2 0.8 25.0 [21.0, 29.0]",
        "a AutoAttack finds far more", "b 9 fall to 5; 8 fall to 5. Five times the steps fool many more images",
        "CW-2: another threat model, left out of the worst case", "PGD-SAT (a) minus AutoAttack +10.0 points",
        "CW-2, L2 0.8: median L2 distance 0.6313, a mistake found for 100.0 %", "50.0 a class 1 1 s",
        "AutoAttack standard of pyautoattack 0.2.0: after APGD-CE 56.0, APGD-T 51.0, FAB-T 50.0, Square 50.0",
    ):  # fmt: skip
        assert words in told


def test_a_low_terminal_keeps_the_latest_numbers() -> None:
    results = results_table(fold(ALONE), "best")
    assert results is not None
    shown = [line.plain for line in tables.body_lines(results, 60, 5, SPARE)]
    assert len(shown) == 5 and [line.split()[0] for line in shown[2:]] == ["AutoAttack", "worst", "CW-2,"]


def test_a_narrow_terminal_loses_other_columns_before_numbers() -> None:
    shown = text(JUDGED, 50)
    assert "46.55" in shown and "[45.55, 47.55]" in shown and max(map(len, shown.splitlines())) <= 50
    assert "No room here for: worst class, %; which; time;" in shown


def test_a_subset_says_so() -> None:
    told = text([TRAINING, cell("best", "clean", 0.5, n=500)])
    assert "% right of 500 of 10,000 test images" in told and " 50.0 " in told  # one decimal is all it can carry


def test_no_cell_no_table() -> None:
    assert state_document(RunState()).tables == ()


def test_words_of_a_run_are_no_markup() -> None:
    events: list[Event] = [*JUDGED[:3], Warned(code="x", message="[bold red]really[/]")]
    assert "[bold red]really[/]" in text(events)


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
    open_streams(screen)
    console = Console(file=screen, width=width, height=height, force_terminal=True, color_system=None)
    view = ProgressView(console, "CRDND on digits", "Ctrl-C: stop")
    view.show(fold(events), events)
    view.close()
    screen.buffer.truncate(0)
    screen.buffer.seek(0)
    console.print(view._bars.get_renderable())
    screen.flush()
    return screen.buffer.getvalue().decode(encoding).splitlines()


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
