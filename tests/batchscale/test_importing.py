from pathlib import Path

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
    with pytest.raises(BatchscaleError, match="a column step .* in the table; map them"):
        batchscale.import_runs(frame, tmp_path, name="other")
    with pytest.raises(BatchscaleError, match="finished runs must be a table .*got nowhere"):
        batchscale.import_runs("nowhere", tmp_path)


def test_a_named_index_is_a_column(tmp_path):
    study = batchscale.import_runs(measurements().set_index(["run", "step"]), tmp_path, target=0.1)
    assert study.steps()["steps"].tolist() == [steps_needed(size) for size in SIZES]


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda frame: frame.iloc[:0], {}, "at least one row, got none in the table"),
        (lambda frame: frame[["lr", "lr"]], {}, "different names, got 'lr' more than once"),
        (lambda frame: frame.to_dict("list"), {}, "must be a DataFrame or a path, got .'run'"),
        (lambda frame: frame, {"columns": "lr=lr"}, "columns must be a mapping .* got 'lr=lr'"),
        (lambda frame: frame, {"columns": {1: "lr"}}, "columns must be a mapping of strings"),
        (lambda frame: frame, {"name": None}, "name must be a string, got None"),
        (lambda frame: frame, {"target": "0.1"}, "target must be a number or None, got '0.1'"),
    ],
)
def test_an_unusable_table_is_refused(tmp_path, change, options, message):
    with pytest.raises(BatchscaleError, match=message):
        batchscale.import_runs(change(measurements()), tmp_path, **options)


def test_the_name_of_a_table_in_memory_is_not_read_as_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine").write_text("something else")
    study = batchscale.import_runs(measurements(), tmp_path / "results", name="mine", target=0.1)
    assert "sha256" not in study.config["imported"]
    long = batchscale.import_runs(measurements(), tmp_path, name="n" * 300, target=0.1)
    assert long.name == "n" * 100
    with pytest.raises(BatchscaleError, match="results must be a path or a URI, got None"):
        batchscale.import_runs(measurements(), None)
