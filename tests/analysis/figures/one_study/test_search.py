from dataclasses import replace

import pytest

from analysis.figures import draw
from analysis.figures.one_study.search import search_data
from analysis.report.summary import analyze


def test_one_row_per_trial_with_its_status_at_the_target(study, analyzed):
    data = search_data(analyzed)
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
def test_draws_one_panel_per_batch_size(made, searched, sizes, assert_readable):
    steps = {2 ** (k + 1): 400 >> k for k in range(sizes)}
    analysis = analyze(made(steps, searched=searched))
    figure = draw(analysis, "search")
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in shown] == [f"B = {size}" for size in steps]
    assert_readable(figure)


def test_the_searched_box_sets_the_limits(analyzed):
    axes = draw(analyzed, "search").axes[0]
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert 0.5e-4 < left < 1e-4 < 10 < right < 20
    assert 0.5e-3 < bottom < 1e-3 < 1 < top < 2


def test_a_status_that_occurs_is_in_the_legend(made):
    study = made({8: None, 16: 91})
    trials = study.trials.copy()
    trials.loc[0, "status"] = "failed"
    analysis = analyze(replace(study, trials=trials))
    (legend,) = draw(analysis, "search").legends
    names = {text.get_text() for text in legend.get_texts()}
    data = search_data(analysis)
    drawn = set(data.loc[~data["best"], "status"])
    assert names == drawn | {"best", "equal lr / (1 \N{MINUS SIGN} momentum)"}
    assert {"failed", "exhausted"} <= names


def test_a_status_of_the_best_trials_alone_is_not_in_the_legend(made):
    study = made({8: 198, 16: 91})
    kept = (study.trials["status"] != "reached") | (study.trials["trial"] == 3)
    (legend,) = draw(analyze(replace(study, trials=study.trials[kept])), "search").legends
    names = {text.get_text() for text in legend.get_texts()}
    assert "best" in names
    assert "reached" not in names
