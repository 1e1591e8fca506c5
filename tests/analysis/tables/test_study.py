import pandas as pd
import pyarrow as pa
import pytest

from analysis.errors import AnalysisError
from analysis.measures.targets import steps_to_target
from analysis.tables.files import write_file, write_table
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import (
    BOXES_FILE,
    CURVES_FILE,
    STUDY_FILE,
    TRIALS_FILE,
    curve_schema,
    file_schema,
    hyperparameters,
    trial_schema,
)
from analysis.tables.study import read_study, read_table

NAMES = ("lr", "momentum")
STUDY = """
workload = "digits-mlp"
optimizer = "nesterov"
adaptive = false
[search.space]
lr = { low = 1e-4, high = 10.0, scale = "log" }
momentum = 0.9
[race]
to = "target"
target = 0.05
"""


@pytest.fixture
def folder(study, tmp_path):
    folder = ResultsFolder.at(tmp_path / "digits")
    write_file(folder, STUDY_FILE, STUDY.encode())
    for name, frame, schema in (
        (TRIALS_FILE, study.trials, trial_schema(NAMES)),
        (CURVES_FILE, study.curves, curve_schema()),
        (BOXES_FILE, study.boxes, file_schema(BOXES_FILE)),
    ):
        write_table(folder, name, pa.Table.from_pandas(frame, schema, preserve_index=False))
    return folder


def test_a_written_study_reads_back(folder, study):
    read = read_study(folder)
    assert read.name == "digits"
    assert read.target == 0.05
    assert set(read.space) == {"lr"}
    assert hyperparameters(read.trials) == NAMES
    pd.testing.assert_frame_equal(steps_to_target(read), steps_to_target(study))
    pd.testing.assert_frame_equal(steps_to_target(read, 0.2), steps_to_target(study, 0.2))


def test_hyperparameters_stand_after_cohort():
    names = trial_schema(NAMES).names
    assert names[names.index("cohort") + 1 :][:2] == list(NAMES)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a = = 1", "Invalid value"),
        ("a = 1", "a valid workload, got .*Field required"),
        ('workload = "a"\noptimizer = "b"', "a valid race, got .*Field required"),
        (STUDY.replace("adaptive = false", ""), "a valid adaptive, got .*Field required"),
        (STUDY.replace("false", '"no"'), "a valid adaptive, got 'no'"),
        (f"batch_sizes = 5\n{STUDY}", "a valid batch_sizes, got 5"),
        (f"{STUDY}[replicates]\nseeds = 2.5\n", "a valid replicates.seeds, got 2.5"),
    ],
)
def test_a_damaged_study_file_is_refused(folder, text, found):
    write_file(folder, STUDY_FILE, text.encode())
    with pytest.raises(AnalysisError, match=f"{found}.*; restore it"):
        read_study(folder)


@pytest.mark.parametrize("name", [STUDY_FILE, TRIALS_FILE, CURVES_FILE, BOXES_FILE])
def test_a_missing_file_is_named(folder, name):
    folder.remove(name)
    with pytest.raises(AnalysisError, match=f"must hold {name}, got none in .*; "):
        read_study(folder)


def test_another_schema_version_is_refused(tmp_path):
    write_table(ResultsFolder.at(tmp_path), TRIALS_FILE, pa.table({"a": [1]}))
    with pytest.raises(AnalysisError, match="schema version 1, got none; read it"):
        read_table(ResultsFolder.at(tmp_path), TRIALS_FILE)


def test_a_broken_file_is_refused(tmp_path):
    folder = ResultsFolder.at(tmp_path)
    write_file(folder, CURVES_FILE, b"no parquet")
    with pytest.raises(AnalysisError, match=r"must be a parquet table, got: .*; run `analyze` to"):
        read_table(folder, CURVES_FILE)
