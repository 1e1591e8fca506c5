import pytest
from pandas.testing import assert_frame_equal

from analysis.errors import AnalysisError
from analysis.report.summary import analyze
from analysis.runs.exporting import export_table
from analysis.tables.folder import ResultsFolder
from analysis.tables.study import read_study
from tests.analysis.runs.conftest import measurements
from tests.analysis.runs.test_importing import one_row_per_run


@pytest.mark.parametrize("rows", [measurements((0, 1)), one_row_per_run()], ids=["many", "one"])
def test_a_table_comes_back_as_it_went(imports, tmp_path, rows):
    made = imports(rows, target=0.1)
    file = export_table(made.folder, tmp_path / "out")
    back = imports(file.read_text(), "back.csv", results="back")
    assert_frame_equal(back.trials.drop(columns="message"), made.trials.drop(columns="message"))
    assert_frame_equal(back.curves, made.curves)
    with pytest.raises(AnalysisError, match="must not overwrite anything"):
        export_table(made.folder, tmp_path / "out")


@pytest.mark.slow
@pytest.mark.long
def test_a_study_that_batchscale_ran_is_analyzed_alike_from_its_table(imports, tmp_path):
    recorded = ResultsFolder.at("results/reference/digits")
    study = read_study(recorded)
    file = export_table(recorded, tmp_path / "out")
    back = imports(file.read_text(), "back.csv", results="back")
    names = ["batch_size", "steps", "steps_before", "trial", "role", "seeds", "steps_median"]
    wanted = analyze(study).table[names]
    assert_frame_equal(analyze(back.study).table[names], wanted)
