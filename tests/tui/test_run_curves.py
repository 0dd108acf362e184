"""Curves are fed with what is new only, and begin again when a log goes back."""

import time
from dataclasses import replace

from crdnd_tui.core.state import RunState, fold
from crdnd_tui.tui.monitor.run_curves import Curves, eta, quantile
from engine.spec.events import DeviceSampled, EpochDone, RunStarted, StepDone, TrainingStarted, Validated


def started(steps_per_epoch=10, epochs=10, images=640):
    return TrainingStarted(
        epochs=epochs, steps_per_epoch=steps_per_epoch, images=images, classes=[], device="cpu", student_parameters=1
    )


def done(step, loss=1.0, pace=64.0, **terms):
    return StepDone(step=step, epoch=1, loss=loss, terms=terms, learning_rate=0.1, images_per_second=pace)


def test_only_new_steps_are_appended():
    curves = Curves()
    state = fold([started(), *(done(k, clean=0.5, robust=2.0) for k in range(1, 6))])
    assert curves.feed(state)
    assert (len(curves.loss), len(curves.terms["robust"]), len(curves.pace)) == (5, 5, 5)
    assert not curves.feed(state)
    loss = curves.loss
    assert curves.feed(fold([done(6, clean=0.4, robust=1.0)], state))
    assert curves.loss is loss and len(loss) == 6 and loss.last == (6, 1.0)


def test_a_log_that_was_cut_back_is_begun_again():
    curves = Curves()
    state = fold([started(), *(done(k) for k in range(1, 6))])
    curves.feed(state)
    again = fold([started(), *(done(k, loss=9.0) for k in range(1, 4))])
    assert curves.feed(again)
    assert len(curves.loss) == 3 and curves.loss.last == (3, 9.0)


def test_another_run_is_begun_again():
    curves = Curves()
    curves.feed(fold([RunStarted(run="one", name="", config_hash="", pid=1, host="h"), done(1)]))
    curves.feed(fold([RunStarted(run="two", name="", config_hash="", pid=1, host="h")]))
    assert len(curves.loss) == 0


def test_a_loss_that_is_not_finite_is_a_gap():
    curves = Curves()
    curves.feed(fold([done(1), done(2, loss=None), done(3)]))
    assert curves.loss.gap_in(1, 3) == (2.0, 1)


def test_validations_stand_at_their_epochs():
    told = [
        Validated(epoch=e, step=e, n=10, accuracy={"clean": e / 10, "pgd": e / 20}, by="pgd", best=True, seconds=0)
        for e in (2, 4)
    ]
    curves = Curves()
    curves.feed(fold(told))
    assert curves.accuracy["clean"].last == (4, 0.4)
    assert [list(of) for of in curves.accuracy["pgd"].arrays()] == [[2, 4], [0.1, 0.2]]


def test_the_gpu_is_told_in_gibibytes_once_a_sample():
    curves = Curves()
    state = fold([done(7), DeviceSampled(name="H200", used=3 << 30, total=4 << 30, utilisation=50)])
    curves.feed(state)
    curves.feed(replace(state, last=1.0))
    assert curves.memory.last == (7, 3.0) and len(curves.memory) == 1 and curves.busy.last == (7, 50.0)


def test_the_time_left_is_that_of_the_median_pace():
    state = fold([started(), *(done(k, pace=64.0) for k in range(1, 51))])
    # 50 steps of 64 images are left, at 64 images a second
    assert eta(state) == (50.0, 50.0, 50.0)
    assert eta(fold([started(), *(done(k, pace=64.0) for k in range(1, 50))])) == (51.0, None, None)
    assert eta(RunState()) is None and eta(fold([started()])) is None
    assert eta(fold([started(), done(1, pace=0.0)])) is None


def test_the_spread_is_that_of_the_paces():
    paces = [32.0] * 10 + [64.0] * 40 + [128.0] * 11
    time_left = eta(fold([started(), *(done(k, pace=p) for k, p in enumerate(paces, 1))]))
    assert time_left is not None and time_left.median == 39.0
    assert time_left.low == 19.5 and time_left.high == 78.0


def test_quantiles_lie_between_the_two_nearest():
    assert [quantile([1.0, 2.0, 3.0, 4.0], q) for q in (0, 0.5, 1)] == [1.0, 2.5, 4.0]
    assert quantile([5.0], 0.9) == 5.0


def test_epochs_count_as_steps_that_are_done():
    epoch = EpochDone(epoch=10, step=100, loss=1.0, terms={}, learning_rate=0.1, seconds=1.0)
    assert eta(fold([started(), done(1), epoch])) == (0.0, None, None)


def test_a_frame_of_a_long_run_costs_what_is_new():
    state = fold([started(1000, 1000), *(done(k) for k in range(1, 50_001))])
    curves = Curves()
    curves.feed(state)
    state = fold([done(50_001)], state)
    before = time.process_time()
    curves.feed(state)
    assert time.process_time() - before < 0.02
