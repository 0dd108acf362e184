"""The table as people read it, to the letter; and the live picture at every size."""

import pytest

from crdnd_tui import live, report
from crdnd_tui.state import RunState, fold
from engine.spec.events import (
    AttackProgressed,
    EpochDone,
    Evaluated,
    EvaluationStarted,
    Event,
    RunStarted,
    StageStarted,
    StepDone,
    TrainingStarted,
    Validated,
    Warned,
)


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
                best                     last                    worst class
  ──────────────────────────────────────────────────────────────────────────
  clean         83.41  [82.41, 84.41]    85.12  [84.12, 86.12]    63.4 cat
  PGD-SAT       51.06¹ [50.06, 52.06]    48.03¹ [47.03, 49.03]    31.1 cat
  CW-inf        48.99  [47.99, 49.99]       –                     29.0 cat
  AutoAttack    46.55  [45.55, 47.55]       –                     26.6 cat
  ──────────────────────────────────────────────────────────────────────────
  worst case    46.55  [45.55, 47.55]       –                     26.6 cat

  Linf, epsilon 8/255 · % right of all 10,000 test images, 95 % intervals
  PGD-SAT minus CW-inf: +2.1 points (best)
  ¹ Believe AutoAttack.
  ! The disk is slow."""  # noqa: RUF001  dashes stand where no number is yet


def text(state: RunState, width: int = 80, *, ascii_only: bool = False) -> str:
    return "\n".join(line.plain.rstrip() for line in report.table(state, width, ascii_only=ascii_only))


def test_the_table_to_the_letter() -> None:
    assert text(fold(JUDGED)) == GOLDEN


def test_a_narrow_terminal_loses_intervals_before_numbers() -> None:
    shown = text(fold(JUDGED), 50)
    assert "46.55" in shown and "[" not in shown.split("\n\n")[0]
    assert max(len(line) for line in shown.split("\n\n")[0].splitlines()) <= 50


def test_an_ascii_table_is_ascii_and_as_aligned() -> None:
    shown = text(fold(JUDGED), ascii_only=True)
    assert shown.isascii()
    assert "51.06(1)" in shown
    rows = [line for line in shown.splitlines() if "[" in line and "." in line and "Linf" not in line]
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


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (60, 16), (40, 10), (20, 3)])
@pytest.mark.parametrize("events", [[], RUNNING, [*RUNNING, *JUDGED, PROGRESS]], ids=["waiting", "training", "judging"])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_a_picture_fits_its_terminal(size: tuple[int, int], events: list[Event], ascii_only: bool) -> None:
    width, height = size
    lines = live.frame(fold(events), "CRDND on digits", width, height, ascii_only=ascii_only)
    assert len(lines) <= height
    assert all(line.cell_len <= width for line in lines)
    assert not ascii_only or all(line.plain.isascii() for line in lines)


def test_the_picture_shows_progress_losses_validation_and_the_teachers_classes() -> None:
    shown = "\n".join(line.plain for line in live.frame(fold(RUNNING), "CRDND on digits", 80, 24))
    for words in ("epoch 2/2", " 75 %", "nan", "best epoch 1", "CW-inf 40.0", "cat ", "50 images/s"):
        assert words in shown


def test_the_picture_shows_how_far_an_attack_is() -> None:
    shown = "\n".join(line.plain for line in live.frame(fold([*JUDGED, PROGRESS]), "", 80, 24))
    assert "last AutoAttack apgd-ce" in shown and "3/9" in shown and "46.55" in shown


def test_the_eta_is_what_is_left_at_the_latest_pace() -> None:
    assert fold(RUNNING).eta_seconds == pytest.approx(1 * 5 / 50)  # one step of 5 images at 50 a second
