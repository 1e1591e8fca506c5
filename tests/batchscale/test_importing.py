import pytest

import batchscale
from batchscale import BatchscaleError
from tests.analysis.runs.conftest import SIZES, measurements, steps_needed


def test_a_table_in_memory_becomes_a_study(tmp_path):
    frame = measurements().rename(columns={"lr": "learning_rate", "step": "iteration"})
    columns = {"step": "iteration"}
    study = batchscale.import_runs(frame, tmp_path, name="mine", columns=columns, target=0.1)
    assert study.name == "mine"
    assert study.steps()["steps"].tolist() == [steps_needed(size) for size in SIZES]
    with pytest.raises(BatchscaleError, match="a column step .* in the table; say which"):
        batchscale.import_runs(frame, tmp_path, name="other")
    with pytest.raises(BatchscaleError, match="finished runs must be a table .*got nowhere"):
        batchscale.import_runs("nowhere", tmp_path)
