"""Verifying without a screen: what is judged again and what that costs, and what an engine's lines mean."""

import json
from pathlib import Path

import pytest
from rich.cells import cell_len

from crdnd_tui.core import verifying
from crdnd_tui.core.palette import DARK
from crdnd_tui.core.verifying import VerifyCheck, VerifyCost, VerifyProgress, VerifyRefusal, VerifyReport, VerifyVerdict
from crdnd_tui.tui.dialogs import verify_page
from engine.spec.errors import CrdndError
from engine.spec.rundir import RunDir
from tests.tui.lab_runs import CRDND
from tests.tui.pilot import recorded

CHECK = VerifyCheck(what="data test", verdict="holds", words="sha256 1234")
PROGRESS = VerifyProgress(checkpoint="best", attack="fgsm", part="", done=5, total=10)
VERDICT = VerifyVerdict(verdict="holds", words="so it is")


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir(recorded(tmp_path / "runs", CRDND) / CRDND)


def test_quick_is_clean_and_an_attack_of_many_steps_and_full_is_all_at_the_cost_that_was_stored(run: RunDir) -> None:
    quick, full = verifying.extents(run)
    assert (quick.checkpoints, quick.attacks) == (("best",), ("clean", "pgd_sat"))
    suite = {"clean", "fgsm", "pgd_sat", "pgd_trades", "cw_inf", "cw_2", "pgd_rescaled", "autoattack"}
    assert set(full.attacks) == suite and len(full.attacks) == len(suite)
    files = {key: run.evaluation / "best" / f"{key}.json" for key in suite}
    stored = {key: json.loads(path.read_bytes())["seconds"] for key, path in files.items()}
    assert quick.seconds == pytest.approx(stored["clean"] + stored["pgd_sat"], abs=0.02)
    assert full.seconds == pytest.approx(sum(stored.values()), abs=0.1)


def test_what_was_never_judged_costs_nothing(run: RunDir) -> None:
    run.events.write_text("")
    for path in (run.evaluation / "best").glob("*"):
        path.unlink()
    assert verifying.extents(run) == (VerifyCost(), VerifyCost())
    offered = "\n".join(line.plain for line in verify_page.choice(verifying.extents(run), "", 100, DARK))
    assert offered.count("no judgement is stored") == 2


def test_a_config_that_cannot_be_read_is_a_mistake(run: RunDir) -> None:
    run.config.write_text("method = 1")
    with pytest.raises(CrdndError):
        verifying.extents(run)


def test_the_folder_of_data_is_passed_where_that_of_the_run_is_not_here(run: RunDir, tmp_path: Path) -> None:
    data, machine = tmp_path / "sets", json.loads(run.machine.read_text())
    run.machine.write_text(json.dumps(machine | {"data": str(tmp_path / "elsewhere")}))
    assert verifying.flags(run, data, quick=False) == []
    data.mkdir()
    assert verifying.flags(run, data, quick=True) == ["--quick", "--data", str(data)]
    (tmp_path / "elsewhere").mkdir()
    assert verifying.flags(run, data, quick=False) == []


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (b'{"event": "checked", "what": "data test", "verdict": "holds", "words": "sha256 1234"}', CHECK),
        (b'{"event": "progress", "checkpoint": "best", "attack": "fgsm", "done": 5, "total": 10}', PROGRESS),
        (b'{"event": "progress", "done": "5", "total": 10}', None),
        (b'{"event": "verdict", "verdict": "holds", "words": "so it is"}', VERDICT),
        (b'{"event": "failed", "message": "no run"}', VerifyRefusal(message="no run")),
        (b'{"event": "of a newer engine"}', None),
        (b"[1, 2]", None),
        (b"[" * 60_000, None),
        (b"a warning of a library", None),
        (b"\xff\xfe", None),
        (b"", None),
    ],
)
def test_a_line_is_a_word_or_nothing(line: bytes, word: object) -> None:
    assert verifying.decode_line(line) == word


def test_words_that_could_steer_a_terminal_do_not() -> None:
    line = {"event": "checked", "what": "a\x1b[2J", "verdict": "holds", "words": "b\x9b[red]\nc"}
    assert verifying.decode_line(json.dumps(line).encode()) == VerifyCheck(
        what="a\ufffd[2J", verdict="holds", words="b\ufffd[red] c"
    )


def test_a_judgement_is_under_way_until_something_is_known() -> None:
    course = VerifyReport().after(CHECK).after(PROGRESS)
    assert course.progress == PROGRESS
    for word in (CHECK, VERDICT, VerifyRefusal(message="no")):
        assert course.after(word).progress is None
    assert course.after(CHECK).checks == (CHECK, CHECK)


def test_why_there_is_no_verdict() -> None:
    assert VerifyReport().after(VerifyRefusal(message="no run")).trouble(2, b"noise") == "no run"
    assert VerifyReport().trouble(1, b"first\nlast\n") == "the engine left with 1: last"
    assert VerifyReport().trouble(-9, b"") == "the engine left with -9: it said nothing"


@pytest.mark.parametrize("width", [30, 40, 56, 69, 104])
def test_no_line_is_wider_than_the_page(run: RunDir, width: int) -> None:
    long = VerifyCheck(what="record best pgd_rescaled", verdict="fails", words="a word and another one " * 8)
    course = VerifyReport(checks=(CHECK, long))
    lines = verify_page.checks(course, width, DARK)
    for extents in (verifying.extents(run), (VerifyCost(), VerifyCost()), None):
        lines += verify_page.choice(extents, "", width, DARK)
    assert max(cell_len(line.plain.rstrip()) for line in lines) <= width
    under_way = verify_page.now(VerifyReport(progress=PROGRESS), "", False, width, DARK)
    assert cell_len(under_way.plain) <= width and "5 of 10 images" in under_way.plain
