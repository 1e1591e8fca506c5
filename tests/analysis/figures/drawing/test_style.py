import subprocess
import sys

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from analysis.figures import FIGURES, write_figures
from analysis.figures.drawing.style import ramp, save, style
from analysis.report.summary import analyze
from analysis.tables.folder import ResultsFolder

DATA = pd.DataFrame({"x": [1, 2], "y": [0.1, 0.2]})


def drawn():
    with style():
        figure = Figure()
        figure.add_subplot().plot(DATA["x"], DATA["y"])
    return figure


def test_saves_picture_vector_picture_and_data(tmp_path):
    folder = ResultsFolder.at(tmp_path / "new")
    assert save(drawn(), DATA, folder, "line") == ["line.png", "line.svg", "line.csv"]
    assert folder.read("line.png")[:4] == b"\x89PNG"
    assert b"<svg" in folder.read("line.svg")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "new" / "line.csv"), DATA)


def test_the_same_figure_gives_the_same_files(tmp_path):
    one, other = (ResultsFolder.at(tmp_path / name) for name in ("one", "other"))
    names = save(drawn(), DATA, one, "line")
    save(drawn(), DATA, other, "line")
    assert [one.read(name) for name in names] == [other.read(name) for name in names]


def test_style_leaves_no_trace():
    before = dict(mpl.rcParams)
    drawn()
    assert dict(mpl.rcParams) == before


def test_ramp_goes_from_dark_to_light():
    light = [sum(int(color[at : at + 2], 16) for at in (1, 3, 5)) for color in ramp(5)]
    assert light == sorted(light)
    assert len(set(light)) == 5


def test_write_figures_writes_all(study, tmp_path):
    folder = ResultsFolder.at(tmp_path)
    names = write_figures(analyze(study), folder)
    assert {name.partition(".")[0] for name in names} == set(FIGURES)
    assert all(folder.read(name) for name in names)
    assert len(names) == 3 * len(FIGURES)


def test_figures_without_data_are_left_out(made, tmp_path):
    names = write_figures(analyze(made({4: None, 8: None})), ResultsFolder.at(tmp_path))
    stems = {name.partition(".")[0] for name in names}
    assert stems == {"steps_vs_batch", "search", "goals", "budgets"}


def test_import_starts_no_plotting_state_and_no_engine():
    # in a fresh interpreter: other tests may have imported anything
    code = (
        "import sys, analysis.figures, analysis.report;"
        "print({'matplotlib.pyplot', 'torch', 'ray', 'optuna'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
