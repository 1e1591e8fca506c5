"""The models of several lanes as one computation: vmap over lanes, traced and compiled."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor
from torch.func import grad_and_value, vmap

from study.engine.networks.tracing import Trace, compile_trace, trace
from study.engine.networks.training import (
    Computation,
    Layout,
    LoadedWorkload,
    copy_into,
    fresh_model,
)
from study.optimizers import Shapes, Step
from study.records import Floats
from workloads.trees import rebuilt
from workloads.workload import Examples


class PackedNetworks:
    """The models of several lanes; each computation is one trace for all of them."""

    supports_cuda_graph = True

    def __init__(
        self,
        loaded: LoadedWorkload,
        seeds: Sequence[int],
        loss_values: Mapping[str, Floats] | None = None,
    ) -> None:
        """Build one model per seed.

        Args:
            loaded: the workload and its data.
            seeds: seed of each lane's trial.
            loss_values: hyperparameters of the workload's loss, each of shape (lanes,).
        """
        self._loaded = loaded
        models = [fresh_model(loaded, seed) for seed in seeds]
        self._model = models[0].train()
        self._layout = Layout(self._model)
        self._train = loaded.data.train
        self._examples = self._train.tensors
        self.parameters = torch.stack([self._layout.flatten(model) for model in models])
        constants = [self._layout.constants(model) for model in models]
        self._constants = {n: torch.stack([c[n] for c in constants]) for n in constants[0]}
        self._loss_values = {
            name: torch.from_numpy(values).to(self.parameters)
            for name, values in (loss_values or {}).items()
        }

    @property
    def shapes(self) -> Shapes:
        """Shapes of a model's parameter tensors, in their order in `parameters`."""
        return self._layout.shapes

    def gradients(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return gradients (lanes, parameters) and losses (lanes,) on batches (lanes, B)."""
        read = self._read(indices)
        key = ("gradients", *self._loss_values, len(self.parameters), indices.shape)
        gradients, losses = self._trace(key, self._gradient_graph, read)(*read)
        return gradients, losses

    def step(
        self,
        update: Step,
        buffers: Mapping[str, Tensor],
        values: Mapping[str, Tensor],
        indices: Tensor,
    ) -> Tensor:
        """Take one update in every lane.

        Gradient and update are one trace, so a step runs without Python in between.

        Args:
            update: the optimizer's step.
            buffers: optimizer state, each (lanes, ...); changed in place.
            values: hyperparameters, each (lanes, 1).
            indices: batches, (lanes, B).

        Returns:
            The losses before the update, (lanes,).
        """
        names = [*buffers, *values]
        inputs = (*buffers.values(), *values.values(), *self._read(indices))

        def build(inputs: tuple[Tensor, ...]) -> Trace:
            gradient = self._gradient_graph(inputs[len(names) :])

            def take(*inputs: Tensor) -> Tensor:
                held, read = inputs[: len(names)], inputs[len(names) :]
                gradients, losses = gradient(*read)
                named = dict(zip(names, held, strict=True))
                update(read[0], gradients, named, named)
                return cast(Tensor, losses)

            return take

        key = (update, *names, *self._loss_values, len(self.parameters), indices.shape)
        return cast(Tensor, self._trace(key, build, inputs)(*inputs))

    def evaluate(self, examples: Examples, lanes: Tensor | None = None) -> Tensor:
        """Return mean loss and mean error on shared examples, shape (2, evaluated lanes).

        `lanes` holds the indices of the lanes to evaluate; None evaluates all.
        """
        held: tuple[Tensor, ...] = (self.parameters, *self._constants.values())
        if lanes is not None:
            held = tuple(tensor[lanes] for tensor in held)
        inputs = (*held, *examples.tensors)
        key = ("evaluation", len(held[0]), examples.size)
        build = partial(self._evaluation_graph, examples)
        return torch.stack(self._trace(key, build, inputs)(*inputs))

    def keep(self, lanes: Tensor) -> None:
        """Keep the lanes of these indices, in this order."""
        self.parameters = self.parameters[lanes]
        self._constants = {name: value[lanes] for name, value in self._constants.items()}
        self._loss_values = {name: value[lanes] for name, value in self._loss_values.items()}

    def state(self) -> dict[str, Tensor]:
        """Return the parameters; models with buffers that training changes are never packed."""
        return {"parameters": self.parameters}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Restore a state of the same lanes."""
        copy_into(self.parameters, state["parameters"])

    def _read(self, indices: Tensor) -> tuple[Tensor, ...]:
        """Return the inputs of a gradient's trace, in order."""
        held = (self.parameters, *self._constants.values(), *self._loss_values.values())
        return (*held, *self._examples, indices)

    def _trace(
        self,
        key: Hashable,
        build: Callable[[tuple[Tensor, ...]], Trace],
        inputs: tuple[Tensor, ...],
    ) -> Trace:
        # cached per worker: a trace fixes shapes and Python values, so the key names all of them
        traces = self._loaded.traces
        if key not in traces:
            traces[key] = compile_trace(build(inputs), inputs)
        return traces[key]

    def _gradient_graph(self, inputs: tuple[Tensor, ...]) -> Trace:
        names, count = list(self._loss_values), len(self._constants)
        train, own = self._train, count + len(names)
        computation = Computation(self._model, self._loaded.loss)

        def loss(flat: Tensor, held: tuple[Tensor, ...], *batch: Tensor) -> Tensor:
            values = dict(zip(names, held[count:], strict=True))
            state = self._state(flat, held[:count])
            return cast(Tensor, computation.on(state, rebuilt(train, batch), **values))

        def gradients(parameters: Tensor, *rest: Tensor) -> tuple[Tensor, Tensor]:
            held, examples, indices = rest[:own], rest[own:-1], rest[-1]
            both: tuple[Tensor, Tensor] = vmap(grad_and_value(loss))(
                parameters, held, *(tensor[indices] for tensor in examples)
            )
            return both

        return trace(gradients, inputs)

    def _evaluation_graph(self, examples: Examples, inputs: tuple[Tensor, ...]) -> Trace:
        computation, count = (
            Computation(self._model, self._loaded.loss_and_error),
            len(self._constants),
        )

        def measure(
            flat: Tensor, constants: tuple[Tensor, ...], *given: Tensor
        ) -> tuple[Tensor, Tensor]:
            both = computation.on(self._state(flat, constants), rebuilt(examples, given))
            return cast(tuple[Tensor, Tensor], both)

        def evaluation(parameters: Tensor, *rest: Tensor) -> Any:
            constants, given = rest[:count], rest[count:]
            lanes = vmap(measure, in_dims=(0, 0, *[None] * len(given)))
            return lanes(parameters, constants, *given)

        self._model.eval()
        graph = trace(evaluation, inputs)
        self._model.train()
        return graph

    def _state(self, flat: Tensor, constants: tuple[Tensor, ...]) -> dict[str, Tensor]:
        named = dict(zip(self._constants, constants, strict=True))
        return self._layout.unflatten(flat) | named
