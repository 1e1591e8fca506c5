"""Step times of the user's own, and damaged ones of batchscale's."""

import pyarrow as pa
import pytest

from analysis.cost.step_costs import StepCosts, read_costs, step_times, write_costs
from analysis.errors import AnalysisError
from analysis.tables.files import write_table
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import COST_FILE, file_schema

GOOD = "batch_size,seconds_per_step,low,high,energy\n8,0.2,0.1,0.3,5\n4,0.1,,,\n"


def test_a_table_of_step_times_is_read(tmp_path):
    path = tmp_path / "times.csv"
    path.write_text(GOOD)
    found = StepCosts.of(step_times(path))
    assert [row.batch_size for row in found.rows] == [4, 8]
    assert found.at(4).seconds.low == found.at(4).seconds.high == 0.1
    assert (found.at(8).seconds.low, found.at(8).seconds.high) == (0.1, 0.3)
    assert (found.at(4).step_joules, found.at(8).step_joules) == (None, 5.0)
    assert found.source == "times.csv"
    folder = ResultsFolder.at(tmp_path)
    write_costs(folder, step_times(path))
    assert read_costs(folder) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("batch_size,seconds\n4,1\n", "must have the columns .*got no seconds_per_step in"),
        ("seconds_per_step\n1\n", "got no batch_size in"),
        ("batch_size,seconds_per_step,speed\n4,1,2\n", "got 'speed' in .*rename the columns"),
        ("batch_size,seconds_per_step\n4,fast\n", "must be a number, got 'fast' in row 2 of"),
        ("batch_size,seconds_per_step\n4,1\n8,nan\n2,inf\n", "got nan in rows 3 and 4 of"),
        ("batch_size,seconds_per_step\n4,0\n", "from 1e-15 to 1e[+]15, got 0 in row 2"),
        ("batch_size,seconds_per_step\n4,-1\n", "got -1 in row 2"),
        ("batch_size,seconds_per_step\n4,1e200\n", "got 1e[+]200 in row 2"),
        ("batch_size,seconds_per_step\n4,\n", "got none in row 2"),
        ("batch_size,seconds_per_step\n,1\n", "batch_size must be .*got none in row 2"),
        ("batch_size,seconds_per_step\n2.5,1\n", "must be an integer, got 2.5 in row 2"),
        ("batch_size,seconds_per_step\n1e300,1\n", "batch_size must be .* got 1e[+]300 in row 2"),
        ("batch_size,seconds_per_step\n4,1\n8,1\n4,2\n", "one row, got 4 in rows 2 and 4"),
        (
            "batch_size,seconds_per_step,low\n4,1,2\n",
            "within low and high, got 1 with 2 to .*row 2",
        ),
        ("batch_size,seconds_per_step,high\n4,1,0.5\n", "within low and high"),
        ("batch_size,seconds_per_step,energy\n4,1,0\n", "energy must be .*got 0 in row 2"),
        ("batch_size,seconds_per_step\n4,1,2\n", "as many cells as the header"),
        ("batch_size,seconds_per_step\n", "at least one row"),
    ],
)
def test_wrong_step_times_are_refused_by_row(tmp_path, text, message):
    path = tmp_path / "times.csv"
    path.write_text(text)
    with pytest.raises(AnalysisError, match=message):
        step_times(path)


def test_a_file_of_another_kind_is_refused(tmp_path):
    with pytest.raises(AnalysisError, match="must be a file with one of the suffixes .csv, .tsv"):
        step_times(tmp_path / "times.txt")
    with pytest.raises(AnalysisError, match="must be a readable file"):
        step_times(tmp_path / "missing.csv")


ROW = {"batch_size": 4, "step_seconds": 1.0, "device": "made", "source": "measured"}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "must have a row"),
        ([ROW, ROW], "must have each batch size once"),
        ([ROW | {"step_seconds": 0.0}], "must have numbers from 1e-15 to"),
        ([ROW | {"step_seconds": None}], "must have a step_seconds in every row"),
        ([ROW | {"step_seconds": float("nan")}], "must have a finite step_seconds"),
        ([ROW | {"step_seconds_low": 2.0}], "must have the time of a step within its interval"),
        ([ROW | {"step_joules": 1e300}], "must have numbers from 1e-15 to"),
        ([ROW | {"cores_lacking": -0.5}], "must have cores_lacking of at least 0"),
        ([ROW | {"batch_size": 0}], "must have a batch_size from 1"),
        ([ROW | {"device": None}], "must have a device in every row"),
    ],
)
def test_a_damaged_table_is_refused(tmp_path, rows, message):
    folder = ResultsFolder.at(tmp_path)
    write_table(folder, COST_FILE, pa.Table.from_pylist(rows, schema=file_schema(COST_FILE)))
    with pytest.raises(AnalysisError, match=message):
        read_costs(folder)
