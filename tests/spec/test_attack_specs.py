"""What an attack may not be: an adversary who cannot move."""

import pytest
from pydantic import ValidationError

from engine.spec.attacks import PGD, CWInf, ThreatModel
from engine.spec.training import Inner


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
