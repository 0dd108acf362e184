"""The Studies screen: every key. Engines and workers are no processes here."""

import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from crdnd_tui.queue import worker
from crdnd_tui.queue.tickets import Queue
from crdnd_tui.tui.app import LabApp
from crdnd_tui.tui.dialogs.export import Export
from crdnd_tui.tui.dialogs.provenance import ProvenanceDialog
from crdnd_tui.tui.dialogs.question import Ask, Question
from crdnd_tui.tui.dialogs.verify import VerifyDialog
from crdnd_tui.tui.widgets.sheets import Sheet
from crdnd_tui.tui.widgets.study_list import StudyList
from tests.tui.busy_queue import past, text, told
from tests.tui.pilot import drive, settle
from tests.tui.study_runs import (  # noqa: F401  three are fixtures
    busy_study,
    keys,
    make,
    matrix,
    quiet_machine,
    studied,
    under,
    words,
)


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "ensure", lambda runs: True)


def test_the_plan_tells_every_state_by_its_sign(busy: Path) -> None:
    def look(app):
        listed = app.screen.query_one(StudyList)._lines[0][1].plain
        return matrix(app), listed

    signs, listed = drive(keys(then=look), busy)
    assert signs == "✓◌◌ ◐-- ○✗- ✓✓✓ ✓✓●"
    assert listed.startswith("▸● small") and "6/15" in listed and "●1 ◌2 ○1 ◐1 ✗1" in listed


def test_arrows_walk_through_the_plan_and_enter_opens_the_run(busy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, opened = [], []
    monkeypatch.setattr(LabApp, "open_run", lambda app, run, screen="live": opened.append(run))
    pressed = ("enter", "down", "l", "down", "left", "j", "j", "end", "k", "up", "up", "up", "right", "right", "enter")
    drive(keys(*pressed, each=lambda app: seen.append(tuple(under(app).values()))), busy)
    assert seen[:4] == [("natural", "0"), ("ard", "0"), ("ard", "1"), ("iad", "1")]
    assert seen[4:7] == [("iad", "0"), ("rslad", "0"), ("crdnd", "0")]
    assert seen[-2] == ("natural", "2")
    assert [run.split("-")[2] for run in opened] == ["natural"]

    said = drive(keys("enter", "down", "right", "enter", then=told), busy)
    assert "This one has not run" in said and len(opened) == 1


def test_what_is_known_of_the_run_under_the_cursor(busy: Path) -> None:
    seen = []
    drive(keys("tab", "down", "down", "right", "down", each=lambda app: seen.append(words(app, "run"))), busy)
    assert "done in" in seen[0] and "clean 97.5" in seen[0] and "natural-small_cnn-s0" in seen[0]
    assert "killed" in seen[1]
    assert "stopped" in seen[2]
    assert seen[3].splitlines()[:2] == ["✗ failed", "DivergedError: the loss is not finite"]
    assert "AutoAttack" in seen[4]


def pressed(pilot):
    """Press keys one by one, and see what each did."""

    async def press(*keys: str) -> None:
        for key in keys:
            await pilot.press(key)
            await settle(pilot)

    return press


def test_s_asks_and_queues_what_is_missing(runs: Path, still: None) -> None:
    async def story(app, pilot):
        press = pressed(pilot)
        await press("s")
        for said in ("Start 9 runs of small?", "7 not run yet", "2 interrupted", "6 done already", "at once 1"):
            assert said in text(app)
        await press("escape")
        assert Queue(runs).tickets() == []
        await press("s", "y")
        assert matrix(app) == "✓◌◌ ◌◌◌ ◌◌◌ ✓✓✓ ✓✓◌"
        assert {ticket.study for ticket in Queue(runs).tickets()} == {"small"}
        await press("s")
        assert "at work or waits already" in told(app)

    drive(story, runs)


def test_f_starts_and_stops_at_the_first_failure_until_it_is_taken_back(runs: Path, still: None) -> None:
    def stops() -> set[bool]:
        return {ticket.stop_on_failure for ticket in Queue(runs).tickets()}

    async def story(app, pilot):
        press = pressed(pilot)

        async def stopped():
            one = Queue(runs).tickets()[0].run
            Queue(runs).change(one, ("waiting",), lambda t: replace(t, state="stopped"))
            app.screen.look()
            await settle(pilot)

        await press("s")
        assert "the rest goes on; f changes that" in text(app) and "f stop at the first failure" in text(app)
        await press("f")
        assert stops() == {True}
        await stopped()
        await press("s")
        assert "the rest is held; f changes that" in text(app)
        await press("y")  # says nothing of it
        assert stops() == {True}
        await stopped()
        await press("s", "f")
        assert stops() == {False}

    drive(story, runs)


def test_space_holds_and_releases_and_x_asks_and_cancels(runs: Path, still: None) -> None:
    names = [make(runs, "natural", 1), make(runs, "natural", 2)]
    seen = []
    pressed = ("space", "space", "x", "escape", "x", "y", "space", "x")
    said = drive(keys(*pressed, each=lambda app: seen.append(states(runs)), then=told), runs)
    assert seen == [["held", "held"], *[["waiting", "waiting"]] * 4, [], [], []]
    assert all((runs / ".trash" / name).is_dir() for name in names)
    assert said.count("No run of this study waits.") == 2


def states(runs: Path) -> list[str]:
    return [ticket.state for ticket in Queue(runs).tickets() if ticket.state != "cancelled"]


def test_r_retries_what_failed_and_nothing_else(busy: Path, still: None) -> None:
    before = {ticket.run for ticket in Queue(busy).tickets()}
    assert drive(keys("R", then=matrix), busy) == "✓◌◌ ◐-- ○◌- ✓✓✓ ✓✓●"
    assert {ticket.run for ticket in Queue(busy).tickets()} == before
    assert "No run of this study has failed." in drive(keys("R", then=told), busy)


def test_plus_and_minus_set_how_many_run_at_once_and_w_shows_the_other_checkpoint(runs: Path) -> None:
    seen = []

    def look(app):
        seen.append((Queue(runs).at_once, str(app.screen.query_one("#report").border_subtitle).split()[0]))

    drive(keys("plus", "plus", "minus", "w", "w", each=look), runs)
    assert seen == [(2, "best"), (3, "best"), (2, "best"), (2, "last"), (2, "best")]


def test_c_compares_the_judged_runs_the_baseline_first(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(LabApp, "compare_runs", lambda app, ids: seen.append([one.split("-")[2] for one in ids]))
    drive(keys("c"), runs)
    assert seen == [["rslad"] * 3 + ["natural", "crdnd", "crdnd"]]


def test_e_exports_the_study_by_its_file(runs: Path) -> None:
    seen = []

    def look(app):
        if isinstance(app.screen, Export):
            seen.append(app.screen.order().line)

    drive(keys("e", "escape", "w", "e", each=look), runs)
    line = f"crdnd export {runs.parent}/studies/small.toml --to markdown -o exports/small.md"
    assert seen == [line, f"{line} --checkpoint last"]


@pytest.mark.parametrize(("key", "dialog"), [("i", ProvenanceDialog), ("V", VerifyDialog)])
def test_i_and_v_ask_of_the_run_under_the_cursor(busy: Path, key: str, dialog: type) -> None:
    seen = []
    drive(keys("tab", key, each=lambda app: seen.append(app.screen)), busy)
    assert isinstance(seen[-1], dialog) and "natural" in seen[-1]._run.id
    assert "has not run" in drive(keys("tab", "down", "right", key, then=told), busy)
    if key == "V":
        assert "It is at work" in drive(keys("tab", *["down"] * 4, "right", "right", key, then=told), busy)


def test_d_lists_all_runs_and_the_estimate(busy: Path) -> None:
    is_sheet, said = drive(keys("d", then=lambda app: (isinstance(app.screen, Sheet), text(app))), busy)
    assert is_sheet and "left    9 runs" in said and "past runs on this machine" in said


def test_o_opens_a_study_that_lies_elsewhere(runs: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere.toml"
    body = (tmp_path / "studies" / "small.toml").read_text()
    other.write_text(body.replace('"small"', '"other"').replace("../presets", "presets"))

    async def story(app, pilot):
        await settle(pilot)
        await pilot.press("o")
        await settle(pilot)
        assert isinstance(app.screen, Ask)
        await pilot.press(*"digts", "enter")
        await settle(pilot)
        assert "no study `digts`" in told(app)
        await pilot.press("o", *str(other), "enter")
        await settle(pilot)
        return app.screen.query_one(StudyList).keys, app.screen._front.progress.study.name

    listed, front = drive(story, runs)
    assert (len(listed), front) == (2, "other")


def test_tab_goes_from_panel_to_panel_and_escape_back(runs: Path) -> None:
    seen = []
    pressed = ("tab", "tab", "tab", "tab", "shift+tab", "z", "z", "escape", "down", "up", "escape")
    for size in ((120, 36), (40, 10)):
        seen.clear()
        drive(keys(*pressed, each=lambda app: seen.append(getattr(app.focused, "id", ""))), runs, size=size)
        assert seen[:8] == ["plan", "report", "plot", "list", "plot", "plot", "plot", "list"], size
        assert seen[8:10] == ["plan", "list"], size
        assert seen[10] not in ("list", "plan"), size  # Runs


def test_the_report_has_the_printed_numbers_beside_ours_and_says_what_is_missing(busy: Path) -> None:
    said = drive(keys(then=lambda app: words(app, "report")), busy, size=(180, 50))
    rows = {line.split()[0]: line for line in said.splitlines() if line.strip()}
    assert "printed" in rows["paper"] and "50.0" in rows["paper"]
    assert "points" in rows["ours"]
    assert "killed, not run" in rows["ard:"]
    assert "(baseline)" in said


def test_only_reading_changes_nothing(busy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "wake", lambda runs: pytest.fail("a worker was started"))
    before = {path: path.stat().st_mtime_ns for path in busy.rglob("*")}
    questions = []
    pressed = ("s", "y", "space", "x", "y", "R", "plus", "minus")
    drive(keys(*pressed, each=lambda app: questions.append(isinstance(app.screen, Question))), busy, readonly=True)
    assert not any(questions)
    assert {path: path.stat().st_mtime_ns for path in busy.rglob("*")} == before


def test_every_key_is_in_the_help(runs: Path) -> None:
    said = drive(keys("question_mark", then=text), runs, size=(150, 70))
    for name in ("Start", "Hold", "Cancel", "Retry", "Dry run", "Open a file", "Checkpoint", "Column after"):
        assert name in said


def test_a_click_puts_the_cursor(runs: Path) -> None:
    async def story(app, pilot):
        await settle(pilot)
        matrix_ = app.screen.query_one("#plan")
        start = matrix_._columns[2][1]
        await pilot.click("#plan", offset=(matrix_.gutter.left + start + 1, matrix_.gutter.top + 4))
        await settle(pilot)
        return tuple(under(app).values())

    assert drive(story, runs) == ("rslad", "2")


def test_a_run_that_ends_is_seen_without_a_key(busy: Path) -> None:
    async def story(app, pilot):
        await settle(pilot)
        before, document = matrix(app), app.screen._document
        app.screen.look()
        await settle(pilot)
        assert app.screen._document is document  # nothing changed, nothing is made again
        queue = Queue(busy)
        run = next(t.run for t in queue.tickets() if t.state == "waiting")
        queue.hold(run)
        shutil.rmtree(past(busy, "rslad-small_cnn-s1").path)
        app.screen.look()
        await settle(pilot)
        return before, matrix(app)

    before, after = drive(story, busy)
    assert before.split()[0] == "✓◌◌" and after.split()[0] == "✓‖◌"
    assert (before.split()[3], after.split()[3]) == ("✓✓✓", "✓-✓")
