"""The models of several lanes in one computation: vmap over the lane axis, traced and compiled."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.func import grad_and_value, vmap

from study.engine.networks.tracing import Program, compiled, traced
from study.engine.networks.training import Layout, LoadedWorkload, calling, fresh_model, put
from study.optimizers import Shapes, Step
from study.records import Floats
from workloads.workload import Examples, Model, changing_buffer


class PackedNetworks:
    """The models of several lanes; every computation is one program for all of them."""

    capturable = True

    def __init__(
        self,
        loaded: LoadedWorkload,
        seeds: Sequence[int],
        loss_values: Mapping[str, Floats] | None = None,
    ) -> None:
        """Builds one model per seed.

        Args:
            loaded: the workload and its data.
            seeds: one per lane.
            loss_values: the workload's own hyperparameters, each of shape (lanes,).
        """
        self._loaded = loaded
        models = [fresh_model(loaded, seed) for seed in seeds]
        self._model = models[0].train()
        self._layout = Layout(self._model)
        self.parameters = torch.stack([self._layout.flatten(model) for model in models])
        constants = [self._layout.constants(model) for model in models]
        self._constants = {n: torch.stack([c[n] for c in constants]) for n in constants[0]}
        self._loss_values = {
            name: torch.from_numpy(values).to(self.parameters)
            for name, values in (loss_values or {}).items()
        }

    @property
    def shapes(self) -> Shapes:
        """The shapes of the parameter tensors, in their order in `parameters`."""
        return self._layout.shapes

    def gradients(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Gives gradients (lanes, parameters) and losses (lanes,) on batches (lanes, B)."""
        read = self._read(indices)
        key = ("gradients", *self._loss_values, len(self.parameters), indices.shape)
        gradients, losses = self._program(key, self._gradient_graph, read)(*read)
        return gradients, losses

    def step(
        self,
        update: Step,
        buffers: Mapping[str, Tensor],
        values: Mapping[str, Tensor],
        indices: Tensor,
    ) -> Tensor:
        """Takes one update in every lane.

        Args:
            update: the optimizer's step.
            buffers: its state, first axis lanes; changed in place.
            values: hyperparameters, each (lanes, 1).
            indices: examples of each lane's batch, (lanes, B).

        Returns:
            The loss of every lane before the update, (lanes,).
        """
        names = [*buffers, *values]
        inputs = (*buffers.values(), *values.values(), *self._read(indices))

        def whole(inputs: tuple[Tensor, ...]) -> Program:
            gradient = self._gradient_graph(inputs[len(names) :])

            def take(*inputs: Tensor) -> Tensor:
                held, read = inputs[: len(names)], inputs[len(names) :]
                gradients, losses = gradient(*read)
                named = dict(zip(names, held, strict=True))
                update(read[0], gradients, named, named)
                return cast(Tensor, losses)

            return take

        key = (update, *names, *self._loss_values, len(self.parameters), indices.shape)
        return cast(Tensor, self._program(key, whole, inputs)(*inputs))

    def evaluate(self, examples: Examples, lanes: Tensor | None = None) -> Tensor:
        """Gives mean loss and error on shared examples.

        Args:
            examples: the examples, the same for every lane.
            lanes: which lanes to evaluate, indices of shape (some,); None evaluates all.

        Returns:
            Losses and errors, shape (2, lanes evaluated).
        """
        held: tuple[Tensor, ...] = (self.parameters, *self._constants.values())
        if lanes is not None:
            held = tuple(tensor[lanes] for tensor in held)
        inputs = (*held, *examples)
        key = ("evaluation", len(held[0]), len(examples.inputs))
        return torch.stack(self._program(key, self._evaluation_graph, inputs)(*inputs))

    def keep(self, lanes: Tensor) -> None:
        """Keeps the lanes whose indices are given, in that order."""
        self.parameters = self.parameters[lanes]
        self._constants = {name: value[lanes] for name, value in self._constants.items()}
        self._loss_values = {name: value[lanes] for name, value in self._loss_values.items()}

    def state(self) -> dict[str, Tensor]:
        """Gives the parameters: buffers that training changes cannot be packed."""
        return {"parameters": self.parameters}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Takes a state that the same lanes gave."""
        put(self.parameters, state["parameters"])

    def _read(self, indices: Tensor) -> tuple[Tensor, ...]:
        """Gives what a gradient is computed from, in the order of its program's inputs."""
        held = (self.parameters, *self._constants.values(), *self._loss_values.values())
        return (*held, *self._loaded.data.train, indices)

    def _program(
        self,
        key: Hashable,
        function: Callable[[tuple[Tensor, ...]], Program],
        inputs: tuple[Tensor, ...],
    ) -> Program:
        programs = self._loaded.programs
        if key not in programs:
            programs[key] = compiled(function(inputs), inputs)
        return programs[key]

    def _gradient_graph(self, inputs: tuple[Tensor, ...]) -> Program:
        names, count = list(self._loss_values), len(self._constants)

        def loss(flat: Tensor, held: tuple[Tensor, ...], *batch: Tensor) -> Tensor:
            model = self._model_with(flat, held[:count])
            values = dict(zip(names, held[count:], strict=True))
            return self._loaded.loss(model, Examples(*batch), **values)

        def gradients(parameters: Tensor, *rest: Tensor) -> tuple[Tensor, Tensor]:
            *held, examples, targets, indices = rest
            batch = (examples[indices], targets[indices])
            both: tuple[Tensor, Tensor] = vmap(grad_and_value(loss))(
                parameters, tuple(held), *batch
            )
            return both

        return traced(gradients, inputs)

    def _evaluation_graph(self, inputs: tuple[Tensor, ...]) -> Program:
        def measure(
            flat: Tensor, constants: tuple[Tensor, ...], *examples: Tensor
        ) -> tuple[Tensor, Tensor]:
            model = self._model_with(flat, constants)
            return self._loaded.loss_and_error(model, Examples(*examples))

        def evaluation(parameters: Tensor, *rest: Tensor) -> Any:
            *constants, examples, targets = rest
            lanes = vmap(measure, in_dims=(0, 0, None, None))
            return lanes(parameters, tuple(constants), examples, targets)

        self._model.eval()
        graph = traced(evaluation, inputs)
        self._model.train()
        return graph

    def _model_with(self, flat: Tensor, constants: tuple[Tensor, ...]) -> Model:
        named = dict(zip(self._constants, constants, strict=True))
        return calling(self._model, self._layout.unflatten(flat) | named)


def why_not_packed(
    loaded: LoadedWorkload, loss_values: Mapping[str, float] | None = None
) -> str | None:
    """Tells why a workload's lanes must be looped.

    Args:
        loaded: the workload and its data.
        loss_values: some values of its own hyperparameters.

    Returns:
        The reason, or None where its lanes can be packed: vmap takes its gradient and its
        evaluation, no buffer changes while it trains (batch statistics), and its data are in
        memory.
    """
    if loaded.data.mapped:
        return "its training examples stay in a file"
    indices = torch.zeros(2, min(2, len(loaded.data.train.inputs)), dtype=torch.long)
    indices = indices.to(loaded.device)
    batch = loaded.batch(indices[0])
    changing = changing_buffer(loaded.workload, fresh_model(loaded, 0), batch)
    if changing is not None:
        return f"buffer {changing!r} changes while the model trains"
    try:
        values = {name: np.full(2, value) for name, value in (loss_values or {}).items()}
        packed = PackedNetworks(loaded, [0, 1], values)
        packed.gradients(indices)
        packed.evaluate(Examples(*(part[:2] for part in loaded.data.validation)))
    except Exception as error:  # noqa: BLE001 - whatever vmap refuses, the loop may still take
        return f"vmap refuses it: {(str(error) or type(error).__name__).splitlines()[0]}"
    return None
