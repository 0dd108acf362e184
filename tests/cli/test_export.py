"""crdnd export: what is exported, where it lands, what is printed, and how it refuses."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from crdnd_tui.cli import app, results
from crdnd_tui.cli import export as command
from crdnd_tui.write import trackers
from engine.spec.errors import CrdndError
from engine.spec.rundir import RunDir
from tests.tui.lab_runs import CRDND, RSLAD
from tests.tui.pilot import recorded
from tests.tui.study_runs import named_protocol

OTHER = "20261122-220122-rslad-small_cnn-s1-cd75"
NATURAL = "20261122-220522-natural-small_cnn-s0-21eb"
STUDY = """
name = "pair"
title = "Two methods"
preset = "natural.toml"
[grid]
seed = [0]
[report]
rows = []
"""


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return recorded(tmp_path / "runs", CRDND, RSLAD, OTHER, NATURAL)


@pytest.fixture
def call(runs: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    def go(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["crdnd", "export", *words, "--runs", str(runs)])
        capfd.readouterr()
        code = app._called()
        said = capfd.readouterr()
        return code, said.out, said.err

    return go


def test_a_run_lands_in_exports_under_its_id(call, tmp_path: Path) -> None:
    code, out, err = call(CRDND, "--to", "markdown")
    assert (code, out.splitlines()[0], err) == (0, f"exports/{CRDND}.md", "")
    text = (tmp_path / out.splitlines()[0]).read_text()
    assert "45.6" in text and "AutoAttack" in text
    assert all(f"({Path(figure).name})" in text for figure in out.splitlines()[1:])  # it shows what lies beside it
    again = (CRDND, "--to", "markdown", "--only", "results")  # no figure is drawn
    code, out, err = call(*again)
    assert (code, out) == (2, "")
    assert "exists" in err and "--force" in err
    assert call(*again, "--force")[0] == 0


def test_several_runs_are_a_comparison(call, tmp_path: Path) -> None:
    code, out, _ = call(RSLAD, OTHER, CRDND, "--to", "csv", "-o", "tables/", "--baseline", CRDND[:15])
    assert code == 0
    names = [Path(line).name for line in out.splitlines()]
    assert all(name.startswith(f"{RSLAD}-and-2-more-") for name in names)
    kinds = {name.partition("-more-")[2][5:] for name in names}
    assert {"results.csv", "differences.csv", "curves.csv"} <= kinds
    results = next(path for path in (tmp_path / "tables").iterdir() if path.name.endswith("results.csv")).read_text()
    assert all(run in results for run in (CRDND, RSLAD, OTHER))


@pytest.mark.parametrize("runs_", [(RSLAD, OTHER), (RSLAD, OTHER, CRDND)])
@pytest.mark.parametrize("how", [(), ("--seeds",), ("--each",)])
def test_rows_are_those_of_crdnd_compare(call, runs: Path, capfd, runs_: tuple[str, ...], how: tuple[str, ...]) -> None:
    code, out, err = call(*runs_, *how, "--to", "json", "-o", "-")
    assert code == 0, err
    wish = {(): None, ("--seeds",): True, ("--each",): False}[how]
    assert results.compare(runs_, seeds=wish, as_json=True, runs=runs) == 0
    ours, theirs = ([row["label"] for row in table(said)["rows"]] for said in (out, capfd.readouterr().out))
    assert ours == theirs
    assert len(ours) == (len(runs_) if how == ("--each",) or (not how and CRDND not in runs_) else len(runs_) - 1)


def table(said: str) -> dict:
    return next(one for one in json.loads(said)["tables"] if one["key"] == "results")


def test_parts_and_pipes(call, tmp_path: Path) -> None:
    code, out, _ = call(CRDND, RSLAD, "--to", "latex", "--only", "results", "-o", "-")
    assert code == 0
    assert out.count(r"\begin{table") == 1 and r"\toprule" in out
    code, out, _ = call(CRDND, "--to", "svg", "--figure", "loss", "-o", "loss")
    assert (code, out) == (0, "loss.svg\n")
    assert (tmp_path / "loss.svg").read_text().lstrip().startswith("<")
    code, _, err = call(CRDND, "--to", "latex", "--only", "nonsense", "-o", "-")
    assert code == 2 and "no table `nonsense`; it may be " in err


def test_json_says_what_was_written(call) -> None:
    code, out, _ = call(CRDND, "--to", "html", "--only", "results", "-o", "report.html", "--json")
    assert code == 0
    assert json.loads(out) == {
        "format": "html", "runs": [CRDND], "written": [{"path": "report.html", "new": True}],
    }  # fmt: skip


def test_a_study_is_exported_by_its_file(call, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    (tmp_path / "pair.toml").write_text(STUDY)
    (tmp_path / "natural.toml").write_text(named_protocol(RunDir(tmp_path / "runs" / NATURAL)))
    code, out, err = call("pair.toml", "--to", "markdown")
    assert (code, out.splitlines()[0]) == (0, "exports/pair.md"), err
    assert "Two methods" in (tmp_path / "exports" / "pair.md").read_text()
    code, out, _ = call("pair.toml", "--to", "tensorboard")  # the runs of it that are done
    assert (code, Path(out.strip()).parent.name) == (0, NATURAL)
    (tmp_path / "pair.toml").write_text(STUDY.replace("[0]", "[9]"))
    code, _, err = call("pair.toml", "--to", "tensorboard")
    assert code == 2 and "no run of pair is done" in err


def test_tensorboard_is_written_once(call, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    code, out, err = call(CRDND, RSLAD, "--to", "tensorboard", "-o", "tb")
    assert code == 0 and "`tensorboard --logdir tb` shows it" in err
    assert [Path(line).parent for line in out.splitlines()] == [Path("tb") / CRDND, Path("tb") / RSLAD]
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "tb").rglob("events*")}
    code, again, err = call(CRDND, RSLAD, "--to", "tensorboard", "-o", "tb")
    assert (code, again) == (0, out) and f"{CRDND} lies there already, unchanged" in err
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "tb").rglob("events*")} == before


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["nowhere", "--to", "html"], "no run `nowhere`"),
        ([CRDND, "--to", "word"], "no format `word`; it may be markdown"),
        ([CRDND, "--to", "onnx", "--only", "results"], "onnx has none"),
        ([CRDND, "--to", "mlflow", "--checkpoint", "best"], "results of every checkpoint"),
        ([CRDND, "--to", "html", "--experiment", "x"], "html has none"),
        ([CRDND, "--to", "html", "--checkpoint", "first"], "it may be best or last"),
        ([CRDND, "--to", "png", "-o", "-"], "png is no text"),
        ([CRDND, "--to", "tensorboard", "-o", "-"], "tensorboard is no text"),
        ([CRDND, "--to", "html", "--baseline", RSLAD], "only several runs are compared"),
        ([CRDND, RSLAD, "--to", "html", "--baseline", OTHER], "is none of the runs"),
        ([CRDND, RSLAD, "--to", "onnx", "-o", "a.onnx"], "for several runs name a folder"),
        (
            [CRDND, "--to", "html", "--only", "results", "-o", f"runs/{CRDND}/report.html"],
            "lies in the folder of a run",
        ),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(call, tmp_path: Path, words: list[str], complaint: str) -> None:
    before = sorted(tmp_path.rglob("*"))
    code, out, err = call(*words)
    assert (code, out) == (2, "")
    assert complaint in err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_missing_package_is_named_with_what_brings_it(call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto.event_pb2", None)
    code, _, err = call(CRDND, "--to", "tensorboard")
    assert code == 2 and "pip install 'crdnd-tui[tensorboard]'" in err
    with pytest.raises(CrdndError, match=r"pip install 'crdnd-tui\[plots\]'"):
        trackers.load("no_such_package.pyplot", "plots")


def test_a_student_is_written_by_an_engine(call, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def engine(words, **_):
        asked.append(words)
        line = json.dumps({"event": "exported", "format": "onnx", "path": "x", "sha256": "abc"})
        return subprocess.CompletedProcess(words, 0, f"noise\n{line}\n".encode())

    monkeypatch.setattr(command.subprocess, "run", engine)
    code, out, _ = call(CRDND, "--to", "onnx", "-o", "s.onnx", "--checkpoint", "last", "--data", "d", "--json")
    assert code == 0
    assert json.loads(out)["written"] == [
        {"path": "s.onnx", "sha256": "abc", "new": True, "run": CRDND},
        {"path": "s.onnx.json", "new": True, "run": CRDND},
    ]
    assert asked == [[
        sys.executable, "-P", "-m", "engine.teachers.export", str(runs / CRDND), "--to", "onnx", "--out", "s.onnx",
        "--data", str(tmp_path / "d"), "--checkpoint", "last",
    ]]  # fmt: skip
    assert call(CRDND, "--to", "onnx", "-o", "s.onnx")[:2] == (0, "s.onnx\ns.onnx.json\n")
    (tmp_path / "t.onnx.json").write_text("mine")
    code, out, err = call(CRDND, "--to", "onnx", "-o", "t.onnx")
    assert (code, out, len(asked)) == (2, "", 2) and "t.onnx.json exists" in err


@pytest.mark.slow
def test_a_run_without_weights_has_no_student(call, runs: Path) -> None:
    assert not RunDir(runs / CRDND).weights.exists()
    code, out, err = call(CRDND, "--to", "safetensors")
    assert (code, out) == (2, "")
    assert err.startswith(f"{CRDND}: ") and "weights" in err
