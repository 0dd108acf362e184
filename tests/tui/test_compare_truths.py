"""What the Compare screen says is true: leads that do not survive, checkpoints, and what cannot be compared."""

import json
import shutil
from pathlib import Path

import pytest

from crdnd_tui.tui.screens.compare import screen
from crdnd_tui.tui.widgets.curve_board import CurveBoard
from crdnd_tui.tui.widgets.text_sheet import RowSheet
from tests.tui.compare import (
    CRDND,
    RSLAD,
    curves,
    ids,
    labels,
    misled,
    press,
    read_again,
    said,
    text,
    title,
    told,
    unlike,
)
from tests.tui.pilot import settle


@pytest.fixture
def runs(original, tmp_path):
    return Path(shutil.copytree(original, tmp_path / "runs"))


def test_a_lead_that_autoattack_takes_away_hits_the_eye_at_any_size(runs):
    misled(runs)

    async def story(app, pilot):
        words = (
            "\u2717 the lead of crdnd s0 over rslad s0 under PGD-SAT (+16.9 !) does not survive AutoAttack (\u221210.4)"
        )
        assert words in " ".join(text(app, "results").split())
        for size in ((120, 36), (60, 20), (40, 10)):
            await pilot.resize_terminal(*size)
            await settle(pilot)
            assert app.screen.query_one("#results", RowSheet).scroll_offset.y == 0
            assert " ".join(text(app, "results").split()).startswith(words)
        await press(pilot, "k", "j")  # the row under the cursor comes into sight
        assert app.screen.query_one("#results", RowSheet).scroll_offset.y > 0

    told(story, runs, (CRDND, RSLAD), size=(80, 24))


def test_other_checkpoints_and_judged_weights_are_told_apart(runs):
    (run,) = ids(runs, RSLAD)
    log = runs / run / "events.jsonl"
    judged = [line for line in log.read_text().splitlines() if '"evaluated"' in line]
    more = [line.replace('"checkpoint":"best"', '"checkpoint":"last"') for line in judged]
    log.write_text(log.read_text() + "\n".join(more) + "\n")

    async def story(app, pilot):
        await press(pilot, "w")
        assert "last checkpoint" in title(app, "results")
        assert "rslad s0 is not comparable with crdnd s0: checkpoint last, not best" in text(app, "results")
        await press(pilot, "w")
        assert "best checkpoint" in title(app, "results")
        (runs / run / "config.toml").write_text('kind = "evaluation"\n[data]\nname = "digits"\n[subject]\nrun = "x"\n')
        keep = ("run_started", "evaluation_started", "evaluated", "run_finished")
        lines = log.read_text().splitlines(keepends=True)
        log.write_text("".join(line for line in lines if any(f'"{k}"' in line for k in keep)))
        await read_again(pilot)
        assert f"judged {run[-4:]}" in text(app, "results") and "63.1" in text(app, "results")
        assert curves(app) == [["crdnd s0"]]
        shown = app.screen.query_one(CurveBoard).children[0].border_title
        assert f"none of judged {run[-4:]}" in str(shown)

    told(story, runs, (CRDND, RSLAD))


def test_classes_that_differ_bear_the_marks_of_both_runs(runs):
    (run,) = ids(runs, CRDND)
    log = runs / run / "events.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    at = next(k for k, line in enumerate(lines) if '"run_finished"' in line)
    last = json.loads(lines[at])
    mark = {"event": "warned", "code": "planted_missed", "message": "", "checkpoint": "best", "attack": ""}
    lines[at:] = [json.dumps(last | mark) + "\n", json.dumps(last | {"seq": last["seq"] + 1}) + "\n"]
    log.write_text("".join(lines))

    async def story(app, pilot):
        await press(pilot, "j")
        rows = [line for line in text(app, "classes", 80).splitlines() if "\u2502" in line]
        assert sum(line.count("\u2502") for line in rows) == sum(line.count("!!") for line in rows) == 10

    told(story, runs, (CRDND, RSLAD))


def test_another_epsilon_is_a_badge_and_no_difference(runs):
    unlike(runs)

    async def story(app, pilot):
        await press(pilot, "u", "j")
        results = text(app, "results")
        assert "\u2260 rslad s0 is not comparable with crdnd s0: epsilon 8/255, not 40/255" in results
        assert "+10.4" not in results
        assert "Not comparable: epsilon 8/255" in text(app, "classes")

    told(story, runs, (CRDND, "natural", RSLAD))


def test_runs_that_are_too_many_are_never_left_out_without_a_word(original, monkeypatch):
    monkeypatch.setattr(screen, "MAX_RUNS", 2)

    async def story(app, pilot):
        assert labels(app) == ["crdnd s0", "rslad s0"]
        assert "2 runs are compared, the rest is left out (1)" in said(app)[-1]
        assert title(app, "results").endswith("1 more left out")
        await read_again(pilot)
        assert title(app, "results").endswith("1 more left out") and len(said(app)) == 1
        app.compare_runs(ids(original, CRDND, "natural"))
        await read_again(pilot)
        assert labels(app) == ["crdnd s0", "natural s0"] and "left out" not in title(app, "results")

    told(story, original, (CRDND, RSLAD, "natural"))
