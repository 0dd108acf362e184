"""Every mark, of one figure and of a whole run, stands at its figures with its sentence, wherever they are shown."""

import csv
import io
import json
import re
from dataclasses import replace
from html import unescape

import pytest
from rich.style import Style
from rich.text import Text

from crdnd_tui.cli import run_pages
from crdnd_tui.compare.comparison import compare
from crdnd_tui.compare.rows import make_rows
from crdnd_tui.compare.runs import mark_duplicates
from crdnd_tui.core import marks, per_class, run_reader, run_status
from crdnd_tui.core.notes import NONE
from crdnd_tui.core.palette import DARK
from crdnd_tui.core.scan import ListedRun
from crdnd_tui.core.state import RunState
from crdnd_tui.tui.runs import glance
from crdnd_tui.write import data, escape, mlflow, numbers, render, tables, tensorboard
from crdnd_tui.write.comparison_document import lead
from crdnd_tui.write.document import Cell, Document
from crdnd_tui.write.run_document import run_document
from crdnd_tui.write.run_tables import state_document
from crdnd_tui.write.trackers import tracked_run
from engine.spec.events import Probed, Warned, encode
from engine.spec.marks import MARKS, SanityFinding, SanityReport, encode_checks, severity
from engine.spec.rundir import RunDir
from tests.compare.runs import cell, compared_document, seen, side
from tests.exporting.test_run_document import CRDND, runs  # noqa: F401  a fixture

RUN_WIDE = (
    "constant_output", "non_finite", "zero_gradient", "probabilities", "non_deterministic", "train_mode",
    "epsilon_unbounded", "subset", "few_images", "train_subset", "teacher_at_chance", "teacher_less_robust",
)  # fmt: skip
EVERY = [(code, "") for code in RUN_WIDE] + [(code, "pgd_sat") for code in MARKS if code not in RUN_WIDE]
BEST = {"clean": 90, "pgd_sat": 80, "cw_inf": 45, "autoattack": 40, "worst": 40}


def warned(code: str, attack: str, checkpoint: str = "best") -> Warned:
    said = MARKS.get(code, f"The message of {code.replace('_', ' ')} with 500 images.")
    return Warned(code=code, message=said, attack=attack, checkpoint=checkpoint if attack else "")


def judged(run: str, *warnings: Warned, probed: Probed | None = None, **right: int):
    both = [(c, a, n) for c in ("best", "last") for a, n in {**BEST, **right}.items()]
    cells = [cell(a, n, checkpoint=c, per_class=[0.5, 0.1]) for c, a, n in both]
    made = side(run, cells)
    state = replace(made.state, warnings=warnings, probed={"best": probed} if probed else {}, phase="finished")
    return replace(made, state=state)


def letters(words: str) -> str:
    """What is left of a sentence whatever a format escapes and where it breaks its lines."""
    return re.sub(r"[^a-z]", "", unescape(words.replace(r"\allowbreak{}", "")).lower())


def written(document: Document) -> dict[str, str]:
    return {
        "terminal": "\n".join(line.plain for line in tables.document_lines(document, 100)),
        "markdown": render.markdown(document), "latex": render.latex(document),
        "html": render.html(replace(document, figures=())),
        "json": data.json_text(document), "csv": data.csv_cells(document), "curves": data.csv_figures(document),
        **{f"wide {t.key}": data.csv_table(t, document) for t in document.tables
           if t.key in ("results", "differences")},
        **{f"figure {f.key}": " ".join([numbers.figure_title(f), *numbers.below(f)])
           for f in document.figures if f.key in ("tradeoff", "attacks")},
    }  # fmt: skip


@pytest.fixture(scope="module")
def every() -> tuple[Document, dict[str, str]]:
    """Runs with one mark each, in a comparison, and what each format makes of it."""
    document = compared_document([judged("base", pgd_sat=60), *(judged(c, warned(c, a)) for c, a in EVERY)])
    return document, written(document)


@pytest.fixture(scope="module")
def sentences(every: tuple[Document, dict[str, str]]) -> dict[str, str]:
    return {name: letters(content) for name, content in every[1].items()}


@pytest.mark.parametrize(("code", "attack"), EVERY)
def test_a_comparison_tells_every_mark_in_every_format(every, sentences, code: str, attack: str) -> None:
    (document, said), red = every, severity(code) == "red"
    for name, content in sentences.items():
        if not (attack and name == "figure tradeoff"):  # clean against AutoAttack: PGD-SAT is not in it
            assert letters(marks.sentence(warned(code, attack)))[:40] in content, name
    found = next(c for c in _cells(document, "results", code) if c.value == 80)
    assert found.marks and found.severity == severity(code)
    difference = next(c for c in _cells(document, "differences", code) if c.value == pytest.approx(20))
    assert difference.marks and difference.severity == severity(code)
    row = re.search(rf">{code}</th>.*?</tr>", said["html"], re.S)
    assert row and ("<s>80.0</s>" in row[0]) == red
    for name, begins, struck in (
        ("markdown", escape.markdown(code), "~~80.0~~"),
        ("latex", escape.latex(code), r"\hbox{80.0}"),
    ):
        lines = [line for line in said[name].splitlines() if line.lstrip("| ").startswith(f"{begins} ")]
        assert any("80.0" in line for line in lines) and any(struck in line for line in lines) == red
    shown = [line for line in said["terminal"].splitlines() if line.split()[:1] == [code] and "80.0" in line]
    assert {"80.0!!" in line for line in shown} == {red}
    (line,) = (one for one in csv.DictReader(io.StringIO(said["csv"]))
               if (one["table"], one["row"], one["column"]) == ("results", code, "pgd_sat"))  # fmt: skip
    assert (line["severity"], line["believed"]) == (severity(code), "false" if red else "true")
    assert any(words.startswith(f"{code} is not believed") for words in document.lead) == red


def run_lines(state: RunState, width: int) -> list[Text]:
    return tables.document_lines(state_document(state), width)


def _cells(document: Document, key: str, label: str) -> list[Cell]:
    rows = next(table for table in document.tables if table.key == key).rows
    return [cell_ for row in rows if row.label == label for cell_ in row.cells]


@pytest.mark.parametrize(("code", "attack"), EVERY)
def test_a_run_s_table_tells_every_mark(code: str, attack: str) -> None:
    warning = warned(code, attack)
    state = judged("a", warning).state
    lines = run_lines(state, 100)
    shown = "\n".join(line.plain for line in lines)
    assert letters(marks.sentence(warning))[:40] in letters(shown)
    line = next(line for line in lines if line.plain.startswith("  PGD-SAT") and "[" in line.plain)
    assert ("!!" in line.plain) == (severity(code) == "red") == any("strike" in str(s.style) for s in line.spans)
    assert "PGD-SAT" in shown and "80.0" in shown
    row = next(row for row in run_reader.result_rows(state) if row["attack"] == "pgd_sat")
    assert [mark["code"] for mark in row["marks"]] == [code]
    assert (row["severity"], row["believed"]) == (severity(code), severity(code) != "red")


def test_a_struck_figure_is_never_bold_leads_nowhere_and_has_no_dagger() -> None:
    """By construction of a cell, and by what is said of the order."""
    assert not Cell(value=1.0, best=True, significant=True, severity="red").best
    red = judged("a", warned("above_worst_case", "pgd_sat"))
    compared = compare([judged("b", pgd_sat=60), red], baseline="b")
    assert (
        not any(key == ("a", "pgd_sat") for key in compared.tied)
        and not compared.contrasts["a", "pgd_sat"].is_significant
    )
    assert not any(words.startswith("a leads") for words in lead(compared))
    for line in run_lines(red.state, 100):
        if "!!" in line.plain:
            assert not any(Style.parse(str(span.style)).bold and "80.0" in line.plain[span.start : span.end]
                           for span in line.spans)  # fmt: skip
    struck = compare([red, judged("b", pgd_sat=60)], baseline="a")
    assert any("no difference from it is a claim" in words for words in lead(struck))
    assert struck.strongest == "autoattack"


def test_figures_in_the_lead_bear_the_sign_of_their_marks_which_is_explained_there() -> None:
    one, two = judged("b"), judged("a", warned("train_subset", ""), pgd_sat=70, autoattack=30, worst=30)
    said = " ".join(lead(compare([one, two], baseline="b")))
    figures = re.findall(r"[+\u2212]\d+\.\d( !)?", said)
    assert figures and all(figures) and "! may mislead; the notes of the tables say why." in said
    assert "!" not in " ".join(lead(compare([one, judged("a", autoattack=30)], baseline="b")))


def test_a_mean_over_seeds_is_struck_when_one_seed_is_and_says_so() -> None:
    seeds = [replace(judged(f"a{k}"), group="g", config={**judged("a").config, "seed": k}) for k in range(3)]
    state = replace(seeds[1].state, warnings=(warned("zero_gradient", ""),))
    compared = compare([*seeds[:1], replace(seeds[1], state=state), *seeds[2:], judged("b")], grouped=True)
    assert compared.cells["a0", "pgd_sat"].is_struck
    assert any("1 of 3 seeds not believed under" in words for _, words in compared.notes)


PROBED = (
    (Probed(checkpoint="best", done=12, of=12), "12 of 12 checks"),
    (Probed(checkpoint="best", done=9, of=12, left_out={"twin": "none"}), "9 of 12 checks; not made: twin (none)"),
    (Probed(checkpoint="best", done=0, of=12, left_out={"all": "suspect = false"}), "not probed (suspect = false)"),
    (None, "not known"),
)  # fmt: skip


@pytest.mark.parametrize(("probed", "words"), PROBED)
def test_what_was_probed_is_told_in_every_table(probed: Probed | None, words: str) -> None:
    state = judged("a", probed=probed).state
    assert words in " ".join(line.plain.strip() for line in run_lines(state, 300))
    assert words in run_reader.result_rows(state)[0]["checks"]
    document = compared_document([judged("b", probed=probed), judged("a", probed=probed)])
    for name, content in written(document).items():
        if not name.startswith(("figure", "wide diff", "csv", "curves")):
            assert letters(words) in letters(content), name
    is_marked = any(cell_.marks for cell_ in _cells(document, "results", "a"))
    assert is_marked == (probed is not None and not probed.done)  # unmarked is another thing than unprobed


@pytest.fixture
def marked_run(runs, tmp_path) -> RunDir:  # noqa: F811
    """A copy of a recorded run whose log ends with marks of the whole run and of one figure."""
    import shutil

    path = tmp_path / "runs" / runs[CRDND].id
    shutil.copytree(runs[CRDND].path, path)
    run = RunDir(path)
    known = run.events.read_bytes()
    more = [warned("train_subset", ""), warned("above_worst_case", "pgd_sat")]
    run.events.write_bytes(known + b"".join(map(encode, more)))
    status = json.loads(run.status.read_bytes())
    run.status.write_text(json.dumps(status | {"warnings": status["warnings"] + 2}))
    return run


def test_a_run_is_marked_in_lists_replays_and_its_document(marked_run: RunDir) -> None:
    told, struck = marks.sentence(warned("train_subset", "")), MARKS["above_worst_case"]
    row = run_status.summary(marked_run)
    assert row is not None and row.severity("pgd_sat") == "red" and row.severity("clean") == "amber"
    assert row.to_json()["severity"]["best"]["pgd_sat"] == "red"
    listed = "\n".join(line.plain for line in run_pages.run_list([row], 100))
    assert "97.2 !" in listed and "! may mislead" in listed and "`crdnd show RUN`" in listed
    shown = glance.results(glance.at_once(ListedRun(row, NONE)), DARK, 60)
    assert "!!" in shown.plain and "struck out: not believed" in shown.plain
    assert any("strike" in str(span.style) for span in shown.spans)
    of = tracked_run(marked_run)
    tags = mlflow._tags(of)
    assert told in tags["crdnd.marks"] and struck in tags["crdnd.marks"]
    assert "test_best/pgd_sat: !! not believed: " in tags["crdnd.marks"]
    encoded = tensorboard.encoded(of)
    assert told.encode() in encoded and b"!! not believed" in encoded and b"test_best_believed/pgd_sat" in encoded
    document = run_document(marked_run)
    said = written(document)
    for name, content in said.items():
        if not name.startswith("figure"):
            assert letters(told) in letters(content), name
    assert "~~" in said["markdown"] and "<s>" in said["html"]


def test_an_older_log_between_whose_ends_warnings_are_lost_is_marked_as_not_read(marked_run: RunDir) -> None:
    status = json.loads(marked_run.status.read_bytes())
    marked_run.status.write_text(json.dumps(status | {"warnings": 99}))
    row = run_status.summary(marked_run)
    assert row is not None and (marks.NOT_READ, "", "") in row.marks and row.sign("clean") == "!"


def test_marks_in_result_files_count_where_the_log_has_none(marked_run: RunDir) -> None:
    path = marked_run.result("best", "cw_inf")
    record = json.loads(path.read_bytes())
    path.write_text(json.dumps(record | {"marks": ["zero_gradient"]}))
    assert run_reader.load(marked_run).severity("best", "cw_inf") == "red"


def test_an_older_run_that_was_not_to_be_probed_says_so(marked_run: RunDir) -> None:
    text = marked_run.config.read_text()
    before, found, after = text.rpartition("suspect = true")
    marked_run.config.write_text(f"{before}suspect = false{after}" if found else text)
    assert run_reader.load(marked_run).checks("best") == "not probed (suspect = false)"


def test_checks_and_findings_are_read_from_their_file_where_the_log_is_silent(marked_run: RunDir) -> None:
    path = marked_run.evaluation / "best" / "suspect.json"
    findings = [SanityFinding("constant_output", MARKS["constant_output"])]
    report = SanityReport(digest="x", of=17, findings=findings, left_out={"twin": "there is none"})
    path.write_bytes(encode_checks(report))
    state = run_reader.load(marked_run)
    assert state.checks("best") == "16 of 17 checks; not made: twin (there is none)"
    assert state.severity("best", "clean") == "red"
    path.write_bytes(b"[" * 100_000)
    assert run_reader.load(marked_run).checks("best") == "not known"


def test_equal_weights_are_one_network() -> None:
    def network(run: str, seed: int, digest: str):
        records = {("best", "clean"): seen("1" * 90 + "0" * 10, weights=digest)}
        return replace(side(run, [cell("clean", 90)], seed=seed, group="g"), records=records)

    two = mark_duplicates([network("a", 0, "x"), network("copy", 1, "x"), network("c", 2, "z")])
    assert [one.draw for one in two] == ["seed 0", "seed 0", "seed 2"]
    row = make_rows(two, grouped=True)[0]
    assert row.draws == 2 and "equal weights, SHA-256 x" in row.duplicates()
    assert any("count once" in words for _, words in compare(two, grouped=True).notes)
    assert "equal weights" in compare(two[:2]).badges["copy"]


def test_classes_that_fare_equally_badly_are_counted() -> None:
    assert per_class.worst_class([0.5, 0.0, 0.0, 0.0]) == (1, 3)
    compared = compare([side("a", [cell("clean", 90, per_class=[0.5, 0.0, 0.0])])])
    found = compared.worst_class(compared.rows[0], "clean")
    assert found is not None and found.title == "class 1, 2 tied"
    state = side("a", [cell("clean", 90, per_class=[0.5, 0.0, 0.0])]).state
    assert "2 tied" in "\n".join(line.plain for line in run_lines(state, 120))
    told = replace(state, counts={"best": (10, 20, 30)})
    assert "n 20, 2 tied" in "\n".join(line.plain for line in run_lines(told, 120))


def test_the_recorded_runs_are_not_struck(runs) -> None:  # noqa: F811
    rows = [run_status.summary(run) for run in runs.values()]
    assert None not in rows and any(row.accuracies for row in rows)
    assert [row.id for row in rows if any(row.severity(attack) == "red" for attack in row.accuracies)] == []
