"""Workloads whose loss or error is of an unusual kind, as a plug-in file."""

import torch
from torch import nn

from tests.blobs import Blobs
from tests.strange import Net


class SumInTraining(Blobs):
    """A mean where it is measured, a sum where learning rates are searched."""

    def loss(self, model, batch):
        way = "sum" if model.training else "mean"
        return nn.functional.cross_entropy(model(batch.inputs), batch.targets, reduction=way)


class GoesBackward(Blobs):
    def loss(self, model, batch):
        loss = super().loss(model, batch)
        if model.training:
            loss.backward(retain_graph=True)
        return loss


class Freezing(Blobs):
    def loss(self, model, batch):
        model[0].requires_grad_(False)
        return super().loss(model, batch)


class ThawingLate(Blobs):
    """Parameters that are trained from a later step on."""

    def model(self):
        model = super().model()
        model[0].requires_grad_(False)
        model.calls = 0
        return model

    def loss(self, model, batch):
        model.calls += model.training
        model[0].requires_grad_(model.calls > 10)
        return super().loss(model, batch)


class OneMemory(Blobs):
    """Two layers tied by their memory, which plain torch trains as one."""

    def model(self):
        model = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 2), nn.Linear(2, 3))
        model[2].weight.data = model[0].weight.data
        return model


class Lazy(Blobs):
    def model(self):
        return nn.Sequential(nn.LazyLinear(8), nn.Tanh(), nn.LazyLinear(3))


class GradientPenalty(Blobs):
    """A loss that holds a gradient of its own."""

    def loss(self, model, batch):
        if not model.training:
            return super().loss(model, batch)
        inputs = batch.inputs.clone().requires_grad_()
        logits = model(inputs)
        (slope,) = torch.autograd.grad(logits.sum(), inputs, create_graph=True)
        return nn.functional.cross_entropy(logits, batch.targets) + 0.5 * slope.square().mean()


class SparseRows(Blobs):
    """An embedding of cells of the plane, with sparse gradients."""

    def model(self):
        class Cells(Net):
            def __init__(self):
                super().__init__()
                self.net = nn.Sequential(nn.Embedding(9, 8, sparse=True), nn.Linear(8, 3))

            def forward(self, x):
                cells = (x / 2 + 1.5).clamp(0, 2).long()
                return self.net(3 * cells[:, 0] + cells[:, 1])

        return Cells()


class OneElement(Blobs):
    """Numbers of shape (1,) and (1, 1)."""

    def loss(self, model, batch):
        return super().loss(model, batch).reshape(1)

    def error(self, model, data):
        return super().error(model, data).reshape(1, 1)


class ComplexLoss(Blobs):
    def loss(self, model, batch):
        return super().loss(model, batch).to(torch.complex64)


class Score(Blobs):
    """An F1 score less 1 of a class that no untrained model names."""

    def model(self):
        model = super().model()
        model[2].bias.data[0] -= 5
        return model

    def error(self, model, data):
        named, right = model(data.inputs).argmax(-1) == 0, data.targets == 0
        return 1 - 2 * (named & right).sum() / (named.sum() + right.sum()).clamp_min(1)


class BelowZero(Blobs):
    """A fraction before training, and below 0 after it."""

    def error(self, model, data):
        return 2 * super().error(model, data) - 1 / 3
