"""The README's figures are what the code makes of the data in the repository."""

import json
from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from analysis.figures import write_figures
from analysis.folder import ResultsFolder
from analysis.report import as_record
from analysis.summary import analyze
from analysis.tables import read_study

ROOT = Path(__file__).parents[2]
REFERENCE = sorted((ROOT / "results" / "reference").iterdir())


@pytest.mark.parametrize("folder", REFERENCE, ids=lambda folder: folder.name)
def test_the_summary_is_made_from_the_tables(folder):
    record = json.loads(json.dumps(as_record(analyze(read_study(ResultsFolder.at(folder))))))
    then = json.loads((folder / "summary.json").read_text())
    assert record["table"] == then["table"]
    assert record["regimes"]["of"] == then["regimes"]["of"]
    assert record["chosen"] == then["chosen"]
    for name, fit in record["fits"].items():
        assert fit["b_crit"] == pytest.approx(then["fits"][name]["b_crit"], rel=1e-6)


@pytest.mark.parametrize("folder", REFERENCE, ids=lambda folder: folder.name)
def test_the_figures_draw_the_same_data(folder, tmp_path):
    write_figures(analyze(read_study(ResultsFolder.at(folder))), ResultsFolder.at(tmp_path))
    drawn = sorted((folder / "figures").glob("*.csv"))
    assert drawn
    for path in drawn:
        assert_frame_equal(pd.read_csv(tmp_path / path.name), pd.read_csv(path), rtol=1e-6)


def test_every_figure_of_the_readme_is_a_reference_study():
    images = [
        line.split("](")[1].rstrip(")")
        for line in (ROOT / "README.md").read_text().splitlines()
        if line.startswith("![")
    ]
    assert images
    for image in images:
        assert image.startswith("results/reference/")
        assert (ROOT / image).is_file()
