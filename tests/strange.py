"""Workloads that do more than compute, as a plug-in file: each a way to get a wrong number."""

import itertools
import random

import numpy as np
import torch
from torch import nn

from tests.blobs import Blobs
from workloads import Target

CALLS = [0]
RNG = np.random.default_rng(0)


class Net(nn.Module):
    """The blobs' network with a factor on its output."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 3))
        self.calls = 0

    def factor(self, x):
        return 1.0

    def forward(self, x):
        return self.net(x) * self.factor(x)


def blobs_of(net):
    """Return a workload that trains instances of a class."""
    return type(f"BlobsOf{net.__name__}", (Blobs,), {"model": lambda self: net()})


class Counting(Net):
    """A temperature that falls with each training call, counted in Python."""

    def factor(self, x):
        self.calls += self.training
        return 20 * 0.97**self.calls


class Late(Net):
    """A count that matters only long after any examination."""

    def factor(self, x):
        self.calls += self.training
        return 1.0 if self.calls < 1000 else 0.1


class CountingInAList(Net):
    def __init__(self):
        super().__init__()
        self.history = []

    def factor(self, x):
        if self.training:
            self.history.append(len(self.history))
        return 20 * 0.97 ** len(self.history)


class Cycling(Net):
    def __init__(self):
        super().__init__()
        self.factors = itertools.cycle([1.0, 2.0, 3.0])

    def factor(self, x):
        return next(self.factors) if self.training else 1.0


class OwnGenerator(Net):
    def __init__(self):
        super().__init__()
        self.rng = np.random.default_rng(0)

    def factor(self, x):
        return float(self.rng.uniform(0.5, 1.5)) if self.training else 1.0


class NumpyNoise(Net):
    def factor(self, x):
        return float(np.random.rand()) if self.training else 1.0  # noqa: NPY002


class PythonNoise(Net):
    def factor(self, x):
        return random.random() if self.training else 1.0


class LateBuffer(Net):
    def factor(self, x):
        if not hasattr(self, "scale"):
            self.register_buffer("scale", 1 + x.detach().abs().mean())
        return self.scale


class DrawnAtBirth(Net):
    """An attribute that differs from model to model, although no parameter."""

    def __init__(self):
        super().__init__()
        self.scale = 0.5 + float(torch.rand(()))

    def factor(self, x):
        return self.scale


class MaskAtBirth(Net):
    """A tensor that is neither parameter nor buffer and differs from model to model."""

    def __init__(self):
        super().__init__()
        self.mask = torch.rand(3) + 0.5

    def factor(self, x):
        return self.mask


class PlainMask(Net):
    """A tensor that is no buffer, and the same in all models: nothing to worry about."""

    def __init__(self):
        super().__init__()
        self.mask = torch.tensor([1.0, 2.0, 3.0])

    def factor(self, x):
        return self.mask


class Branching(Net):
    def factor(self, x):
        return 2.0 if self.training and float(x.detach().sum()) > 0 else 1.0


class CountingInTheClass(Net):
    count = 0

    def factor(self, x):
        type(self).count += 1
        return 20 * 0.97**self.count


class CountingGlobally(Net):
    def factor(self, x):
        CALLS[0] += 1
        return 20 * 0.97 ** CALLS[0]


class GlobalGenerator(Net):
    def factor(self, x):
        return float(RNG.uniform(0.5, 1.5)) if self.training else 1.0


class CountingWhenMeasured(Net):
    def factor(self, x):
        self.calls += 1
        return 0.97**self.calls


class ClassInModel(Blobs):
    """A module class made in `model()`, with a count in its closure."""

    def model(self):
        calls = 0

        class Inner(Net):
            def factor(self, x):
                nonlocal calls
                calls += self.training
                return 20 * 0.97**calls

        return Inner()


class CountingWorkload(Blobs):
    def __init__(self):
        self.calls = 0

    def loss(self, model, batch):
        self.calls += 1
        return super().loss(model, batch) * 0.97**self.calls


class WritesIntoInputs(Blobs):
    def model(self):
        class Centred(Net):
            def forward(self, x):
                return self.net(x.sub_(0.1))

        return Centred()


class WritesIntoTargets(Blobs):
    def error(self, model, data):
        data.targets.add_(1).remainder_(3)
        return super().error(model, data)


class Switching(Blobs):
    def loss(self, model, batch):
        return super().loss(model.eval(), batch)


class Detached(Blobs):
    def loss(self, model, batch):
        return nn.functional.cross_entropy(model(batch.inputs).detach(), batch.targets)


class Thresholded(Blobs):
    """A loss with a graph whose gradient is zero everywhere."""

    def loss(self, model, batch):
        return (model(batch.inputs).round().float().sign() * 0.0).mean() + 1.0


class Resetting(Blobs):
    """A loss that clears the gradients itself, as training loops do."""

    def loss(self, model, batch):
        model.zero_grad()
        return super().loss(model, batch)


class Penalized(Blobs):
    """A penalty on the weights, only while training."""

    def loss(self, model, batch):
        penalty = sum(p.pow(2).sum() for p in model.parameters()) if model.training else 0.0
        return super().loss(model, batch) + 1e-2 * penalty


class Keywords(Blobs):
    """A model that takes keywords and returns a mapping."""

    def model(self):
        class Named(Net):
            def forward(self, x, *, scale=1.0):
                return {"logits": self.net(x) * scale, "nothing": None}

        return Named()

    def loss(self, model, batch):
        logits = model(batch.inputs, scale=2.0)["logits"]
        return nn.functional.cross_entropy(logits, batch.targets)

    def error(self, model, data):
        return (model(data.inputs)["logits"].argmax(-1) != data.targets).float().mean()


class HalfParameters(Blobs):
    def model(self):
        return super().model().half()


class MixedParameters(Blobs):
    def model(self):
        model = super().model()
        model[2].double()
        return model


class Regression(Blobs):
    """One output per example, of shape (n, 1), against targets of shape (n,)."""

    target = Target(0.1, "loss")

    def data(self):
        data = super().data()
        return type(data)(
            train=data.train._replace(targets=data.train.targets.float()),
            validation=data.validation._replace(targets=data.validation.targets.float()),
        )

    def model(self):
        return nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))

    def loss(self, model, batch):
        return ((model(batch.inputs) - batch.targets) ** 2).mean()

    def error(self, model, data):
        return self.loss(model, data)


class RegressionByFunction(Regression):
    def loss(self, model, batch):
        return nn.functional.mse_loss(model(batch.inputs), batch.targets)


class BroadcastError(Regression):
    """Right in the loss, broadcast in the error alone."""

    def loss(self, model, batch):
        return ((model(batch.inputs).squeeze(-1) - batch.targets) ** 2).mean()

    def error(self, model, data):
        return (model(data.inputs) - data.targets).abs().mean()


class RootMeanSquare(BroadcastError):
    """An error that is no mean over examples."""

    def error(self, model, data):
        return self.loss(model, data).sqrt()


class WholeRootMeanSquare(RootMeanSquare):
    whole = True


class Pairwise(BroadcastError):
    """A table that was asked for: both operands have the same rank."""

    whole = True

    def loss(self, model, batch):
        outputs, targets = model(batch.inputs), batch.targets[:, None]
        gaps = (outputs - outputs.T) - (targets - targets.T)
        return gaps.square().mean() + (outputs - targets).square().mean()

    def error(self, model, data):
        return self.loss(model, data)


class WritesIntoOutputs(Blobs):
    """A loss that writes into what the model returned, which the error must not see."""

    def loss(self, model, batch):
        logits = model(batch.inputs)
        value = nn.functional.cross_entropy(logits, batch.targets)
        logits.detach().neg_()
        return value


class NoDropout(Blobs):
    """Dropout of probability 0, which vmap takes for a random function."""

    def model(self):
        return nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.0), nn.Linear(8, 3))


class Augmented(Blobs):
    """Noise on some of the points, a permutation, and three ways to fill a tensor."""

    def augment(self, batch):
        x = batch.inputs
        chosen = torch.rand(len(x), 1, dtype=x.dtype) < 0.5
        scale = x.new_empty(len(x), 1).uniform_(0.9, 1.1) + 0.01 * torch.rand_like(x)
        moved = x + 0.1 * torch.randn_like(x) * chosen + 0.01 * x.clone().normal_()
        order = torch.randperm(len(x))
        flips = 1 - 2 * torch.randint(0, 2, (len(x), 1))
        return type(batch)((moved * scale * (1 + 0.01 * flips))[order], batch.targets[order])


class Accuracy(Blobs):
    def error(self, model, data):
        return 1 - super().error(model, data)


class LogLikelihood(Blobs):
    target = Target(0.3, "loss")

    def error(self, model, data):
        return 5 - self.loss(model, data)


class NothingAugmented(Blobs):
    def augment(self, batch):
        batch.inputs.add_(0.1)


class HalfAugmented(Blobs):
    def augment(self, batch):
        half = len(batch.inputs) // 2
        return type(batch)(batch.inputs[:half], batch.targets[:half])


class AttentionDropout(Blobs):
    """Dropout inside of a function of torch's, where it cannot be drawn beforehand."""

    def model(self):
        class Attending(nn.Module):
            def __init__(self):
                super().__init__()
                self.inner, self.outer = nn.Linear(2, 8), nn.Linear(8, 3)
                self.attention = nn.MultiheadAttention(8, 2, dropout=0.2, batch_first=True)

            def forward(self, x):
                h = self.inner(x)[:, None]
                return self.outer(self.attention(h, h, h)[0][:, 0])

        return Attending()


class MaskInPlace(Blobs):
    """A tensor that is filled at random and used by its old name."""

    def augment(self, batch):
        mask = torch.empty(len(batch.inputs), 1)
        mask.bernoulli_(0.7)
        return batch._replace(inputs=batch.inputs * mask)


class TwoSources(Blobs):
    def augment(self, batch):
        noise = torch.randn_like(batch.inputs) * float(np.random.rand())  # noqa: NPY002
        return batch._replace(inputs=batch.inputs + noise)
