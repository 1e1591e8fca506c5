import pytest

from analysis.figures import draw
from analysis.figures.one_study.metaparameters import metaparameters_data
from analysis.report.summary import analyze


def test_the_winners_with_both_rules_from_the_first_point(analyzed):
    data, table = metaparameters_data(analyzed), analyzed.table
    assert data["lr"].tolist() == table["lr"].tolist()
    assert data["1 - momentum"].to_numpy() == pytest.approx(1 - table["momentum"].to_numpy(float))
    assert data["effective_lr"].tolist() == table["effective_lr"].tolist()
    for name in ("lr", "effective_lr"):
        first = data[name].iloc[0]
        assert data[f"{name}, linear rule"].iloc[-1] == pytest.approx(first * 512)
        assert data[f"{name}, square root rule"].iloc[-1] == pytest.approx(first * 512**0.5)
    assert not any(name.startswith("1 - momentum,") for name in data.columns)


def test_only_batch_sizes_that_reached(made):
    data = metaparameters_data(analyze(made({2: None, 4: 335, 8: 198})))
    assert data["batch_size"].tolist() == [4, 8]


def test_a_fixed_momentum_has_no_panel(made):
    data = metaparameters_data(analyze(made({4: 335, 8: 198}, searched=("lr",))))
    assert {"1 - momentum", "effective_lr"}.isdisjoint(data.columns)


@pytest.mark.parametrize(
    ("steps", "searched"), [({4: None}, ("lr",)), ({4: 335}, ())], ids=["no hit", "no search"]
)
def test_nothing_to_draw(made, steps, searched):
    assert metaparameters_data(analyze(made(steps, searched=searched))).empty


@pytest.mark.parametrize(
    ("searched", "panels"), [(("lr", "momentum"), 3), (("lr",), 1), (("momentum",), 1)]
)
def test_draws_one_panel_per_hyperparameter(made, searched, panels, assert_readable):
    analysis = analyze(made({4: 335, 8: 198, 16: 91}, searched=searched))
    figure = draw(analysis, "metaparameters")
    assert len(figure.axes) == panels
    assert_readable(figure)


def test_a_single_batch_size_has_no_lines_that_nobody_sees(made):
    analysis = analyze(made({64: 100}))
    for name in ("metaparameters", "steps_vs_batch"):
        (legend,) = draw(analysis, name).legends
        assert [
            text.get_text() for text in legend.get_texts() if "scaling" in text.get_text()
        ] == []
