import math
import subprocess
import sys

import matplotlib as mpl
import matplotlib.style
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from analysis.errors import AnalysisError
from analysis.figures import FIGURES, draw
from analysis.figures.drawing.kind import Look, look_of, save, style, write_all
from analysis.report.summary import analyze
from analysis.tables.folder import ResultsFolder

DATA = pd.DataFrame({"x": [1, 2], "y": [0.1, 0.2]})


LOOK = Look(formats=("png", "svg", "pdf"))


def drawn():
    with style(LOOK):
        figure = Figure()
        figure.add_subplot().plot(DATA["x"], DATA["y"])
    return figure


def test_saves_picture_vector_picture_and_data(tmp_path):
    folder = ResultsFolder.at(tmp_path / "new")
    written = ["line.png", "line.svg", "line.pdf", "line.csv"]
    assert save(drawn(), DATA, folder, "line", LOOK) == written
    assert folder.read("line.pdf")[:4] == b"%PDF"
    assert folder.read("line.png")[:4] == b"\x89PNG"
    assert b"<svg" in folder.read("line.svg")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "new" / "line.csv"), DATA)


def test_the_same_figure_gives_the_same_files(tmp_path):
    one, other = (ResultsFolder.at(tmp_path / name) for name in ("one", "other"))
    names = save(drawn(), DATA, one, "line", LOOK)
    save(drawn(), DATA, other, "line", LOOK)
    assert [one.read(name) for name in names] == [other.read(name) for name in names]


def test_style_leaves_no_trace():
    before = dict(mpl.rcParams)
    drawn()
    assert dict(mpl.rcParams) == before


def test_write_all_writes_every_figure(analyzed, tmp_path):
    folder = ResultsFolder.at(tmp_path)
    names = write_all(FIGURES, analyzed, folder)
    assert {name.partition(".")[0] for name in names} == set(FIGURES)
    assert all(folder.read(name) for name in names)
    assert len(names) == 3 * len(FIGURES)


def test_figures_without_data_are_left_out_and_those_of_an_earlier_analysis_deleted(made, tmp_path):
    folder, missed = ResultsFolder.at(tmp_path), analyze(made({4: None, 8: None}))
    earlier = ["residuals.pdf", "residuals.csv"]
    for name in (*earlier, "mine.png"):
        folder.write(name, b"")
    kinds = {name: FIGURES[name] for name in ("residuals", "search")}
    assert write_all(kinds, missed, folder, Look(formats=("png",)), partial=True)
    assert all(folder.exists(name) for name in earlier)
    names = write_all(FIGURES, missed, folder)
    stems = {name.partition(".")[0] for name in names}
    assert stems == {"steps_vs_batch", "search", "goals", "budgets"}
    assert {path.name for path in tmp_path.iterdir()} == {*names, "mine.png"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"formats": "png,jpg"}, "a format must be one of png, svg, pdf, got 'jpg'"),
        ({"formats": ", "}, "a format must be one of .*, got none"),
        ({"width": 1.0}, "at least 2.78 inches, got 1; widen it"),
        ({"width": math.nan}, "at least 2.78 inches, got nan"),
        ({"width": math.inf}, "at most 100 inches, got inf|at least .*, got inf"),
        ({"font_size": 0.0}, "from 4 to 40 points, got 0"),
        ({"font_size": 30.0}, "at least 8.33 inches, got 6.4"),
    ],
)
def test_what_cannot_be_drawn_is_refused(wrong, message):
    with pytest.raises(AnalysisError, match=message):
        look_of(**{"formats": "png", "width": None, "font_size": None, "title": True, **wrong})


def test_what_the_user_set_is_kept(analyzed):
    ours = draw(analyzed)
    set_by_user = {
        "font.size": 9,
        "axes.prop_cycle": mpl.cycler(color=["k", "m"]),
        "axes.spines.top": True,
        "figure.figsize": (5, 4),
    }
    with mpl.rc_context(set_by_user):
        figure = draw(analyzed)
    (axes,) = figure.axes
    assert figure.get_figwidth() == 5
    assert axes.xaxis.label.get_size() == 9
    assert to_hex("m") in {to_hex(line.get_color()) for line in axes.lines}
    # matplotlib shows the upper spine by default, so a user who sets that sets nothing
    assert not axes.spines["top"].get_visible()
    assert to_hex("m") not in {to_hex(line.get_color()) for line in ours.axes[0].lines}


def test_a_style_sheet_applies_and_stays_readable(analyzed, assert_readable):
    with mpl.style.context("dark_background"):
        figure = draw(analyzed)
        assert to_hex(figure.axes[0].get_facecolor()) == "#000000"
        assert_readable(figure)


def test_import_starts_no_plotting_state_and_no_engine():
    # in a fresh interpreter: other tests may have imported anything
    code = (
        "import sys, analysis.figures, analysis.report;"
        "print({'matplotlib.pyplot', 'torch', 'ray', 'optuna'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
