import subprocess
import sys

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysis.figures import FIGURES, write_figures
from analysis.figures.style import power_of_two_ticks, save, style
from analysis.summary import analyze

DATA = pd.DataFrame({"x": [1, 2], "y": [0.1, 0.2]})


def drawn():
    with style():
        figure = Figure()
        figure.add_subplot().plot(DATA["x"], DATA["y"])
    return figure


def test_saves_picture_vector_picture_and_data(tmp_path):
    paths = save(drawn(), DATA, tmp_path / "new", "line")
    assert [path.name for path in paths] == ["line.png", "line.svg", "line.csv"]
    assert paths[0].read_bytes()[:4] == b"\x89PNG"
    assert "<svg" in paths[1].read_text("utf-8")
    pd.testing.assert_frame_equal(pd.read_csv(paths[2]), DATA)


def test_the_same_figure_gives_the_same_files(tmp_path):
    one, other = (save(drawn(), DATA, tmp_path / name, "line") for name in ("one", "other"))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in other]


def test_style_leaves_no_trace():
    before = dict(mpl.rcParams)
    drawn()
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize(
    ("low", "high", "most", "ticks"),
    [
        (1.5, 40, 10, [2, 4, 8, 16, 32]),
        (1.5, 40, 3, [2, 8, 32]),
        (0.9, 70_000, 10, [4**k for k in range(9)]),
        (5, 7, 10, []),
    ],
)
def test_ticks_are_powers_of_two(low, high, most, ticks):
    axes = Figure().add_subplot()
    axes.set_xscale("log", base=2)
    axes.set_xlim(low, high)
    power_of_two_ticks(axes.xaxis, low, high, most)
    assert axes.get_xticks().tolist() == ticks
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == [str(tick) for tick in ticks]


def test_write_figures_writes_all(study, tmp_path):
    paths = write_figures(analyze(study), tmp_path)
    assert {path.stem for path in paths} == set(FIGURES)
    assert all(path.stat().st_size > 0 for path in paths)
    assert len(paths) == 3 * len(FIGURES)


def test_figures_without_data_are_left_out(made, tmp_path):
    paths = write_figures(analyze(made({4: None, 8: None})), tmp_path)
    assert {path.stem for path in paths} == {"steps_vs_batch", "search"}


def test_import_starts_no_plotting_state_and_no_engine():
    # in a fresh interpreter: other tests may have imported anything
    code = (
        "import sys, analysis.figures, analysis.report;"
        "print({'matplotlib.pyplot', 'torch', 'ray', 'optuna'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
