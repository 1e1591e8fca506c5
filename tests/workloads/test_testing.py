"""The contract kit on workloads that break each clause."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import workloads
from workloads import contract
from workloads.builtin.classification import DigitsMLP
from workloads.builtin.quadratic import NoisyQuadratic, QuadraticLanes
from workloads.errors import WorkloadError
from workloads.registry import resolve
from workloads.testing import WorkloadContract, check
from workloads.workload import Data, Examples, Target

ROOT = str(Path(workloads.__file__).parents[1])


class TestInheritedKit(WorkloadContract):
    """The kit as a plug-in's author uses it."""

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


class NoData(DigitsMLP):
    def data(self):
        return 3


class NoModule(DigitsMLP):
    def model(self):
        return torch.zeros(3)


class VectorLoss(DigitsMLP):
    def loss(self, model, batch):
        return nn.functional.cross_entropy(model(batch.inputs), batch.targets, reduction="none")


class Percentage(DigitsMLP):
    target = Target(5.0)


BROKEN = [
    (Percentage, "target is in range", "got 5.0"),
    (NoisyData, "data are identical on two calls", "must agree"),
    (ShortTargets, "inputs and targets agree in length", "got 1346 for 1347"),
    (NoData, "data are identical on two calls", "data() must return a Data, got int"),
    (NoModule, "models follow the seed", "must return a torch.nn.Module, got Tensor"),
    (VectorLoss, "loss is a finite mean", "in a tensor before training, got shape"),
    (SummedLoss, "loss is a finite mean", "must be a mean over the examples"),
    (NanLoss, "loss is a finite mean", "in a tensor before training, got nan"),
    (Percent, "error is a finite mean", "must lie in"),
    (Zeros, "models follow the seed", "initialize at random"),
    (Easy, "target is below the start", "must be below the start"),
    (Frozen, "error falls when trained", "must lower the error"),
]


@pytest.mark.parametrize(("kind", "clause", "words"), BROKEN, ids=[b[0].__name__ for b in BROKEN])
def test_a_broken_clause_is_reported(monkeypatch, kind, clause, words):
    monkeypatch.setattr(contract, "_TRAINING_STEPS", 20)
    broken = {c.name: c.detail for c in check(kind()) if not c.passed}
    assert words in broken[clause]


class BatchNormDigits(DigitsMLP):
    def model(self):
        return nn.Sequential(nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 10))


class DropoutDigits(DigitsMLP):
    def model(self):
        return nn.Sequential(nn.Linear(64, 16), nn.Dropout(0.1), nn.ReLU(), nn.Linear(16, 10))


@pytest.mark.parametrize(
    ("kind", "reason"),
    [(BatchNormDigits, "buffer 1.num_batches_tracked changes"), (DropoutDigits, "from torch")],
)
def test_effects_of_training_are_reported_and_not_a_fault(kind, reason):
    found = {clause.name: clause for clause in check(kind())}
    assert [clause for clause in found.values() if not clause.passed] == []
    assert reason in found["computes from its arguments alone"].detail


class Rates(DigitsMLP):
    """A workload whose error is finite only after training at the largest rate."""

    def error(self, model, data):
        error = super().error(model, data)
        return torch.where((error > 0.06) & (error < 0.5), math.nan, error)


def test_one_good_learning_rate_is_enough():
    found = {clause.name: clause for clause in check(Rates())}
    assert found["error falls when trained"].passed


class Forgetful(NoisyQuadratic):
    """Dynamics whose `keep` drops the wrong lanes."""

    def lanes(self, setup):
        class Lanes(QuadraticLanes):
            def keep(self, lanes):
                super().keep(np.roll(lanes, 1))

        return Lanes(self.curvature, self.noise, setup)


class Restless(NoisyQuadratic):
    """Dynamics with less noise on every call."""

    def lanes(self, setup):
        self.noise = self.noise / 2
        return super().lanes(setup)


class Stuck(NoisyQuadratic):
    """Dynamics with curvatures for which every rate is too large."""

    def lanes(self, setup):
        return QuadraticLanes(1e6 * self.curvature, self.noise, setup)


class Adamant(NoisyQuadratic):
    """Dynamics that support no optimizer."""

    def lanes(self, setup):
        raise WorkloadError(f"only adam is known, got {setup.optimizer}; choose it")


@pytest.mark.parametrize(
    ("kind", "clause", "words"),
    [
        (Forgetful, "keep drops the lanes it is told to", "must leave the other lanes"),
        (Restless, "runs are deterministic", "must give the same errors"),
        (Stuck, "error falls when trained", "must lower the error, got nan"),
        (Adamant, "target is below the start", "must be known, got: only adam is known"),
    ],
)
def test_a_broken_clause_of_dynamics_is_reported(kind, clause, words):
    broken = {c.name: c.detail for c in check(kind()) if not c.passed}
    assert words in broken[clause]


class OnlyNesterov(NoisyQuadratic):
    def lanes(self, setup):
        if setup.optimizer != "nesterov":
            raise WorkloadError("only nesterov is known; choose it")
        return super().lanes(setup)


def test_dynamics_of_one_optimizer_are_sound():
    assert [clause for clause in check(OnlyNesterov()) if not clause.passed] == []


PLUGIN = """
import torch
from torch import nn
from workloads import Data
from workloads import Examples
from workloads import Target


class Line:
    target = Target(0.1)

    def data(self):
        x = torch.linspace(-1, 1, 200)[:, None]
        y = (x[:, 0] > 0.3).long()
        return Data(train=Examples(x[::2], y[::2]), validation=Examples(x[1::2], y[1::2]))

    def model(self):
        return nn.Linear(1, 2)

    def loss(self, model, batch):
        return nn.functional.cross_entropy(model(batch.inputs), batch.targets)

    def error(self, model, data):
        return (model(data.inputs).argmax(-1) != data.targets).float().mean()
"""


def test_a_plug_in_file_fulfills_the_contract(tmp_path):
    (tmp_path / "line.py").write_text(PLUGIN)
    found = list(check(resolve(f"{tmp_path / 'line.py'}:Line")))
    assert len(found) == 10
    assert [clause for clause in found if not clause.passed] == []


def test_importing_the_kit_needs_no_pytest():
    code = "import sys; import workloads.testing; assert 'pytest' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": ROOT})
