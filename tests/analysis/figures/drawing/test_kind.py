import pytest
from matplotlib.figure import Figure

from analysis import figures
from analysis.comparison.compare import compare
from analysis.errors import AnalysisError
from analysis.figures import comparison
from analysis.report.summary import analyze


@pytest.mark.parametrize("name", figures.FIGURES)
def test_draws_a_figure_by_name(analyzed, name):
    assert isinstance(figures.draw(analyzed, name), Figure)


def test_draws_a_comparison_by_name(study):
    both = compare({"one": study, "two": study})
    for name in ("comparison", "comparison_normalised"):
        assert isinstance(comparison.draw(both, name), Figure)
    with pytest.raises(AnalysisError, match="comparison_epochs needs two studies whose trials"):
        comparison.draw(both, "comparison_epochs")


def test_an_unknown_name_is_refused_with_the_known_ones(analyzed):
    with pytest.raises(AnalysisError, match="one of steps_vs_batch, .*, got 'loss'"):
        figures.draw(analyzed, "loss")


def test_a_figure_without_data_is_refused_with_what_it_needs(made):
    analysis = analyze(made({4: None, 8: None}))
    with pytest.raises(AnalysisError, match="residuals needs a fit, got none"):
        figures.draw(analysis, "residuals")
