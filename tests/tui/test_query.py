"""The filter language: what it lets through, and that no text can make it raise."""

import random
from pathlib import Path

import pytest

from crdnd_tui.core.notes import NONE, RunNotes
from crdnd_tui.core.run_status import STATES, Summary
from crdnd_tui.tui.runs import query
from engine.spec.status import Status


def run(id: str = "a", state: str = "done", results: dict | None = None, **facts) -> Summary:
    status = Status(
        run=id, phase="done", heartbeat=0.0, results={"best": results or {}}, results_n=597,
        **{"method": "rslad", "student": "small_cnn", "teacher": "WRN-34-10", "data": "cifar10", "epsilon": "8/255"}
        | facts,
    )  # fmt: skip
    return Summary(id=id, path=Path(id), state=state, status=status)


RUN = run(
    "20260101-a", results={"clean": 0.90, "pgd_sat": 0.55, "autoattack": 0.504, "worst": 0.2}, seed=3, name="Baseline"
)
NOTES = RunNotes(tags=("paper", "Baseline"), note="for table 2", pinned=True)


@pytest.mark.parametrize(
    "text",
    [
        "", "rslad", "RSLAD", "baseline", "method:rslad", "method:rs", "method=rslad", "state:done", "state:do",
        "seed=3", "seed:3", "seed!=0", "aa>48", "clean>=90", "clean=90", "worst<21", "worst<=20", "tag:paper",
        "tag:#paper", "has:aa", "has:note", "has:pin", "eps=8/255", "eps<0.1", "epsilon:8/255", "n=597",
        "aa>48 not state:failed",
        "aa>60 or clean>80", "aa>60 or (clean>80 and seed=3)", "not (aa>60)", "not not rslad", 'note:"table 2"',
        '"WRN-34"', "teacher:wrn student:small", "aa>48%", "note:table", "id:2026", "is:done",
    ],
)  # fmt: skip
def test_what_is_let_through(text: str) -> None:
    parsed = query.parse(text)
    assert parsed.problem == ""
    assert parsed.matches(RUN, NOTES)


@pytest.mark.parametrize(
    "text",
    ["crdnd", "method:crdnd", "method=rs", "state:failed", "state:live", "seed=4", "seed!=3", "aa>50.4", "clean<90",
     "tag:no", "tag=pap", "has:warnings", "eps=4/255", "not rslad", "rslad aa>60", "loss<1", "epoch>0",
     "aa>60 or worst>30"],
)  # fmt: skip
def test_what_is_kept_back(text: str) -> None:
    parsed = query.parse(text)
    assert (parsed.problem, parsed.matches(RUN, NOTES)) == ("", False)


def test_or_binds_less_than_and() -> None:
    matches = query.parse("seed=0 method:x or seed=3").matches
    assert matches(RUN, NONE)
    assert not query.parse("seed=0 (method:x or seed=3)").matches(RUN, NONE)


def test_a_run_without_a_number_is_on_neither_side() -> None:
    bare = Summary(id="a", path=Path("a"), state="queued")
    assert not any(query.parse(text).matches(bare, NONE) for text in ("aa<50", "aa>=50", "seed=0", "has:aa", "eps<1"))
    assert query.parse("state:queued").matches(bare, NONE)


@pytest.mark.parametrize(
    ("text", "problem", "hint"),
    [
        ("nothing:1", "no `nothing`", "method:"),
        ("state:asleep", "no state", "running"),
        ("method:", "of what", ""),
        ("state:", "of what", "live"),
        ("aa>fast", "no number", "aa>48"),
        ("eps=1/0", "no number", "8/255"),
        ("method>3", "no number", "method="),
        ("has:legs", "not known", "aa"),
        ("(rslad", "without its `)`", ""),
        ("rslad)", "without its `(`", ""),
        ("()", "missing", ""),
        ("rslad or", "missing after", ""),
        ("or rslad", "missing before", ""),
        ("and rslad", "missing before", ""),
        ("rslad and", "missing after", ""),
        ("not", "missing after", "not state"),
        ("(" * 40 + "a" + ")" * 40, "too many", ""),
        ("not " * 100 + "a", "too many", ""),
        ("a" * 501, "too long", "500"),
    ],
)
def test_mistakes_are_told_and_hide_nothing(text: str, problem: str, hint: str) -> None:
    parsed = query.parse(text)
    assert problem in parsed.problem
    assert hint in parsed.hint
    assert parsed.matches(RUN, NOTES)


def test_all_states_can_be_asked_for() -> None:
    for state in STATES:
        assert query.parse(f"state:{state}").matches(run(state=state), NONE)


def test_no_text_raises() -> None:
    dice = random.Random(0)
    words = ("not", "or", "and", "method", "rslad", "aa", "8/255")
    pieces = [*words, *'():=<" \x1bé#!', ">="]
    for _ in range(3000):
        text = "".join(dice.choice(pieces) for _ in range(dice.randrange(14)))
        parsed = query.parse(text)
        assert parsed.problem == "" or parsed.matches(RUN, NONE)
        parsed.matches(RUN, NOTES)
