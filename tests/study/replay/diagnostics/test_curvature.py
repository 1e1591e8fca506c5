"""Eigenvalues and trace against the full Hessian."""

import numpy as np
import pytest
import torch
from torch.func import functional_call, jacrev

from study.errors import StudyError
from study.replay.diagnostics.curvature import curvature
from tests.blobs import BatchNormBlobs, Blobs
from tests.study.replay.diagnostics.conftest import Quadratic, by_name


def full_hessian(made):
    def loss(flat):
        batch = made.sample.train
        outputs = functional_call(made._model, made.layout.unflatten(flat), (batch.inputs,))
        return made.loaded.workload.loss(lambda _: outputs, batch)

    return jacrev(jacrev(loss))(made.weights.parameters).double().numpy()


@pytest.mark.parametrize("kind", [Blobs, BatchNormBlobs])
def test_eigenvalues_and_trace_are_those_of_the_full_hessian(network, kind):
    made = network(kind())
    matrix, found = full_hessian(made), by_name(curvature(made))
    expected = np.linalg.eigvalsh(matrix)[::-1][:5]
    values = [found["eigenvalue", str(k)]["value"] for k in range(1, 6)]
    np.testing.assert_allclose(values, expected, rtol=1e-3)
    top = found["eigenvalue", "1"]
    assert top["low"] <= expected[0] * (1 + 1e-5)
    assert top["high"] >= expected[0] * (1 - 1e-5)
    assert top["high"] - top["low"] < 1e-3 * expected[0]
    trace = found["trace", ""]
    # within four standard errors, where the interval has two
    assert abs(trace["value"] - np.trace(matrix)) <= trace["high"] - trace["low"] + 1e-3
    assert trace["high"] - trace["low"] < np.abs(np.linalg.eigvalsh(matrix)).sum()


def test_a_quadratic_has_its_own_curvature(network):
    found = by_name(curvature(network()))
    values = [found["eigenvalue", str(k)]["value"] for k in range(1, 6)]
    np.testing.assert_allclose(values, [12, 11, 10, 9, 8], rtol=1e-4)
    assert found["trace", ""]["value"] == pytest.approx(78, rel=1e-3)
    assert found["lr_times_eigenvalue", ""]["value"] == pytest.approx(1.2, rel=1e-4)


@pytest.mark.parametrize(
    ("optimizer", "limit"), [("sgd", 2.0), ("heavy-ball", 3.0), ("nesterov", 1.5), ("adam", None)]
)
def test_the_limit_is_where_the_recursion_on_a_quadratic_is_stable(network, optimizer, limit):
    found = by_name(curvature(network(optimizer=optimizer)))
    assert found.get(("stability_limit", ""), {"value": None})["value"] == limit
    if optimizer == "nesterov":  # gradient g = x w; v' = m v + g, w' = w - (g + m v')
        for x, stable in ((0.99 * limit, True), (1.01 * limit, False)):
            step = np.array([[1 - 1.5 * x, -0.25], [x, 0.5]])
            assert bool(np.abs(np.linalg.eigvals(step)).max() < 1) is stable


def test_a_sample_bounds_the_eigenvalue_over_all_examples(network):
    made = network(Blobs(), examples=48)
    whole = np.linalg.eigvalsh(full_hessian(network(Blobs())))[-1]
    top = by_name(curvature(made))["eigenvalue", "1"]
    assert top["examples"] == 48
    assert top["low"] <= whole <= top["high"]
    assert top["high"] - top["low"] > 0.01 * whole


def test_a_loss_without_second_derivatives_is_refused(network):
    class Once(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            return x.clone()

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(context, gradient):
            return gradient

    class Rough(Quadratic):
        def loss(self, model, batch):
            return super().loss(lambda x: Once.apply(model(x)), batch)

        error = loss

    with pytest.raises(StudyError, match="differentiates twice.*leave curvature out of --what"):
        list(curvature(network(Rough())))
