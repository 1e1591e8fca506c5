import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads.errors import WorkloadError
from workloads.models.mlp import TOLERANCE, hidden_layers, mlp, parameter_count, width_for


@pytest.mark.parametrize(
    ("hidden", "parameters"), [((), 4 * 3 + 3), ((5,), 4 * 5 + 5 + 5 * 3 + 3), ((5, 6), 82)]
)
def test_a_network_has_the_requested_layers(hidden, parameters):
    model = mlp(4, hidden, 3)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert model(torch.zeros(7, 2, 2)).shape == (7, 3)


@pytest.mark.parametrize("hidden", [(), (5,)])
def test_a_dropout_of_everything_is_refused(hidden):
    with pytest.raises(WorkloadError, match=r"`dropout` must lie in \[0, 1\), got 1"):
        mlp(4, hidden, 3, dropout=1.0)


def test_a_layer_without_width_is_refused():
    with pytest.raises(WorkloadError, match=r"`hidden` must give widths .* got \[5, 0\]"):
        mlp(4, (5, 0), 3)


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(1, 5), st.integers(1, 9), st.integers(1, 4))
def test_the_parameter_count_is_that_of_the_network(inputs, classes, width, depth):
    built = mlp(inputs, (width,) * depth, classes)
    count = sum(p.numel() for p in built.parameters())
    assert parameter_count((inputs, classes), width, depth) == count


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 12), st.integers(1, 6), st.integers(1, 4000))
def test_the_width_equals_that_of_an_exhaustive_search(inputs, classes, depth, parameters):
    ends = (inputs, classes)
    misses = [abs(parameter_count(ends, width, depth) - parameters) for width in range(1, 4001)]
    if min(misses) <= TOLERANCE * parameters:
        assert width_for(ends, parameters, depth) == 1 + misses.index(min(misses))
    else:
        with pytest.raises(WorkloadError, match="must be within 2% of what some width gives"):
            width_for(ends, parameters, depth)


def test_networks_of_all_depths_have_the_same_size():
    widths = [hidden_layers((64, 10), None, 10_000, depth, default=()) for depth in (None, 2, 4)]
    assert widths == [(133,), (69, 69), (46,) * 4]


@pytest.mark.parametrize(
    ("hidden", "parameters", "depth", "message"),
    [
        ((5,), 5000, None, r"`parameters` and `hidden` exclude each other, got 5000 and \[5\]"),
        (None, None, 2, "`depth` needs `parameters`, got 2 alone"),
        ((5,), None, 2, "`depth` needs `parameters`, got 2 alone"),
        (None, 0, None, "`parameters` must be an integer of at least 1, got 0"),
        (None, 5000, 0, "`depth` must be an integer of at least 1, got 0"),
        (None, 5000.5, 1, r"`parameters` must be an integer of at least 1, got 5000\.5"),
        (None, 5000, True, "`depth` must be an integer of at least 1, got True"),
        (
            None,
            5000,
            6,
            r"at depth 6, got 5,000, to which 4,810 \(width 24\) or 5,135 \(width 25\)",
        ),
        (None, 20, 1, r"at depth 1, got 20, to which 85 \(width 1\) come"),
    ],
)
def test_contradictory_options_are_refused(hidden, parameters, depth, message):
    with pytest.raises(WorkloadError, match=message):
        hidden_layers((64, 10), hidden, parameters, depth, default=(32,))
