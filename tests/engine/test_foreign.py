"""Laws of other people's checkpoints: nobody's code runs, and a net finds its weights whatever they are wrapped in."""

import io
import json
import os
import pickle
import random
import shlex
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from engine.spec.errors import TeacherError
from engine.teachers import foreign
from tests.engine.small_net import (
    BESIDE,
    Bomb,
    Small,
    holds,
    in_this_process,
    printed,
    refused,
    saved,
    state_of,
    taken,
    under,
)  # fmt: skip


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "_unpickled", in_this_process)


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "0.", "1.", "_orig_mod.module.", "module.module.net.0."])
@pytest.mark.parametrize("key", ["", "state_dict", "net", "model", "model_state_dict", "params"])
def test_a_state_dict_is_found_under_usual_keys_and_prefixes(tmp_path: Path, prefix: str, key: str) -> None:
    state = state_of()
    named = {prefix + name: value for name, value in state.items()}
    assert taken(saved(tmp_path, {key: named, "epoch": 5, "optimizer": {"lr": 0.1}} if key else named), state) == []


class Nested(nn.Module):
    """A part of it is called as wrappers of whole networks are."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(2, 3), nn.ModuleDict({"module": nn.Linear(3, 2)})


@pytest.mark.parametrize("prefix", ["", "module.", "net.module."])
def test_a_prefix_is_taken_off_in_front_only(tmp_path: Path, prefix: str) -> None:
    net, wanted = Nested(), Nested().state_dict()
    assert "b.module.weight" in wanted
    torch.save(under(prefix, wanted), tmp_path / "w.pt")
    foreign.fit(net, tmp_path / "w.pt")
    assert holds(net, wanted)


def test_a_prefix_that_only_some_names_have_is_none(tmp_path: Path) -> None:
    some = {
        (f"module.{name}" if name.startswith("a.") else name): value for name, value in Nested().state_dict().items()
    }
    torch.save(some, tmp_path / "w.pt")
    assert foreign.read(tmp_path / "w.pt").tensors.keys() == some.keys()
    refused(tmp_path / "w.pt", net=Nested())


def test_what_is_no_tensor_is_dropped_and_counters_of_averages_too(tmp_path: Path) -> None:
    state = {f"module.{name}": value for name, value in state_of().items()}
    torch.save(state | {"n_averaged": torch.tensor(3), "note": "words", 5: torch.zeros(1)}, tmp_path / "w.pt")
    assert taken(tmp_path / "w.pt", state_of()) == []


@pytest.mark.parametrize("prefix", ["basic_net.", "module.model.", "student.backbone.", "a.a.a.", "resnet_", "x/y:"])
@pytest.mark.parametrize("key", ["", "state_dict", "checkpoint"])
def test_any_prefix_behind_which_all_fits_is_taken_and_noted(tmp_path: Path, prefix: str, key: str) -> None:
    beside = {"criterion.weight": torch.ones(10), "fc.bias": torch.ones(3)}
    table = under(prefix) | beside
    notes = taken(saved(tmp_path, {key: table, "epoch": 3} if key else table), state_of())
    inside = f"{key}.{prefix}" if key else prefix
    usual = foreign._is_usual(inside)
    assert usual or notes[0] == f"the weights lie behind the prefix `{inside}` in this file"
    assert "left out 2 entries beside them" in notes[-1] and "criterion.weight" in notes[-1]


def test_a_state_dict_in_a_tuple_is_found(tmp_path: Path) -> None:
    assert taken(saved(tmp_path, (under("module."), {"lr": 0.1, "losses": [0.5] * 300_000}, 3)), state_of()) == []


def test_several_networks_that_fit_are_named_and_one_is_chosen_by_its_prefix(tmp_path: Path) -> None:
    other = {name: value + 1 for name, value in state_of().items()}
    torch.save({"state_dict": under("student.") | under("teacher.", other)}, tmp_path / "w.ckpt")
    net = Small()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    caught = refused(tmp_path / "w.ckpt", "2 networks in this file fit", net=net)
    assert holds(net, before)
    assert "`state_dict.student.`, `state_dict.teacher.`" in caught.what and "--prefix" in caught.hint
    taken(tmp_path / "w.ckpt", other, prefix="state_dict.teacher.")
    taken(tmp_path / "w.ckpt", state_of(), prefix="state_dict.student")  # the dot may be left out
    refused(tmp_path / "w.ckpt", r"no name in this file begins with `nobody\.", prefix="nobody", net=net)


def test_the_usual_key_goes_before_an_average_beside_it_which_is_noted(tmp_path: Path) -> None:
    average = {name: value + 1 for name, value in state_of().items()}
    (note, *_) = taken(saved(tmp_path, {"ema": average, "state_dict": state_of()}), state_of())
    assert "fits, too, behind `ema.`" in note
    taken(tmp_path / "w.pt", average, prefix="ema.")


def test_the_same_network_under_two_names_is_one(tmp_path: Path) -> None:
    """As of MadryLab's robustness, with the normalizer beside it."""
    table = under("module.model.") | under("module.attacker.model.")
    mean, std = torch.tensor([0.4914, 0.4822, 0.4465]), torch.tensor([0.2471, 0.2435, 0.2616])
    table |= {"module.normalizer.new_mean": mean.view(3, 1, 1), "module.normalizer.new_std": std.view(3, 1, 1)}
    table |= {"module.attacker.normalize.new_mean": mean.view(3, 1, 1)}
    notes = taken(saved(tmp_path, {"model": table, "epoch": 1}), state_of(), normalized=True)
    assert any("constants of normalization agree" in note for note in notes)
    refused(tmp_path / "w.pt", "normalizes its input")


def test_another_networks_normalization_is_not_held_against_the_chosen_one(tmp_path: Path) -> None:
    table = under("student.") | under("teacher.net.", {name: value + 1 for name, value in state_of().items()})
    taken(saved(tmp_path, table | {"teacher.normalize.mean": torch.full((3,), 0.5)}), state_of(), prefix="student.")
    refused(tmp_path / "w.pt", "normalizes its input", prefix="teacher.net.")


def test_a_misfit_behind_a_prefix_is_told_by_what_differs_there(tmp_path: Path) -> None:
    wider = Small(classes=7).state_dict()
    caught = refused(saved(tmp_path, {"net": under("basic_net.", wider)}), "another number of classes")
    assert "behind `net.basic_net.`" in caught.where


def test_another_architecture_is_said_only_where_names_and_shapes_are_others(tmp_path: Path) -> None:
    renamed = {name.replace("conv1", "stem").replace("bn1", "norm").replace("linear", "head"): value
               for name, value in state_of().items()}  # fmt: skip
    refused(saved(tmp_path, {"state_dict": renamed}), "All shapes agree and no name does")
    torch.save(nn.Sequential(nn.Linear(2, 2)).state_dict(), tmp_path / "w.pt")
    caught = refused(tmp_path / "w.pt", "another architecture; this file has 2 tensors")
    exec(shlex.split(printed(caught.hint, tmp_path, "w.pt"))[2], {})
    assert safetensors.torch.load_file(tmp_path / "new.safetensors").keys() == {"0.weight", "0.bias"}


@pytest.mark.parametrize("legacy", [True, False])
def test_numpy_scalars_and_arguments_beside_the_weights_need_no_conversion(tmp_path: Path, legacy: bool) -> None:
    content = {"net": under("module."), **BESIDE}
    torch.save(content, tmp_path / "w.pt", _use_new_zipfile_serialization=not legacy)
    assert taken(tmp_path / "w.pt", state_of()) == []


def test_older_numpys_names_are_known(tmp_path: Path) -> None:
    torch.save({"net": state_of(), "acc": np.float64(95.2)}, tmp_path / "w.pt", _use_new_zipfile_serialization=False)
    content = (tmp_path / "w.pt").read_bytes()
    assert b"numpy._core.multiarray" in content
    (tmp_path / "w.pt").write_bytes(content.replace(b"cnumpy._core.multiarray", b"cnumpy.core.multiarray"))
    taken(tmp_path / "w.pt", state_of())


UNUSABLE = {
    "meta": torch.zeros(3, 4, device="meta"),
    "sparse": torch.zeros(3, 4).to_sparse(),
    "type complex64": torch.zeros(3, 4, dtype=torch.complex64),
    "type quint8": torch.quantize_per_tensor(torch.zeros(3, 4), 1.0, 0, torch.quint8),
    "claims 8796093022208 bytes": torch.zeros(1, 1).expand(2**31, 2**10),
}


@pytest.mark.parametrize("kind", sorted(UNUSABLE))
def test_what_cannot_be_weights_is_named_where_it_is_needed_and_left_out_elsewhere(tmp_path: Path, kind: str) -> None:
    torch.save({"net": state_of() | {"linear.weight": UNUSABLE[kind]}}, tmp_path / "w.pt")
    refused(tmp_path / "w.pt", f"`net.linear.weight` in this file is .*{kind}")
    taken(saved(tmp_path, {"net": state_of(), "optimizer": {"exp_avg": UNUSABLE[kind]}}), state_of())


def test_many_views_of_one_storage_are_refused(tmp_path: Path) -> None:
    whole = torch.zeros(1 << 20)
    refused(saved(tmp_path, {f"a{i}": whole.view(1, -1) for i in range(200)}), "together claim far more bytes")


def test_endless_nests_are_refused_or_passed_over(tmp_path: Path) -> None:
    nest: dict[str, object] = {"a": 1}
    for _ in range(40):
        nest = {"a": nest, "b": nest}  # 2 ** 40 leaves, 80 entries
    taken(saved(tmp_path, {"net": state_of(), "nest": nest}), state_of())
    wide: dict[str, object] = {str(i): {} for i in range(1000)}
    for _ in range(5):
        wide = {str(i): wide for i in range(1000)}
    refused(saved(tmp_path, {"net": state_of(), "nest": wide}), "more than 200,000 entries")


def test_a_pipe_is_no_checkpoint(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "w.pt")
    refused(tmp_path / "w.pt", "no regular file")


@pytest.mark.parametrize("legacy", [True, False])
def test_both_of_torchs_formats_are_read(tmp_path: Path, legacy: bool) -> None:
    torch.save(state_of(), tmp_path / "w.pth.tar", _use_new_zipfile_serialization=not legacy)
    assert taken(tmp_path / "w.pth.tar", state_of()) == []


def test_foreign_safetensors_are_read_whatever_their_name(tmp_path: Path) -> None:
    safetensors.torch.save_file({f"module.{name}": value for name, value in state_of().items()}, tmp_path / "w.pt")
    assert taken(tmp_path / "w.pt", state_of()) == []


@pytest.mark.parametrize("legacy", [True, False])
def test_a_malicious_checkpoint_is_refused_and_not_executed(tmp_path: Path, legacy: bool) -> None:
    mark = tmp_path / "executed"
    content = {"state_dict": state_of(), "args": Bomb(mark)}
    torch.save(content, tmp_path / "w.pt", _use_new_zipfile_serialization=not legacy)
    caught = refused(tmp_path / "w.pt", "could run code")
    assert not mark.exists()
    assert "safetensors" in caught.hint
    torch.load(tmp_path / "w.pt", weights_only=False)
    assert mark.exists()  # the bomb was live


def test_a_bare_malicious_pickle_is_refused_and_not_executed(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    (tmp_path / "w.pt").write_bytes(pickle.dumps(Bomb(mark), protocol=2))
    refused(tmp_path / "w.pt")
    assert not mark.exists()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"<!DOCTYPE html><html>Quota exceeded</html>", "an HTML page"),
        (b"\n\n<html><head>", "an HTML page"),
        (b'{"error": {"code": 403}}', "a JSON text"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a Git LFS pointer"),
        (b"Too many users have viewed this file", "a plain text"),
        (b"\x93NUMPY\x01\x00", "a NumPy array"),
        (b"\x1f\x8b\x08\x00", "a gzip archive"),
        (b"", "an empty file"),
        (bytes(range(256)), "no format that is known here"),
    ],
)
def test_a_refusal_says_what_the_file_seems_to_be(tmp_path: Path, content: bytes, kind: str) -> None:
    (tmp_path / "w.pt").write_bytes(content)
    refused(tmp_path / "w.pt", f"this is {kind}")


def test_torn_archives_are_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save(state_of(), buffer)
    whole = buffer.getvalue()
    for share in (0.1, 0.5, 0.9, 0.999):
        (tmp_path / "w.pt").write_bytes(whole[: int(share * len(whole))])
        refused(tmp_path / "w.pt", "cut off or damaged")


def test_damaged_pickles_raise_only_a_clear_error_and_run_nothing(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save({"state_dict": {"a": torch.zeros(3)}, "epoch": 3}, buffer, _use_new_zipfile_serialization=False)
    whole, dice = buffer.getvalue(), random.Random(0)
    for _ in range(300):
        content = bytearray(whole)
        for _ in range(dice.randrange(1, 5)):
            content[dice.randrange(len(content))] = dice.randrange(256)
        (tmp_path / "w.pt").write_bytes(content)
        try:
            with warnings.catch_warnings(action="ignore"):  # torch warns of strange protocols
                foreign.read(tmp_path / "w.pt")
        except TeacherError as error:
            assert len(str(error)) < 2000


def test_compressed_and_other_archives_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w/data.pkl", b"\0" * 100_000)
    refused(path, "compressed")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    refused(path, "not a checkpoint")


def test_safetensors_that_claim_terabytes_are_refused(tmp_path: Path) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
    (tmp_path / "s.pt").write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 64)
    refused(tmp_path / "s.pt")


def test_constants_do_not_hide_a_prefix(tmp_path: Path) -> None:
    state = under("1.") | {"0.mean": torch.zeros(3), "0.std": torch.ones(3)}
    assert taken(saved(tmp_path, state), state_of()) == ["the file's constants of normalization agree with the model's"]


OTHER = {"mean": torch.full((3,), 0.5), "std": torch.full((3,), 0.25)}


@pytest.mark.parametrize("prefix", [None, "student", "student."])
@pytest.mark.parametrize("inner", ["normalize.", "net.0.", ""])
def test_what_another_network_normalizes_by_says_nothing_of_the_chosen_one(
    tmp_path: Path, prefix: str | None, inner: str
) -> None:
    teacher = {f"{inner}{name}": value for name, value in OTHER.items()} | {"w": torch.zeros(5, 5)}
    notes = taken(saved(tmp_path, {"student": state_of(), "teacher": teacher}), state_of(), prefix=prefix)
    assert any("left out 3 entries" in note for note in notes)


@pytest.mark.parametrize(
    ("net", "normal"),
    [("1.", "0."), ("model.net.", "model.normalize."), ("model.", ""), ("module.1.", "module.0."), ("model.net.", "")],
)
def test_what_lies_beside_the_chosen_one_alone_is_its_own(tmp_path: Path, net: str, normal: str) -> None:
    table = under(net) | {f"{normal}{name}": value for name, value in OTHER.items()}
    refused(saved(tmp_path, table | {"criterion.weight": torch.ones(10)}), "normalizes its input")
