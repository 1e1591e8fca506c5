"""What a worker trains: a workload with its data on a device, its models, its flat parameters."""

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
        workload: what is trained.
        data: its data, on `device`; a mapped training set stays in its file.
        device: where it is trained.
        precision: arithmetic of forward and backward passes.
        draws: whether the model draws random numbers while it trains (dropout).
        mixing: a layer that mixes the examples of a batch (batch statistics); None without one.
        convolutional: whether the model has convolutions.
        programs: what has been traced and compiled so far, by purpose and shapes.
    """

    workload: Workload
    data: Data
    device: torch.device
    precision: Precision = Precision.FLOAT32
    draws: bool = False
    mixing: str | None = None
    convolutional: bool = False
    programs: dict[Any, Callable[..., Any]] = field(default_factory=dict)

    def batch(self, indices: Tensor) -> Examples:
        """Gives the training examples of some indices, on the device."""
        train = self.data.train
        return Examples(*(part[indices.to(part.device)].to(self.device) for part in train))

    def loss(self, model: Model, batch: Examples, **values: Tensor) -> Tensor:
        """Gives the training loss, a scalar, in this precision.

        Args:
            model: the model.
            batch: what it is trained on.
            **values: of the workload's own hyperparameters, scalars.

        Returns:
            The loss.

        Raises:
            WorkloadError: the workload gives no tensor.
        """
        with self._arithmetic():
            loss = self.workload.loss(model, batch, **values)
        if not isinstance(loss, Tensor):
            raise WorkloadError(
                f"the workload's loss must be a tensor, got {type(loss).__name__}; give the mean "
                "over the batch"
            )
        return loss.float()

    def loss_and_error(self, model: Model, examples: Examples) -> tuple[Tensor, Tensor]:
        """Gives mean loss and error, both scalars; outputs that both need are computed once."""
        shared = _remembering(model)
        with self._arithmetic():
            # by its defaults: smoothed losses of different lanes would not compare
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
    """Puts a workload's data on a device.

    Args:
        workload: what is trained.
        device: where it is trained.
        precision: arithmetic of forward and backward passes.
        data: the workload's data where they are already at hand; None asks the workload.

    Returns:
        The workload ready to train.
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
        draws=_draws(loaded),
        mixing=next((name for name, m in layers.items() if isinstance(m, _BatchNorm)), None),
        convolutional=any(isinstance(m, _ConvNd) for m in layers.values()),
    )


def _draws(loaded: LoadedWorkload) -> bool:
    few = loaded.batch(torch.arange(min(2, len(loaded.data.train.inputs))))
    with forked(loaded.device):
        before = random_state(loaded.device)
        loaded.loss(fresh_model(loaded, 0).train(), few)
        after = random_state(loaded.device)
    return not all(map(torch.equal, before, after))


def forked(device: torch.device) -> AbstractContextManager[None]:
    """Leaves torch's global generators as they were when the context ends."""
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


def random_state(device: torch.device) -> tuple[Tensor, ...]:
    """Gives the state of the generators that a model on a device may draw from."""
    states = (torch.get_rng_state(),)
    return (*states, torch.cuda.get_rng_state(device)) if device.type == "cuda" else states


def set_random_state(device: torch.device, states: tuple[Tensor, ...]) -> None:
    """Puts the generators into a state that `random_state` gave."""
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)


def put(tensor: Tensor, values: Tensor) -> None:
    """Overwrites a tensor in place.

    Args:
        tensor: whose memory stays, for others hold views of it.
        values: of the same shape.

    Raises:
        ValueError: they are of another shape.
    """
    if tensor.shape != values.shape:
        raise ValueError(f"values must have shape {tuple(tensor.shape)}, got {tuple(values.shape)}")
    tensor.copy_(values)


def fresh_model(loaded: LoadedWorkload, seed: int) -> nn.Module:
    """Builds the workload's model with the initialisation that follows from a trial's seed."""
    with forked(loaded.device):
        torch.manual_seed(derive_seed(seed, "init"))
        return sound_model(loaded.workload.model()).to(loaded.device)


class Layout:
    """Where each trainable parameter of a model stands in a flat vector.

    Attributes:
        names: of the parameters, in their order.
        shapes: theirs.
    """

    def __init__(self, model: nn.Module) -> None:
        """Reads the shapes of a model."""
        trainable = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.names = tuple(trainable)
        self.shapes = tuple(tuple(p.shape) for p in trainable.values())
        self._sizes = [p.numel() for p in trainable.values()]

    def flatten(self, model: nn.Module) -> Tensor:
        """Gives a model's parameters as one vector, a copy of shape (parameters,)."""
        parameters = dict(model.named_parameters())
        return torch.cat([parameters[name].detach().flatten() for name in self.names])

    def unflatten(self, flat: Tensor) -> dict[str, Tensor]:
        """Gives views of a flat vector by parameter name."""
        pieces = torch.split(flat, self._sizes)
        return {
            name: piece.view(shape)
            for name, piece, shape in zip(self.names, pieces, self.shapes, strict=True)
        }

    def constants(self, model: nn.Module) -> dict[str, Tensor]:
        """Gives what a model holds beside its trainable parameters: frozen ones and buffers."""
        frozen = {n: p.detach() for n, p in model.named_parameters() if not p.requires_grad}
        return frozen | dict(model.named_buffers())


def calling(model: nn.Module, state: Mapping[str, Tensor]) -> Model:
    """Gives a model as a function that reads its parameters and buffers from `state`."""
    return lambda inputs: functional_call(model, dict(state), (inputs,))


def _remembering(model: Model) -> Model:
    """Wraps a model so that `loss` and `error` on the same inputs share one forward pass."""
    last: list[tuple[Tensor, Tensor]] = []

    def call(inputs: Tensor) -> Tensor:
        if not last or last[0][0] is not inputs:
            last[:] = [(inputs, model(inputs))]
        return last[0][1]

    return call


Trainable = LoadedWorkload | Dynamics
"""A workload made ready once per worker."""


def prepare(
    workload: Workload | Dynamics,
    device: str,
    precision: Precision = Precision.FLOAT32,
    data: Data | None = None,
) -> Trainable:
    """Makes a workload ready on a device.

    Args:
        workload: what is trained; what does its own dynamics is ready as it is.
        device: cpu or cuda.
        precision: arithmetic of forward and backward passes.
        data: the workload's data where they are already at hand.

    Returns:
        What `run_cohort` trains.
    """
    if isinstance(workload, Dynamics):
        return workload
    return load(workload, torch.device(device), precision, data)


def moved(trainable: Trainable, device: str) -> Trainable:
    """Gives a workload made ready on one device as made ready on another."""
    if not isinstance(trainable, LoadedWorkload) or trainable.device == torch.device(device):
        return trainable
    return load(trainable.workload, torch.device(device), trainable.precision, trainable.data)
