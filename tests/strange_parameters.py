"""Workloads that do more with parameters or outputs than compute, as a plug-in file."""

import numpy as np
import torch
from torch import nn

from tests.blobs import Blobs
from tests.strange import Net


class Hooked(Blobs):
    """Gradients cut by a hook, far above those of the first steps."""

    def model(self):
        model = super().model()
        model[0].weight.register_hook(lambda gradient: gradient.clamp(-50, 50))
        return model


class HookedLater(Blobs):
    """A hook that would run where gradients are accumulated."""

    def model(self):
        model = super().model()
        model[0].weight.register_post_accumulate_grad_hook(lambda p: p.grad.clamp_(-1, 1))
        return model


class Clipped(Net):
    """Weights kept in a box that they reach only after many steps."""

    def factor(self, x):
        return 1.0

    def forward(self, x):
        for parameter in self.net.parameters():
            parameter.data.clamp_(-5, 5)
        return self.net(x)


class Decayed(Net):
    """Weights that shrink with every call, measurements among them."""

    def forward(self, x):
        for parameter in self.net.parameters():
            parameter.data.mul_(0.99)
        return self.net(x)


class Replaced(Net):
    def forward(self, x):
        self.net[0].weight.data = self.net[0].weight.data.clamp(-5, 5)
        return self.net(x)


class HardlyWritten(Blobs):
    """Inputs written into where they are out of bounds, as none of the first are."""

    def error(self, model, data):
        data.inputs.data.clamp_(-100, 100)
        return super().error(model, data)


class CountingErrors(Blobs):
    calls = 0

    def error(self, model, data):
        type(self).calls += 1
        return super().error(model, data) * (self.calls < 1000)


class SetByTheLoss(Blobs):
    """A model that loss and error set up differently for the same inputs."""

    def model(self):
        class Signed(Net):
            sign = 1.0

            def factor(self, x):
                return self.sign

        return Signed()

    def loss(self, model, batch):
        model.sign = 1.0
        return super().loss(model, batch)

    def error(self, model, data):
        model.sign = -1.0
        return super().error(model, data)


class OneStart(Blobs):
    def model(self):
        torch.manual_seed(0)
        return super().model()


class DrawnData(Blobs):
    def data(self):
        data = super().data()
        data.validation.inputs.copy_(torch.randn_like(data.validation.inputs))
        return data


class LargeBatches(Net):
    """A count of batches that an examination with few examples never makes."""

    def factor(self, x):
        self.calls += self.training and len(x) > 13
        return 0.97**self.calls


class SharedLayer(Blobs):
    """A layer that all models share, initialized anew for each."""

    def __init__(self):
        self.inner = nn.Linear(2, 8)

    def model(self):
        self.inner.reset_parameters()
        return nn.Sequential(self.inner, nn.Tanh(), nn.Linear(8, 3))


class Contrasting(Blobs):
    """A penalty on the mean output of a batch, only while training."""

    def loss(self, model, batch):
        penalty = model(batch.inputs).mean(0).square().sum() if model.training else 0.0
        return super().loss(model, batch) + penalty


class ContrastingWithDropout(Contrasting):
    """The same, with random numbers that hide it."""

    def model(self):
        return nn.Sequential(nn.Dropout(0.1), *super().model())


class StartedByNumpy(Blobs):
    """Weights drawn by numpy, whose global generator is seeded by trial too."""

    def model(self):
        model = super().model()
        start = np.random.normal(size=model[0].weight.shape)  # noqa: NPY002
        with torch.no_grad():
            model[0].weight.copy_(torch.from_numpy(start))
        return model
