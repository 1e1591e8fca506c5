"""Recorded studies still load, and their parts give the same tables and the same analysis."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pandas.testing import assert_frame_equal

from analysis.errors import AnalysisError
from analysis.measures.targets import search_trials
from analysis.report.summary import analyze
from analysis.report.write import write_summary
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import BOXES_FILE, CURVES_FILE, ROLES, TRIALS_FILE
from analysis.tables.study import read_study
from batchscale.errors import BatchscaleError
from study.storage.consolidate import consolidate, study_tables
from study.storage.parts import Parts
from study.storage.study_folder import read_study_toml

HERE = Path(__file__).parent
SEARCH, RECIPE = HERE / "search", HERE / "recipe"
GOLDEN = pytest.mark.parametrize("golden", [SEARCH, RECIPE], ids=lambda folder: folder.name)


@GOLDEN
def test_the_parts_give_the_recorded_tables(golden, tmp_path):
    folder = shutil.copytree(golden, tmp_path / golden.name)
    (folder / TRIALS_FILE).unlink()
    (folder / CURVES_FILE).unlink()
    (folder / BOXES_FILE).unlink(missing_ok=True)
    made = ResultsFolder.at(folder)
    consolidate(Parts(made, read_study_toml(made)))
    before, after = read_study(ResultsFolder.at(golden)), read_study(made)
    assert_frame_equal(after.trials, before.trials)
    assert_frame_equal(after.curves, before.curves)
    study = read_study_toml(made)
    assert len(search_trials(before)) >= len(study.searched) * study.search.trials
    assert_frame_equal(after.boxes, before.boxes)
    if golden == RECIPE:
        assert set(before.trials["role"]) == {"search", "replicate", "recipe"}
        return
    assert {*before.trials["role"], "recipe"} == set(ROLES)
    assert before.box(1347)["lr"]["high"] > 0.1 > before.box(64)["lr"]["high"]


@GOLDEN
def test_the_analysis_finds_what_it_found(golden, tmp_path):
    write_summary(analyze(read_study(ResultsFolder.at(golden))), ResultsFolder.at(tmp_path))
    found = json.loads((tmp_path / "summary.json").read_text())
    then = json.loads((golden / "summary.json").read_text())
    rows = zip(found["table"], then["table"], strict=True)
    assert all(now | before == now for now, before in rows)  # columns are added, none changes


@pytest.mark.parametrize(
    ("now", "then", "more"),
    [
        ("trials = 12", "trials = 11", "got more trials at B = 64 in trials"),
        ("seeds = 3", "seeds = 2", "got more seeds at B = 64 in trials"),
        ("[64, 256, 1347]", "[64, 1347]", "got (more batch sizes in|trial 0 at batch size 256)"),
    ],
)
def test_a_study_file_that_asks_for_less_than_there_is_is_refused(
    now, then, more, tmp_path, accept
):
    folder = shutil.copytree(SEARCH, tmp_path / "study")
    text = (folder / "study.toml").read_text()
    (folder / "study.toml").write_text(text.replace(now, then))
    accept(folder)
    for read in (read_study, study_tables):
        with pytest.raises(BatchscaleError, match=more):
            read(ResultsFolder.at(folder))


@pytest.mark.parametrize("version", [None, "2"])
def test_another_version_is_refused(tmp_path, accept, version):
    folder = shutil.copytree(SEARCH, tmp_path / "study")
    table = pq.read_table(folder / TRIALS_FILE)
    metadata = {} if version is None else {b"batchscale.schema_version": version.encode()}
    pq.write_table(table.replace_schema_metadata(metadata), folder / TRIALS_FILE)
    accept(folder)
    with pytest.raises(AnalysisError, match=f"schema version 1, got {version or 'none'}"):
        read_study(ResultsFolder.at(folder))


def test_a_table_that_is_none_is_refused(tmp_path, accept):
    folder = shutil.copytree(SEARCH, tmp_path / "study")
    (folder / CURVES_FILE).write_bytes(b"not parquet")
    accept(folder)
    with pytest.raises(AnalysisError, match=r"curves\.parquet must be a parquet table"):
        read_study(ResultsFolder.at(folder))
