"""crdnd show --provenance: every fact in words, the hashes of the files, and a line that repeats the very run."""

import hashlib
import json
import re
import shlex
from pathlib import Path

import pytest

from crdnd_tui.cli import options
from crdnd_tui.core import presets, provenance
from engine.spec import folders, toml
from engine.spec.config import JudgeConfig, RunConfig
from engine.spec.machine import Machine
from engine.spec.rundir import RunDir
from tests.tui import live_runs

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FACTS = {
    "python": "3.11.7", "platform": "Linux", "processor": "x86_64", "cores": 8, "threads": 2,
    "packages": {"crdnd-tui": "0.1.0", "torch": "2.15.0"}, "git": {"commit": COMMIT, "dirty": False},
    "command": ["__main__.py"], "slurm": {"SLURM_JOB_ID": "77"}, "device": "cuda:0",
    "gpu": {"name": "H200", "cudnn": 91000}, "seed": 3, "config_hash": "c" * 64, "group_hash": "e" * 64,
    "data_sha256": {"test": "a" * 64, "train": "b" * 64}, "images": {"test": 597, "train": 1200},
    "teacher": {"source": "some run (best)", "sha256": "f" * 64},
}  # fmt: skip
STUDENT = {"data": {"name": "digits"}, "student": {"name": "small_cnn"}}
CONFIGS = {
    "natural": {**STUDENT, "method": {"name": "natural"}, "seed": 5},
    "a run's student": {**STUDENT, "method": {"name": "rslad"}, "teacher": {"run": "some-run", "weights": "last"}},
    "RobustBench": {**STUDENT, "method": {"name": "ard"}, "teacher": {"robustbench": "Rice2020Overfitting"}},
}


def made(folder: Path, config: RunConfig | JudgeConfig, facts: dict | None = None, **asked: object) -> RunDir:
    here = Machine.model_validate({"runs": str(folder / "runs"), "data": str(folder / "my data"), **asked})
    run = folders.create(config, "", here)
    if facts is not None:
        run.provenance.write_text(json.dumps(facts))
    return run


def natural() -> RunConfig:
    return RunConfig.model_validate(CONFIGS["natural"])


def page(run: RunDir) -> str:
    """All of it, each gap of spaces as one."""
    found = provenance.read(run)
    said = [*(line.plain for line in provenance.fact_lines(found)), *found.warnings, found.reproduce()]
    return re.sub(" +", " ", "\n".join(said))


def words_of(run: RunDir) -> list[str]:
    return shlex.split(provenance.read(run).reproduce())


def test_every_fact_is_told(tmp_path):
    told = page(made(tmp_path, natural(), FACTS))
    for words in (f"commit {COMMIT}\n", "3.11.7, Linux, x86_64", "crdnd-tui 0.1.0, torch 2.15.0",
                  "cuda:0, 2 threads of 8 cores", "name H200, cudnn 91000", "SLURM_JOB_ID 77", "c" * 64, "e" * 64,
                  f"sha256 {'a' * 64}, 597 images", f"sha256 {'b' * 64}, 1,200 images",
                  f"some run (best), sha256 {'f' * 64}"):  # fmt: skip
        assert words in told


def test_what_an_earlier_engine_had_otherwise_is_told(tmp_path):
    before = FACTS | {"device": "cpu", "packages": FACTS["packages"] | {"torch": "2.11.0"}}
    assert "an earlier engine had device cpu, torch 2.11.0" in page(
        made(tmp_path, natural(), FACTS | {"earlier": [before]})
    )


def test_the_hashes_are_those_of_the_files(tmp_path):
    run = made(tmp_path, natural(), FACTS)
    run.weights.mkdir()
    run.weights_of("best").write_bytes(b"weights")
    (run.weights / "link.safetensors").symlink_to(run.config)
    found = {name: digest for name, (digest, _) in provenance.read(run).files.items()}
    assert found["weights/best.safetensors"] == hashlib.sha256(b"weights").hexdigest()
    assert found["config.toml"] == hashlib.sha256(run.config.read_bytes()).hexdigest()
    assert "weights/link.safetensors" not in found


@pytest.mark.parametrize("name", CONFIGS)
def test_the_line_names_a_config_of_the_same_hash(tmp_path, name):
    config = RunConfig.model_validate(CONFIGS[name])
    words = words_of(made(tmp_path, config, FACTS))
    assert words[:6] == ["git", "checkout", COMMIT, "&&", "crdnd", "run"]
    assert toml.load(Path(words[6])) == config


def test_a_teacher_s_preset_is_in_the_config_and_its_file_is_not_needed(tmp_path):
    config = toml.load(presets.resolve("quickstart"))
    again = toml.load(Path(words_of(made(tmp_path, config, FACTS))[6]))
    assert again == config
    assert again.config_hash == config.config_hash


def test_what_is_set_over_a_saved_config_still_counts(tmp_path):
    run = made(tmp_path, toml.load(presets.resolve("quickstart")))
    assert toml.load(run.config, ["teacher.config.seed=9"]).teacher.config.seed == 9
    other = presets.resolve("natural_digits")
    replaced = toml.load(run.config, [f"teacher.preset={json.dumps(str(other))}"])
    assert replaced.teacher.config == toml.load(other)


def test_a_part_of_a_teacher_s_config_does_not_stand_for_its_preset(tmp_path):
    teacher, path = tmp_path / "teacher.toml", tmp_path / "taught.toml"
    teacher.write_text(toml.dump(natural()))
    taught = CONFIGS["a run's student"] | {"teacher": {"preset": "teacher.toml"}}
    path.write_text(toml.dump(RunConfig.model_validate(taught)) + "\n[teacher.config.training]\nepochs = 1\n")
    assert toml.load(path).teacher.config == natural()


def test_the_flags_that_matter_are_in_the_line(tmp_path):
    words = words_of(made(tmp_path, natural(), FACTS, tf32=True, layout="contiguous", checkpoint_seconds=5))
    assert words[7:] == ["--device", "cuda:0", "--threads", "2", "--machine", "layout=contiguous", "--machine",
                         "tf32=true", "--data", str(tmp_path / "my data"), "--runs", str(tmp_path / "runs")]  # fmt: skip  # noqa: E501
    words = words_of(made(tmp_path, natural()))
    assert words[:2] == ["crdnd", "run"]
    assert "--machine" not in words


FAST = {
    "teacher": "bfloat16", "inner": "bfloat16", "outer": "float32", "folded": "on", "paired": "on", "table": "complete",
    "graphs": "off",
}  # fmt: skip


def set_by(words: list[str]) -> list[str]:
    """The flags but those of device and folders, and of the shell's line."""
    place = words.index("--threads") + 2
    return words[place : words.index("--data")]


def test_what_was_computed_fast_is_told_and_the_line_computes_it_so_again(tmp_path):
    run = made(
        tmp_path,
        natural(),
        FACTS | {"switches": FAST},
        table="complete",
        table_epochs=9,
        outer_precision="float32",
        devices=2,
    )
    told = page(run)
    assert "computed teacher, inner bfloat16, table complete, folded, paired" in told
    assert "settings outer_precision float32, table complete, devices 2" in told
    assert set_by(words_of(run)) == [
        "--machine", "teacher_precision=bfloat16", "--machine", "inner_precision=bfloat16",
        "--machine", "outer_precision=float32", "--machine", "table=complete", "--devices", "2",
    ]  # fmt: skip
    settings = [word for word in words_of(run) if "=" in word]
    again = options.machine(settings, runs="runs", devices=2)
    assert (again.inner_precision, again.outer_precision, again.table) == ("bfloat16", "float32", "complete")


@pytest.mark.parametrize(("told", "said"), [("complete", ["table=complete"]), ("off", ["table=off"]), ("lazy", [])])
def test_whether_there_was_a_table_is_written_out_since_auto_may_decide_otherwise(tmp_path, told, said):
    run = made(tmp_path, natural(), FACTS | {"switches": FAST | {"table": told}}, table="auto")
    assert [word for word in words_of(run) if word.startswith("table=")] == said


def test_without_a_teacher_none_is_asked_in_any_precision(tmp_path):
    facts = {name: fact for name, fact in FACTS.items() if name != "teacher"} | {"switches": FAST}
    assert "teacher_precision=bfloat16" not in words_of(made(tmp_path, natural(), facts))


def test_an_exact_run_is_repeated_exactly_and_what_exact_overrides_is_left_out(tmp_path):
    asked = made(tmp_path, natural(), FACTS, exact=True, folded="on", inner_precision="bfloat16", nodes=2)
    assert set_by(words_of(asked)) == ["--exact", "--nodes", "2"]
    found = made(tmp_path, natural(), FACTS | {"switches": {}})  # nothing was switched on, and auto decided it
    assert "computed exact" in page(found) and set_by(words_of(found)) == ["--exact"]
    ranks = {"teacher": "float32", "inner": "float32", "outer": "float32", "paired": "on", "ranks": "2"}
    shared = made(tmp_path, natural(), FACTS | {"switches": ranks}, exact=True, devices=2)
    assert "computed exact, 2 ranks" in page(shared) and set_by(words_of(shared)) == ["--exact", "--devices", "2"]


def test_of_an_old_run_and_of_an_evaluation_nothing_is_made_up(tmp_path):
    assert "computed" not in page(made(tmp_path, natural(), FACTS))
    judged = FACTS | {"switches": {}, "subject_sha256": "d" * 64}
    assert not set_by(words_of(made(tmp_path, natural(), judged)))


def test_an_engine_that_computed_otherwise_before_is_told(tmp_path):
    now = FACTS | {"switches": FAST, "earlier": [FACTS | {"switches": {}}]}
    assert "an earlier engine had computed exact" in page(made(tmp_path, natural(), now))
    now = FACTS | {"switches": {}, "earlier": [FACTS | {"switches": FAST}]}
    assert "an earlier engine had computed teacher, inner bfloat16, table complete" in page(
        made(tmp_path, natural(), now)
    )


@pytest.mark.parametrize(
    "switches", [7, "on", ["inner"], {"inner": ["x"], "[red]": {"a": 1}, "table": "\x1b[2Jlazy; ls"}]
)
def test_switches_that_are_none_reach_no_shell(tmp_path, switches):
    run = made(tmp_path, natural(), FACTS | {"switches": switches}, nodes=2, rendezvous="here; ls:29500")
    assert set_by(words_of(run)) == ["--nodes", "2", "--rendezvous", "here; ls:29500"]  # one word of the shell
    assert "\x1b" not in page(run)


def test_show_tells_where_the_time_went_and_what_was_switched_on(crdnd, tmp_path):
    run = live_runs.timed(live_runs.one(tmp_path / "runs"))
    flags = (run.name, "--runs", str(run.parent))
    shown = re.sub(" +", " ", crdnd("show", *flags).stdout)
    assert " time teacher 27 %, inner maximisation 54 %, outer step 19 %, data <1 %\n" in shown
    assert " computed teacher, inner bfloat16, table lazy, folded, paired\n" in shown
    told = json.loads(crdnd("show", *flags, "--json").stdout)
    assert told["switches"] == live_runs.FAST
    assert told["shares"] == pytest.approx(live_runs.SHARES)
    old = live_runs.one(tmp_path / "old")
    assert "computed" not in crdnd("show", old.name, "--runs", str(old.parent)).stdout


def test_a_changed_tree_and_an_unknown_commit_are_said(tmp_path):
    dirty = page(made(tmp_path, natural(), FACTS | {"git": {"commit": COMMIT, "dirty": True}}))
    assert "The code had changes that no commit holds" in dirty
    unknown = page(made(tmp_path, natural(), FACTS | {"git": {"commit": None}}))
    assert "The code's commit is not known" in unknown
    assert "git checkout" not in unknown


@pytest.mark.parametrize("content", ["", "[]", "{", '{"git": "x", "packages": 3, "earlier": 7, "threads": "many"}'])
def test_a_damaged_file_is_told_and_hurts_nobody(tmp_path, content):
    run = made(tmp_path, natural())
    run.provenance.write_text(content)
    assert "crdnd run " in page(run)


def test_a_commit_that_is_none_and_words_that_steer_reach_no_shell(tmp_path):
    facts = FACTS | {"git": {"commit": "; rm -rf ~"}, "device": "cpu; true", "threads": -1, "python": "\x1b[2Jx"}
    run = made(tmp_path, natural(), facts)
    assert words_of(run)[:2] == ["crdnd", "run"]
    assert not {"--device", "--threads"} & set(words_of(run))
    assert "\x1b" not in page(run)


def test_the_printed_line_makes_a_run_of_the_same_hash(crdnd, tmp_path):
    first = made(tmp_path, toml.load(presets.resolve("quickstart")), FACTS)
    shown = crdnd("show", first.id, "--provenance", "--json", "--runs", str(tmp_path / "runs"))
    told = json.loads(shown.stdout)["provenance"]
    assert (shown.returncode, told["facts"]["seed"]) == (0, 3)
    words = shlex.split(told["reproduce"])[5:]
    done = crdnd(*words[: words.index("--runs")], "--device", "cpu", "--runs", str(tmp_path / "again"))
    assert done.returncode == 0, done.stderr
    (second,) = (tmp_path / "again").glob("2*")
    assert toml.read(RunDir(second).config).config_hash == toml.read(first.config).config_hash


def test_a_saved_evaluation_is_repeated_as_it_is(crdnd, tmp_path):
    config = JudgeConfig.model_validate({"data": {"name": "digits"}, "subject": {"run": "some-run"}})
    first = made(tmp_path, config)
    done = crdnd("run", str(first.config), "--seed", "3", "--runs", str(tmp_path / "again"))
    assert (done.returncode, "repeated as it is" in done.stderr) == (2, True)
    done = crdnd("run", str(first.config), "--runs", str(tmp_path / "again"))
    assert done.returncode == 0, done.stderr
    (second,) = (tmp_path / "again").glob("2*")
    assert toml.read(RunDir(second).config) == config
