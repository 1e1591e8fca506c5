"""Workloads prepared for training: with their data on a device, and models as flat parameters."""

from collections.abc import Callable, MutableMapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from study.config.sections import Precision
from study.engine.networks.mixing import mixing_of
from study.engine.networks.shared_pass import forward_passes_shared
from study.optimizers.parameters import parameter_tensors
from study.seeding import derive_seed
from workloads.command import Command
from workloads.errors import WorkloadError
from workloads.examination.loading import first_data
from workloads.examination.observation import Observation, observe
from workloads.examination.samples import FEW, few, with_extremes
from workloads.items import Items
from workloads.randomness import forked, seed_all
from workloads.soundness import augmented, quantities, sound_model, sound_values
from workloads.workload import Data, Dynamics, Examples, Workload

_MATMUL = {Precision.FLOAT32: "highest", Precision.TF32: "high", Precision.BF16: "high"}


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedWorkload:
    """A workload with its data on the device that trains it; one per worker."""

    workload: Workload
    data: Data  # on `device`; a mapped training set stays in its file
    device: torch.device
    precision: Precision = Precision.FLOAT32  # of forward and backward passes
    quantities: tuple[str, ...] = ()  # names of the quantities measured besides loss and error
    observed: Observation = Observation()  # side effects of training and of measuring
    mixing: str | None = None  # what makes examples of a batch interact in training, if anything
    looped_because: str = ""  # why lanes are looped; empty if they are packed, or by default
    traces: dict[Any, Any] = field(default_factory=dict)  # compiled, by purpose and shapes

    def batch(self, indices: Tensor) -> Examples:
        """Return the training examples at some indices, on the device."""
        batch: Examples = self.data.train.rows(indices).to(self.device)
        if not self.data.held:  # not all of them have been checked
            sound_values("a training batch", batch)
        return batch

    @property
    def whole(self) -> bool:
        """Whether loss and error need all examples at once, since they are not means over them."""
        return bool(getattr(self.workload, "whole", False))

    @property
    def indivisible(self) -> str | None:
        """Why a batch cannot be computed as the mean over its parts, in words; None if it can."""
        state = self.observed.state and f"{self.observed.state}, which every pass may change"
        return "`whole = True`" if self.whole else self.mixing or state or self.observed.touches

    def loss(self, model: nn.Module, batch: Examples, **values: Tensor) -> Tensor:
        """Return the training loss, a scalar, computed in this precision.

        `values` are the workload's own hyperparameters, each a scalar.
        """
        with self._arithmetic():
            return self.plain_loss(model, augmented(self.workload, batch), **values)

    def plain_loss(self, model: nn.Module, batch: Examples, **values: Tensor) -> Tensor:
        """Return the training loss without augmentation."""
        with self._arithmetic():
            return self.workload.loss(model, batch, **values).float().reshape(())

    def measured(self, model: nn.Module, examples: Examples) -> tuple[Tensor, ...]:
        """Return loss, error and further quantities, all scalars, from one forward pass."""
        with self._arithmetic(), forward_passes_shared(model):
            # at the loss's default hyperparameters, which make lanes comparable
            loss = self.workload.loss(model, examples)
            error = self.workload.error(model, examples)
            further = quantities(self.workload, model, examples)
        if tuple(further) != self.quantities:
            raise WorkloadError(
                "`quantities` must give the same names in every call, got "
                f"{', '.join(further)} after {', '.join(self.quantities)}"
            )
        return loss.float().reshape(()), error.float().reshape(()), *further.values()

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
    """Return a workload with its data on a device; the data are loaded unless given."""
    # settings of the whole process: float32 is float32, and results repeat bit for bit
    torch.set_float32_matmul_precision(_MATMUL[precision])
    # by default torch allows cuDNN to round the inputs of convolutions to tf32
    torch.backends.cudnn.allow_tf32 = precision is not Precision.FLOAT32
    torch.backends.cudnn.deterministic = True
    data = first_data(workload) if data is None else data
    on_device = {
        name: split if name == "train" and data.mapped else split.to(device)
        for name, split in data.splits.items()
    }
    moved = replace(data, **on_device)
    loaded = LoadedWorkload(workload=workload, data=moved, device=device, precision=precision)
    with torch.no_grad():
        further = quantities(workload, fresh_model(loaded, 0).eval(), few(moved.validation))
    versions = moved.versions
    observed = observe(
        workload,
        lambda seed: fresh_model(loaded, seed),
        few(data.train).to(device),
        few(moved.validation).to(device),
    )
    if versions != moved.versions:
        raise WorkloadError(
            "the data must not change once data() has returned them, but the workload writes into "
            "them while it trains or is measured; change them in data(), or write into copies"
        )
    if isinstance(data.train, Items):
        observed = replace(observed, draws=observed.draws or data.train.draws)
    mixing = _mixing(loaded, observed.draws)
    return replace(loaded, quantities=tuple(further), observed=observed, mixing=mixing)


def _mixing(loaded: LoadedWorkload, draws: str | None) -> str | None:
    """Return what makes the examples of a batch interact in training, if anything.

    A training loss that is not a mean is refused on the way.
    """
    make, mixing = partial(fresh_model, loaded, 0), None
    # the last examples are the most telling, and all would need more memory than a batch
    batch = with_extremes(loaded.data.train).rows(slice(-FEW, None)).to(loaded.device)
    # a workload that draws may fail if its random numbers are all equal
    expected = (ArithmeticError, RuntimeError, ValueError) if draws else ()
    if draws in {None, "torch"}:
        with suppress(*expected):
            mixing = mixing_of(loaded.plain_loss, make, batch, loaded.precision)
    layers = make().named_modules()
    norm = next((name for name, module in layers if isinstance(module, _BatchNorm)), None)
    return mixing if norm is None else f"batch statistics in {norm}"


def copy_into(tensor: Tensor, values: Tensor) -> None:
    """Copy values of the same shape into a tensor, in place, since views of its memory exist."""
    if tensor.shape != values.shape:
        raise ValueError(f"values must have shape {tuple(tensor.shape)}, got {tuple(values.shape)}")
    tensor.copy_(values)


def fresh_model(loaded: LoadedWorkload, seed: int) -> nn.Module:
    """Return the workload's model with the initialization of a trial's seed."""
    with forked(loaded.device):
        seed_all(derive_seed(seed, "init"))
        return sound_model(loaded.workload.model()).to(loaded.device)


class Layout:
    """Position of each trainable parameter of a model in one flat vector.

    Parameters are views of one vector, so an update rule is a few operations on all of them, and
    lanes are kept, copied and saved as rows of a matrix.
    """

    def __init__(self, model: nn.Module) -> None:
        trainable = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.names = tuple(trainable)
        self.shapes = tuple(tuple(p.shape) for p in trainable.values())  # in the order of `names`
        self.described = parameter_tensors(model)  # the same for update rules, with roles
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


def untrained_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return the tensors that the optimizer does not train: frozen parameters and buffers."""
    frozen = {n: p.detach() for n, p in model.named_parameters() if not p.requires_grad}
    return frozen | dict(model.named_buffers())


class Computation(nn.Module):
    """A computation on a model as a module, whose tensors `functional_call` can swap.

    The workload gets the model itself, with the tensors of one lane: it may call it with keywords,
    read `model.training`, or iterate over `model.parameters()`, as in plain torch.
    """

    def __init__(self, model: nn.Module, compute: Callable[..., Any]) -> None:
        super().__init__()
        self.model = model
        self._compute = compute

    def forward(self, *arguments: Any, **keywords: Any) -> Any:
        """Return the result on the model as it is now."""
        return self._compute(self.model, *arguments, **keywords)

    def on(self, state: MutableMapping[str, Tensor], *arguments: Any, **keywords: Any) -> Any:
        """Return the result on the model with the parameters and buffers of `state`.

        `state` then has what the model put in place of its buffers.
        """
        named = {f"model.{name}": tensor for name, tensor in state.items()}
        result = functional_call(self, named, arguments, keywords)
        state.update({name: named[f"model.{name}"] for name in state})
        return result


Lockstep = LoadedWorkload | Dynamics
"""A workload whose lanes train in lockstep, prepared once per worker."""
Trainable = Lockstep | Command
"""What trials train: a workload in lockstep, or a program."""


def prepare(
    workload: Workload | Dynamics | Command,
    device: str,
    precision: Precision = Precision.FLOAT32,
    data: Data | None = None,
) -> Trainable:
    """Return a workload prepared for training on cpu or cuda; only a network needs preparation."""
    if isinstance(workload, Dynamics | Command):
        return workload
    return load(workload, torch.device(device), precision, data)


def moved(trainable: Trainable, device: str) -> Trainable:
    """Return a prepared workload moved to another device."""
    if not isinstance(trainable, LoadedWorkload) or trainable.device == torch.device(device):
        return trainable
    return load(trainable.workload, torch.device(device), trainable.precision, trainable.data)
