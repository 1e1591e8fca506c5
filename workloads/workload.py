"""The contract between a workload and whoever trains it.

A workload is a small class with the members of :class:`Workload`; it inherits from nothing and
registers nowhere. One whose training is known in closed form brings its own :class:`Lanes` instead
and follows :class:`Dynamics`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from workloads.errors import WorkloadError as WorkloadError

Floats = NDArray[np.float64]
Model = Callable[[Tensor], Tensor]
"""A model as `loss` and `error` see it: inputs (examples, ...) to outputs (examples, ...)."""


class Examples(NamedTuple):
    """Some examples, or a batch of them.

    Attributes:
        inputs: what the model is called with, shape (examples, ...).
        targets: what `loss` and `error` compare its output to, shape (examples, ...).
    """

    inputs: Tensor
    targets: Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Data:
    """A data set, split for good: the same split on every call and every machine.

    Attributes:
        train: the examples that batches are drawn from.
        validation: the examples that the target is measured on; never trained on.
        mapped: whether the training examples are views of a memory-mapped file, which is never
            read whole: every worker opens it for itself, only batches go to the device, and the
            lanes are looped. The validation examples are held in memory all the same.
    """

    train: Examples
    validation: Examples
    mapped: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """The validation error to get below (strictly); lower is always better.

    Attributes:
        value: the threshold; between 0 and 1 for an error, above 0 for a loss.
        quantity: what `error` returns: "error", a fraction, or "loss", any positive number.
    """

    value: float
    quantity: Literal["error", "loss"] = "error"


@runtime_checkable
class Workload(Protocol):
    """What a workload must have; about 30 lines in all.

    It may also have `study_defaults`, a mapping shaped like a study file, whose entries take the
    place of batchscale's own defaults (a search space known to hold the optimum, a step budget).
    Its ranges are left aside for an optimizer to which they mean something else: those of a
    learning rate for Nesterov momentum say nothing about Adam's.

    And it may have `hyperparameters`, numbers that its loss takes and a search may set: by name,
    a mapping of `default` (a number, or a range of low, high and scale), `low` and perhaps `high`
    of the values allowed, `low_open` and `high_open` (an end refused; `high` is by default).
    One with a default range is searched; one with a number only where a study names it. `loss`
    takes each as a keyword of the same default and is given a scalar tensor in training, nothing
    when the validation loss is measured.
    """

    target: Target

    def data(self) -> Data:
        """Gives the data set, identical on every call."""

    def model(self) -> nn.Module:
        """Gives a freshly initialised model; draws from torch's global generator only."""

    def loss(self, model: Model, batch: Examples) -> Tensor:
        """Gives the training loss, a scalar: the mean over the batch."""

    def error(self, model: Model, data: Examples) -> Tensor:
        """Gives the error that the target refers to, a scalar: the mean over the examples."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LaneSetup:
    """What a workload with its own dynamics is told about the lanes it must run.

    Attributes:
        optimizer: name of the optimizer, as in the study file.
        batch_size: examples per step, >= 1.
        hyperparameters: values of the optimizer's hyperparameters by name, each of shape (lanes,).
        lr_factor: step (0 for the first update) to the factor on the learning rate, shape (lanes,);
            None when the learning rate is constant.
        seeds: one seed per lane, shape (lanes,).
    """

    optimizer: str
    batch_size: int
    hyperparameters: Mapping[str, Floats]
    lr_factor: Callable[[int], Floats] | None
    seeds: NDArray[np.int64]


@runtime_checkable
class Lanes(Protocol):
    """Several training runs of one batch size that advance together, one lane each."""

    def advance(self, steps: int) -> Floats:
        """Takes `steps` >= 1 updates in every lane; gives their mean training loss, (lanes,)."""

    def measure(self) -> tuple[Floats, Floats]:
        """Gives validation loss and validation error of every lane, each of shape (lanes,)."""

    def keep(self, lanes: NDArray[np.bool_]) -> None:
        """Drops every lane where `lanes`, shape (lanes,), is False; the others keep their order."""


@runtime_checkable
class Dynamics(Protocol):
    """A workload that knows its own training dynamics, in place of data, model, loss and error."""

    target: Target

    def lanes(self, setup: LaneSetup) -> Lanes:
        """Gives fresh lanes at step 0.

        Raises:
            WorkloadError: the optimizer is not one that the dynamics are known for.
        """


def changing_buffer(workload: Workload, model: nn.Module, batch: Examples) -> str | None:
    """Names a buffer that one training pass changes (batch statistics), for vmap would lose it.

    Args:
        workload: whose loss is taken.
        model: a model of it; its buffers may change.
        batch: some examples.

    Returns:
        The buffer's name, or None where none changes.
    """
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with torch.random.fork_rng(devices=[]):
        workload.loss(model.train(), batch)
    changed = (n for n, b in model.named_buffers() if not torch.equal(b, before[n]))
    return next(changed, None)
