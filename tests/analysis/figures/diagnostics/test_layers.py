import numpy as np

from analysis.figures.diagnostics import DIAGNOSTIC_FIGURES
from analysis.figures.diagnostics.layers import layers_start_end_data, layers_vs_batch_data
from analysis.figures.drawing.kind import draw_named
from tests.analysis.made_diagnostics import diagnosed


def test_every_layer_has_start_and_end_against_batch_size():
    found = diagnosed()
    data = layers_vs_batch_data(found)
    assert set(data["moment"]) == {"start", "end"}
    assert len(data) == 3 * 3 * 2
    figure = draw_named(DIAGNOSTIC_FIGURES, "layers_vs_batch", found)
    start, end = figure.axes
    assert [line.get_linestyle() for line in end.lines] == ["-", ":", "--", ":", "-", ":"]
    assert np.isnan(start.lines[2].get_ydata()).all()  # a layer of zeros has no ratio yet
    np.testing.assert_allclose(end.lines[4].get_ydata(), 4 / np.array([16, 64, 256]) / 41)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["0.weight", "0.bias", "1.weight", "full gradient"]


def test_the_legend_of_many_layers_names_the_first_and_the_last():
    figure = draw_named(DIAGNOSTIC_FIGURES, "layers_vs_batch", diagnosed(count=30))
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["0.weight (first)", "14.bias (last)"]
    assert len(figure.axes[0].lines) == 30


def test_the_smallest_and_the_largest_batch_size_are_side_by_side():
    found = diagnosed()
    data = layers_start_end_data(found)
    assert set(data["batch_size"]) == {16, 256}
    figure = draw_named(DIAGNOSTIC_FIGURES, "layers_start_end", found)
    left, right = figure.axes
    assert [text.get_text() for text in left.get_yticklabels()] == [
        "0.weight",
        "0.bias",
        "1.weight",
    ]
    start, _, end = right.lines[-3:]
    np.testing.assert_allclose(start.get_xdata(), [1 / 256, np.nan, 4 / 256])
    np.testing.assert_allclose([end.get_xdata()[1], end.get_ydata()[1]], [2 / 256 / 41, 1])
