from dataclasses import replace

import pytest

from analysis.figures import draw
from analysis.figures.one_study.best_of_n import best_of_n_data
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


def test_the_last_doubling_is_the_gain_of_the_table(analyzed):
    data = best_of_n_data(analyzed)
    half = data[data["n"] == 8]["ratio"].astype(float)
    assert half.to_numpy() - 1 == pytest.approx(analyzed.search["gain"].to_numpy(float))


def test_an_adaptive_search_has_no_curve(study):
    config = {**study.config, "adaptive": True}
    assert best_of_n_data(analyze(replace(study, config=config))).empty


def test_nothing_reached_nothing_to_draw(made):
    assert best_of_n_data(analyze(made({4: None, 8: None}))).empty


@pytest.mark.parametrize("sizes", [1, 3, 11])
def test_draws_one_panel_per_batch_size(made, sizes, assert_readable):
    steps = {2 ** (k + 1): 4000 >> k for k in range(sizes)}
    analysis = analyze(made(steps))
    figure = draw(analysis, "best_of_n")
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in shown] == [
        f"B = {size}" + ("" if found == "unknown" else f": +{gain:.0%}")
        for size, (found, gain) in zip(
            steps,
            analysis.search[["search", "gain"]].itertuples(index=False, name=None),
            strict=True,
        )
    ]
    (legend,) = figure.legends
    labels = {text.get_text() for text in legend.get_texts()}
    assert set(analysis.search["search"]) <= labels
    assert ("other batch sizes" in labels) == (sizes > 1)
    assert_readable(figure)


def test_a_curve_needs_two_trials(made):
    study = made({8: 198, 16: 91}, trials=16)
    one, two = (
        analyze(replace(study, trials=study.trials[study.trials["trial"].isin(range(k, 4))]))
        for k in (3, 2)
    )
    assert best_of_n_data(one).empty
    draw(two, "best_of_n").draw_without_rendering()
