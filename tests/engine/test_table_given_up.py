"""Tables that a run does without: of an engine that kept them otherwise, or that nobody here may set aside."""

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from engine.fast import table as table_file
from engine.run.fast_path import TeacherLogitsBuilder
from engine.spec import tables
from engine.spec.tables import tables_folder
from tests.engine.broken_runs import FINISHED, ForkServer, said
from tests.engine.table_bench import KEY, opened, scribbled
from tests.engine.tampering import rewrite
from tests.engine.test_table_engines import cut, shelf, tabled, told, warnings, worked


def test_a_run_that_filled_its_table_as_it_went_does_not_have_to_fill_all_of_it(
    fork_server: ForkServer, own: Path, tmp_path: Path
) -> None:
    run = cut(fork_server, tmp_path, own)
    rewrite(run.provenance, lambda text: text.replace('"table": "off"', '"table": "lazy"'))
    assert fork_server.work(run) == FINISHED
    assert tabled(run) == ["off"] * 2 and shelf(own) == [] and not warnings(run)


@pytest.mark.parametrize("wanted", ["complete", "auto"])
def test_a_run_does_without_a_table_that_lies_and_cannot_be_set_aside(
    fork_server: ForkServer, own: Path, tmp_path: Path, wanted: str
) -> None:
    without = worked(fork_server, tmp_path / "off", own, table="off")
    worked(fork_server, tmp_path / "first", own, table="complete")
    (name,) = shelf(own)
    folder = tables_folder(own)
    key = tables.read_meta(folder / name).key
    tables.remove(folder, name)
    scribbled(table_file.open_table(folder, key, 1 << 30)[0]).close()
    run = worked(fork_server, tmp_path / "run", own, {"at": "aside", "k": 1, "do": "full"}, table=wanted)
    assert tabled(run) == ["off"] and told(run) == told(without) and shelf(own) == [name]
    first = warnings(run)[0]
    assert first["code"] == "table_damaged" and "from what the teacher answers" in first["message"]
    assert "cannot be set aside" in first["message"] and "No space left" in first["message"]
    (began,) = said(run, "training_started")
    assert any(note.startswith("no teacher table: ") for note in began["notes"])


def test_what_another_user_left_half_made_takes_the_table_from_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / f"{tables.FRESH}0123456789abcdef"
    left.mkdir()
    (left / tables.META).write_text("{")

    def refuse(*_words: object, **_keywords: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "unlink", refuse)
    opened(tmp_path).close()
    assert tables.names(tmp_path) == [KEY.id]


def test_the_images_of_a_table_are_brought_to_the_device_once() -> None:
    images = torch.zeros(4, 1, 8, 8, dtype=torch.uint8)
    laying = object.__new__(TeacherLogitsBuilder)
    dataset, stage = SimpleNamespace(train=SimpleNamespace(images=images)), SimpleNamespace(device=torch.device("meta"))
    vars(laying).update(dataset=dataset, stage=stage)
    assert laying._images.is_meta and laying._images is laying._images
