"""Panels fill their area and never overlap, whatever the size and the state."""

import itertools

import pytest

from crdnd_tui.tui.monitor.live_plan import PAGES, PANELS, Ask, page_of, plan

SIZES = [
    (40, 5),
    (40, 6),
    (60, 11),
    (79, 20),
    (80, 19),
    (99, 60),
    (100, 8),
    (100, 16),
    (120, 32),
    (180, 46),
    (400, 120),
]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["training", "judging", "trouble", "empty"])
def test_panels_fill_the_area_without_overlap(size, kind):
    width, height = size
    for page, trains, knows, judged, living, classes in itertools.product(
        PAGES, (True, False), (True, False), (True, False), (True, False), (2, 10, 100)
    ):
        ask = Ask(
            kind=kind, page=page, trains=trains, knows_classes=knows, judged=judged, living=living, classes=classes
        )
        boxes = plan(width, height, ask)
        assert boxes and set(boxes) <= set(PANELS)
        assert sum(box.width * box.height for box in boxes.values()) == width * height, (ask, boxes)
        for box in boxes.values():
            assert box.width >= 1 and box.height >= 1
            assert box.x + box.width <= width and box.y + box.height <= height
        for one, two in itertools.combinations(boxes.values(), 2):
            apart = one.x + one.width <= two.x or two.x + two.width <= one.x
            assert apart or one.y + one.height <= two.y or two.y + two.height <= one.y, (ask, boxes)


def test_a_maximised_panel_has_it_all():
    assert plan(120, 32, Ask(kind="training", only="bars")) == {"bars": (0, 0, 120, 32)}


def test_no_room_is_no_panel():
    assert plan(3, 10, Ask(kind="training")) == {} and plan(80, 0, Ask(kind="training")) == {}


def test_what_tells_most_gets_the_room():
    ask = Ask(kind="judging")
    boxes = plan(120, 32, ask)
    assert boxes["table"].height == 32 and boxes["table"].width >= 60
    training = plan(120, 32, Ask(kind="training"))
    assert max(training, key=lambda name: training[name].width * training[name].height) == "loss"
    assert "fate" in plan(120, 32, Ask(kind="trouble")) and "fate" not in training
    assert [page_of(Ask(kind=kind)) for kind in ("training", "judging", "trouble")] == ["curves", "table", "log"]


def test_a_matrix_of_its_own_when_there_is_room():
    assert "matrix" in plan(180, 46, Ask(kind="training")) and "matrix" not in plan(
        180, 40, Ask(kind="training", classes=20)
    )
