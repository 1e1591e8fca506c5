"""The README's figures are what the code makes of the data in the repository."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from analysis.comparison.compare import compare
from analysis.comparison.report import comparison_record
from analysis.figures import FIGURES
from analysis.figures.comparison import COMPARISON_FIGURES
from analysis.figures.diagnostics import DIAGNOSTIC_FIGURES
from analysis.figures.drawing.kind import write_all
from analysis.measures.diagnostics import read_diagnostics
from analysis.report.record import summary_record
from analysis.report.summary import analyze
from analysis.tables.files import read_study_file
from analysis.tables.folder import ResultsFolder
from analysis.tables.study import read_study

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "results" / "reference"


def holding(name):
    """Return the reference folders that hold a file; all but the demo's are for `make test-all`."""
    folders = sorted(path.parent for path in REFERENCE.rglob(name))
    long = (pytest.mark.slow, pytest.mark.long)
    return [
        pytest.param(folder, id=name, marks=() if name == "digits" else long)
        for folder in folders
        for name in [str(folder.relative_to(REFERENCE))]
    ]


def bounded(estimate):
    """Return an estimate of a record with infinity for null, which has no tolerance."""
    return {name: math.inf if end is None else end for name, end in estimate.items()}


@pytest.mark.parametrize("folder", holding("study.toml"))
def test_the_summary_is_made_from_the_tables(folder):
    record = json.loads(json.dumps(summary_record(analyze(read_study(ResultsFolder.at(folder))))))
    then = json.loads((folder / "summary.json").read_text())
    assert record["table"] == then["table"]
    assert record["chosen"] == then["chosen"]
    if record["fits"] is None:  # batches that change
        assert then["fits"] is None
        return
    assert record["regimes"]["of"] == then["regimes"]["of"]
    for name, fit in record["fits"].items():
        recorded = then["fits"][name]["b_crit"]
        assert fit["b_crit"].pop("interval") == recorded.pop("interval")
        assert bounded(fit["b_crit"]) == pytest.approx(bounded(recorded), rel=1e-6)


@pytest.mark.parametrize("folder", holding("study.toml"))
def test_the_figures_draw_the_same_data(folder, tmp_path):
    write_all(FIGURES, analyze(read_study(ResultsFolder.at(folder))), ResultsFolder.at(tmp_path))
    assert_same_data(folder / "figures", tmp_path, FIGURES)


@pytest.mark.parametrize("folder", holding("diagnostics.parquet"))
def test_the_figures_of_diagnostics_have_the_same_data(folder, tmp_path):
    where = ResultsFolder.at(folder)
    found = read_diagnostics(where, read_study_file(where))
    for name, kind in DIAGNOSTIC_FIGURES.items():
        kind.data(found).to_csv(tmp_path / f"{name}.csv", index=False)
    assert_same_data(folder / "figures", tmp_path, DIAGNOSTIC_FIGURES)


@pytest.mark.parametrize("folder", holding("comparison.json"))
def test_a_comparison_is_made_from_its_studies(folder, tmp_path):
    then = json.loads((folder / "comparison.json").read_text())
    places = then.pop("folders")
    comparison = compare(
        {name: read_study(ResultsFolder.at(ROOT / place)) for name, place in places.items()}
    )
    record = json.loads(json.dumps(comparison_record(comparison)))
    assert record["table"] == then["table"]
    assert record["sentences"] == then["sentences"]
    write_all(COMPARISON_FIGURES, comparison, ResultsFolder.at(tmp_path))
    assert_same_data(folder, tmp_path)


def assert_same_data(then, now, names=None):
    """Compare the data of the figures in two folders, of all or of those of some names."""
    drawn = [path for path in sorted(then.glob("*.csv")) if names is None or path.stem in names]
    assert drawn
    for path in drawn:
        assert_frame_equal(pd.read_csv(now / path.name), pd.read_csv(path), rtol=1e-6)
