"""The blobs in other containers: trees of tensors, and data sets whose items are loaded."""

from dataclasses import dataclass
from typing import NamedTuple

import torch

from tests.blobs import Blobs
from workloads import Data, Examples


class Pair(NamedTuple):
    x: torch.Tensor
    y: torch.Tensor


@dataclass(frozen=True, slots=True)
class Record:
    values: dict[str, torch.Tensor]
    weights: torch.Tensor


class InContainers(Blobs):
    """The blobs' coordinates and labels in containers, which `unpacked` takes apart again."""

    def data(self):
        data = super().data()
        return Data(train=self.packed(data.train), validation=self.packed(data.validation))

    def packed(self, examples):
        inputs = {"x": examples.inputs[:, :1], "more": [examples.inputs[:, 1:]]}
        return Examples(inputs, (examples.targets,))

    def unpacked(self, batch):
        inputs = torch.cat([batch.inputs["x"], batch.inputs["more"][0]], dim=1)
        return Examples(inputs, batch.targets[0])

    def loss(self, model, batch):
        return super().loss(model, self.unpacked(batch))

    def error(self, model, data):
        return super().error(model, self.unpacked(data))


class InClasses(InContainers):
    """A dataclass as inputs and a named tuple as targets."""

    def packed(self, examples):
        weights = torch.ones(len(examples.targets))
        inputs = Record({"x": examples.inputs}, weights)
        return Examples(inputs, Pair(examples.targets, weights))

    def unpacked(self, batch):
        assert type(batch.inputs) is Record
        return Examples(batch.inputs.values["x"], batch.targets.y.long() * 0 + batch.targets.x)


class WholeInContainers(InContainers):
    whole = True

    def error(self, model, data):
        return super().error(model, data).sqrt()


class MappedInContainers(InContainers):
    """The same, as if a file held the training examples."""

    def data(self):
        data = super().data()
        return Data(train=data.train, validation=data.validation, mapped=True)


class TakesKeysOut(InContainers):
    """A loss that takes an entry out of the batch, as training loops with dicts do."""

    def loss(self, model, batch):
        batch.inputs["kept"] = batch.inputs.pop("x")
        batch.inputs["x"] = batch.inputs.pop("kept") + 0.5
        return super().loss(model, batch)


class WritesIntoALeaf(InContainers):
    def error(self, model, data):
        data.inputs["more"][0].mul_(2)
        return super().error(model, data)


class BroadcastInContainers(InContainers):
    def loss(self, model, batch):
        outputs = model(self.unpacked(batch).inputs)[:, :1]
        return super().loss(model, batch) + (outputs - batch.targets[0]).square().mean()


class Points(torch.utils.data.Dataset):
    """A map-style data set of the blobs, which gives numbers and tensors."""

    def __init__(self, examples, noise=0.0):
        self.examples, self.noise = examples, noise

    def __len__(self):
        return len(self.examples.targets)

    def __getitem__(self, number):
        noise = self.noise * torch.randn(2) if self.noise else 0.0
        return self.examples.inputs[number] + noise, int(self.examples.targets[number])


class Loaded(Blobs):
    """The blobs as data sets."""

    noise = 0.0

    def data(self):
        data = super().data()
        return Data(train=Points(data.train, self.noise), validation=Points(data.validation))


class LoadedNoisily(Loaded):
    """The same with noise on the training items."""

    noise = 0.1


class LoadedThreaded(Loaded):
    """The same with items loaded by two threads, and the validation examples in memory."""

    def data(self):
        from workloads.items import Items

        data = Blobs.data(self)
        return Data(train=Items(Points(data.train), loaders=2), validation=data.validation)


class NoisyValidation(Loaded):
    def data(self):
        data = Blobs.data(self)
        return Data(train=data.train, validation=Points(data.validation, 0.1))


def blobs_of_items(kind):
    """Return blobs whose training set is made by a class from the examples."""

    def data(self):
        data = Blobs.data(self)
        return Data(train=kind(data.train), validation=data.validation)

    return type(f"BlobsOf{kind.__name__}", (Blobs,), {"data": data})


class Mappings(Points):
    def __getitem__(self, number):
        return {"x": self.examples.inputs[number], "y": self.examples.targets[number]}


class Texts(Points):
    def __getitem__(self, number):
        return "a word", 3


class Ragged(Points):
    def __getitem__(self, number):
        return torch.zeros(2 + number % 3), 1


class Counted(Points):
    """Items that depend on how often they have been loaded."""

    loaded = 0

    def __getitem__(self, number):
        self.loaded += 1
        return self.examples.inputs[number] + self.loaded, 1


class Endless(torch.utils.data.IterableDataset):
    def __init__(self, examples):
        self.examples = examples

    def __iter__(self):
        return iter(zip(*self.examples, strict=True))


class Threads(Points):
    def __new__(cls, examples):
        from workloads.items import Items

        return Items(Points(examples, 0.1), loaders=2)
