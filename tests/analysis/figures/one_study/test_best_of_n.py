from dataclasses import replace

import pytest

from analysis.figures.one_study.best_of_n import best_of_n_data, draw_best_of_n
from analysis.report.summary import analyze


def test_one_curve_per_batch_size_that_reached(made):
    analysis = analyze(made({4: None, 8: 198, 16: 91}))
    data = best_of_n_data(analysis)
    assert data.groupby("batch_size")["n"].apply(list).to_dict() == {
        8: list(range(1, 17)),
        16: list(range(1, 17)),
    }
    last = data[data["n"] == 16]
    assert last["steps"].tolist() == pytest.approx([198, 91])
    assert last["ratio"].tolist() == [1, 1]


def test_the_last_doubling_is_the_gain_of_the_table(study):
    analysis = analyze(study)
    data = best_of_n_data(analysis)
    half = data[data["n"] == 8]["ratio"].astype(float)
    assert half.to_numpy() - 1 == pytest.approx(analysis.search["gain"].to_numpy(float))


def test_an_adaptive_search_has_no_curve(study):
    config = {**study.config, "adaptive": True}
    assert best_of_n_data(analyze(replace(study, config=config))).empty


def test_nothing_reached_nothing_to_draw(made):
    assert best_of_n_data(analyze(made({4: None, 8: None}))).empty


@pytest.mark.parametrize("sizes", [1, 3, 11])
def test_draws_one_panel_per_batch_size(made, sizes):
    steps = {2 ** (k + 1): 4000 >> k for k in range(sizes)}
    analysis = analyze(made(steps))
    figure = draw_best_of_n(best_of_n_data(analysis), analysis)
    figure.draw_without_rendering()
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in shown] == [f"B = {size}" for size in steps]
    gains = [
        "unknown" if found == "unknown" else f"+{gain:.0%}"
        for found, gain in analysis.search[["search", "gain"]].itertuples(index=False)
    ]
    assert [axes.texts[0].get_text() for axes in shown] == gains
    (legend,) = figure.legends
    assert legend.get_window_extent().width <= figure.bbox.width
    for axes in shown:
        assert not legend.get_window_extent().overlaps(axes.get_tightbbox())
    labels = {text.get_text() for text in legend.get_texts()}
    assert set(analysis.search["search"]) <= labels
    assert ("other batch sizes" in labels) == (sizes > 1)


def test_a_curve_needs_two_trials(made):
    study = made({8: 198, 16: 91}, trials=16)
    one, two = (
        analyze(replace(study, trials=study.trials[study.trials["trial"].isin(range(k, 4))]))
        for k in (3, 2)
    )
    assert best_of_n_data(one).empty
    draw_best_of_n(best_of_n_data(two), two).draw_without_rendering()
