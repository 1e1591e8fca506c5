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
    assert export_table(made.folder, tmp_path / "new" / "x.csv").read_text() == file.read_text()


def test_further_quantities_come_back(imports, tmp_path):
    rows = measurements()
    now_and_then = rows["step"] % 50 == 0
    rows = rows.assign(
        **{"eval/f1": 1 - rows["val_error"], "averaged_error": 0.5},
        test_error=rows["val_error"] + 0.01,
        final_score=rows["batch_size"].where(rows["step"] == 300),
    )
    rows["averaged_error"] = rows["averaged_error"].where(now_and_then)
    made = imports(rows, target=0.1)
    further = ["test_error", "averaged_error", "eval/f1", "final_score"]
    assert made.curves.columns[8:].tolist() == further
    reached = made.trials[made.trials["status"] == "reached"]
    assert reached["test_error"].tolist() == pytest.approx([0.06] * len(reached))
    assert "further quantities: test_error, averaged_error, eval/f1, final_score" in made.sentence
    assert made.trials.columns[4:6].tolist() == ["lr", "seed"]
    back = imports(export_table(made.folder, tmp_path / "out").read_text(), "b.csv", results="back")
    assert_frame_equal(back.curves, made.curves)
    assert_frame_equal(back.trials.drop(columns="message"), made.trials.drop(columns="message"))


def test_a_mapped_column_that_changes_along_a_run_is_a_quantity(imports):
    rows = measurements().assign(score=lambda frame: frame["step"] / 2, note="x", dropout=0.5)
    made = imports(rows, columns="f1=score", target=0.1)
    assert made.curves["f1"].tolist()[:3] == [0.0, 5.0, 10.0]
    assert made.trials[["lr", "dropout"]].notna().all(axis=None)


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
