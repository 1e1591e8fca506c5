import numpy as np
import pandas as pd
import pytest

from analysis.figures.drawing.kind import draw_named
from analysis.figures.one_study.layers import (
    LAYER_FIGURES,
    Layers,
    layers_start_end_data,
    layers_vs_batch_data,
    write_layer_figures,
)
from analysis.tables.folder import ResultsFolder


@pytest.fixture
def make_table():
    def make(sizes=(16, 64, 256), count=3):
        rows = [
            {
                "batch_size": size,
                "moment": moment,
                "step": step,
                "layer": f"{place // 2}.{'bias' if place % 2 else 'weight'}",
                "ratio": np.nan if step == 0 and place == 1 else 2.0**place / size / (1 + step),
                "full_ratio": 2.0**place / 256,
            }
            for size in sizes
            for moment, step in (("start", 0), ("between", 5), ("end", 40))
            for place in range(count)
        ]
        return Layers(table=pd.DataFrame(rows), subject="blobs, sgd")

    return make


def test_against_batch_size_stand_start_and_end_of_every_layer(make_table):
    layers = make_table()
    data = layers_vs_batch_data(layers)
    assert set(data["moment"]) == {"start", "end"}
    assert len(data) == 3 * 3 * 2
    figure = draw_named(LAYER_FIGURES, "layers_vs_batch", layers)
    start, end = figure.axes
    assert [line.get_linestyle() for line in end.lines] == ["-", ":", "--", ":", "-", ":"]
    assert np.isnan(start.lines[2].get_ydata()).all()  # a layer of zeros has no ratio yet
    np.testing.assert_allclose(end.lines[4].get_ydata(), 4 / np.array([16, 64, 256]) / 41)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["0.weight", "0.bias", "1.weight", "full gradient"]


def test_the_legend_of_many_layers_names_the_first_and_the_last(make_table):
    figure = draw_named(LAYER_FIGURES, "layers_vs_batch", make_table(count=30))
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["0.weight (first)", "14.bias (last)"]
    assert len(figure.axes[0].lines) == 30


def test_the_smallest_and_the_largest_batch_size_are_side_by_side(make_table):
    layers = make_table()
    data = layers_start_end_data(layers)
    assert set(data["batch_size"]) == {16, 256}
    figure = draw_named(LAYER_FIGURES, "layers_start_end", layers)
    left, right = figure.axes
    assert [text.get_text() for text in left.get_yticklabels()] == [
        "0.weight",
        "0.bias",
        "1.weight",
    ]
    start, _, end = right.lines[-3:]
    np.testing.assert_allclose(start.get_xdata(), [1 / 256, np.nan, 4 / 256])
    np.testing.assert_allclose([end.get_xdata()[1], end.get_ydata()[1]], [2 / 256 / 41, 1])


def test_one_batch_size_makes_no_figure_against_batch_size(make_table, tmp_path):
    folder = ResultsFolder.at(tmp_path)
    written = write_layer_figures(make_table(sizes=(16,)), folder)
    assert written == [f"layers_start_end.{form}" for form in ("png", "svg", "csv")]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(written)


@pytest.mark.parametrize("name", LAYER_FIGURES)
def test_can_be_read(make_table, name, assert_readable):
    assert_readable(draw_named(LAYER_FIGURES, name, make_table()))
