"""The machine file: what older ones say is read, and means what it can mean today."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from engine.spec.errors import ConfigError
from engine.spec.machine import Machine


def test_a_table_that_was_lazy_is_auto_by_now():
    assert Machine.model_validate_json('{"table": "lazy"}').table == "auto"
    assert Machine.model_validate({"table": "lazy"}) == Machine() != Machine(table="complete")
    assert Machine.model_validate_json("{}").table_epochs == 0


@pytest.mark.parametrize("said", ["none", "LAZY", "", 1, ["lazy"], None])
def test_what_a_table_never_was_is_refused(said):
    with pytest.raises(ValidationError, match="'auto', 'off' or 'complete'"):
        Machine.model_validate({"table": said})


@pytest.mark.parametrize("data", ["~nobody-of-this-name/data", "data\0"])
def test_a_folder_that_no_path_leads_to_is_one_sentence(tmp_path, data):
    here = Machine(runs="/old/runs", data=data)
    assert here.beside(tmp_path / "runs" / "run").data_folder == tmp_path / "data"
    for machine in (here, here.beside(Path("/old/runs/run"))):
        with pytest.raises(ConfigError, match="is no path of a folder") as refused:
            _ = machine.data_folder
        assert len(str(refused.value).splitlines()) == 1
    with pytest.raises(ConfigError, match="is no path of a folder"):
        _ = Machine(runs=data).runs_folder
