"""The contract of a workload: what its author writes, and when each member is called.

A workload is a small class with the members of `Workload`. It needs no base class and no
registration. `data()` is called once per process, `model()` once per trial with seeded generators,
`loss` at every training step and `error` at every measurement, on part of the validation set. A
workload whose training is known in closed form implements `Dynamics` instead.

>>> import torch
>>> from torch import nn
>>> class Sides:
...     target = Target(0.05)
...
...     def data(self):
...         points = torch.linspace(-1, 1, 100).unsqueeze(1)
...         every = Examples(points, (points > 0).long().flatten())
...         return Data(train=every, validation=every)
...
...     def model(self):
...         return nn.Linear(1, 2)
...
...     def loss(self, model, batch):
...         return nn.functional.cross_entropy(model(batch.inputs), batch.targets)
...
...     def error(self, model, data):
...         return (model(data.inputs).argmax(-1) != data.targets).float().mean()
>>> from workloads.testing import check
>>> all(clause.passed for clause in check(Sides()))
True
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from workloads.errors import WorkloadError as WorkloadError
from workloads.trees import Tree, leaves, mapped

Floats = NDArray[np.float64]
Model = Callable[..., Any]
"""A model as `loss` and `error` call it: inputs (examples, ...) to outputs (examples, ...)."""


class Examples(NamedTuple):
    """Examples of a data set, or a batch of them.

    Inputs and targets are each a tensor or a tree of tensors: a dict, list, tuple, named tuple or
    dataclass of tensors or trees. A batch has the same containers.

    Attributes:
        inputs: the model's inputs, tensors of shape (examples, ...).
        targets: what `loss` and `error` compare its outputs with, tensors of shape (examples, ...).
    """

    inputs: Tree
    targets: Tree

    @property
    def size(self) -> int:
        """Number of examples."""
        return len(self.tensors[0])

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All tensors, in order."""
        return tuple(leaves(self))

    def rows(self, index: Tensor | slice) -> "Examples":
        """Return the examples at these indices; a slice gives views."""
        if isinstance(index, slice):
            chosen: Examples = mapped(lambda tensor: tensor[index], self)
        else:
            chosen = mapped(lambda tensor: tensor.index_select(0, index.to(tensor.device)), self)
        return chosen

    def to(self, device: torch.device) -> "Examples":
        """Return the same examples on a device."""
        moved: Examples = mapped(lambda tensor: tensor.to(device), self)
        return moved


Split = Any
"""`Examples`, or a map-style data set, bare or wrapped in `workloads.items.Items`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Data:
    """A data set with a fixed split, the same on every call and every machine.

    Attributes:
        train: the examples that batches are drawn from: `Examples`, or a map-style data set, bare
            or wrapped in `Items`. Lanes that train on a map-style data set are looped.
        validation: the examples that the target is measured on; never trained on. A map-style data
            set is loaded anew for each measurement, a portion at a time.
        test: examples on which a trial's error is measured once, when it reaches the target or
            exhausts its budget; nothing is selected on them. None for no test split.
        mapped: whether the training examples are views of a memory-mapped file. Then every worker
            opens the file itself, only batches are moved to the device, and the lanes are looped.
            The validation examples are kept in memory in any case.
    """

    train: Split
    validation: Split
    test: Split | None = None
    mapped: bool = False

    @property
    def splits(self) -> dict[str, Split]:
        """The splits by name; `test` only if there is one."""
        test = {} if self.test is None else {"test": self.test}
        return {"train": self.train, "validation": self.validation, **test}

    @property
    def versions(self) -> list[int]:
        """Torch's count of the writes into each tensor of the splits."""
        return [tensor._version for split in self.splits.values() for tensor in split.tensors]

    @property
    def held(self) -> bool:
        """Whether the training examples are in memory."""
        return not self.mapped and bool(self.train.tensors)


@dataclass(frozen=True, slots=True)
class Target:
    """The validation error to get below, strictly; lower is always better.

    Attributes:
        value: the threshold, in (0, 1) for an error, above 0 for a loss.
        quantity: what `error` returns: "error", a fraction, or "loss", any positive number.
    """

    value: float
    quantity: Literal["error", "loss"] = "error"


@runtime_checkable
class Workload(Protocol):
    """The members of a workload, about 30 lines in all.

    Optional: `study_defaults`, a mapping shaped like a study file, which overrides batchscale's
    defaults (a search space known to contain the optimum, a step budget). A learning rate range is
    ignored for optimizers whose learning rate is on another scale: a range for Nesterov momentum
    says nothing about Adam.

    Optional: `whole = True` for an error that is not a mean over examples (RMSE, F1, AUC). Loss and
    error are then always measured on the whole validation set at once.

    Optional: `quantities(model, data)`, which returns further measured quantities, a dict of scalar
    tensors by name, means over examples unless the workload is `whole`. They become columns of the
    curves; nothing is selected on them.

    Optional: `augment(batch)`, which returns a randomly changed training batch of the same size in
    the same containers. It is called before `loss` in training and never in a measurement. It may
    draw from torch's global generator, which is seeded per trial; it may also draw from those of
    numpy and random, but then the lanes are looped.

    Optional: `tokens_per_example`, an integer, if all examples have the same number of tokens. A
    study file may then give batch sizes and budgets in tokens.

    Optional: `hyperparameters`, numbers that the loss takes and a search may set. Each name maps to
    `default` (a number, or a range of low, high and scale), the allowed `low` and `high`, and
    `low_open` and `high_open` (whether an end is excluded; `high` is by default). A hyperparameter
    whose default is a range is searched; one whose default is a number is searched only if a study
    names it. `loss` takes each as a keyword with the same default: a scalar tensor in training,
    absent when the validation loss is measured.
    """

    target: Target

    def data(self) -> Data:
        """Return the data set, the same on every call."""

    def model(self) -> nn.Module:
        """Return a new model, initialized from the global generators, which are seeded by trial."""

    def loss(self, model: Model, batch: Examples) -> Tensor:
        """Return the training loss, a scalar tensor: a mean over the batch."""

    def error(self, model: Model, data: Examples) -> Tensor:
        """Return the error that the target refers to, a scalar tensor.

        It is a mean over examples, unless the workload is `whole`.
        """


def tail_rate(share: Any, step: int) -> Any:
    """Return the weight of the newest weights in the average over the tail of a trial.

    With a <- a + rate (w - a) from step 1 on, the weights of step s count in proportion to about
    s^(2 / share - 2): polynomial-decay averaging (Shamir & Zhang 2013, arXiv 1212.1824). At every
    step, the mean age of the averaged weights is that of a uniform average over the last `share` of
    the steps so far. A uniform average would need to know its last step in advance.

    Args:
        share: from 0, the newest weights only, to 1, all equally; a number, array or tensor.
        step: step of the newest weights, >= 1.
    """
    return (2 - share) / (2 + share * (step - 2))


@dataclass(frozen=True, kw_only=True, slots=True)
class LaneSetup:
    """The lanes that a workload with its own dynamics has to run.

    Attributes:
        optimizer: name of the optimizer, as in the study file.
        batch_size: examples per step, >= 1.
        hyperparameters: values of the optimizer's hyperparameters by name, each of shape (lanes,).
        lr_factor: maps a step (0 for the first update) to the factor on the learning rate, shape
            (lanes,); None for a constant learning rate.
        seeds: one seed per lane, shape (lanes,).
        ema_decay: decay of each lane's exponential moving average of the weights, shape (lanes,);
            None for no such average. Only set for a workload with `averages = True`.
        tail_average: share of the steps so far in each lane's average (see `tail_rate`), shape
            (lanes,); None for no such average. Only set for a workload with `tail_averages = True`.
        counts_averages: whether the error is measured on the averages, and the quantity `raw_error`
            on the weights; if not, the quantity `averaged_error` is measured on the averages.
        batch_size_at: maps a step (0 for the first update) to its batch size, if a study changes
            it; None if every step takes `batch_size`. Only set for a workload with
            `batch_schedules = True`.
    """

    optimizer: str
    batch_size: int
    hyperparameters: Mapping[str, Floats]
    lr_factor: Callable[[int], Floats] | None
    seeds: NDArray[np.int64]
    ema_decay: Floats | None = None
    tail_average: Floats | None = None
    counts_averages: bool = False
    batch_size_at: Callable[[int], int] | None = None


@runtime_checkable
class Lanes(Protocol):
    """Training runs of one batch size that advance together, one lane each.

    Optional: `quantities`, the names of what `measure` returns after loss and error.
    """

    def advance(self, steps: int) -> Floats:
        """Take `steps` >= 1 updates in every lane; return their mean training loss, (lanes,)."""

    def measure(self) -> tuple[Floats, ...]:
        """Return the validation loss and error of every lane, each of shape (lanes,)."""

    def keep(self, lanes: NDArray[np.bool_]) -> None:
        """Drop the lanes where `lanes`, shape (lanes,), is False; keep the order of the others."""


DYNAMICS_OPTIMIZERS = ("sgd", "heavy-ball", "nesterov")
"""Optimizers that a workload with its own dynamics may support; it supports at least one."""


@runtime_checkable
class Dynamics(Protocol):
    """A workload with its own training dynamics, in place of data, model, loss and error."""

    target: Target

    def lanes(self, setup: LaneSetup) -> Lanes:
        """Return new lanes at step 0.

        Raises:
            WorkloadError: the dynamics are unknown for the optimizer.
        """
