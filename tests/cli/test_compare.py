"""`crdnd compare` on recorded runs: the page, its exit codes, and what it writes."""

import json
import shutil
import time
from pathlib import Path

import pytest
from rich.cells import cell_len

from engine.spec.outcomes import unpack
from engine.spec.statistics import mcnemar_p
from tests.cli.conftest import Crdnd
from tests.tui.compare import alive
from tests.tui.pilot import recorded

CRDND, RSLAD = "20261122-215714-crdnd-small_cnn-s0-ea68", "20261122-215930-rslad-small_cnn-s0-6622"
RSLADS = (RSLAD, "20261122-220122-rslad-small_cnn-s1-cd75", "20261122-220327-rslad-small_cnn-s2-1db2")
NATURAL, STOPPED = "20261122-220522-natural-small_cnn-s0-21eb", "20261122-220805-iad-small_cnn-s0-8322"
KILLED, FAILED = "20261122-220832-ard-small_cnn-s0-3cba", "20261122-221000-rslad-small_cnn-s7-6568"


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded(tmp_path_factory.mktemp("shelf") / "runs")


def compare(crdnd: Crdnd, runs: Path, *args: str, width: int = 100, **more: str):
    return crdnd("compare", *args, "--runs", str(runs), COLUMNS=str(width), **more)


def bits(runs: Path, run: str, attack: str) -> list[bool]:
    told = json.loads((runs / run / "evaluation" / "best" / f"{attack}.json").read_text())
    return unpack(told["robust"], told["n"])


def tables(said: str) -> dict[str, dict]:
    return {table["key"]: table for table in json.loads(said)["tables"]}


@pytest.mark.parametrize("width", [80, 140])
def test_a_page_tells_all_within_the_terminal(crdnd: Crdnd, shelf: Path, width: int) -> None:
    done = compare(crdnd, shelf, RSLAD, CRDND, width=width)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert max(map(cell_len, lines)) <= width
    assert lines[0] == "  crdnd s0 compared with rslad s0"
    assert "all 597 test images of digits" in done.stdout
    parts = ["Accuracy in %", "McNemar, 7 : 69", "What PGD-SAT overlooks", "Worst class under AutoAttack"]
    for words in (*parts, "Config, only what differs", "AutoAttack, % (up) against clean, % (right)", "pyautoattack"):
        assert words in done.stdout
    assert any(line.split()[:4] == [CRDND, "crdnd", "s0", "af58b996"] for line in lines)  # to be copied: never broken


def test_the_test_is_mcnemars_on_the_stored_outcomes(crdnd: Crdnd, shelf: Path) -> None:
    found = tables(compare(crdnd, shelf, RSLAD, CRDND, "--json").stdout)["differences"]
    keys = [column["key"] for column in found["columns"]]
    start = [row["group"] for row in found["rows"]].index("AutoAttack")
    cells = dict(zip(keys, found["rows"][start]["cells"], strict=True))
    pairs = list(zip(bits(shelf, CRDND, "autoattack"), bits(shelf, RSLAD, "autoattack"), strict=True))
    b, c = pairs.count((True, False)), pairs.count((False, True))
    assert (cells["b"]["value"], cells["c"]["value"], cells["n"]["value"]) == (b, c, 597)
    assert cells["p"]["value"] == pytest.approx(mcnemar_p(b, c), rel=1e-9)
    assert cells["difference"]["value"] == pytest.approx(100 * (b - c) / 597)


def test_without_unicode_the_page_is_ascii(crdnd: Crdnd, shelf: Path) -> None:
    done = compare(crdnd, shelf, RSLAD, CRDND, width=80, PYTHONIOENCODING="ascii", LC_ALL="C")
    assert done.stdout.isascii()
    assert "?" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_seeds_are_one_row_unless_each_is_asked_for(crdnd: Crdnd, shelf: Path) -> None:
    def labels(*more: str) -> list[str]:
        said = compare(crdnd, shelf, *RSLADS, CRDND, "--json", *more).stdout
        return [row["label"] for row in tables(said)["results"]["rows"]]

    assert labels() == labels("--seeds") == ["rslad (3)", "crdnd s0"]
    assert labels("--each") == ["rslad s0", "rslad s1", "rslad s2", "crdnd s0"]


def test_seeds_of_one_method_alone_stay_rows_for_there_is_nothing_else_to_compare(crdnd: Crdnd, shelf: Path) -> None:
    found = tables(compare(crdnd, shelf, *RSLADS, "--json").stdout)
    assert [row["label"] for row in found["results"]["rows"]] == ["rslad s0", "rslad s1", "rslad s2"]
    assert found["differences"]["rows"]
    together = tables(compare(crdnd, shelf, *RSLADS, "--json", "--seeds").stdout)
    assert [row["label"] for row in together["results"]["rows"]] == ["rslad (3)"]


def test_the_baseline_may_be_any_run_also_one_that_was_not_named(crdnd: Crdnd, shelf: Path) -> None:
    for args in ((RSLAD, CRDND, "--baseline", CRDND), (RSLAD, "--baseline", CRDND[:20])):
        done = compare(crdnd, shelf, *args)
        assert done.stdout.startswith("  rslad s0 compared with crdnd s0\n"), done.stderr


def test_twenty_runs_and_more_are_compared(crdnd: Crdnd, tmp_path: Path) -> None:
    runs = recorded(tmp_path / "many", RSLAD)
    for seed in range(1, 24):
        copy = runs / f"20261122-3000{seed:02}-rslad-small_cnn-s{seed}-0000"
        shutil.copytree(runs / RSLAD, copy)
        config = copy / "config.toml"
        config.write_text(config.read_text().replace("seed = 0\n", f"seed = {seed}\n", 1))
        for path in (copy / "evaluation" / "best").glob("*.json"):  # other weights: else they are one network
            path.write_text(path.read_text().replace('"weights_sha256":"', f'"weights_sha256":"{seed:02}'))
    done = compare(crdnd, runs, *sorted(path.name for path in runs.iterdir()), "--json", "--seeds")
    (row,) = tables(done.stdout)["results"]["rows"]
    assert (done.returncode, row["label"], len(row["runs"])) == (0, "rslad (24)", 24)


def test_a_run_at_work_is_compared_by_what_it_has(crdnd: Crdnd, tmp_path: Path) -> None:
    runs = recorded(tmp_path / "work", RSLAD, CRDND, NATURAL)
    alive(runs, CRDND, 300)
    status = json.loads((runs / CRDND / "status.json").read_text())
    (runs / CRDND / "status.json").write_text(json.dumps(status | {"heartbeat": time.time()}))
    done = compare(crdnd, runs, RSLAD, CRDND, NATURAL)
    assert done.returncode == 0
    assert "! crdnd s0: running, epoch " in done.stdout
    assert "natural s0" in done.stdout


@pytest.mark.parametrize(
    ("run", "why"),
    [(STOPPED, "iad s0: stopped: stop file; no results"), (KILLED, "ard s0: killed"), (FAILED, "rslad s7: failed")],
)
def test_nothing_to_compare_is_an_exit_code_with_the_reason(crdnd: Crdnd, shelf: Path, run: str, why: str) -> None:
    done = compare(crdnd, shelf, CRDND, run)
    assert done.returncode == 4
    assert done.stderr.startswith("nothing can be compared with crdnd s0:\n")
    assert why in done.stderr
    assert "crdnd s0" in done.stdout  # what there is, is shown


def test_another_ball_is_not_comparable(crdnd: Crdnd, tmp_path: Path) -> None:
    runs = recorded(tmp_path / "balls", RSLAD, CRDND)
    for name in ("config.toml", "events.jsonl"):
        path = runs / RSLAD / name
        path.write_text(path.read_text().replace("40/255", "8/255"))
    done = compare(crdnd, runs, CRDND, RSLAD)
    assert done.returncode == 4
    assert "rslad s0: not comparable: epsilon 8/255, not 40/255" in done.stderr
    (row,) = [row for row in done.stdout.splitlines() if row.startswith("  rslad s0  ") and "\u2260" in row][:1]
    assert not any(c.isdigit() for c in row.replace("s0", ""))  # no number where none means anything


def test_a_checkpoint_that_was_not_judged_is_said(crdnd: Crdnd, shelf: Path) -> None:
    done = compare(crdnd, shelf, CRDND, RSLAD, "--checkpoint", "last")
    assert (done.returncode, done.stderr) == (0, "no run was judged at `last`: best is shown\n")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("nobody", CRDND), "no run `nobody`"),
        ((CRDND,), "one run is nothing to compare"),
        ((CRDND, CRDND[:17]), "one run is nothing to compare"),
        ((CRDND, RSLAD, "--checkpoint", "worst"), "--checkpoint: no checkpoint `worst`"),
        ((CRDND, RSLAD, "--to", "word"), "no format `word`"),
        ((CRDND, RSLAD, "-o", "table.md"), "-o: name the format with --to"),
        ((CRDND, RSLAD, "--to", "markdown", "--json"), "--json is --to json"),
    ],
)
def test_mistakes_of_the_user(crdnd: Crdnd, shelf: Path, args: tuple[str, ...], said: str) -> None:
    done = compare(crdnd, shelf, *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_two_folders_of_one_name_are_refused(crdnd: Crdnd, shelf: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / CRDND
    shutil.copytree(shelf / CRDND, copy)
    done = compare(crdnd, shelf, CRDND, str(copy))
    assert done.returncode == 2
    assert "two folders hold a run called" in done.stderr


def test_a_comparison_is_written_to_stdout_or_a_file(crdnd: Crdnd, shelf: Path, tmp_path: Path) -> None:
    piped = compare(crdnd, shelf, CRDND, RSLAD, "--to", "markdown")
    assert (piped.returncode, piped.stderr) == (0, "")
    assert piped.stdout.startswith("# rslad s0 compared with crdnd s0\n")
    path = tmp_path / "table.tex"
    assert compare(crdnd, shelf, CRDND, RSLAD, "--to", "latex", "-o", str(path)).returncode == 0
    assert "\\toprule" in path.read_text()
    again = compare(crdnd, shelf, CRDND, RSLAD, "--to", "latex", "-o", str(path))
    assert again.returncode == 2 and "--force" in again.stderr


def test_the_way_out_is_that_of_an_export(crdnd: Crdnd, shelf: Path, tmp_path: Path) -> None:
    piped = compare(crdnd, shelf, CRDND, RSLAD, "--to", "json", "-o", "-", PYTHONIOENCODING="ascii")
    assert json.loads(piped.stdout)["figures"] and piped.stderr == ""
    inside = compare(crdnd, shelf, CRDND, RSLAD, "--to", "markdown", "-o", f"{tmp_path}/new/")
    page, *figures = (tmp_path / path for path in inside.stdout.splitlines())
    assert page.name.startswith(f"{CRDND}-and-1-more-") and page.suffix == ".md"
    assert figures and all(path.suffix == ".svg" and path.name in page.read_text() for path in figures)
    for args, said in (
        (("--to", "pdf"), "pdf is no text: name a file with -o"),
        (("--to", "svg", "-o", "-"), "--figure picks one of tradeoff"),
        (("--to", "onnx"), "only `crdnd export` writes that"),
        (("--to", "json", "-o", f"{page}/x.json"), "is a file, no folder"),
    ):
        done = compare(crdnd, shelf, CRDND, RSLAD, *args)
        assert (done.returncode, done.stdout) == (2, "") and said in done.stderr


def test_no_word_of_a_folder_steers_the_terminal(crdnd: Crdnd, tmp_path: Path) -> None:
    runs = recorded(tmp_path / "hostile", RSLAD, CRDND)
    for run in (RSLAD, CRDND):
        config, provenance = runs / run / "config.toml", runs / run / "provenance.json"
        text = config.read_text().replace('name = "digits"', r'name = "\u001b]0;owned\u0007[red]digits"')
        config.write_text(text.replace('kl_reduction = "', r'kl_reduction = "\u001b[31m'))
        provenance.write_text(json.dumps(json.loads(provenance.read_text()) | {"python": "\x1b[2J3"}))
    for args in ((), ("--json",), ("--to", "markdown"), ("--to", "html")):
        done = compare(crdnd, runs, RSLAD, CRDND, *args)
        assert done.returncode == 0
        assert not {"\x1b", "\x07"} & set(done.stdout)
    assert "[red]digits" in compare(crdnd, runs, RSLAD, CRDND).stdout


def test_equal_weights_are_refused_as_seeds(crdnd: Crdnd, tmp_path: Path) -> None:
    runs = recorded(tmp_path / "runs", CRDND, RSLAD, RSLADS[1])
    copy = runs / "20261122-300001-rslad-small_cnn-s9-0000"
    shutil.copytree(runs / RSLAD, copy)
    config = copy / "config.toml"
    config.write_text(config.read_text().replace("seed = 0\n", "seed = 9\n", 1))
    alone = compare(crdnd, runs, RSLAD, copy.name)
    assert alone.returncode == 4 and "equal weights, SHA-256" in alone.stderr
    grouped = compare(crdnd, runs, CRDND, RSLAD, copy.name, RSLADS[1], "--seeds")
    assert grouped.returncode == 4 and "refused as seeds" in grouped.stderr
    assert "rslad (2 seeds, 3 runs)" in grouped.stdout and "count once" in " ".join(grouped.stdout.split())
    assert compare(crdnd, runs, CRDND, RSLAD, RSLADS[1], "--seeds").returncode == 0
