"""Lanes that train networks in lockstep, with an optimizer on mini-batches."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from analysis.measures.batch_plan import BatchPlan
from analysis.tables.schema import AVERAGED_ERROR, RAW_ERROR, TEST_ERROR
from study.engine.averages import Averages, in_place
from study.engine.data_order import Order
from study.engine.evaluation import Evaluation
from study.engine.networks import Networks
from study.engine.networks.cuda_graph import CapturedStep
from study.engine.networks.micro_batch import MicroBatch
from study.engine.networks.training import LoadedWorkload, copy_into
from study.optimizers import Optimizer, Step
from study.records import Floats

OTHER_WEIGHTS_INTERVAL = 24
"""Measurements from one that includes the weights that do not count for the target to the next: on
the usual grid, a doubling of steps. A shorter interval would nearly double the time of a race that
takes longer to measure than to train."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UpdateSettings:
    """How lanes are trained; arrays have shape (lanes,)."""

    optimizer: Optimizer
    batch_size: int  # examples per gradient, >= 1
    hyperparameters: Mapping[str, Floats]
    lr_factor: Callable[[int], Floats] | None = None  # by step; None if constantly 1
    batch_plan: BatchPlan | None = None  # examples of each step, if they change
    micro_batch: int | None = None  # examples per pass, >= 1; None for as many as fit into memory
    averaging: Mapping[str, Floats] = field(default_factory=dict)  # of the weights, by name
    counts_averages: bool = False  # whether averages count for the target, not the weights

    def select(self, lanes: slice) -> "UpdateSettings":
        """Return the settings of some of the lanes."""
        factor = self.lr_factor
        return replace(
            self,
            hyperparameters={n: v[lanes] for n, v in self.hyperparameters.items()},
            lr_factor=None if factor is None else lambda step: factor(step)[lanes],
            averaging={n: v[lanes] for n, v in self.averaging.items()},
        )


class GradientLanes:
    """Lanes whose networks are computed together.

    Dropped lanes are still computed until half of the lanes have been dropped, since each number of
    lanes needs a trace of its own. Lanes never affect each other, so this changes no result.

    Attributes:
        quantities: names of the further quantities measured.
    """

    def __init__(
        self, loaded: LoadedWorkload, networks: Networks, settings: UpdateSettings, order: Order
    ) -> None:
        self._networks, self._settings, self._order = networks, settings, order
        self._device = loaded.device
        self._buffers = settings.optimizer.zeros(networks.parameters, networks.described)
        self._update = Step.of(settings.optimizer, networks.described, settings.hyperparameters)
        self._values = {n: self._column(v) for n, v in settings.hyperparameters.items()}
        self.quantities, self._measured = loaded.quantities, 0
        self._averages = Averages(networks, settings.averaging) if settings.averaging else None
        self._computed = self._live = np.arange(len(networks.parameters))
        plan = settings.batch_plan
        most = settings.batch_size if plan is None else max(size for _, size in plan.stages)
        size = min(settings.micro_batch or most, most)
        self._micro_batch = MicroBatch(size, minimum=size if loaded.indivisible else 1)
        self._evaluation = Evaluation(loaded, networks)
        self._captured: dict[int, CapturedStep] = {}
        self._step = 0

    def __len__(self) -> int:
        return len(self._live)

    @property
    def parameters(self) -> Tensor:
        """Trainable parameters of the remaining lanes, shape (lanes, parameters)."""
        return self._networks.parameters[self._rows()]

    @property
    def learning_rates(self) -> Tensor:
        """Learning rate of the next update of the remaining lanes, shape (lanes,)."""
        return self._current_values()["lr"][self._rows(), 0]

    def measured_weights(self, place: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Return copies of a remaining lane's weights as measured: averages, if those count.

        They are the parameters, shape (parameters,), and by name the buffers that training may
        change, such as batch statistics.
        """
        lane = int(self._live[place])
        with self._weights(averaged=self._settings.counts_averages):
            return self._networks.parameters[lane].clone(), self._networks.buffers(lane)

    @property
    def micro_batch(self) -> int:
        """Examples per forward and backward pass, 1 to the batch size."""
        return self._micro_batch.size

    def advance(self, steps: int) -> Floats:
        """Take `steps` >= 1 updates in every lane; return their mean training loss, (lanes,)."""
        total = torch.zeros(len(self._computed), device=self._device)
        with torch.no_grad():
            for _ in range(steps):
                total += self._step_once(self._step, self._current_values())
                self._step += 1
                if self._averages is not None:
                    self._averages.update(self._step)
        mean: Floats = (total[self._rows()] / steps).cpu().numpy().astype(np.float64)
        return mean

    def measure(self) -> tuple[Floats, ...]:
        """Return validation loss, error and further quantities of every lane, each (lanes,)."""
        self._measured += 1
        with self._weights(averaged=self._settings.counts_averages):
            return tuple(self._evaluation.validation(self._rows()))

    def occasional_quantities(self, ending: NDArray[np.bool_]) -> dict[str, Floats]:
        """Return by name the quantities that not every measurement has, each (lanes,), or NaN.

        These are the error of the weights that do not count for the target and the test error. Both
        are measured in lanes that are `ending`, below the target or out of budget; the former now
        and then in all lanes.
        """
        counts_averages, errors, rows = self._settings.counts_averages, {}, self._rows()
        if self._averages is not None or self._settings.optimizer.average is not None:
            other = RAW_ERROR if counts_averages else AVERAGED_ERROR
            with self._weights(averaged=not counts_averages):
                if self._measured % OTHER_WEIGHTS_INTERVAL == 1 or ending.all():
                    errors[other] = self._evaluation.validation(rows)[1]
                else:
                    errors[other] = self._evaluation.errors("validation", rows, ending)
        if self._evaluation.tests:
            with self._weights(averaged=counts_averages):
                errors[TEST_ERROR] = self._evaluation.errors("test", rows, ending)
        return errors

    def _weights(self, *, averaged: bool) -> AbstractContextManager[None]:
        """Let the body measure averaged weights, or the trained ones."""
        average = self._settings.optimizer.average
        if averaged and self._averages is not None:
            return self._averages.in_place()
        if averaged and average is not None:
            parameters = self._networks.parameters
            state = self._update.between(parameters, self._buffers, self._values)
            return in_place([parameters], [average(state)])
        return nullcontext()

    def keep(self, lanes: NDArray[np.bool_]) -> None:
        """Drop every lane where `lanes`, shape (lanes,), is False; the others keep their order."""
        self._live = self._live[lanes]
        count = 1 << (len(self._live) - 1).bit_length()
        if 2 * len(self._live) <= len(self._computed) and count < len(self._computed):
            ended = np.setdiff1d(np.arange(len(self._computed)), self._live)
            self._compact(np.concatenate([self._live, ended])[:count])
            self._live = np.arange(len(self._live))

    def state(self) -> dict[str, Any]:
        """Return the state as tensors and plain values, which the next step overwrites."""
        return {
            "step": self._step,
            "computed": self._computed.tolist(),
            "live": self._live.tolist(),
            "networks": self._networks.state(),
            "buffers": dict(self._buffers),
            "averages": None if self._averages is None else self._averages.state(),
            "measured": self._measured,
            "order": self._order.state(),
            "micro_batches": [self._micro_batch.size, self._evaluation.portion.size],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore a state of the same lanes into newly built ones."""
        computed = np.array(state["computed"])
        if len(computed) < len(self._computed):
            self._compact(computed)
        self._live, self._measured = np.array(state["live"]), state["measured"]
        self.adopt(state)
        self._order.restore(state["order"])
        self._micro_batch.size, self._evaluation.portion.size = state["micro_batches"]

    def adopt(self, state: Mapping[str, Any]) -> None:
        """Continue from the state of other lanes, one for one, but with these lanes' batches."""
        self._step = state["step"]
        self._networks.restore(state["networks"])
        for name, buffer in self._buffers.items():
            copy_into(buffer, state["buffers"][name])
        if self._averages is not None:
            self._averages.restore(state["averages"])
        self._order.restore({**self._order.state(), "taken": self._step})

    def _compact(self, rows: NDArray[np.int64]) -> None:
        index = torch.from_numpy(rows).to(self._device)
        self._networks.keep(index)
        if self._averages is not None:
            self._averages.keep(index)
        self._buffers = {name: buffer[index] for name, buffer in self._buffers.items()}
        self._values = {name: value[index] for name, value in self._values.items()}
        self._order.keep(rows)
        self._computed = self._computed[rows]
        self._captured = {}

    def _rows(self) -> Tensor:
        return torch.from_numpy(self._live).to(self._device)

    def _step_once(self, number: int, values: Mapping[str, Tensor]) -> Tensor:
        """Take a step of the optimizer in every lane; return the losses before it, (lanes,)."""
        indices = self._order.next()
        self._update.prepare(number, self._networks.parameters, self._buffers, values)
        return self._micro_batch.run(lambda size: self._update_once(size, indices, values))

    def _update_once(self, size: int, indices: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        if size >= indices.shape[1]:
            return self._full_batch_step(indices, values)
        gradients, losses = self._accumulated(size, indices)
        self._update(self._networks.parameters, gradients, self._buffers, values)
        return losses

    def _full_batch_step(self, indices: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        update, names = self._update, list(values)
        if self._device.type != "cuda" or not self._networks.supports_cuda_graph:
            return self._networks.step(update, self._buffers, values, indices)
        size = indices.shape[1]
        if size not in self._captured:
            self._captured[size] = CapturedStep(
                lambda indices, *columns: self._networks.step(
                    update, self._buffers, dict(zip(names, columns, strict=True)), indices
                ),
                [indices, *values.values()],
                [*self._networks.state().values(), *self._buffers.values()],
            )
        return self._captured[size](indices, *values.values())

    def _accumulated(self, size: int, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return gradients and losses of the batch, as means over micro-batches of `size`."""
        total = torch.zeros_like(self._networks.parameters)
        losses = torch.zeros(len(total), device=self._device)
        for part in torch.split(indices, size, dim=1):
            share = part.shape[1] / indices.shape[1]
            gradients, part_losses = self._networks.gradients(part)
            total.add_(gradients, alpha=share)
            losses.add_(part_losses, alpha=share)
        return total, losses

    def _current_values(self) -> Mapping[str, Tensor]:
        if self._settings.lr_factor is None:
            return self._values
        factor = self._column(self._settings.lr_factor(self._step)[self._computed])
        return self._values | {"lr": self._values["lr"] * factor}

    def _column(self, values: Floats) -> Tensor:
        dtype = self._networks.parameters.dtype
        return torch.from_numpy(values).to(self._device, dtype).unsqueeze(1)
