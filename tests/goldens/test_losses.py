"""Losses of every method step by step, and which images withstand which attack, computed exactly and fast.

The teacher is the one that lies in runs/, so that nothing rests on how this processor trained it.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.goldens.golden import PRESETS, crdnd, held, kept

METHODS = ("natural", "sat", "trades", "ard", "iad", "rslad", "crdnd", "crdnd_no_acm", "crdnd_plus")
ALONE = ("natural", "sat", "trades")  # no teacher
MODES = {"exact": ("--exact",), "fast": ("--machine", "table=off")}
SELECTION = '[{name="cw_inf",steps=2,step_size="4/255"}]'
STEPS = 'steps=3,step_size="4/255"'
SUITE = (
    f'[{{name="fgsm"}},{{name="pgd_sat",{STEPS}}},{{name="cw_inf",{STEPS}}},'
    '{name="cw_2",steps=5,search_steps=2,radius=0.5}]'
)
TINY = {
    "student.width": "8", "data.train_images": "320", "training.epochs": "2",  # 5 steps each; ACM acts in the second
    "threat_model.epsilon": "10/255", "inner.steps": "3", "inner.step_size": "4/255",
    "selection.attacks": SELECTION, "evaluation.images": "100", "evaluation.gallery": "0",
    "evaluation.suspect": "false", "evaluation.attacks": SUITE,
}  # fmt: skip
TEACHER = {
    "teacher.config.student.width": "4", "teacher.config.training.epochs": "8",
    "teacher.config.evaluation.images": "60", "teacher.config.selection.attacks": SELECTION,
    "teacher.config.evaluation.attacks": '[{name="fgsm"}]', "teacher.expected_clean": "0.5",
}  # fmt: skip

# Other processors round otherwise. Of the first step only forwards and losses are compared, where float32 keeps about
# seven digits; but the attack takes signs of gradients, and one that is near zero flips: a pixel of one image moves.
# Each further step trains on what the last one made of it.
FIRST, LATER = 1e-5, 1e-2
FLIPPED = 5  # images of 100 that may fall or stand otherwise


@pytest.mark.parametrize("mode", ["exact", pytest.param("fast", marks=pytest.mark.slow)])
@pytest.mark.parametrize("method", METHODS)
def test_a_method(tmp_path: Path, method: str, mode: str) -> None:
    home = kept(tmp_path)
    before = {path.name for path in (home / "runs").glob("2*")}
    values = TINY | ({} if method in ALONE else TEACHER)
    words = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
    done = crdnd(home, "run", PRESETS / f"{method}_digits.toml", *words, *MODES[mode],
                 "--seed", "3", "--threads", "1", "--device", "cpu", "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    (run,) = {path.name for path in (home / "runs").glob("2*")} - before  # no teacher was trained
    events = [json.loads(line) for line in done.stdout.splitlines()]
    losses = [event["loss"] for event in events if event["event"] == "step_done"]
    assert len(losses) == 10
    records = sorted((home / "runs" / run / "evaluation" / "best").glob("*.json"))
    bits = {path.stem: json.loads(path.read_text()).get("robust", "") for path in records if path.stem != "suspect"}
    held(f"losses/{method}-{mode}", {"losses": losses, "bits": bits}, same=alike)


def alike(before: Any, now: Any) -> bool:
    first, *later = zip(before["losses"], now["losses"], strict=True)
    if first[1] != pytest.approx(first[0], rel=FIRST) or before["bits"].keys() != now["bits"].keys():
        return False
    flips = [(int(bits, 16) ^ int(now["bits"][name], 16)).bit_count() for name, bits in before["bits"].items()]
    return max(flips) <= FLIPPED and all(new == pytest.approx(old, rel=LATER) for old, new in later)
