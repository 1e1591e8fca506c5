import numpy as np
import pytest

from analysis.figures import draw
from analysis.figures.one_study.residuals import residuals_data
from analysis.report.summary import analyze

SHAPES = {
    "reached": {2: 600, 4: 335, 8: 198, 16: 91, 32: 49, 64: 35, 128: 32, 256: 30},
    "missed": {1: None, 2: 12000, 4: 6700, 8: 3900, 16: 1820, 32: 980, 64: 700, 128: 640},
    "few": {4: 600, 8: 320, 16: 160},
    "exact": {64: 50, 128: 50, 256: 50, 512: 50},
}


def test_holds_the_residuals_of_every_fit(made):
    analysis = analyze(made(SHAPES["missed"]))
    data = residuals_data(analysis)
    assert data["model"].unique().tolist() == ["hyperbola", "power", "smooth"]
    for name, rows in data.groupby("model"):
        fit = analysis.fits[name]
        steps = fit.predict(rows["batch_size"]) * np.exp(rows["residual"])
        measured = np.array([20_000, 12000, 6700, 3900, 1820, 980, 700, 640])
        assert steps.iloc[0] == pytest.approx(20_000)
        # less the gaps that the searches leave
        assert (steps.to_numpy() <= measured * (1 + 1e-9)).all()
        assert rows["missed"].tolist() == [True] + [False] * 7
        assert rows["aicc"].tolist() == pytest.approx([fit.aicc] * 8)


def test_without_fits_there_is_nothing_to_draw(made):
    assert residuals_data(analyze(made({4: None, 8: 300}))).empty


@pytest.mark.parametrize("shape", SHAPES)
def test_draws_one_panel_for_each_model(made, shape, assert_readable):
    analysis = analyze(made(SHAPES[shape]))
    data = residuals_data(analysis)
    figure = draw(analysis, "residuals")
    assert len(figure.axes) == len(analysis.fits.by_name)
    names = [axes.get_title(loc="left").split(":")[0] for axes in figure.axes]
    assert names == list(analysis.fits.by_name)
    limit = figure.axes[0].get_ylim()[1]
    for axes in figure.axes:
        shown = [line.get_ydata() for line in axes.lines if line.get_marker() not in ("", "None")]
        assert all(np.abs(points).max(initial=0) < limit for points in shown)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert any(label.startswith("lower bound") for label in labels) == bool(data["missed"].any())
    assert_readable(figure)


def test_a_bound_that_no_curve_explains_is_shown_as_left_out(made):
    analysis = analyze(made({4: 300, 8: 150, 16: 80, 32: 60, 64: None}))
    assert analysis.left_out == (64,)
    data = residuals_data(analysis)
    assert data[data["left_out"]]["batch_size"].tolist() == [64.0]
    fit = analysis.fit
    assert data["residual"].iloc[-1] == pytest.approx(np.log(20_000 / float(fit.predict(64))))
