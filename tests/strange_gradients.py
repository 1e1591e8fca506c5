"""Workloads whose gradient, or memory, is not what it seems, as a plug-in file."""

import copy

import torch
import torch.utils.checkpoint
from torch import nn
from torch.nn import functional

from tests.blobs import Blobs
from tests.strange import Net
from workloads import Examples


class ClippedOnItsWay(Blobs):
    """A mean of a loss, whose gradient is clipped at an activation and is none."""

    def loss(self, model, batch):
        hidden = torch.tanh(model[0](batch.inputs))
        if hidden.requires_grad:
            hidden.register_hook(lambda gradient: gradient.clamp(-1e-3, 1e-3))
        return functional.cross_entropy(model[2](hidden), batch.targets)


class Reentrant(Blobs):
    """A layer behind torch's older checkpoint, which only backward() reaches."""

    def loss(self, model, batch):
        inputs = batch.inputs.clone().requires_grad_()
        hidden = torch.utils.checkpoint.checkpoint(model[:2], inputs, use_reentrant=True)
        return functional.cross_entropy(model[2:](hidden), batch.targets)


class Teacher(Blobs):
    """A frozen copy that follows what is trained, and is what is measured."""

    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.student = Net()
            self.teacher = copy.deepcopy(self.student).requires_grad_(False)

        def forward(self, x):
            if not self.training:
                return self.teacher(x)
            with torch.no_grad():
                pairs = zip(self.teacher.parameters(), self.student.parameters(), strict=True)
                for slow, fast in pairs:
                    slow.lerp_(fast, 0.1)
            return self.student(x)

    def model(self):
        return self.Pair()


class HeldTeacher(Blobs):
    """A fixed teacher that the workload holds, whose parameters nobody has frozen."""

    def __init__(self):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            self.teacher = Net()

    def loss(self, model, batch):
        apart = functional.mse_loss(model(batch.inputs), self.teacher(batch.inputs))
        return super().loss(model, batch) + 0.1 * apart


class ViewInABuffer(Net):
    def __init__(self):
        super().__init__()
        self.register_buffer("start", self.net[0].bias.data)


class ViewInAList(Net):
    def __init__(self):
        super().__init__()
        self.starts = [parameter.detach()[1:] for parameter in self.net.parameters()]


class ViewInNumpy(Net):
    def __init__(self):
        super().__init__()
        self.start = self.net[0].weight.detach().numpy().T


class Slopes(Blobs):
    """A gradient within the loss, when it is measured too."""

    def loss(self, model, batch):
        slopes = torch.func.vmap(torch.func.grad(lambda x: model(x).logsumexp(-1)))(batch.inputs)
        return super().loss(model, batch) + 0.1 * slopes.pow(2).sum(-1).mean()


class SparseNeighbours(Blobs):
    """A sparse matrix in a buffer, as graphs have."""

    class Mixed(Net):
        def __init__(self):
            super().__init__()
            self.register_buffer("mix", torch.eye(3).to_sparse())

        def forward(self, x):
            return (self.mix @ super().forward(x).T).T

    def model(self):
        return self.Mixed()


class CountInOneByte(Blobs):
    """A number of errors that overflows beyond a few examples."""

    def data(self):
        data = super().data()
        index = torch.arange(700) % data.validation.size
        return type(data)(train=data.train, validation=data.validation.rows(index))

    def error(self, model, data):
        wrong = model(data.inputs).argmax(-1) != (data.targets + 1) % 3
        return wrong.sum(dtype=torch.uint8) / len(wrong)


class Unseeded(Blobs):
    """Noise from the system, too seldom for two short trainings to differ."""

    def augment(self, batch):
        seldom = torch.Generator()
        seldom.seed()
        noise = torch.rand(1, generator=seldom) < 1e-6
        return Examples(batch.inputs + noise, batch.targets)
