"""How the Studies screen looks in any size, what it says of files that are broken, and what it never reads twice."""

import json
import re
from pathlib import Path

import pytest

from crdnd_tui.queue import snapshot
from crdnd_tui.queue.snapshot import StudyNote
from crdnd_tui.tui.screens.studies import plan, saying
from crdnd_tui.tui.screens.studies import shelf as shelf_module
from crdnd_tui.tui.screens.studies.desk import Asked, Desk
from crdnd_tui.tui.screens.studies.shelf import Shelf
from crdnd_tui.tui.widgets.study_list import StudyList
from crdnd_tui.tui.widgets.study_matrix import StudyMatrix
from crdnd_tui.write import study_document
from crdnd_tui.write.tables import table_lines
from tests.tui.busy_queue import past, text
from tests.tui.pilot import NOW, drive, same_picture, settle
from tests.tui.study_runs import busy_study, keys, quiet_machine, studied, words  # noqa: F401  three are fixtures

BROKEN = """
name = "broken"
preset = "../presets/{method}.toml"
[grid]
method = ["natural", "rsald"]
"training.epoks" = [3]
"""


def test_picture(busy: Path) -> None:
    drive(keys("tab", then=lambda app: same_picture(app, "studies-busy-120x36")), busy)


def test_any_size_while_it_changes(busy: Path) -> None:
    async def story(app, pilot):
        for size in ((40, 10), (20, 5), (1, 1), (60, 14), (100, 20), (250, 70), (40, 10)):
            await pilot.resize_terminal(*size)
            await pilot.press("tab", "down", "right", "z")
            await settle(pilot)
        return text(app)

    assert "7" in drive(story, busy)


def test_a_broken_file_is_a_row_that_says_what_and_where_until_it_is_mended(runs: Path) -> None:
    path = runs.parent / "studies" / "a.toml"
    path.write_text(BROKEN)

    async def story(app, pilot):
        await settle(pilot)
        await pilot.press("home")
        await settle(pilot)
        row = app.screen.query_one(StudyList)._lines[0][1].plain
        said, shown = words(app, "report"), app.screen.query_one("#plan").display
        await pilot.press("s", "c", "d", "e", "w", "R", "x", "space", "tab")
        await settle(pilot)
        focus = app.focused.id
        path.write_text(BROKEN.replace("rsald", "rslad").replace('"training.epoks"', '"training.epochs"'))
        app.screen.look()
        await settle(pilot)
        return row, said, shown, focus, len(app.screen._front.progress.statuses), app.screen.query_one("#plan").display

    row, said, shown, focus, many, mended = drive(story, runs)
    assert row.startswith("▸! a.toml") and "a.toml:5: grid" in row
    assert "studies/a.toml:5: grid.method: there is no preset '../presets/rsald.toml'" in " ".join(said.split())
    assert (shown, focus, many, mended) == (False, "report", 2, True)


def test_hostile_files_are_shown_not_obeyed(runs: Path) -> None:
    folder = runs.parent / "studies"
    (folder / "b.toml").write_text('name = "[red]\\u001b[2Jx"\n[grid]\nmethod = ["\\u001b]0;evil"]\n')
    (folder / "c.toml").write_bytes(b"\xff\xfe" * 100)
    (folder / "d.toml").mkdir()
    (folder / "e.toml").symlink_to("/dev/zero")
    (folder / "f\n[bold].toml").write_text("x" * 3000)

    async def story(app, pilot):
        await settle(pilot)
        seen = []
        for key in ("home", *["down"] * 5):
            await pilot.press(key)
            await settle(pilot)
            seen.append(text(app))
        return seen

    seen = drive(story, runs)
    assert not any("\x1b" in one for one in seen)
    assert all(name in "".join(seen) for name in ("b.toml", "c.toml", "d.toml", "e.toml"))


def test_the_shelf_knows_studies_that_were_queued_here_each_once(runs: Path, tmp_path: Path) -> None:
    away = tmp_path / "away" / "mine.toml"
    away.parent.mkdir()
    away.write_text((tmp_path / "studies" / "small.toml").read_text())
    for name, path in (
        ("mine", str(away)),
        ("small", str(tmp_path / "studies" / "small.toml")),
        ("gone", "/gone.toml"),
    ):
        snapshot.note_study(runs, StudyNote(study=name, path=path))
    (runs / ".queue" / "studies" / "odd.json").write_text(json.dumps({"study": "odd", "path": "\0.toml"}))
    found = Shelf(runs).entries([away])
    assert [Path(one.key).name for one in found] == ["mine.toml", "small.toml"]


def test_a_file_that_did_not_change_is_not_read_again(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf, read, seen = Shelf(runs), shelf_module.read_study, []
    monkeypatch.setattr(shelf_module, "read_study", lambda path: seen.append(path.name) or read(path))
    first = shelf.entries()
    assert shelf.entries() == first and len(seen) == 1
    preset = runs.parent / "presets" / "natural.toml"
    preset.write_text(preset.read_text() + "\n# a remark\n")
    shelf.entries()
    assert len(seen) == 2


def test_a_report_is_made_again_only_when_a_state_or_result_is_another_one(
    busy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, made, many = Desk(busy, "auto"), study_document.study_document, []
    monkeypatch.setattr(study_document, "study_document", lambda *args, **how: many.append(1) or made(*args, **how))
    (seen,) = desk.look(NOW, "")
    one = desk.report(seen, Asked(key=seen.entry.key), NOW)
    (seen,) = desk.look(NOW + 9, "")
    assert desk.report(seen, Asked(key=seen.entry.key), NOW + 9) is one and len(many) == 1
    desk.report(seen, Asked(key=seen.entry.key, checkpoint="last"), NOW + 9)
    assert len(many) == 2


def test_only_what_changed_is_drawn(busy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    shown = StudyMatrix.draw
    monkeypatch.setattr(StudyMatrix, "draw", lambda of, w, h: drawn.append(1) or shown(of, w, h))

    async def story(app, pilot):
        await settle(pilot)
        before = len(drawn)
        app.screen.look()
        await settle(pilot)
        return len(drawn) - before

    assert drive(story, busy) == 0


def test_columns_are_seeds_or_tables_where_there_is_one_seed(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    found = {Path(one.entry.key).stem: plan.plan(one) for one in Desk(runs, "auto").look(NOW, "")}
    digits, first, second = (found[name] for name in ("digits", "table1", "table2"))
    assert digits.columns == ("seed 0", "seed 1", "seed 2") and len(digits.bands) == 7
    assert len(first.columns) == 4 and len(first.bands) == 7 and first.columns[0] == "CIFAR-10, ResNet-18"
    assert len(second.columns) == 2 and len(second.bands) == 2
    assert all(spot for band in first.bands for spot in band.spots)


def test_rows_without_a_number_say_why_in_one_phrase(busy: Path) -> None:
    desk = Desk(busy, "auto")
    (seen,) = desk.look(NOW, "")
    table = desk.report(seen, Asked(key=seen.entry.key), NOW).tables[0]
    said = "\n".join(line.plain for line in table_lines(table, 120))
    (letter,) = re.findall(r"ard: killed, not run +0 of 3 ([a-z])\n", said)
    assert "2 not run" in dict(table.notes)[letter]


def test_the_question_tells_what_is_left_alone(busy: Path) -> None:
    (seen,) = Desk(busy, "auto").look(NOW, "")
    said = saying.question(seen.progress, seen.cost)
    assert said[:5] == [
        "   3 not run yet: made and queued",
        "   2 interrupted: go on from their checkpoints",
        "   3 at work or waiting already",
        "   6 done already, not repeated",
        "   1 failed, left so; R retries them",
    ]
    assert saying.to_start(seen.progress) == {
        "not run yet: made and queued": 3,
        "interrupted: go on from their checkpoints": 2,
    }


def test_a_teacher_that_must_be_trained_is_told(runs: Path) -> None:
    teacher = past(runs, "pgd_at")
    teacher.path.rename(runs / ".gone")
    (seen,) = Desk(runs, "auto").look(NOW, "")
    assert any("first, once: the teacher digits teacher" in line for line in saying.question(seen.progress, seen.cost))
