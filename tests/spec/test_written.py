"""Presets and their like as Windows tools save them."""

import codecs
from pathlib import Path

import pytest

from crdnd_tui.core import notes, run_actions
from crdnd_tui.queue.tickets import Queue
from crdnd_tui.study import file as studies
from crdnd_tui.tui import settings
from engine.spec import files, toml, toml_text
from engine.spec.errors import ConfigError
from engine.spec.rundir import RunDir
from engine.spec.toml_text import MARK, decode_utf8

PLAIN = '[data]\nname = "digits"\n[student]\nname = "small_cnn"\n[method]\nname = "natural"\n'
BOM = codecs.BOM_UTF8


def test_a_mark_of_utf_8_is_passed_over_in_a_preset_and_in_what_it_extends(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(BOM + PLAIN.replace("\n", "\r\n").encode())
    (tmp_path / "b.toml").write_bytes(BOM + b'extends = "a.toml"\nseed = 3\n')
    assert toml.load(tmp_path / "b.toml").seed == 3
    assert toml.merged(tmp_path / "c.toml", text=MARK + PLAIN).problems == []


def test_lines_are_counted_right_behind_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(BOM + b"bogus = 1\nseed = 'x'\n" + PLAIN.encode())
    with pytest.raises(ConfigError) as error:
        toml.load(path)
    assert [problem.partition(": ")[0] for problem in error.value.problems] == [f"{path}:1", f"{path}:2"]
    assert toml_text.lines_of(MARK + "a = 1\n") == {("a",): 1}


def test_every_other_toml_of_a_user_is_read_behind_a_mark(tmp_path: Path) -> None:
    (tmp_path / "notes.toml").write_bytes(BOM + b'tags = ["x"]\n')
    assert notes.read(tmp_path).tags == ("x",)
    (tmp_path / "settings.toml").write_bytes(BOM + b'theme = "light"\n')
    assert settings.remembered(tmp_path / "settings.toml", "theme") == "light"
    settings.remember(tmp_path / "settings.toml", "theme", "dark")
    assert settings.remembered(tmp_path / "settings.toml", "theme") == "dark"
    queue = Queue(tmp_path)
    queue.folder.mkdir()
    (queue.folder / "settings.toml").write_bytes(BOM + b"at_once = 3\n")
    assert queue.at_once == 3
    assert files.toml_table(BOM + b"seed = 1\n") == {"seed": 1}
    run = RunDir(tmp_path)
    run.preset.write_bytes(BOM + PLAIN.encode())
    run.config.write_bytes(BOM + toml.dump(toml.load(run.preset)).encode())
    assert run_actions.clone(tmp_path) == PLAIN


def test_a_study_is_read_behind_a_mark(tmp_path: Path) -> None:
    path = Path("presets/studies/digits.toml").resolve()
    (tmp_path / "study.toml").write_bytes(BOM + path.read_bytes())
    assert studies.open_file(tmp_path / "study.toml")[0] == studies.open_file(path)[0]


@pytest.mark.parametrize(
    ("encoding", "called"),
    [("utf-16", "UTF-16"), ("utf-16-le", "UTF-16LE"), ("utf-16-be", "UTF-16BE"), ("utf-32", "UTF-32"),
     ("utf-32-le", "UTF-32LE"), ("utf-32-be", "UTF-32BE")],
)  # fmt: skip
@pytest.mark.parametrize("text", [PLAIN, "# \u8001\u5e08\n" + PLAIN])
def test_another_encoding_is_called_by_its_name(tmp_path: Path, encoding: str, called: str, text: str) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(text.encode(encoding))
    for read in (toml.load, studies.open_file):
        with pytest.raises(ConfigError, match=rf"it is {called}, .* save it as UTF-8 \(iconv -f {called} -t UTF-8\)"):
            read(path)
    path.write_bytes(decode_utf8(text.encode()).encode())
    assert toml.load(path).data.name == "digits"


def test_a_byte_order_mark_names_the_encoding_of_any_letters() -> None:
    with pytest.raises(ValueError, match="it is UTF-16, "):
        decode_utf8(("\u8001\u5e08" * 40).encode("utf-16"))


def test_a_letter_of_latin_1_is_told_with_its_line() -> None:
    with pytest.raises(ValueError, match=r"byte 0xe9 of line 2 is not UTF-8; .* Windows-1252 or Latin-1"):
        decode_utf8("a = 1\n# r\u00e9seau\n".encode("latin-1"))


def test_a_file_of_bytes_is_not_taken_for_text_of_another_encoding() -> None:
    with pytest.raises(ValueError, match="is not UTF-8"):
        decode_utf8(b"\x93NUMPY\x01\x00v\x00" + bytes(range(128, 200)))
