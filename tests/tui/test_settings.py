"""What is remembered between sittings: the theme, in a small file that may hold other things, too."""

from pathlib import Path

import pytest

from crdnd_tui.tui.settings import place, remember, remembered
from tests.tui.pilot import drive, settle


@pytest.mark.parametrize(
    ("environment", "path"),
    [
        ({"XDG_CONFIG_HOME": "/c", "HOME": "/h"}, Path("/c/crdnd/settings.toml")),
        ({"HOME": "/h"}, Path("/h/.config/crdnd/settings.toml")),
        ({"XDG_CONFIG_HOME": "here", "HOME": "/h"}, Path("/h/.config/crdnd/settings.toml")),
        ({}, None),
    ],
)
def test_where_it_lies(environment, path):
    assert place(environment) == path


def test_a_word_comes_back_and_other_lines_stay(tmp_path):
    path = tmp_path / "new" / "settings.toml"
    remember(path, "theme", "light")
    assert remembered(path, "theme") == "light"
    path.write_text('# mine\nother = 1\ntheme = "light"  # bright\n[table]\ntheme = "x"')
    remember(path, "theme", "ansi")
    assert path.read_text() == '# mine\nother = 1\ntheme = "ansi"\n[table]\ntheme = "x"'
    path.write_text("[table]\na = 1\n")
    remember(path, "theme", "dark")
    assert remembered(path, "theme") == "dark"


def test_a_file_of_a_windows_editor_is_read_again(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_bytes(b"\xef\xbb\xbfother = 1\r\n")
    remember(path, "theme", "light")
    assert remembered(path, "theme") == "light" and remembered(path, "other") == ""
    assert path.read_bytes() == b'theme = "light"\nother = 1\r\n'


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "dotfiles").write_text("")
    (tmp_path / "settings.toml").symlink_to(tmp_path / "dotfiles")
    remember(tmp_path / "settings.toml", "theme", "light")
    assert (tmp_path / "settings.toml").is_symlink()
    assert remembered(tmp_path / "dotfiles", "theme") == "light"


@pytest.mark.parametrize("content", [b"", b"theme = ", b"theme = 3", b"\xff\xfe", b"[theme]"])
def test_a_damaged_file_says_nothing(tmp_path, content):
    path = tmp_path / "settings.toml"
    path.write_bytes(content)
    assert remembered(path, "theme") == ""
    assert remembered(tmp_path / "absent", "theme") == remembered(None, "theme") == ""


async def pressed(app, pilot):
    """Two themes on, and the light one from the palette."""
    await pilot.press("t", "t")
    app.choose_theme("crdnd-light")
    await settle(pilot)
    await app.workers.wait_for_complete([worker for worker in app.workers if worker.group == "settings"])
    await pilot.pause()
    return [str(note.message) for note in app._notifications]


def test_the_theme_is_remembered(tmp_path):
    path = tmp_path / "settings.toml"
    drive(pressed, tmp_path / "runs", settings=path)
    assert remembered(path, "theme") == "light"
    drive(pressed, tmp_path / "runs")  # not told where
    assert [entry.name for entry in tmp_path.iterdir()] == ["settings.toml"]


def test_what_cannot_be_remembered_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    said = drive(pressed, tmp_path / "runs", settings=tmp_path / "file" / "settings.toml")
    assert said.count("The theme cannot be remembered: File exists") == 1
