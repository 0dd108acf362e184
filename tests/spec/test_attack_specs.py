"""What an attack may not be: an adversary who cannot move. Which scales PGD rescaled has, and what they are called."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from engine.spec import toml
from engine.spec.attacks import FORMER_SCALES, PGD, RELATIVE_SCALES, CWInf, PGDRescaled, ThreatModel
from engine.spec.training import Inner, recorded


@pytest.mark.parametrize("nothing", ["0", "0/255", 0, 0.0])
def test_a_radius_or_a_step_of_nothing_is_refused(nothing):
    for build in (
        lambda: ThreatModel(epsilon=nothing),
        lambda: PGD(step_size=nothing),
        lambda: CWInf(step_size=nothing),
        lambda: Inner(step_size=nothing),
    ):
        with pytest.raises(ValidationError, match="nobody is attacked"):
            build()


def test_the_smallest_grey_level_is_a_radius():
    assert ThreatModel(epsilon="1/255").epsilon == 1 / 255


PRESETS = Path(__file__).parents[2] / "presets"


@pytest.mark.parametrize("name", ["quickstart", "crdnd_cifar10_resnet18", "rslad_digits"])
def test_scales_that_nobody_chose_are_not_in_the_hash_and_the_record_tells_them(name):
    """Hashes are those of the engine that chose other scales; tests/goldens hold them."""
    config = toml.load(PRESETS / f"{name}.toml")
    (attack,) = (attack for attack in config.evaluation.attacks if isinstance(attack, PGDRescaled))
    assert recorded(attack, "last_iterate")["relative_scales"] == list(RELATIVE_SCALES)
    assert "scales" not in recorded(attack, "last_iterate")

    def hashed(**scales):
        others = [a for a in config.evaluation.attacks if not isinstance(a, PGDRescaled)]
        own = PGDRescaled.model_validate({"step_size": str(attack.step_size), **scales})
        at = config.evaluation.attacks.index(attack)
        attacks = (*others[:at], own, *others[at:])
        evaluation = config.evaluation.model_copy(update={"attacks": attacks})
        return config.model_copy(update={"evaluation": evaluation}).config_hash

    assert hashed() == hashed(scales=FORMER_SCALES) == config.config_hash
    chosen = [hashed(relative_scales=[1.0]), hashed(scales=[1.0]), hashed(scales=[1.0], relative_scales=[1.0])]
    assert len({*chosen, config.config_hash}) == 4


def test_scales_that_are_named_mean_what_they_meant():
    named = PGDRescaled.model_validate({"scales": [0.1, 1.0]})
    assert (named.scales, named.relative_scales, named.climbs) == ((0.1, 1.0), None, 2)
    assert recorded(named, "last_iterate") == {
        "name": "pgd_rescaled", "label": "", "steps": 20, "step_size": "2/255", "start": "uniform", "restarts": 1,
        "scales": [0.1, 1.0],
    }  # fmt: skip
    assert PGDRescaled.model_validate(named.model_dump()) == named
    assert PGDRescaled().scales is None and 0.5 in RELATIVE_SCALES and max(RELATIVE_SCALES) <= 8
    for nothing in ({"scales": []}, {"scales": None, "relative_scales": None}, {"relative_scales": [0.0]}):
        with pytest.raises(ValidationError):
            PGDRescaled.model_validate(nothing)


def test_the_config_of_an_older_run_reads_as_it_was_written():
    for run in (PRESETS.parent / "crdnd_tui" / "tui" / "demo" / "runs").iterdir():
        config = toml.read(run / "config.toml")
        assert config.config_hash in (run / "status.json").read_text()
        (attack,) = (attack for attack in config.evaluation.attacks if isinstance(attack, PGDRescaled))
        assert (attack.scales, attack.relative_scales) == (FORMER_SCALES, None)
        assert "relative_scales" not in toml.dump(config)
