"""JSON: everything, finite, ASCII, and with what other writers show."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from crdnd_tui.write import data
from crdnd_tui.write.document import Document, Picture
from tests.documents.small import DOCUMENT, nasty, tabled


def test_the_document_is_read_back() -> None:
    read = json.loads(data.json_text(DOCUMENT))
    assert read["schema"] == 1 and read["title"] == "Two methods" and read["warnings"] == ["One run failed."]
    cell = read["tables"][0]["rows"][1]["cells"][1]
    assert (cell["column"], cell["value"], cell["low"], cell["std"]) == ("gap", -0.66, -1.5, None)
    assert cell["shown"] == "\u22120.7 [\u22121.5, +0.2]"
    assert read["tables"][0]["rows"][1]["runs"] == ["r2", "r3"]
    assert [(origin["run"], origin["config_hash"]) for origin in read["origins"]] == [
        ("r1", "aa" * 32), ("r2", "bb" * 32), ("r3", "cc" * 32)]  # fmt: skip


def test_what_is_not_finite_is_null() -> None:
    read = data.json_value(DOCUMENT)
    assert read["figures"][0]["series"][0]["y"] == [0.5, None]
    json.dumps(read, allow_nan=False)


def test_pictures_keep_their_words_and_leave_their_bytes() -> None:
    picture = Picture(height=1, width=1, clean=b"abc", perturbation=b"abc", adversarial=b"abc", caption="cat")
    assert data.json_value(Document(title="", pictures=(picture,)))["pictures"] == [
        {"caption": "cat", "height": 1, "width": 1}]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(nasty, min_size=1, max_size=4))
def test_any_words_are_read_back_and_steer_nothing(said: list[str]) -> None:
    source = data.json_text(tabled(said))
    assert source.isascii() and all(c == "\n" or " " <= c < "\x7f" for c in source)
    assert json.loads(source)["title"] == said[0]
