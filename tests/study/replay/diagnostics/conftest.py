"""A quadratic whose Hessian and gradient noise are known, as a network at one moment."""

import numpy as np
import pytest
import torch
from torch import nn

from study.engine.networks.training import load
from study.records import Curve, Outcome, Point, Seconds, Status, TrialResult
from study.replay.diagnostics.network import Network, sample_of
from study.replay.trial import Weights
from workloads import Data, Examples, Target

SHAPE = (3, 4)
CURVES = torch.arange(1.0, 13.0).reshape(SHAPE)
CENTER = torch.linspace(0.5, 1.5, 12).reshape(SHAPE)
"""Eigenvalues of the Hessian, and the weights of lowest loss over all examples."""


class Quadratic:
    """Mean over examples x of sum h (w - x)^2 / 2: gradient h (w - mean), noise h^2 var(x)."""

    target = Target(0.5, "loss")

    def __init__(self, count=640):
        self._count = count

    def data(self):
        source = torch.Generator().manual_seed(3)
        inputs = CENTER + torch.randn(self._count, *SHAPE, generator=source)
        examples = Examples(inputs, torch.zeros(self._count))
        return Data(train=examples, validation=examples.rows(slice(0, 50)))

    def model(self):
        model = nn.Module()
        model.weight = nn.Parameter(torch.zeros(SHAPE))
        model.forward = lambda x: model.weight - x
        return model

    def loss(self, model, batch):
        return (CURVES * model(batch.inputs) ** 2).flatten(1).sum(1).mean() / 2

    error = loss


def a_trial(size=8, seed=5, **values):
    curve = Curve.empty()
    outcome = Outcome(status=Status.REACHED, steps=1, steps_before=0, stopped_at=1, best_error=0.1)
    point = Point(trial=0, seed=seed, values={"lr": 0.1, "momentum": 0.5} | values)
    return TrialResult(
        batch_size=size, cohort=0, point=point, curve=curve, outcome=outcome, seconds=Seconds()
    )


@pytest.fixture
def network(make_study):
    """Return a function that gives a network of a workload, by default the quadratic."""

    def make(workload=None, weights=None, examples=8_192, size=8, **changes):
        loaded = load(workload or Quadratic(), torch.device("cpu"))
        study = make_study(batch_sizes=[size], **changes)
        made = Network(study, loaded, a_trial(size), sample_of(study, loaded, examples))
        flat = made.layout.flatten(made._model) if weights is None else weights.flatten()
        buffers = {n: b.clone() for n, b in made._model.named_buffers()}
        made.set(Weights(parameters=flat, buffers=buffers, lr=0.1), step=7)
        return made

    return make


def by_name(rows):
    """Return rows by quantity and variant; the last of several places."""
    return {(row["quantity"], row.get("variant", "")): row for row in rows}


@pytest.fixture
def quadratic():
    """Return the numbers of the quadratic: inputs, Hessian as a vector, and center."""
    inputs = Quadratic().data().train.inputs.flatten(1).double().numpy()
    return inputs, CURVES.flatten().double().numpy(), np.asarray(CENTER.flatten())
