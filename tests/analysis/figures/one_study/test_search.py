from dataclasses import replace

import pytest

from analysis.figures.one_study.search import draw_search, search_data
from analysis.report.summary import analyze


def test_one_row_per_trial_with_its_status_at_the_target(study):
    data = search_data(analyze(study))
    assert len(data) == len(study.trials)
    assert data["status"].tolist() == study.trials["status"].tolist()
    assert data["lr"].tolist() == study.trials["lr"].tolist()
    assert data["1 - momentum"].to_numpy() == pytest.approx(1 - study.trials["momentum"])
    loose = search_data(analyze(study, 0.2))
    assert (loose["status"] == "reached").sum() > (data["status"] == "reached").sum()


def test_one_best_per_batch_size_that_reached(made):
    data = search_data(analyze(made({4: None, 8: 198, 16: 91})))
    assert data[data["best"]][["batch_size", "trial"]].to_numpy().tolist() == [[8, 3], [16, 3]]


def test_with_only_lr_searched_the_second_axis_is_the_error(made):
    study = made({8: 198, 16: 91}, searched=("lr",))
    data = search_data(analyze(study))
    assert data.columns[-2:].tolist() == ["lr", "best_error"]
    assert data["best_error"].tolist() == study.trials["best_error"].tolist()


def test_nothing_searched_nothing_to_draw(made):
    assert search_data(analyze(made({8: 198}, searched=()))).empty


@pytest.mark.parametrize("searched", [("lr", "momentum"), ("lr",), ("momentum",)])
@pytest.mark.parametrize("sizes", [1, 2, 7])
def test_draws_one_panel_per_batch_size(made, searched, sizes):
    steps = {2 ** (k + 1): 400 >> k for k in range(sizes)}
    analysis = analyze(made(steps, searched=searched))
    figure = draw_search(search_data(analysis), analysis)
    figure.draw_without_rendering()
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in shown] == [f"B = {size}" for size in steps]
    (legend,) = figure.legends
    for axes in shown:
        assert not legend.get_window_extent().overlaps(axes.get_tightbbox())


def test_the_searched_box_sets_the_limits(study):
    analysis = analyze(study)
    axes = draw_search(search_data(analysis), analysis).axes[0]
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert 0.5e-4 < left < 1e-4 < 10 < right < 20
    assert 0.5e-3 < bottom < 1e-3 < 1 < top < 2


def test_a_status_that_occurs_is_in_the_legend(made):
    study = made({8: None, 16: 91})
    trials = study.trials.copy()
    trials.loc[0, "status"] = "failed"
    analysis = analyze(replace(study, trials=trials))
    (legend,) = draw_search(search_data(analysis), analysis).legends
    names = {text.get_text() for text in legend.get_texts()}
    assert names == set(trials["status"]) | {"best"}
    assert {"failed", "exhausted", "reached"} <= names
