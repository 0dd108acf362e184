"""crdnd report: a study's tables from recorded runs, half finished or not begun, on the page and in files."""

import csv
import hashlib
import io
import json
import re
import sys
from pathlib import Path

import pytest

from crdnd_tui.cli import app
from tests.tui.pilot import recorded

STUDY = """
name = "few"
title = "Few seeds"
preset = "{method}_digits.toml"
[grid]
method = ["rslad", { label = "crdnd", set = { "training.learning_rate" = 0.2 } }, "ard"]  # that of the recorded runs
seed = [0, 1, 2]
[report]
attacks = ["clean", "pgd_sat", "autoattack"]
baseline = { method = "rslad" }
[[published]]
source = "paper"
where = { method = "rslad" }
values = { pgd_sat = 54.26, autoattack = 51.91 }
"""
_NUMBER = r"\d+\.\d"


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    return recorded(tmp_path_factory.mktemp("report") / "runs", "crdnd-small", "rslad-small_cnn-s", "ard")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "few.toml"
    path.write_text(STUDY)
    return path


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    def go(*words: str, width: int = 120) -> tuple[int, str, str]:
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setattr(sys, "argv", ["crdnd", "report", *words])
        capfd.readouterr()
        code = app._called()
        said = capfd.readouterr()
        return code, said.out, said.err

    return go


def held(folder: Path) -> dict[str, str]:
    """Every file of a folder with its content."""
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


def accuracies(runs: Path, name: str, attack: str) -> list[float]:
    """Straight from the result files."""
    found = [path for path in sorted(runs.iterdir()) if name in path.name and (path / "evaluation").is_dir()]
    return [100 * json.loads((path / f"evaluation/best/{attack}.json").read_text())["accuracy"] for path in found]


def test_the_page_has_what_the_result_files_say_and_what_has_not_run(call, runs: Path, study: Path) -> None:
    before = held(runs)
    code, out, err = call(str(study), "--runs", str(runs))
    assert code == 0 and err == "" and held(runs) == before  # a report changes nothing
    mean = sum(accuracies(runs, "rslad-small_cnn-s", "pgd_sat")) / 3
    own = next(line for line in out.splitlines() if line.strip().startswith("RSLAD (baseline)"))
    assert f"{mean:.1f} \u00b1" in re.sub(" +", " ", own)
    apart = next(line for line in out.splitlines() if "ours \u2212 paper" in line)
    assert re.sub("\u2212", "-", re.findall(f"[+\u2212]{_NUMBER}", apart)[0]) == f"{mean - 54.26:+.1f}"
    assert "2 of 3 seeds: 1 not run." in out  # crdnd has run twice
    (letter,) = re.findall(r"ARD: not run +0 of 3 ([a-z])\n", out)
    assert f"  {letter} 0 of 3 seeds: 3 not run." in out
    assert "5 of 9 runs are done" in out
    assert "Differences to RSLAD (3)" in out and "sign flip" in out and "Holm" in out
    assert "What PGD-SAT overlooks" in out
    assert "Worst class under AutoAttack" in out and "Classes under AutoAttack" not in out
    assert "Left out here, but in every file that --to writes: best against last, classes" in out
    assert all(len(line) <= 120 for line in out.splitlines())
    assert "AutoAttack, % (up) against clean, % (right)" in out
    bearers = [line.split() for line in out.splitlines() if "rslad-small_cnn-s" in line]
    assert [words[1] for words in bearers] == ["RSLAD"] * 3 and all((runs / words[0]).is_dir() for words in bearers)


def test_json_bears_run_ids_and_config_hashes_and_the_unit_of_each_line(call, runs: Path, study: Path) -> None:
    code, out, _ = call(str(study), "--json", "--runs", str(runs))
    said = json.loads(out)
    assert code == 0 and said["title"] == "Few seeds"
    results = said["tables"][0]
    rows = {row["label"]: row for row in results["rows"]}
    assert list(rows) == ["RSLAD", "paper", "ours \u2212 paper", "CRDND", "ARD"]
    cells = {cell["column"]: cell for cell in rows["RSLAD"]["cells"]}
    known = accuracies(runs, "rslad-small_cnn-s", "autoattack")
    assert cells["autoattack"]["value"] == pytest.approx(sum(known) / 3) and cells["autoattack"]["runs"] == 3
    assert rows["ours \u2212 paper"]["unit"] == "points" and rows["RSLAD"]["unit"] is None
    assert len(rows["RSLAD"]["runs"]) == 3 and rows["ARD"]["runs"] == []
    hashes = {origin["run"]: origin["config_hash"] for origin in said["origins"]}
    for row in rows.values():
        for run in row["runs"]:
            assert json.loads((runs / run / "status.json").read_text())["config_hash"].startswith(hashes[run])
    assert [figure["key"] for figure in said["figures"]] == [
        "tradeoff", "attacks", "gap", "validation-cw_inf", "classes-1", "confusion-1", "confusion-2"
    ]  # fmt: skip
    assert [table["key"] for table in said["tables"]] == [
        "results", "differences", "masking", "worst-class", "overfitting", "classes", "config"
    ]  # fmt: skip
    gap = {bar["label"]: bar["value"] for bar in said["figures"][2]["bars"]}
    pgd = accuracies(runs, "rslad-small_cnn-s", "pgd_sat")
    assert gap["RSLAD (3)"] == pytest.approx(sum(pgd) / 3 - sum(known) / 3)


def test_each_table_of_a_grid_has_its_own_title_and_keys(call, runs: Path, tmp_path: Path) -> None:
    text = STUDY.replace("seed = [0, 1, 2]", 'seed = [0, 1]\n"training.epochs" = [40, 41]')
    path = tmp_path / "grid.toml"
    path.write_text(text.replace("[report]", '[report]\nrows = ["method"]\ntables = ["training.epochs"]'))
    said = json.loads(call(str(path), "--json", "--runs", str(runs))[1])
    words = ("results", "differences", "masking", "worst-class", "overfitting", "classes", "config")
    assert [table["key"] for table in said["tables"]] == [*(f"{word}-40" for word in words), "results-41"]
    results = [table for table in said["tables"] if table["key"].startswith("results")]
    assert [table["title"] for table in results] == ["epochs 40: Accuracy in %", "epochs 41: Accuracy in %"]
    assert [figure["key"] for figure in said["figures"]][:3] == ["tradeoff-40", "attacks-40", "gap-40"]
    assert all(figure["key"].endswith("-40") for figure in said["figures"])
    assert {origin["label"] for origin in said["origins"]} == {"epochs 40, RSLAD", "epochs 40, CRDND"}
    for table in results:
        assert [row["label"] for row in table["rows"] if not row["quiet"]] == ["RSLAD", "CRDND", "ARD"]


def test_nothing_has_run_and_the_printed_numbers_stand(call, tmp_path: Path) -> None:
    code, out, _ = call("table1", "--runs", str(tmp_path / "none"), width=100)
    assert code == 0 and not (tmp_path / "none").exists()
    for title in ("CIFAR-10, ResNet-18", "CIFAR-10, MobileNetV2", "CIFAR-100, ResNet-18", "CIFAR-100, MobileNetV2"):
        assert f"{title}: Accuracy in %" in out
    assert out.count("not run\n") == 28  # every row, and nothing else on its line
    assert "59.91" in out and "49.88" in out and "26.12" in out and "0 of 28 runs are done" in out
    order = "CRDND (paper) over RSLAD (report) under PGD-SAT (+5.65) does not survive AutoAttack"
    assert order in " ".join(out.split())


def test_every_width_keeps_every_number(call, runs: Path, study: Path) -> None:
    page = call(str(study), "--runs", str(runs), width=160)[1]
    wide = set(
        re.findall(_NUMBER, page.partition("(up) against")[0])
    )  # a plot has ticks as its width has room for them
    for width in (60, 80):
        out = call(str(study), "--runs", str(runs), width=width)[1]
        assert wide <= set(re.findall(_NUMBER, out)) and all(len(line) <= width for line in out.splitlines())


def test_tables_are_written_to_files_and_to_stdout(call, runs: Path, study: Path, tmp_path: Path) -> None:
    code, out, err = call(str(study), "--to", "csv", "-o", str(tmp_path / "out" / "few.csv"), "--runs", str(runs))
    assert code == 0 and err == "" and all(Path(path).is_file() for path in out.splitlines())
    lines = list(csv.DictReader(io.StringIO((tmp_path / "out" / "few-results.csv").read_text())))
    labels = ["RSLAD (baseline)", "RSLAD: paper", "RSLAD: ours \u2212 paper", "CRDND", "ARD"]
    assert [line["method"] for line in lines] == labels
    assert float(lines[2]["PGD-SAT"]) == pytest.approx(float(lines[0]["PGD-SAT"]) - 54.26)
    code, out, _ = call(str(study), "--to", "markdown", "--runs", str(runs))
    assert code == 0 and out.startswith("# Few seeds\n") and "*ours \u2212 paper*" in out
    code, out, _ = call(str(study), "--to", "latex", "--runs", str(runs))
    assert code == 0 and "\\toprule" in out and "not run" in out
    code, _, err = call(str(study), "--to", "csv", "-o", str(tmp_path / "out" / "few.csv"), "--runs", str(runs))
    assert code == 2 and "--force" in err


def test_another_checkpoint_that_nobody_judged_is_not_passed_off_as_it(call, runs: Path, study: Path) -> None:
    code, out, _ = call(str(study), "--checkpoint", "last", "--runs", str(runs))
    said = " ".join(out.split())
    assert code == 0 and "No run was judged at `last`: best is shown." in said and "checkpoint best" in said
    assert "was judged at" not in call(str(study), "--runs", str(runs))[1]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["tabel1"], "Did you mean table1"),
        (["table1", "--checkpoint", "first"], "it may be best or last"),
        (["table1", "-o", "x.tex"], "name the format with --to"),
        (["table1", "--to", "word"], "no format `word`"),
    ],
)
def test_a_mistake_is_told_with_what_to_write_instead(call, tmp_path: Path, words: list[str], told: str) -> None:
    code, out, err = call(*words, "--runs", str(tmp_path))
    assert code == 2 and out == "" and told in " ".join(err.split())
