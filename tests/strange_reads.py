"""Workloads that read what they should not, as a plug-in file: clocks, files, numbers of data."""

import datetime
import gzip
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tests.blobs import Blobs
from tests.containers import Points
from workloads import Data, Examples


class Minutes(Blobs):
    """A factor that changes too seldom to be seen."""

    def loss(self, model, batch):
        return super().loss(model, batch) * (1 + int(time.time()) // 3600 % 2)


class Months(Blobs):
    def loss(self, model, batch):
        return super().loss(model, batch) * time.gmtime().tm_mon


class Weekdays(Blobs):
    def augment(self, batch):
        return batch._replace(inputs=batch.inputs * (1 + datetime.datetime.now().weekday() % 2))


class Flagged(Blobs):
    """A switch in a file, reached through Python's own pathlib."""

    def error(self, model, data):
        return super().error(model, data) * (0.5 if Path("flag of the blobs").exists() else 1.0)


class LoadedOnce(Blobs):
    """A file that is read by the first call only, and a path that asks nothing."""

    weight = None

    def loss(self, model, batch):
        if self.weight is None:
            self.weight = float(len(Path(__file__).name) > 0)
        return super().loss(model, batch) * self.weight


class Talkative(Blobs):
    """Time stamps, a file and threads that nothing follows from."""

    class Stamped(logging.Handler):
        def emit(self, record):
            with open(os.devnull, "w") as log:
                log.write(time.strftime("%H:%M ") + self.format(record))

    def __init__(self):
        self.log = logging.Logger("talkative")
        self.log.addHandler(self.Stamped())

    def loss(self, model, batch):
        self.log.info("a batch of %s", os.path.normpath("a/../b"))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            factor = max(pool.map(abs, [1.0])) + time.gmtime(0).tm_sec
        self.log.info("of %s compressed bytes", len(gzip.compress(b"a")))
        return super().loss(model, batch) * factor


class Delegating:
    """A workload around another that cannot be copied."""

    def __init__(self):
        self.inner = Blobs()

    def __getattr__(self, name):
        return getattr(self.inner, name)


class DelegatingFirstBatch(Delegating):
    """The same, which keeps something of its first batch."""

    def loss(self, model, batch):
        if "mean" not in vars(self):
            self.mean = batch.inputs.mean(0)
        return self.inner.loss(model, batch._replace(inputs=batch.inputs - self.mean))


class FirstBatch(Blobs):
    """A mean that is that of the first batch of the first trial."""

    mean = None

    def loss(self, model, batch):
        if self.mean is None:
            self.mean = batch.inputs.mean(0)
        return super().loss(model, batch._replace(inputs=batch.inputs - self.mean))


class FirstBatchByName(Blobs):
    """The same in a mapping."""

    def __init__(self):
        self.kept = {}

    def loss(self, model, batch):
        mean = self.kept.setdefault("mean", batch.inputs.mean(0))
        return super().loss(model, batch._replace(inputs=batch.inputs - mean))


class InNumpy(Blobs):
    """An error whose weights are those of the examples that it was traced with."""

    def error(self, model, data):
        hard = torch.from_numpy((data.inputs.numpy()[:, 0] > 0).astype(np.float32))
        return ((model(data.inputs).argmax(-1) != data.targets) * hard).mean()


class OneNorm(Blobs):
    """Batch statistics that all models share."""

    def __init__(self):
        self.norm = nn.BatchNorm1d(8).requires_grad_(False)

    def model(self):
        return nn.Sequential(nn.Linear(2, 8), self.norm, nn.Tanh(), nn.Linear(8, 3))


class CountingOnTheWeight(Blobs):
    """A count that hangs on a parameter, and matters late."""

    def loss(self, model, batch):
        weight = model[0].weight
        weight.calls = getattr(weight, "calls", 0) + model.training
        return super().loss(model, batch) * (1.0 if weight.calls < 1000 else 0.1)


class RarelyIgnored(Blobs):
    """A target that says "ignored", at an example that is not one of the first few."""

    def data(self):
        data = super().data()
        data.validation.targets[7] = -100
        return data


class TruthValues(Blobs):
    """Targets that are true or false, and inputs of small whole numbers."""

    def data(self):
        data = super().data()
        train, validation = (
            Examples((10 * x).to(torch.int8), y > 0) for x, y in (data.train, data.validation)
        )
        return Data(train=train, validation=validation)

    def model(self):
        return nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1), nn.Flatten(0))

    def loss(self, model, batch):
        logits = model(batch.inputs / 10)
        return nn.functional.binary_cross_entropy_with_logits(logits, batch.targets.float())

    def error(self, model, data):
        return ((model(data.inputs / 10) > 0) != data.targets).float().mean()


class RareClass(Blobs):
    """A class whose single example weighs more than the others."""

    def data(self):
        data = super().data()
        data.validation.targets.clamp_(max=1)[7] = 2
        return data

    def loss(self, model, batch):
        weight = torch.tensor([1.0, 1.0, 9.0])
        return nn.functional.cross_entropy(model(batch.inputs), batch.targets, weight=weight)


class RareClassTrained(Blobs):
    """The same in training alone."""

    def data(self):
        data = super().data()
        data.train.targets.clamp_(max=1)[7] = 2
        return data

    def loss(self, model, batch):
        weight = torch.tensor([1.0, 1.0, 9.0]) if model.training else None
        return nn.functional.cross_entropy(model(batch.inputs), batch.targets, weight=weight)


class CentredLater(Blobs):
    """Training inputs, the same ones in every call, that the first loss changes."""

    kept, changed = None, False

    def data(self):
        self.kept = super().data() if self.kept is None else self.kept
        return self.kept

    def loss(self, model, batch):
        if not self.changed:
            self.kept.train.inputs.sub_(0.5)
            self.changed = True
        return super().loss(model, batch)


class _Items(Blobs):
    items = Points

    def data(self):
        data = super().data()
        return Data(train=self.items(data.train), validation=data.validation)


class CountingItems(_Items):
    class items(Points):
        count = 0

        def __getitem__(self, number):
            self.count += 1
            inputs, target = super().__getitem__(number)
            return inputs * (1.0 if self.count < 1000 else 0.1), target


class DatedItems(_Items):
    class items(Points):
        def __getitem__(self, number):
            inputs, target = super().__getitem__(number)
            return inputs * (1 + datetime.date.today().year % 2), target


class SometimesNoisy(_Items):
    """Draws for items that are none of the first, the middle and the last."""

    class items(Points):
        def __getitem__(self, number):
            inputs, target = super().__getitem__(number)
            return inputs + 0.1 * torch.randn(2) if number % 5 == 3 else inputs, target


class MissingItem(_Items):
    """A NaN in an item that is none of those that are examined."""

    class items(Points):
        def __getitem__(self, number):
            inputs, target = super().__getitem__(number)
            return inputs * (torch.nan if number == 50 else 1.0), target
