"""Tags, note and pin: read without trust, written whole."""

import os
from pathlib import Path

import pytest

from crdnd_tui.core import notes
from crdnd_tui.core.notes import NONE, RunNotes


def test_what_is_written_is_read(tmp_path: Path) -> None:
    said = RunNotes(tags=("paper", "table-2"), note='best "so far"\\ é', pinned=True)
    notes.write(tmp_path, said)
    assert notes.read(tmp_path) == said
    assert [path.name for path in tmp_path.iterdir()] == [notes.NAME]


def test_nothing_to_say_leaves_no_file(tmp_path: Path) -> None:
    notes.write(tmp_path, RunNotes(pinned=True))
    notes.write(tmp_path, NONE)
    assert list(tmp_path.iterdir()) == []
    assert notes.read(tmp_path) == NONE


@pytest.mark.parametrize(
    "content",
    [b"", b"tags = [", b"\xff\xfe", b"tags = 3\nnote = []\npinned = 1", b"x" * (notes.CAP + 1), b"a=" + b"[" * 5000],
)
def test_damage_reads_as_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / notes.NAME).write_bytes(content)
    assert notes.read(tmp_path) == NONE


def test_a_link_and_a_pipe_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / notes.NAME).symlink_to("/dev/zero")
    assert notes.read(tmp_path) == NONE
    (tmp_path / notes.NAME).unlink()
    os.mkfifo(tmp_path / notes.NAME)
    assert notes.read(tmp_path) == NONE


def test_words_are_safe_and_few(tmp_path: Path) -> None:
    (tmp_path / notes.NAME).write_text(
        f'tags = ["\\u001b[2J", "a b", {", ".join(repr(str(k)) for k in range(40))}, 7]\nnote = "\\u202e{"x" * 5000}"\n'
    )
    said = notes.read(tmp_path)
    assert len(said.tags) == notes.MAX_TAGS and said.tags[1] == "ab"
    assert not set("\x1b\u202e") & set("".join(said.tags) + said.note)
    assert len(said.note) <= notes.MAX_NOTE


def test_tags_are_words_each_once() -> None:
    assert notes.clean_tags(["#paper", "paper", "", 'a,b"(c)', " x "]) == ("paper", "abc", "x")


def test_a_folder_in_its_place_is_told(tmp_path: Path) -> None:
    (tmp_path / notes.NAME).mkdir()
    with pytest.raises(OSError):
        notes.write(tmp_path, RunNotes(note="a"))
