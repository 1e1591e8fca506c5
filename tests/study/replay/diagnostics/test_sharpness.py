"""Sharpness against the maximum over a box that is known, and under scaling."""

import pytest
import torch

from study.replay.diagnostics.sharpness import sharpness
from tests.blobs import Blobs
from tests.study.replay.diagnostics.conftest import CURVES, Quadratic, by_name


def test_the_rise_on_a_quadratic_is_that_of_the_best_corner(network):
    data = Quadratic().data().train.inputs
    least = data.mean(dim=0)
    found = by_name(sharpness(network(weights=least)))
    loss = Quadratic().loss(lambda x: least - x, Quadratic().data().train).item()
    box = 1e-3 * (least.abs() + 1)
    rise = (CURVES * box**2).sum().item() / 2
    value = found["keskar", "epsilon 0.001"]["value"]
    # single precision of a loss of some 40
    assert value == pytest.approx(100 * rise / (1 + loss), rel=0.1)
    rise = (CURVES * (1e-2 * least) ** 2).sum().item() / 2
    assert found["adaptive", "rho 0.01"]["value"] == pytest.approx(rise, rel=0.01)


def test_adaptive_sharpness_survives_scaling_and_keskars_does_not(network):
    class Linear(Blobs):
        def model(self):
            return torch.nn.Sequential(
                torch.nn.Linear(2, 8, bias=False),
                torch.nn.ReLU(),
                torch.nn.Linear(8, 3, bias=False),
            )

    plain = network(Linear())
    flat = plain.weights.parameters
    scaled = torch.cat([flat[:16] * 4, flat[16:] / 4])  # the same function
    one, other = (by_name(sharpness(network(Linear(), weights=w))) for w in (flat, scaled))
    adaptive = [rows["adaptive", "rho 0.01"]["value"] for rows in (one, other)]
    keskar = [rows["keskar", "epsilon 0.001"]["value"] for rows in (one, other)]
    assert adaptive[1] == pytest.approx(adaptive[0], rel=0.02)
    assert keskar[1] > 1.3 * keskar[0]
