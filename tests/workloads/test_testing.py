"""The contract kit on every built-in workload, and on workloads that break each clause."""

import pytest
import torch
from torch import nn

from workloads.builtin import BUILTIN
from workloads.classification import DigitsMLP
from workloads.data.fashion_mnist import DEBIAN_FOLDER
from workloads.registry import resolve
from workloads.testing import WorkloadContract, check
from workloads.workload import Data, Examples, Target


@pytest.mark.parametrize("name", BUILTIN)
def test_every_built_in_workload_keeps_its_contract(name):
    if name.startswith("fashion") and not DEBIAN_FOLDER.is_dir():
        pytest.skip("package dataset-fashion-mnist is missing")
    assert [clause for clause in check(resolve(name)) if not clause.passed] == []


class TestInheritedKit(WorkloadContract):
    """What a plug-in author writes."""

    def make(self):
        return DigitsMLP(hidden=(16,))


class NoisyData(DigitsMLP):
    def data(self):
        data = super().data()
        train = Examples(data.train.inputs + torch.rand(1), data.train.targets)
        return Data(train=train, validation=data.validation)


class ShortTargets(DigitsMLP):
    def data(self):
        data = super().data()
        train = Examples(data.train.inputs, data.train.targets[:-1])
        return Data(train=train, validation=data.validation)


class SummedLoss(DigitsMLP):
    def loss(self, model, batch):
        return super().loss(model, batch) * len(batch.inputs)


class NanLoss(DigitsMLP):
    def loss(self, model, batch):
        return super().loss(model, batch) * float("nan")


class Percent(DigitsMLP):
    def error(self, model, data):
        return 100 * super().error(model, data)


class Zeros(DigitsMLP):
    def model(self):
        model = super().model()
        for parameter in model.parameters():
            nn.init.zeros_(parameter)
        return model


class Easy(DigitsMLP):
    target = Target(0.999)


class Frozen(DigitsMLP):
    def error(self, model, data):
        return super().error(model, data) * 0 + 0.5


class Percentage(DigitsMLP):
    target = Target(5.0)


BROKEN = [
    (Percentage, "target is in range", "got 5.0"),
    (NoisyData, "data are identical on two calls", "must agree"),
    (ShortTargets, "inputs and targets agree in length", "got 1346 for 1347"),
    (SummedLoss, "loss is a finite mean", "must be a mean over the examples"),
    (NanLoss, "loss is a finite mean", "must be finite, got nan"),
    (Percent, "error is a finite mean", "must lie in"),
    (Zeros, "models follow the seed", "initialise at random"),
    (Easy, "target is below the start", "must be below the start"),
    (Frozen, "error falls when trained", "must lower the error"),
]


@pytest.mark.parametrize(("kind", "clause", "words"), BROKEN, ids=[b[0].__name__ for b in BROKEN])
def test_a_broken_clause_is_found_and_told(kind, clause, words):
    broken = {c.name: c.detail for c in check(kind()) if not c.passed}
    assert words in broken[clause]


class BatchNormDigits(DigitsMLP):
    def model(self):
        return nn.Sequential(nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 10))


def test_a_model_that_vmap_refuses_is_sound_and_said_to_be_looped():
    clauses = {c.name: c for c in check(BatchNormDigits())}
    assert all(clause.passed for clause in clauses.values())
    assert clauses["packed equals looped"].detail.startswith("looped")
