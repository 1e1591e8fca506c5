"""The models of all lanes: packed by vmap, or looped one lane after another.

Both are given the trainable parameters of all lanes as one tensor of shape (lanes, parameters);
what differs is only how gradients and errors are computed from it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from study.seeding import derive_seed, generator
from workloads.workload import Data, Examples, Model, Workload, changing_buffer


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingSet:
    """A workload with its data on the device that trains it; one per worker.

    Attributes:
        workload: what is trained.
        data: its data, on `device`.
        device: where it is trained.
    """

    workload: Workload
    data: Data
    device: torch.device


def load(workload: Workload, device: torch.device) -> TrainingSet:
    """Puts a workload's data on a device."""
    data = workload.data()
    moved = Data(
        train=Examples(*(part.to(device) for part in data.train)),
        validation=Examples(*(part.to(device) for part in data.validation)),
    )
    return TrainingSet(workload=workload, data=moved, device=device)


def fresh_model(training: TrainingSet, seed: int) -> nn.Module:
    """Builds the workload's model with the initialisation that follows from a trial's seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "init"))
        return training.workload.model().to(training.device)


class _Layout:
    """Where each trainable parameter of a model stands in a flat vector."""

    def __init__(self, model: nn.Module) -> None:
        trainable = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self._names = list(trainable)
        self._shapes = [p.shape for p in trainable.values()]
        self._sizes = [p.numel() for p in trainable.values()]

    def flatten(self, model: nn.Module) -> Tensor:
        parameters = dict(model.named_parameters())
        return torch.cat([parameters[name].detach().flatten() for name in self._names])

    def unflatten(self, flat: Tensor) -> dict[str, Tensor]:
        pieces = torch.split(flat, self._sizes)
        return {
            name: piece.view(shape)
            for name, piece, shape in zip(self._names, pieces, self._shapes, strict=True)
        }

    def constants(self, model: nn.Module) -> dict[str, Tensor]:
        frozen = {n: p.detach() for n, p in model.named_parameters() if not p.requires_grad}
        return frozen | dict(model.named_buffers())


def _remembering(model: Model) -> Model:
    """Wraps a model so that `loss` and `error` on the same inputs share one forward pass."""
    last: list[tuple[Tensor, Tensor]] = []

    def call(inputs: Tensor) -> Tensor:
        if not last or last[0][0] is not inputs:
            last[:] = [(inputs, model(inputs))]
        return last[0][1]

    return call


class Networks(Protocol):
    """The models of all lanes, given their parameters."""

    def initial_parameters(self) -> Tensor:
        """Gives the parameters at step 0, shape (lanes, parameters)."""

    def gradients(self, parameters: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Gives gradients (lanes, parameters) and losses (lanes,) on batches (lanes, B)."""

    def evaluate(self, parameters: Tensor, examples: Examples) -> Tensor:
        """Gives mean loss and error of every lane on shared examples, shape (2, lanes)."""

    def keep(self, lanes: Tensor) -> None:
        """Drops every lane where the mask `lanes` is False."""


class PackedNetworks:
    """All lanes in one computation, by vmap over the lane axis."""

    def __init__(self, training: TrainingSet, seeds: Sequence[int]) -> None:
        """Builds one model per seed.

        Args:
            training: the workload and its data.
            seeds: one per lane.
        """
        self._training = training
        models = [fresh_model(training, seed) for seed in seeds]
        self._model = models[0].train()
        self._layout = _Layout(self._model)
        self._initial = torch.stack([self._layout.flatten(model) for model in models])
        constants = [self._layout.constants(model) for model in models]
        self._constants = {n: torch.stack([c[n] for c in constants]) for n in constants[0]}
        self._batch_gradients = vmap(grad_and_value(self._batch_loss))
        self._batch_evaluation = vmap(self._evaluation, in_dims=(0, 0, None, None))

    def initial_parameters(self) -> Tensor:
        """Gives the parameters at step 0, shape (lanes, parameters)."""
        return self._initial.clone()

    def gradients(self, parameters: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Gives gradients (lanes, parameters) and losses (lanes,) on batches (lanes, B)."""
        train = self._training.data.train
        batch = (train.inputs[indices], train.targets[indices])
        gradients, losses = self._batch_gradients(parameters, self._constants, *batch)
        return gradients, losses

    def evaluate(self, parameters: Tensor, examples: Examples) -> Tensor:
        """Gives mean loss and error of every lane on shared examples, shape (2, lanes)."""
        self._model.eval()
        with torch.no_grad():
            measured = self._batch_evaluation(parameters, self._constants, *examples)
        self._model.train()
        return torch.stack(measured)

    def keep(self, lanes: Tensor) -> None:
        """Drops every lane where the mask `lanes` is False."""
        self._constants = {name: value[lanes] for name, value in self._constants.items()}

    def _model_with(self, flat: Tensor, constants: Mapping[str, Tensor]) -> Model:
        return _calling(self._model, self._layout.unflatten(flat) | dict(constants))

    def _batch_loss(
        self, flat: Tensor, constants: Mapping[str, Tensor], inputs: Tensor, targets: Tensor
    ) -> Tensor:
        model = self._model_with(flat, constants)
        return self._training.workload.loss(model, Examples(inputs, targets))

    def _evaluation(
        self, flat: Tensor, constants: Mapping[str, Tensor], inputs: Tensor, targets: Tensor
    ) -> tuple[Tensor, Tensor]:
        model = _remembering(self._model_with(flat, constants))
        workload, batch = self._training.workload, Examples(inputs, targets)
        return workload.loss(model, batch), workload.error(model, batch)


class LoopedNetworks:
    """One lane after another: for models that vmap cannot take, or that fill the device alone."""

    def __init__(self, training: TrainingSet, seeds: Sequence[int]) -> None:
        """Builds one model per seed.

        Args:
            training: the workload and its data.
            seeds: one per lane; also seeds what the model draws while training (dropout).
        """
        self._training = training
        self._models = [fresh_model(training, seed).train() for seed in seeds]
        self._layout = _Layout(self._models[0])
        self._random_states = [generator(seed, "model").get_state() for seed in seeds]

    def initial_parameters(self) -> Tensor:
        """Gives the parameters at step 0, shape (lanes, parameters)."""
        return torch.stack([self._layout.flatten(model) for model in self._models])

    def gradients(self, parameters: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Gives gradients (lanes, parameters) and losses (lanes,) on batches (lanes, B)."""
        gradients, losses = torch.empty_like(parameters), []
        with torch.random.fork_rng():
            for lane in range(len(self._models)):
                torch.set_rng_state(self._random_states[lane])
                loss = self._lane_gradient(lane, parameters, indices, out=gradients)
                self._random_states[lane] = torch.get_rng_state()
                losses.append(loss)
        return gradients, torch.stack(losses)

    def evaluate(self, parameters: Tensor, examples: Examples) -> Tensor:
        """Gives mean loss and error of every lane on shared examples, shape (2, lanes)."""
        workload, measured = self._training.workload, []
        with torch.no_grad():
            for lane, model in enumerate(self._models):
                state = self._layout.unflatten(parameters[lane])
                call = _remembering(_calling(model.eval(), state))
                measured.append(
                    torch.stack([workload.loss(call, examples), workload.error(call, examples)])
                )
                model.train()
        return torch.stack(measured, dim=1)

    def keep(self, lanes: Tensor) -> None:
        """Drops every lane where the mask `lanes` is False."""
        kept = [lane for lane, keep in enumerate(lanes.tolist()) if keep]
        self._models = [self._models[lane] for lane in kept]
        self._random_states = [self._random_states[lane] for lane in kept]

    def _lane_gradient(self, lane: int, parameters: Tensor, indices: Tensor, out: Tensor) -> Tensor:
        train = self._training.data.train
        batch = Examples(train.inputs[indices[lane]], train.targets[indices[lane]])
        flat = parameters[lane].detach().requires_grad_()
        model = _calling(self._models[lane], self._layout.unflatten(flat))
        loss = self._training.workload.loss(model, batch)
        (out[lane],) = torch.autograd.grad(loss, flat)
        return loss.detach()


def _calling(model: nn.Module, state: Mapping[str, Tensor]) -> Model:
    return lambda inputs: functional_call(model, dict(state), (inputs,))


def why_not_packed(training: TrainingSet) -> str | None:
    """Tells why a workload's lanes must be looped.

    Args:
        training: the workload and its data.

    Returns:
        The reason, or None where its lanes can be packed: vmap takes its gradient and its
        evaluation, and no buffer changes while it trains (batch statistics).
    """
    indices = torch.zeros(2, min(2, len(training.data.train.inputs)), dtype=torch.long)
    indices = indices.to(training.device)
    batch = Examples(*(part[indices[0]] for part in training.data.train))
    changing = changing_buffer(training.workload, fresh_model(training, 0), batch)
    if changing is not None:
        return f"buffer {changing!r} changes while the model trains"
    try:
        packed = PackedNetworks(training, [0, 1])
        packed.gradients(packed.initial_parameters(), indices)
        few = Examples(*(part[:2] for part in training.data.validation))
        packed.evaluate(packed.initial_parameters(), few)
    except Exception as error:  # noqa: BLE001 - whatever vmap refuses, the loop may still take
        return f"vmap refuses it: {str(error).splitlines()[0]}"
    return None
