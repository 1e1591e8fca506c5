import pytest
import torch

from workloads.errors import WorkloadError
from workloads.models.mlp import mlp


@pytest.mark.parametrize(
    ("hidden", "parameters"), [((), 4 * 3 + 3), ((5,), 4 * 5 + 5 + 5 * 3 + 3), ((5, 6), 82)]
)
def test_a_network_has_the_layers_asked_for(hidden, parameters):
    model = mlp(4, hidden, 3)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert model(torch.zeros(7, 2, 2)).shape == (7, 3)


def test_a_layer_without_width_is_refused():
    with pytest.raises(WorkloadError, match=r"`hidden` must give widths .* got \[5, 0\]"):
        mlp(4, (5, 0), 3)
