"""Documents into files: whole, named by their tables, never over something else, and each says where it comes from."""

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest

from crdnd_tui.core import complete
from crdnd_tui.write import formats, writing
from crdnd_tui.write.document import Cell, Column, Document, Figure, Origin, Row, Series, Table
from engine.spec.errors import ConfigError, CrdndError

RUN, HASH = (
    "20261122-215714-crdnd-small_cnn-s0-ea68",
    "af58b996fa30e52eaf6de5ad195705ca85406b707218b6c682f0b6692c9911a9",
)
WRITTEN = [one.name for one in formats.FORMATS if one.kind in ("text", "figure")]


def table(key: str, value: float) -> Table:
    row = Row(label="CRDND", cells=(Cell(value=value, n=597, low=40.0, high=50.0),), runs=(RUN,))
    columns = (Column(key="autoattack", title="AutoAttack"),)
    return Table(key=key, title=f"The {key}", head="method", columns=columns, rows=(row,), caption="n = 597.")


def figure(key: str) -> Figure:
    series = (Series(label="CRDND", x=(1.0, 2.0, 3.0), y=(40.0, 45.5, 43.0)),)
    return Figure(key=key, title=key, kind="lines", x="epoch", y="%", series=series)


DOCUMENT = Document(
    title="CRDND on digits",
    tables=(table("results", 45.56), table("differences", -3.25)),
    figures=(figure("loss"), figure("validation")),
    origins=(Origin(run=RUN, label="CRDND", state="done", config_hash=HASH, seed=0),),
    version="0.1.0",
)


def test_a_document_in_one_piece_is_the_file_that_was_named(tmp_path: Path) -> None:
    for name in ("markdown", "latex", "json", "html"):
        path = tmp_path / "deep" / "er" / f"a.{name}"
        assert writing.write(DOCUMENT, formats.known(name), path)[0] == path
        assert re.search(r"45\.5?6", path.read_text())
    names = ["a.html", "a.json", "a.latex", "a.markdown", "a-loss.svg", "a-validation.svg"]
    names += ["a-loss.pdf", "a-validation.pdf"]
    assert sorted(path.name for path in (tmp_path / "deep" / "er").iterdir()) == sorted(names)


def test_pieces_have_their_keys_in_their_names(tmp_path: Path) -> None:
    written = writing.write(DOCUMENT, formats.known("csv"), tmp_path / "t.csv")
    assert [path.name for path in written] == ["t-results.csv", "t-differences.csv", "t-curves.csv"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in written)
    assert "45.56" in written[0].read_text() and "-3.25" in written[1].read_text()
    alone = writing.picked(DOCUMENT, ["differences"], [])
    assert writing.write(alone, formats.known("csv"), tmp_path / "one.csv") == [tmp_path / "one.csv"]
    figures = writing.write(DOCUMENT, formats.known("svg"), tmp_path / "f.svg")
    assert [path.name for path in figures] == ["f-loss.svg", "f-validation.svg"]


@pytest.mark.parametrize("to", WRITTEN)
def test_every_file_names_its_runs_and_their_configs(tmp_path: Path, to: str) -> None:
    if to in ("png", "pdf"):
        pytest.importorskip("matplotlib")
    for path in writing.write(DOCUMENT, formats.known(to), tmp_path / "x"):
        told = path.read_bytes().replace(b"\\", b"")  # LaTeX and PDF escape
        assert RUN.encode() in told, path
        assert HASH[:8].encode() in told, path


def test_what_lies_there_is_replaced_only_on_demand(tmp_path: Path) -> None:
    (tmp_path / "t-curves.csv").write_text("mine")
    with pytest.raises(CrdndError, match=r"t-curves\.csv exists\n  --force"):
        writing.write(DOCUMENT, formats.known("csv"), tmp_path / "t.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["t-curves.csv"]  # none of the others was begun
    assert (tmp_path / "t-curves.csv").read_text() == "mine"
    assert len(writing.write(DOCUMENT, formats.known("csv"), tmp_path / "t.csv", force=True)) == 3
    assert "mine" not in (tmp_path / "t-curves.csv").read_text()


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.md"
    path.write_text("before")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        writing.write(DOCUMENT, formats.known("markdown"), path, force=True)
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("a.md", "before")]


def test_no_export_lands_in_the_folder_of_a_run(tmp_path: Path) -> None:
    run = tmp_path / "runs" / RUN
    run.mkdir(parents=True)
    (run / "config.toml").touch()
    (run / "events.jsonl").touch()
    for target in (run / "config.toml", run / "evaluation" / "new.md"):
        with pytest.raises(CrdndError, match="folder of a run"):
            writing.write(DOCUMENT, formats.known("markdown"), target, force=True)
    with pytest.raises(CrdndError, match="is a folder"):
        writing.write(DOCUMENT, formats.known("markdown"), tmp_path, force=True)
    assert (run / "config.toml").read_text() == ""


def test_markdown_shows_the_figures_that_lie_beside_it(tmp_path: Path) -> None:
    paths = writing.write(DOCUMENT, formats.known("markdown"), tmp_path / "my report.md")
    assert [path.name for path in paths] == ["my report.md", "my report-loss.svg", "my report-validation.svg"]
    linked = re.findall(r"!\[[^]]*\]\(([^)]*)\)", paths[0].read_text())
    assert [tmp_path / unquote(target) for target in linked] == paths[1:]
    assert all(path.read_text().startswith("<?xml") for path in paths[1:])
    assert "![" not in writing.text(DOCUMENT, formats.known("markdown"))
    assert writing.write(DOCUMENT, formats.known("svg"), tmp_path / "my report.svg") == paths[1:]
    paths[1].write_text("mine")
    with pytest.raises(CrdndError, match=r"loss\.svg exists"):
        writing.write(DOCUMENT, formats.known("markdown"), tmp_path / "my report.txt")
    assert paths[1].read_text() == "mine" and not (tmp_path / "my report.txt").exists()


def test_parts_are_picked_by_their_keys() -> None:
    some = writing.picked(DOCUMENT, ["results"], ["loss"])
    assert ([t.key for t in some.tables], [f.key for f in some.figures]) == (["results"], ["loss"])
    assert writing.picked(DOCUMENT, [], ["loss"]).tables == ()
    assert writing.picked(DOCUMENT, [], []) is DOCUMENT
    with pytest.raises(ConfigError, match="--only: no table `nonsense`; it may be results, differences"):
        writing.picked(DOCUMENT, ["nonsense"], [])
    with pytest.raises(ConfigError, match="--figure: no figure `x`; there is no figure here"):
        writing.picked(replace(DOCUMENT, figures=()), [], ["x"])


def test_a_document_without_tables_or_figures_says_so(tmp_path: Path) -> None:
    bare = replace(DOCUMENT, tables=(), figures=())
    with pytest.raises(CrdndError, match="no table"):
        writing.write(bare, formats.known("csv"), tmp_path / "a.csv")
    with pytest.raises(CrdndError, match="no figure"):
        writing.write(bare, formats.known("svg"), tmp_path / "a.svg")
    assert list(tmp_path.iterdir()) == []


def test_text_for_a_pipe() -> None:
    assert json.loads(writing.text(DOCUMENT, formats.known("json")))["title"] == DOCUMENT.title
    sheet = list(csv.reader(io.StringIO(writing.text(DOCUMENT, formats.known("csv")))))
    assert {"results", "differences"} <= {word for line in sheet for word in line}
    with pytest.raises(ConfigError, match="--figure picks one of loss, validation"):
        writing.text(DOCUMENT, formats.known("svg"))
    assert writing.text(writing.picked(DOCUMENT, [], ["loss"]), formats.known("svg")).startswith("<")
    with pytest.raises(ConfigError, match="png is no text"):
        writing.text(DOCUMENT, formats.known("png"))


def test_formats_and_names() -> None:
    assert complete.FORMATS == formats.NAMES and list(complete.DOCUMENTS) == WRITTEN
    assert complete.formats("m") == ["markdown", "mlflow"]
    with pytest.raises(ConfigError, match="no format `word`"):
        formats.known("word")
    html = formats.known("html")
    assert formats.file_name((RUN,), html) == f"{RUN}.html"
    two, three = formats.file_name((RUN, "b"), html), formats.file_name((RUN, "c"), html)
    assert two.startswith(f"{RUN}-and-1-more-") and two != three
    assert writing.named(Path("a/b.tar.svg"), "worst class/1") == Path("a/b.tar-worst-class-1.svg")


def test_the_command_that_the_dialog_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    where = formats.default_path([RUN], formats.known("html"), tmp_path / "runs")
    assert where == f"exports/{RUN}.html"
    order = formats.ExportRequest(runs=(RUN,), to="html", out=where, folder=tmp_path / "runs")
    assert order.line == f"crdnd export {RUN} --to html -o exports/{RUN}.html"
    elsewhere = replace(order, folder=tmp_path / "other runs", out="it's.html", force=True)
    assert elsewhere.line == f"crdnd export {RUN} --to html -o 'it'\"'\"'s.html' --force --runs 'other runs'"
    last = replace(order, checkpoint="last")
    assert last.line.endswith(".html --checkpoint last")
    assert "--checkpoint" not in replace(last, to="mlflow").arguments
    assert formats.default_path(["a", "b"], formats.known("onnx"), tmp_path / "runs") == "exports/"
    assert formats.default_path(["a", "b"], formats.known("mlflow"), tmp_path / "runs") == "exports/mlflow"
    assert formats.default_path(["a"], formats.known("html"), Path("/elsewhere/runs")) == "/elsewhere/exports/a.html"
