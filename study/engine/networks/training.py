"""What a worker trains: a workload with its data on a device, and models as flat parameters."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from study.config.sections import Precision
from study.seeding import derive_seed
from workloads.errors import WorkloadError
from workloads.soundness import sound_data, sound_model
from workloads.workload import Data, Dynamics, Examples, Model, Workload

_MATMUL = {Precision.FLOAT32: "highest", Precision.TF32: "high", Precision.BF16: "high"}


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedWorkload:
    """A workload with its data on the device that trains it; one per worker.

    Attributes:
        workload: the workload.
        data: data on `device`; a mapped training set stays in its file.
        device: the device.
        precision: arithmetic of forward and backward passes.
        stochastic: whether the model samples random numbers during training (dropout).
        mixing: name of a layer that mixes the examples of a batch (batch norm); None without one.
        convolutional: whether the model has convolutions.
        traces: cache of compiled traces, by purpose and shapes.
    """

    workload: Workload
    data: Data
    device: torch.device
    precision: Precision = Precision.FLOAT32
    stochastic: bool = False
    mixing: str | None = None
    convolutional: bool = False
    traces: dict[Any, Callable[..., Any]] = field(default_factory=dict)

    def batch(self, indices: Tensor) -> Examples:
        """Return the training examples of some indices, on the device."""
        train = self.data.train
        return Examples(*(part[indices.to(part.device)].to(self.device) for part in train))

    def loss(self, model: Model, batch: Examples, **values: Tensor) -> Tensor:
        """Return the training loss, a scalar, computed in this precision.

        `values` are the workload's own hyperparameters, each a scalar.

        Raises:
            WorkloadError: the workload's loss is not a tensor.
        """
        with self._arithmetic():
            loss = self.workload.loss(model, batch, **values)
        if not isinstance(loss, Tensor):
            raise WorkloadError(
                f"the workload's loss must be a tensor, got {type(loss).__name__}; return the "
                "mean over the batch"
            )
        return loss.float()

    def loss_and_error(self, model: Model, examples: Examples) -> tuple[Tensor, Tensor]:
        """Return mean loss and mean error, both scalars, from one forward pass."""
        shared = _sharing_outputs(model)
        with self._arithmetic():
            # at the loss's default hyperparameters, so that lanes are comparable
            loss = self.workload.loss(shared, examples)
            error = self.workload.error(shared, examples)
        return loss.float(), error.float()

    def _arithmetic(self) -> AbstractContextManager[Any]:
        if self.precision is not Precision.BF16:
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)


def load(
    workload: Workload,
    device: torch.device,
    precision: Precision = Precision.FLOAT32,
    data: Data | None = None,
) -> LoadedWorkload:
    """Return a workload with its data on a device.

    `data` are the workload's data where the caller has them; None loads them.
    """
    torch.set_float32_matmul_precision(_MATMUL[precision])
    data = sound_data(workload.data()) if data is None else data
    moved = replace(
        data,
        train=data.train if data.mapped else Examples(*(part.to(device) for part in data.train)),
        validation=Examples(*(part.to(device) for part in data.validation)),
    )
    loaded = LoadedWorkload(workload=workload, data=moved, device=device, precision=precision)
    layers = dict(fresh_model(loaded, 0).named_modules())
    return replace(
        loaded,
        stochastic=_is_stochastic(loaded),
        mixing=next((name for name, m in layers.items() if isinstance(m, _BatchNorm)), None),
        convolutional=any(isinstance(m, _ConvNd) for m in layers.values()),
    )


def _is_stochastic(loaded: LoadedWorkload) -> bool:
    few = loaded.batch(torch.arange(min(2, len(loaded.data.train.inputs))))
    with forked_rng(loaded.device):
        before = random_state(loaded.device)
        loaded.loss(fresh_model(loaded, 0).train(), few)
        after = random_state(loaded.device)
    return not all(map(torch.equal, before, after))


def forked_rng(device: torch.device) -> AbstractContextManager[None]:
    """Return a context that restores torch's global generators when it ends."""
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


def random_state(device: torch.device) -> tuple[Tensor, ...]:
    """Return the states of the generators that a model on a device may use."""
    states = (torch.get_rng_state(),)
    return (*states, torch.cuda.get_rng_state(device)) if device.type == "cuda" else states


def set_random_state(device: torch.device, states: tuple[Tensor, ...]) -> None:
    """Set the generators to states that `random_state` returned."""
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)


def copy_into(tensor: Tensor, values: Tensor) -> None:
    """Copy values into a tensor, whose memory stays since views of it exist.

    Raises:
        ValueError: the shapes differ.
    """
    if tensor.shape != values.shape:
        raise ValueError(f"values must have shape {tuple(tensor.shape)}, got {tuple(values.shape)}")
    tensor.copy_(values)


def fresh_model(loaded: LoadedWorkload, seed: int) -> nn.Module:
    """Return the workload's model with the initialization of a trial's seed."""
    with forked_rng(loaded.device):
        torch.manual_seed(derive_seed(seed, "init"))
        return sound_model(loaded.workload.model()).to(loaded.device)


class Layout:
    """Position of each trainable parameter of a model in one flat vector.

    Parameters are views of one vector so that an update rule is a few operations on all of them,
    and lanes are kept, copied and saved as rows of a matrix.

    Attributes:
        names: names of the parameters, in order.
        shapes: their shapes, in the same order.
    """

    def __init__(self, model: nn.Module) -> None:
        """Read names and shapes from a model."""
        trainable = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.names = tuple(trainable)
        self.shapes = tuple(tuple(p.shape) for p in trainable.values())
        self._sizes = [p.numel() for p in trainable.values()]

    def flatten(self, model: nn.Module) -> Tensor:
        """Return a copy of a model's parameters as one vector, shape (parameters,)."""
        parameters = dict(model.named_parameters())
        return torch.cat([parameters[name].detach().flatten() for name in self.names])

    def unflatten(self, flat: Tensor) -> dict[str, Tensor]:
        """Return views of a flat vector (parameters,) by parameter name."""
        pieces = torch.split(flat, self._sizes)
        return {
            name: piece.view(shape)
            for name, piece, shape in zip(self.names, pieces, self.shapes, strict=True)
        }

    def constants(self, model: nn.Module) -> dict[str, Tensor]:
        """Return a model's frozen parameters and buffers by name."""
        frozen = {n: p.detach() for n, p in model.named_parameters() if not p.requires_grad}
        return frozen | dict(model.named_buffers())


def functional_model(model: nn.Module, state: Mapping[str, Tensor]) -> Model:
    """Return a model as a function with the parameters and buffers of `state`."""
    return lambda inputs: functional_call(model, dict(state), (inputs,))


def _sharing_outputs(model: Model) -> Model:
    """Wrap a model so that `loss` and `error` on the same inputs share one forward pass."""
    last: list[tuple[Tensor, Tensor]] = []

    def call(inputs: Tensor) -> Tensor:
        if not last or last[0][0] is not inputs:
            last[:] = [(inputs, model(inputs))]
        return last[0][1]

    return call


Trainable = LoadedWorkload | Dynamics
"""A workload prepared for training, once per worker."""


def prepare(
    workload: Workload | Dynamics,
    device: str,
    precision: Precision = Precision.FLOAT32,
    data: Data | None = None,
) -> Trainable:
    """Return a workload prepared for training on a device, cpu or cuda.

    A workload with its own dynamics needs no preparation. `data` are as in :func:`load`.
    """
    if isinstance(workload, Dynamics):
        return workload
    return load(workload, torch.device(device), precision, data)


def moved(trainable: Trainable, device: str) -> Trainable:
    """Return a prepared workload moved to another device."""
    if not isinstance(trainable, LoadedWorkload) or trainable.device == torch.device(device):
        return trainable
    return load(trainable.workload, torch.device(device), trainable.precision, trainable.data)
