"""Directions as long as the filters, and lines with batch statistics."""

import numpy as np
import pytest
import torch

from study.replay.diagnostics.landscape import _direction, along, between, plane
from study.replay.trial import Weights
from tests.blobs import BatchNormBlobs, Blobs
from tests.study.replay.diagnostics.conftest import CURVES


def test_each_filter_of_a_direction_has_the_norm_of_the_weights(network):
    made = network(Blobs())
    weights = made.layout.unflatten(made.weights.parameters)
    for name, piece in made.layout.unflatten(_direction(made, 0)).items():
        if name.endswith("bias"):
            assert not piece.any()
        else:
            np.testing.assert_allclose(piece.norm(dim=1), weights[name].norm(dim=1), rtol=1e-5)


def test_the_loss_along_a_direction_of_a_quadratic_is_a_parabola(network):
    made = network(weights=torch.ones(3, 4))
    rows = list(along(made))
    loss = {round(row["x"], 6): row["value"] for row in rows}
    second = []
    for number in range(5):
        direction = _direction(made, number).reshape(3, 4)
        second.append((CURVES * direction**2).sum().item())
    bend = loss[1.0] + loss[-1.0] - 2 * loss[0.0]
    assert bend == pytest.approx(np.mean(second), rel=1e-3)
    assert all(row["low"] <= row["value"] <= row["high"] for row in rows)
    grid = list(plane(made))
    assert len(grid) == 25**2
    center = next(row for row in grid if row["x"] == row["y"] == 0)
    assert center["value"] == loss[0.0]


def test_a_line_ends_at_the_two_solutions_with_their_statistics(network):
    one, other = network(BatchNormBlobs(), size=8), network(BatchNormBlobs(), size=16)
    shifted = {
        name: buffer + 1 if buffer.is_floating_point() else buffer
        for name, buffer in other.weights.buffers.items()
    }
    weights = Weights(parameters=other.weights.parameters * 1.5, buffers=shifted, lr=0.1)
    other.set(weights, 9)
    ends = [made.measured(made.weights.parameters, made.sample.validation) for made in (one, other)]
    rows = [row for row in between(one, other) if row["quantity"] == "val_loss"]
    at = {round(row["x"], 6): row["value"] for row in rows}
    np.testing.assert_allclose([at[0.0], at[1.0]], [ends[0][0], ends[1][0]], rtol=1e-5)
    assert ends[0][0] != ends[1][0]
    assert {row["variant"] for row in rows} == {"to B = 16"}
