"""What runs are called beside each other: short, and never the same."""

from dataclasses import replace

from crdnd_tui.compare.rows import make_rows
from crdnd_tui.compare.runs import labels
from tests.tui.sides import judged


def test_runs_of_one_method_are_called_as_their_presets_call_them():
    def config(name, method, seed=0):
        return {"name": name, "seed": seed, "method": {"name": method}, "student": {"name": "small_cnn"}}

    study = [("1", config("CRDND, digits", "crdnd")), ("2", config("CRDND without ACM, digits", "crdnd", 1)),
             ("3", config("CRDND+, digits", "crdnd")), ("4", config("RSLAD, digits", "rslad"))]  # fmt: skip
    assert labels(study) == ["CRDND s0", "CRDND without ACM s1", "CRDND+ s0", "RSLAD s0"]
    other = [*study[:1], ("5", config("CRDND+, cifar", "crdnd"))]
    assert labels(other) == ["CRDND, digits s0", "CRDND+, cifar s0"]
    same = [("run-1111", config("x", "crdnd")), ("run-2222", config("x", "crdnd"))]
    assert labels(same) == ["crdnd s0 1111", "crdnd s0 2222"]


def test_two_experiments_never_share_a_name():
    one = [judged(f"run-a{k}", 1, 1, group="a", seed=k) for k in (0, 1)]
    two = [judged(f"run-b{k}", 1, 1, group="b", seed=k) for k in (2, 3)]
    sides = [replace(run, label=f"crdnd s{k}") for k, run in enumerate([*one, *two])]
    assert [row.label for row in make_rows(sides, grouped=True)] == ["crdnd n-a0 (2)", "crdnd n-b2 (2)"]
    names = [
        (f"run-{k}", {"name": f"{'very ' * 20}long name {k}", "seed": 0, "method": {"name": "m"}}) for k in range(2)
    ]
    assert len(set(labels(names))) == 2
