"""Lanes that train networks by an optimizer on mini-batches, all in step."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from study.batching import DataOrder
from study.networks import Networks, TrainingSet
from study.optimizers import Optimizer
from study.records import Floats
from workloads.workload import Examples

EXAMPLES_PER_EVALUATION = 16_384
"""Examples times lanes in one evaluation pass: past this, activations fall out of a CPU's cache."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingRule:
    """How every lane is trained.

    Attributes:
        optimizer: the update rule.
        batch_size: examples per step, >= 1.
        hyperparameters: values by name, each of shape (lanes,).
        lr_factor: step to the factor on the learning rate, shape (lanes,); None when constant.
    """

    optimizer: Optimizer
    batch_size: int
    hyperparameters: Mapping[str, Floats]
    lr_factor: Callable[[int], Floats] | None = None


class GradientLanes:
    """Lanes that train networks by an optimizer on mini-batches."""

    def __init__(
        self, training: TrainingSet, networks: Networks, rule: TrainingRule, seeds: Sequence[int]
    ) -> None:
        """Starts every lane at step 0.

        Args:
            training: the workload and its data.
            networks: the models, one per seed.
            rule: optimizer, batch size and hyperparameters.
            seeds: one per lane; the data order follows from it.
        """
        self._networks, self._rule, self._device = networks, rule, training.device
        self._validation = training.data.validation
        self._parameters = networks.initial_parameters()
        self._buffers = {n: torch.zeros_like(self._parameters) for n in rule.optimizer.buffers}
        self._values = {n: self._column(v) for n, v in rule.hyperparameters.items()}
        examples = len(training.data.train.inputs)
        self._order = DataOrder(seeds, examples, rule.batch_size, training.device)
        self._alive = np.arange(len(seeds))
        self._step = 0

    @property
    def parameters(self) -> Tensor:
        """The trainable parameters, shape (lanes, parameters)."""
        return self._parameters

    def advance(self, steps: int) -> Floats:
        """Takes `steps` >= 1 updates in every lane; gives their mean training loss, (lanes,)."""
        total = torch.zeros(len(self._parameters), device=self._device)
        for _ in range(steps):
            gradients, losses = self._networks.gradients(self._parameters, self._order.next())
            with torch.no_grad():
                self._rule.optimizer.update(
                    self._parameters, gradients, self._buffers, self._values_now()
                )
            total += losses
            self._step += 1
        return _as_floats(total / steps)

    def measure(self) -> tuple[Floats, Floats]:
        """Gives validation loss and validation error of every lane, each of shape (lanes,)."""
        examples = len(self._validation.inputs)
        chunk = max(1, EXAMPLES_PER_EVALUATION // len(self._parameters))
        total = torch.zeros(2, len(self._parameters), device=self._device, dtype=torch.float64)
        for start in range(0, examples, chunk):
            part = Examples(*(tensor[start : start + chunk] for tensor in self._validation))
            total += self._networks.evaluate(self._parameters, part) * len(part.inputs)
        loss, error = (total / examples).cpu().numpy()
        return loss, error

    def keep(self, lanes: NDArray[np.bool_]) -> None:
        """Drops every lane where `lanes`, shape (lanes,), is False; the others keep their order."""
        mask = torch.from_numpy(lanes).to(self._device)
        self._parameters = self._parameters[mask]
        self._buffers = {name: buffer[mask] for name, buffer in self._buffers.items()}
        self._values = {name: value[mask] for name, value in self._values.items()}
        self._networks.keep(mask)
        self._order.keep(lanes)
        self._alive = self._alive[lanes]

    def _values_now(self) -> dict[str, Tensor]:
        if self._rule.lr_factor is None:
            return self._values
        factor = self._column(self._rule.lr_factor(self._step)[self._alive])
        return self._values | {"lr": self._values["lr"] * factor}

    def _column(self, values: Floats) -> Tensor:
        dtype = self._parameters.dtype
        return torch.from_numpy(values).to(self._device, dtype).unsqueeze(1)


def _as_floats(values: Tensor) -> Floats:
    floats: NDArray[Any] = values.detach().cpu().numpy().astype(np.float64)
    return floats
