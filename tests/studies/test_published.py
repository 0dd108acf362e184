"""Numbers in print: what the shipped studies say is what the report and the presets' heads say."""

import re
from pathlib import Path

import pytest

from crdnd_tui.study.file import read_study
from crdnd_tui.study.study import PublishedEntry
from crdnd_tui.write.study_tables import PrintedNumbers, printed_images, printed_numbers, printed_order

PRESETS = Path(__file__).parents[2] / "presets"
TABLE_1, TABLE_2 = (read_study(PRESETS / "studies" / f"table{k}.toml") for k in (1, 2))
KEYS = ("clean", "fgsm", "pgd_sat", "pgd_trades", "cw_2", "autoattack")
SOURCES = {
    "report": "report", "original": "paper", "reproduction": "reproduction", "RSLAD paper, best": "RSLAD paper",
    "full, original": "paper", "without ACM, original": "paper", "without ACM, reproduction": "reproduction",
}  # fmt: skip
PLACES = [(data, student) for data in ("cifar10", "cifar100") for student in ("resnet18", "mobilenet_v2")]
METHODS = ("natural", "sat", "trades", "ard", "iad", "rslad", "crdnd")

# Typed by hand from the printed tables: method, data, student, source, attack, per cent.
SPOTS = """
sat    cifar10  resnet18     report       clean      84.01
sat    cifar100 resnet18     report       autoattack 21.94
trades cifar10  mobilenet_v2 report       pgd_trades 52.75
ard    cifar100 mobilenet_v2 report       autoattack 26.00
iad    cifar100 resnet18     report       pgd_trades 29.90
iad    cifar100 resnet18     report       cw_2       48.19
rslad  cifar10  resnet18     report       pgd_sat    54.26
rslad  cifar10  resnet18     report       autoattack 51.91
rslad  cifar100 mobilenet_v2 report       autoattack 26.36
crdnd  cifar10  resnet18     paper        pgd_sat    59.91
crdnd  cifar10  resnet18     paper        autoattack 49.88
crdnd  cifar10  resnet18     reproduction cw_2       83.26
crdnd  cifar10  mobilenet_v2 reproduction clean      84.20
crdnd  cifar10  mobilenet_v2 reproduction fgsm       63.45
crdnd  cifar100 mobilenet_v2 paper        autoattack 26.12
crdnd  cifar100 mobilenet_v2 reproduction autoattack 26.18
"""


def of(study, **place):
    return {one.source: one for one in printed_numbers(study.published, place)}


def head(name: str) -> dict[str, dict[str, float]]:
    """Row of a preset's head -> attack -> per cent, as printed there; a dash is no number."""
    text = (PRESETS / f"{name}.toml").read_text(encoding="utf-8")
    rows = re.findall(r"^#   (\S[^\n]*?)  +((?:[\d.]+|-)(?: +(?:[\d.]+|-)){5})$", text, re.MULTILINE)
    found = {}
    for label, cells in rows:
        found[label] = {k: float(v) for k, v in zip(KEYS, cells.split(), strict=True) if v != "-"}
    return found


@pytest.mark.parametrize("line", SPOTS.strip().splitlines())
def test_cells_are_those_of_the_page(line: str) -> None:
    method, data, student, source, attack, value = line.split()
    assert of(TABLE_1, method=method, data=data, student=student)[source].values[attack] == float(value)


@pytest.mark.parametrize(("data", "student"), PLACES)
@pytest.mark.parametrize("method", METHODS)
def test_table_1_prints_what_the_head_of_the_preset_prints(method: str, data: str, student: str) -> None:
    above = {SOURCES[row]: values for row, values in head(f"{method}_{data}_{student}").items()}
    said = {name: dict(one.values) for name, one in of(TABLE_1, method=method, data=data, student=student).items()}
    assert said == above


@pytest.mark.parametrize("student", ["resnet18", "mobilenet_v2"])
def test_table_2_prints_what_the_heads_of_the_ablation_print(student: str) -> None:
    above = head(f"crdnd_no_acm_cifar100_{student}")
    assert dict(of(TABLE_2, method="crdnd", student=student)["paper"].values) == above["full, original"]
    without = of(TABLE_2, method="crdnd_no_acm", student=student)
    assert {name: dict(one.values) for name, one in without.items()} == {
        SOURCES[row]: values for row, values in above.items() if row.startswith("without")
    }


def test_all_cells_of_the_page_are_there_and_no_more() -> None:
    rows = [one for d, s in PLACES for m in METHODS for one in of(TABLE_1, method=m, data=d, student=s).values()]
    assert sum(len(one.values) for one in rows if one.source != "RSLAD paper") == 168 - 4  # CW-2 of the original
    assert sum(len(one.values) for one in rows if one.source == "RSLAD paper") == 2 * 5  # its CW is CW-inf
    assert len(TABLE_1.cells) == 28 and len(TABLE_2.cells) == 4


def test_doubts_stand_at_the_numbers_that_are_doubted_and_at_no_others() -> None:
    doubted = {
        (method, data, student, one.source, attack): note
        for data, student in PLACES
        for method in METHODS
        for one in of(TABLE_1, method=method, data=data, student=student).values()
        for attack, note in one.notes.items()
    }
    assert {key[:3] + key[4:] for key in doubted} == {
        ("sat", "cifar10", "mobilenet_v2", "cw_2"), ("trades", "cifar10", "mobilenet_v2", "cw_2"),
        ("rslad", "cifar10", "resnet18", "cw_2"), ("rslad", "cifar10", "mobilenet_v2", "cw_2"),
        ("crdnd", "cifar100", "mobilenet_v2", "autoattack"),
    }  # fmt: skip
    contradiction = doubted["crdnd", "cifar100", "mobilenet_v2", "paper", "autoattack"]
    assert "26.12" in contradiction and "26.56" in contradiction
    table_2 = of(TABLE_2, method="crdnd", student="mobilenet_v2")["paper"]
    assert table_2.values["autoattack"] == 26.56 and "26.12" in table_2.notes["autoattack"]
    assert set(table_2.notes) == {"autoattack"}


@pytest.mark.parametrize(("data", "student"), PLACES)
def test_cells_are_the_shipped_presets_with_nothing_changed(data: str, student: str) -> None:
    for cell in TABLE_1.cells:
        if (cell.place["data"], cell.place["student"]) == (data, student):
            assert cell.preset.resolve() == PRESETS / f"{cell.place['method']}_{data}_{student}.toml"
            assert (cell.config.data.name, cell.config.student.name) == (data, student)
            method = {"sat": "pgd_at"}.get(cell.place["method"], cell.place["method"])
            assert cell.config.method.name == method and cell.overrides == ("seed=0",)
            judged = {"clean", *(attack.key for attack in cell.config.evaluation.attacks)}
            assert set(TABLE_1.layout.attacks) <= judged


def test_the_caption_tells_how_the_printed_epochs_were_chosen() -> None:
    assert all("chosen on test images in print" in study.layout.remark for study in (TABLE_1, TABLE_2))


def test_the_runs_with_acm_are_those_of_table_1() -> None:
    first = {cell.config_hash for cell in TABLE_1.cells}
    assert [cell.place["method"] for cell in TABLE_2.cells if cell.config_hash in first] == ["crdnd", "crdnd"]


def test_the_page_s_own_order_turns_under_autoattack() -> None:
    rows = [
        (m, printed_numbers(TABLE_1.published, {"method": m, "data": "cifar10", "student": "resnet18"}))
        for m in METHODS
    ]
    said = printed_order(rows)
    assert said.kind == "lost"
    assert (
        "crdnd (paper) over rslad (report) under PGD-SAT (+5.65) does not survive AutoAttack (\u22122.03)" in said.text
    )


def test_a_doubted_number_settles_no_order() -> None:
    place = {"data": "cifar100", "student": "mobilenet_v2"}
    rows = [(m, printed_numbers(TABLE_1.published, place | {"method": m})) for m in ("rslad", "crdnd")]
    assert "crdnd (reproduction)" in printed_order(rows).text  # 26.18, for 26.12 of the paper is doubted
    assert printed_order([]).text == ""


def test_entries_of_one_source_are_one_row_and_notes_keep_their_place() -> None:
    entries = (
        PublishedEntry(source="paper", where={"m": "a"}, values={"clean": 90.0}),
        PublishedEntry(source="paper", where={"m": "a"}, values={"fgsm": 50.0}, note="smudged"),
        PublishedEntry(source="paper", where={"m": "b"}, values={"fgsm": 1.0}),
        PublishedEntry(source="other", where={}, values={"fgsm": 2.0}),
    )
    first, second = printed_numbers(entries, {"m": "a", "d": "x"})
    assert (first.source, dict(first.values), dict(first.notes)) == (
        "paper",
        {"clean": 90.0, "fgsm": 50.0},
        {"fgsm": "smudged"},
    )
    assert second.source == "other"
    assert printed_images([first]) == 0  # no second decimal was printed
    assert printed_images([PrintedNumbers(source="s", values={"clean": 83.39})]) == 10_000
