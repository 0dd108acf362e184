"""Where the keys of a TOML text are written: cases by hand, and the law that every plain key is found."""

import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.spec.toml_text import MAX_DEPTH, lines_of


def test_headers_keys_and_dotted_keys_have_the_line_they_are_written_on() -> None:
    text = 'seed = 1\n\n[training]\nepochs = 3\nschedule.name = "cosine"\n'
    assert lines_of(text) == {
        ("seed",): 1,
        ("training",): 3,
        ("training", "epochs"): 4,
        ("training", "schedule"): 5,
        ("training", "schedule", "name"): 5,
    }


def test_items_of_an_array_of_tables_are_numbered_from_0() -> None:
    text = '[[evaluation.attacks]]\nname = "fgsm"\n[[evaluation.attacks]]\nname = "pgd"\nsteps = 3\n'
    found = lines_of(text)
    assert found["evaluation", "attacks", 0] == 1
    assert found["evaluation", "attacks", 1] == 3
    assert found["evaluation", "attacks", 1, "steps"] == 5


def test_a_table_inside_an_item_belongs_to_the_latest_item() -> None:
    assert lines_of("[[a]]\n[a.b]\nc = 1\n[[a]]\n[a.b]\nc = 2\n")["a", 1, "b", "c"] == 6


def test_an_array_over_many_lines_hides_what_looks_like_a_header_or_a_key() -> None:
    text = 'x = [\n  [1, 2],\n  [3],  # ]]]\n  "[fake]",\n  "a = 1",\n]\ny = 2\n[z]\n'
    assert lines_of(text) == {("x",): 1, ("y",): 7, ("z",): 8}


def test_brackets_in_comments_and_strings_do_not_count() -> None:
    text = 'a = 1  # [ { open\nb = "["\nc = \'{\'\nd = "\\"["\ne = 2  # """\nf = 3\n'
    assert lines_of(text) == {("a",): 1, ("b",): 2, ("c",): 3, ("d",): 4, ("e",): 5, ("f",): 6}


def test_a_string_over_many_lines_hides_what_is_in_it() -> None:
    for mark in ('"""', "'''"):
        text = f"a = {mark}\n[fake]\nb = 1\n{mark}\nc = 2\n"
        assert lines_of(text) == {("a",): 1, ("c",): 5}


def test_a_string_over_many_lines_inside_an_array_ends_where_it_ends() -> None:
    text = 'a = ["""\nx = 1\n""", """one line"""]\nb = 2\n'
    assert lines_of(text) == {("a",): 1, ("b",): 4}


def test_keys_of_an_inline_table_have_the_line_of_the_table() -> None:
    found = lines_of('[training]\nschedule = { name = "multistep", milestones = [1] }\n')
    assert found["training", "schedule", "name"] == found["training", "schedule", "milestones"] == 2


def test_quoted_keys_and_blanks_around_dots_are_one_key() -> None:
    text = '"a.b" = 1\n\'c d\' . e = 2\n[ "f" . g ]\n'
    assert lines_of(text) == {("a.b",): 1, ("c d",): 2, ("c d", "e"): 2, ("f", "g"): 3}


def test_only_line_feeds_end_a_line_as_in_toml() -> None:
    assert lines_of("a = 1  # one\u2028line\r\nb = 2\r\n") == {("a",): 1, ("b",): 2}


KEY = st.from_regex(r"\A[a-z]{1,4}\Z")
VALUE = st.one_of(
    st.integers(0, 99), st.booleans(), st.sampled_from(['"["', "'#'", "[1, [2]]", "[\n[1],\n]", '"""\nx\n"""'])
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(KEY, st.dictionaries(KEY, VALUE, max_size=4), max_size=4))
def test_every_key_of_a_plain_text_is_found_on_the_line_that_begins_with_it(
    tables: dict[str, dict[str, object]],
) -> None:
    rows: list[str] = []
    for table, pairs in tables.items():
        rows.append(f"[{table}]")
        rows += [
            f"{key} = {str(value).lower() if isinstance(value, bool) else value}  # [" for key, value in pairs.items()
        ]
    text = "\n".join(rows)
    tomli.loads(text)
    found, split = {path: line for path, line in lines_of(text).items() if len(path) < 3}, text.split("\n")
    assert set(found) == {(table,) for table in tables} | {(t, key) for t, pairs in tables.items() for key in pairs}
    for path, line in found.items():
        assert split[line - 1].startswith(f"[{path[0]}]" if len(path) == 1 else f"{path[1]} =")


@pytest.mark.parametrize("unit", ["a=[", "a={b=", "["])
def test_lines_are_sought_no_deeper_than_a_text_may_nest(unit: str) -> None:
    assert len(lines_of(unit * 2000)) <= 2 * MAX_DEPTH + 2
