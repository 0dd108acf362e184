"""The machine file: what older ones say is read, and means what it can mean today."""

import pytest
from pydantic import ValidationError

from engine.spec.machine import Machine


def test_a_table_that_was_lazy_is_auto_by_now():
    assert Machine.model_validate_json('{"table": "lazy"}').table == "auto"
    assert Machine.model_validate({"table": "lazy"}) == Machine() != Machine(table="complete")
    assert Machine.model_validate_json("{}").table_epochs == 0


@pytest.mark.parametrize("said", ["none", "LAZY", "", 1, ["lazy"], None])
def test_what_a_table_never_was_is_refused(said):
    with pytest.raises(ValidationError, match="'auto', 'off' or 'complete'"):
        Machine.model_validate({"table": said})
