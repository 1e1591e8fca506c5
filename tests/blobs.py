"""A small made workload as a plug-in file: what most tests train."""

import torch
from torch import nn

from workloads import Data, Examples, Target
from workloads.builtin.classification import cross_entropy


class Blobs:
    """Three Gaussian blobs in the plane, told apart by a small network."""

    target = Target(0.1)

    def data(self):
        generator = torch.Generator().manual_seed(1)
        labels = torch.arange(120) % 3
        centres = torch.tensor([[0.0, 2.0], [2.0, -1.0], [-2.0, -1.0]])
        inputs = centres[labels] + torch.randn(120, 2, generator=generator)
        return Data(
            train=Examples(inputs[:90], labels[:90]),
            validation=Examples(inputs[90:], labels[90:]),
        )

    def model(self):
        return nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 3))

    def loss(self, model, batch):
        return nn.functional.cross_entropy(model(batch.inputs), batch.targets)

    def error(self, model, data):
        return (model(data.inputs).argmax(-1) != data.targets).double().mean()


class SmoothedBlobs(Blobs):
    """The same with label smoothing that a study may set."""

    hyperparameters = {"label_smoothing": {"default": 0.0, "low": 0.0, "high": 1.0}}
    loss = staticmethod(cross_entropy)


class BatchNormBlobs(Blobs):
    """The same with running batch statistics."""

    def model(self):
        return nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


class DropoutBlobs(Blobs):
    """The same with dropout, which draws random numbers while it trains."""

    def model(self):
        return nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))


class MeasuredBlobs(Blobs):
    """The same with further measured quantities and a test split."""

    def data(self):
        data, generator = super().data(), torch.Generator().manual_seed(2)
        noise = 0.5 * torch.randn(len(data.validation.inputs), 2, generator=generator)
        test = data.validation._replace(inputs=data.validation.inputs + noise)
        return Data(train=data.train, validation=data.validation, test=test)

    def quantities(self, model, data):
        logits = model(data.inputs)
        wrong = (logits.argmax(-1) != data.targets).float()
        surely = (logits.softmax(-1).amax(-1) > 0.9).float()
        return {"accuracy": 1 - wrong.mean(), "surely wrong": (wrong * surely).mean()}
