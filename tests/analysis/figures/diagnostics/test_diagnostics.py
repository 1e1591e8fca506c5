import numpy as np
import pytest

from analysis.errors import AnalysisError
from analysis.figures.diagnostics import DIAGNOSTIC_FIGURES
from analysis.figures.drawing.kind import Look, draw_named, write_all
from analysis.tables.folder import ResultsFolder
from tests.analysis.made_diagnostics import diagnosed


@pytest.mark.parametrize("name", DIAGNOSTIC_FIGURES)
def test_can_be_read(name, assert_readable):
    assert_readable(draw_named(DIAGNOSTIC_FIGURES, name, diagnosed()))


def test_one_batch_size_makes_no_figure_against_batch_size(tmp_path):
    written = write_all(DIAGNOSTIC_FIGURES, diagnosed(sizes=(16,)), ResultsFolder.at(tmp_path))
    drawn = ("noise", "landscape_line", "landscape_plane", "branches", "layers_start_end")
    assert written == [f"{stem}.{form}" for stem in drawn for form in ("png", "svg", "csv")]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(written)


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ("noise", ["noise"]),
        ("curvature", ["flatness"]),
        ("sharpness", ["flatness"]),
        ("landscape", ["landscape_line", "landscape_plane", "landscape_between"]),
        ("gap", ["gap"]),
        ("branch", ["branches"]),
        ("layers", ["layers_vs_batch", "layers_start_end"]),
    ],
)
def test_one_diagnostic_alone_makes_its_figures(tmp_path, what, names):
    look = Look(formats=("svg",))
    written = write_all(
        DIAGNOSTIC_FIGURES, diagnosed().only([what]), ResultsFolder.at(tmp_path), look
    )
    assert written == [f"{name}.{form}" for name in names for form in ("svg", "csv")]


def test_noise_is_drawn_beside_a_known_critical_batch_size():
    figure = draw_named(DIAGNOSTIC_FIGURES, "noise", diagnosed(b_crit=(55.0, 40.0, 70.0)))
    assert [line for line in figure.axes[0].lines if set(line.get_ydata()) == {55.0}]
    low, high = figure.axes[0].get_ylim()
    assert low < 10
    assert high >= 70
    figure = draw_named(DIAGNOSTIC_FIGURES, "noise", diagnosed(b_crit=None))
    assert not any(set(line.get_ydata()) == {55.0} for line in figure.axes[0].lines)


@pytest.mark.parametrize(
    ("quantity", "figure", "needs"),
    [("noise_scale", "noise", "a noise scale"), ("train_loss", "landscape_plane", "a landscape")],
)
def test_zeros_make_no_figure(quantity, figure, needs):
    found = diagnosed()
    found.table.loc[found.table["quantity"] == quantity, "value"] = 0.0
    with pytest.raises(AnalysisError, match=f"the figure {figure} needs {needs}, got none"):
        draw_named(DIAGNOSTIC_FIGURES, figure, found)


def test_flatness_draws_the_first_eigenvalue_and_the_limit():
    figure = draw_named(DIAGNOSTIC_FIGURES, "flatness", diagnosed())
    hessian, product = figure.axes[:2]
    np.testing.assert_allclose(hessian.lines[0].get_ydata(), [4, 16, 64])
    np.testing.assert_allclose(product.lines[1].get_ydata(), 2)


@pytest.mark.parametrize("name", ["landscape_line", "landscape_plane", "landscape_between"])
def test_losses_that_are_negative_or_unknown_are_drawn(name):
    found = diagnosed()
    losses = found.table["quantity"].str.endswith("_loss")
    found.table.loc[losses, "value"] -= 0.5
    found.table.loc[losses & (found.table["x"] == -1), "value"] = np.nan
    figure = draw_named(DIAGNOSTIC_FIGURES, name, found)
    assert figure.axes[0].get_yscale() == "linear"
    figure.draw_without_rendering()
