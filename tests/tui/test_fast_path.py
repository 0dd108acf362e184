"""Where the time goes and what is switched on: by values known by hand, and by what a damaged log may say."""

import pytest

from crdnd_tui.core import fast_path, format
from crdnd_tui.core.state import ENGINES, fold
from engine.spec.events import StepDone, TrainingStarted, decode, encode

FAST = {
    "teacher": "bfloat16", "inner": "bfloat16", "outer": "float32", "folded": "on", "paired": "on", "table": "lazy",
    "graphs": "off",
}  # fmt: skip
FLOAT = FAST | {"teacher": "float32", "inner": "float32"}
PLAIN = FLOAT | {"folded": "off", "paired": "off", "table": "off"}


def done(step, **shares):
    return StepDone(
        step=step, epoch=1, loss=1.0, terms={}, learning_rate=0.1, images_per_second=9.0, shares=shares
    )  # fmt: skip


def training(**switches):
    return TrainingStarted(
        epochs=1, steps_per_epoch=9, images=9, classes=[], device="cpu", student_parameters=1, switches=switches
    )


def test_the_shares_are_the_mean_of_the_latest_reports_in_the_order_of_the_step():
    steps = [done(1, data=0.0, outer=0.1, inner=0.6, teacher=0.3), done(2, data=0.0, outer=0.3, inner=0.6, teacher=0.1)]
    found = fast_path.shares(steps)
    assert list(found) == ["teacher", "inner", "outer"]  # what takes no time is not named
    assert found == pytest.approx({"teacher": 0.2, "inner": 0.6, "outer": 0.2})
    later = [done(k, inner=1.0) for k in range(3, 23)]
    assert fast_path.shares([*steps, *later]) == {"inner": 1.0}


def test_reports_that_cannot_be_true_and_old_ones_count_for_nothing():
    true = done(1, teacher=0.25, inner=0.75)
    assert fast_path.shares([true, done(2, teacher=1.0, inner=1.0, outer=1.0)]) == {"teacher": 0.25, "inner": 0.75}
    assert fast_path.shares([true, done(2)]) == {"teacher": 0.25, "inner": 0.75}
    assert fast_path.shares([done(1, teacher=1.0, inner=1.0)]) == fast_path.shares([]) == {}
    assert fast_path.shares([done(1, teacher=0.0)]) == {}


def test_parts_of_a_newer_engine_are_others_and_rounding_is_forgiven():
    assert fast_path.shares([done(1, gather=0.25, scatter=0.25, inner=0.5)]) == {"inner": 0.5, "other": 0.5}
    found = fast_path.shares([done(1, inner=0.505, outer=0.5)])
    assert sum(found.values()) == pytest.approx(1.0)


@pytest.mark.parametrize("line", [b'"teacher":3.0', b'"teacher":-0.1', b'"teacher":"much"', b'"teacher":NaN'])
def test_a_share_that_is_no_fraction_is_a_damaged_line(line):
    told = encode(done(1, teacher=0.5)).replace(b'"teacher":0.5', line)
    assert decode([told]).damaged == 1


def test_percentages_say_that_little_is_not_nothing():
    assert [format.whole_percent(share) for share in (0.0, 0.001, 0.005, 0.27, 1.0)] == ["0", "<1", "<1", "27", "100"]
    told = fast_path.facts(None, [done(1, teacher=0.27, inner=0.73)])
    assert told[0] == ("time", "teacher 27 %, inner maximisation 73 %")


@pytest.mark.parametrize("width", range(41))
def test_a_bar_is_as_long_as_its_parts_together(width):
    found = {"teacher": 0.3, "inner": 0.3, "outer": 0.3, "data": 0.1}
    cells = fast_path.cells(found, width)
    assert sum(cells.values()) == width
    assert all(abs(cells[part] - share * width) < 1 for part, share in found.items())
    assert sum(fast_path.cells({"teacher": 0.5}, width).values()) == round(width / 2)


def test_cells_go_to_the_largest_remainders():
    assert fast_path.cells({"teacher": 0.27, "inner": 0.54, "outer": 0.19}, 10) == {
        "teacher": 3,
        "inner": 5,
        "outer": 2,
    }


def test_switches_are_told_in_short_words():
    assert fast_path.words(FAST) == ("teacher, inner bfloat16", "table lazy", "folded", "paired")
    assert fast_path.words(FAST, short=True)[0] == "teacher, inner bf16"
    assert fast_path.words(FLOAT) == ("float32", "table lazy", "folded", "paired")
    whole = FAST | {"outer": "bfloat16", "graphs": "on", "ranks": "4", "table": "complete"}
    assert fast_path.words(whole) == ("bfloat16", "table complete", "graphs", "4 ranks", "folded", "paired")
    assert fast_path.words(FAST | {"inner": "float16"})[0] == "teacher bfloat16"
    assert fast_path.words(FAST | {"inner": "float16"})[1] == "inner float16"


def test_nothing_switched_on_is_exact_and_ranks_do_not_change_that():
    assert fast_path.words({}) == fast_path.words(PLAIN) == ("exact",)
    assert fast_path.words(PLAIN | {"paired": "on", "ranks": "2"}) == ("exact", "2 ranks")
    assert not fast_path.is_exact(PLAIN | {"paired": "on"}) and not fast_path.is_exact(FLOAT)
    assert not fast_path.is_exact(PLAIN | {"shortcut": "on"})


def test_what_a_log_may_hold_is_short_and_steers_nothing():
    odd = {"folded": "[red]x[/]", "ranks": "many\x1b[2J", "table": "x" * 99, "\x1b]0;t\x07": "on", "inner": "\n" * 9}
    odd |= {f"new{k}": "on" for k in range(9)}
    said = fast_path.words(odd)
    assert said[-1] == "and 7 more" and "folded [red]x[/]" in said
    assert all(len(word) <= 42 and word.isprintable() for word in said)
    assert fast_path.words({"ranks": "\u0664"}) == ("exact", "ranks \u0664")  # a digit, but not one of ours
    assert fast_path.words({"ranks": "9" * 50})[1].startswith("ranks 9999")


def test_old_logs_tell_nothing_and_new_ones_of_exact_runs_say_so():
    assert fast_path.training_profile(training(), [done(1)]) is None and fast_path.training_profile(None, []) is None
    exact = fast_path.training_profile(training(), [done(1, inner=1.0)])
    assert exact is not None and (exact.shares, exact.words) == ({"inner": 1.0}, ("exact",))
    begun = fast_path.training_profile(training(**FAST), [])
    assert begun is not None and not begun.shares and begun.short[1] == "table lazy"
    assert fast_path.facts(training(**FLOAT), [done(1, inner=1.0)]) == [
        ("time", "inner maximisation 100 %"), ("computed", "float32, table lazy, folded, paired"),
    ]  # fmt: skip
    assert fast_path.facts(training(), []) == []


def test_a_run_remembers_the_switches_of_its_engines_where_they_changed():
    state = fold([training(), training(), training(**FAST), training(**FAST), training()])
    assert state.engines == ({}, FAST, {}) and state.training is not None and state.training.switches == {}
    many = fold(training(ranks=str(k)) for k in range(3 * ENGINES))
    assert len(many.engines) == ENGINES and many.engines[-1] == {"ranks": str(3 * ENGINES - 1)}


def rows(**engines):
    return [(label, [(label, told)]) for label, told in engines.items()]


def test_runs_of_one_precision_need_no_note():
    assert fast_path.differently(rows(a=[{}], b=[PLAIN])) == ""
    assert fast_path.differently(rows(a=[{}], b=[FLOAT])) == ""  # float32 in another order
    assert fast_path.differently(rows(a=[FAST], b=[FAST], c=[])) == ""
    assert fast_path.differently([]) == ""


def test_runs_of_other_precisions_have_one():
    inner = FLOAT | {"inner": "bfloat16"}
    assert fast_path.differently(rows(a=[{}], b=[inner])) == "Computed differently: a exact; b inner bfloat16."
    assert fast_path.differently(rows(a=[FLOAT], b=[inner])) == "Computed differently: a float32; b inner bfloat16."
    assert fast_path.differently(rows(a=[{}], b=[inner], c=[FAST], d=[{}], e=[])) == (
        "Computed differently: a, d exact; b inner bfloat16; c teacher, inner bfloat16."
    )


def test_a_run_that_went_on_otherwise_and_a_row_whose_seeds_differ_are_told_apart():
    inner = FLOAT | {"inner": "bfloat16"}
    assert fast_path.differently(rows(a=[{}], b=[{}, inner, FLOAT | inner])) == (
        "Computed differently: a exact; b exact, then inner bfloat16."
    )
    three = ("rslad (3)", [("rslad s0", [{}]), ("rslad s1", [inner]), ("rslad s2", [{}])])
    assert fast_path.differently([three]) == "Computed differently: rslad s0, rslad s2 exact; rslad s1 inner bfloat16."
    alike = ("crdnd (2)", [("crdnd s0", [inner]), ("crdnd s1", [inner])])
    assert fast_path.differently([alike, ("ard", [("ard", [{}])])]) == (
        "Computed differently: crdnd (2) inner bfloat16; ard exact."
    )


def test_a_note_on_very_many_runs_stays_a_sentence():
    many = {f"run{k}": [{}] for k in range(60)}
    turns = [FLOAT | {"inner": kind} for kind in ("bfloat16", "float16") * 30]
    told = fast_path.differently(rows(**many, odd=turns))
    assert "run5 and 54 more exact" in told and len(told) < 400
