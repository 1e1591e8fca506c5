"""Noise scales against known covariances, and their intervals by simulation."""

import numpy as np
import pytest
import torch

from study.replay.diagnostics.intervals import fieller
from study.replay.diagnostics.noise import _terms, noise, noise_scales
from tests.blobs import BatchNormBlobs
from tests.study.replay.diagnostics.conftest import by_name

SHAPES = ((6, 5), (10,))
SPREAD = torch.linspace(0.5, 2.0, 40)
MEAN = torch.linspace(-0.3, 0.3, 40)


def simulated(source, batches=64, size=4, spread=SPREAD, mean=MEAN):
    return mean + torch.randn(batches, 40, generator=source) * spread / size**0.5


def truth(spread=SPREAD, mean=MEAN):
    matrix = spread[:30].reshape(6, 5)  # independent: E[N N^T] is diagonal
    nuclear = torch.linalg.svdvals(mean[:30].reshape(6, 5)).sum()
    return {
        "euclidean": spread.square().sum() / mean.square().sum(),
        "sign": (spread.sum() / mean.abs().sum()) ** 2,
        "spectral": (matrix.square().sum(0).sqrt().sum() / nuclear) ** 2,
    }


def test_the_interval_covers_the_noise_scale():
    source, inside = torch.Generator().manual_seed(1), dict.fromkeys(truth(), 0)
    runs = 120
    for _ in range(runs):
        found = noise_scales(simulated(source, size=64), 64, 0.0, SHAPES)
        for name, true in truth().items():
            _, low, high = found[name]
            inside[name] += low <= true and (high is None or true <= high)
    # 95 % of 120, less three standard deviations; those with a bias are wider
    assert all(count >= 0.89 * runs for count in inside.values()), inside
    assert inside["euclidean"] < runs


def test_terms_are_averaged_before_they_are_divided():
    """The mean of ratios would be far off where single batches say little."""
    source = torch.Generator().manual_seed(2)
    tops, bottoms = [], []
    for _ in range(300):
        (top, bottom), *_ = _terms(simulated(source, batches=16, size=2), 2, 0.0, [])
        tops.append(top)
        bottoms.append(bottom)
    true = float(truth()["euclidean"])
    assert np.mean(tops) / np.mean(bottoms) == pytest.approx(true, rel=0.1)


def test_the_noise_of_a_quadratic_is_that_of_its_examples(network, quadratic):
    inputs, curves, _ = quadratic
    weights = torch.full((3, 4), 2.0)
    found = by_name(noise(network(weights=weights)))
    gradient = curves * (2.0 - inputs.mean(axis=0))
    noises = curves**2 * inputs.var(axis=0, ddof=1)
    true = noises.sum() / (gradient**2).sum()
    row = found["noise_scale", "euclidean"]
    assert row["low"] <= true <= row["high"]
    assert row["high"] < 1.5 * row["low"]
    assert (row["examples"], row["samples"]) == (640, 64)
    # the whole set: its gradient is exact
    signal = found["gradient_norm_squared", ""]["value"]
    assert signal == pytest.approx((gradient**2).sum(), rel=1e-4)
    assert found["diversity_bound", ""]["value"] == pytest.approx(1 + row["value"])
    sign = (np.sqrt(noises).sum() / np.abs(gradient).sum()) ** 2
    assert found["noise_scale", "sign"]["value"] == pytest.approx(sign, rel=0.1)


def test_a_signal_that_may_be_zero_has_no_upper_end():
    source = torch.Generator().manual_seed(4)
    found = noise_scales(simulated(source, mean=MEAN * 0.02), 4, 0.0, SHAPES)
    assert found["euclidean"][2] is None
    assert found["euclidean"][1] > 10


def test_fieller_is_the_interval_of_the_numerator_where_the_denominator_is_exact():
    found = fieller(np.array([6.0, 2.0]), np.array([[0.25, 0.0], [0.0, 0.0]]), 2.0)
    assert found == pytest.approx((3.0, 2.5, 3.5))


def test_batch_statistics_are_of_batches_of_the_trial(network):
    found = by_name(noise(network(BatchNormBlobs(), size=8)))
    assert found["noise_trace", ""]["samples"] == 90 // 8
    few = by_name(noise(network(BatchNormBlobs(), size=16)))
    assert few["noise_scale", "euclidean"]["value"] is None
    assert few["noise_scale", "euclidean"]["samples"] == 5
