"""The models of several lanes as one computation: vmap over lanes, traced and compiled.

Buffers that training changes, such as batch statistics, are stacked like parameters: a step
computes their new values along with the gradients and writes them back.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from itertools import compress
from typing import Any, cast

import torch
from torch import Tensor
from torch.func import grad_and_value

from study.engine.networks.cross_entropy import FewOperations
from study.engine.networks.noise import Draw, given_draws, recorded_draws
from study.engine.networks.tracing import Trace, compile_trace, over_lanes, trace
from study.engine.networks.training import (
    Computation,
    Layout,
    LoadedWorkload,
    copy_into,
    fresh_model,
    untrained_tensors,
)
from study.optimizers import Step
from study.records import Floats
from study.seeding import derive_seed
from workloads.errors import WorkloadError
from workloads.examination.python_state import Snapshot, changed, snapshot
from workloads.randomness import forked
from workloads.trees import rebuilt
from workloads.workload import Examples

Tensors = tuple[Tensor, ...]


class PackedNetworks:
    """The models of several lanes; each computation is one trace for all of them.

    Attributes:
        described: a model's parameter tensors, in their order in `parameters`.
        parameters: all trainable parameters, shape (lanes, parameters); updated in place.
        supports_cuda_graph: whether a step consists of kernel launches only.
    """

    def __init__(
        self,
        loaded: LoadedWorkload,
        seeds: Sequence[int],
        loss_values: Mapping[str, Floats] | None = None,
    ) -> None:
        """Build a model per seed; `loss_values` are hyperparameters of the loss, each (lanes,)."""
        self._loaded = loaded
        models = [fresh_model(loaded, seed) for seed in seeds]
        self._model = models[0].train()
        self._layout = Layout(self._model)
        self.described = self._layout.described
        self._examples = loaded.data.train.tensors
        self.parameters = torch.stack([self._layout.flatten(model) for model in models])
        per_lane = [untrained_tensors(model) for model in models]
        self._constants = {n: torch.stack([lane[n] for lane in per_lane]) for n in per_lane[0]}
        buffers = dict(self._model.named_buffers()) if loaded.observed.buffer else {}
        self._changing = tuple(name for name in self._constants if name in buffers)
        self._loss_values = {
            name: torch.from_numpy(values).to(self.parameters)
            for name, values in (loss_values or {}).items()
        }
        # the same streams as in lanes that train by themselves
        self._generators = [
            torch.Generator(loaded.device).manual_seed(derive_seed(seed, "model"))
            for seed in (seeds if loaded.observed.draws else ())
        ]
        self.supports_cuda_graph = not self._generators  # the host draws between steps

    @property
    def statistics(self) -> list[Tensor]:
        """Buffers that training may change, such as batch statistics, each (lanes, ...)."""
        changing = [self._constants[name] for name in self._changing]
        return [buffer for buffer in changing if buffer.is_floating_point()]

    def gradients(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return gradients (lanes, parameters) and losses (lanes,) on batches (lanes, B)."""
        read = self._read(indices)
        key = ("gradients", *self._loss_values, len(self.parameters), indices.shape)
        gradients, losses, *buffers = self._trace(key, self._gradient_graph, read)(*read)
        for name, buffer in zip(self._changing, buffers, strict=True):
            self._constants[name].copy_(buffer)
        return gradients, losses

    def step(
        self,
        update: Step,
        buffers: Mapping[str, Tensor],
        values: Mapping[str, Tensor],
        indices: Tensor,
    ) -> Tensor:
        """Return the losses (lanes,) before an update, which every lane takes.

        Gradient and update are one trace, so a step runs without Python in between. `buffers`, the
        optimizer's state, are changed in place, each (lanes, ...); `values` are hyperparameters,
        each (lanes, 1), and `indices` batches, (lanes, B).
        """
        names = [*buffers, *values]
        inputs = (*buffers.values(), *values.values(), *self._read(indices))

        def build(inputs: Tensors) -> Trace:
            gradient = self._gradient_graph(inputs[len(names) :])

            def take(*inputs: Tensor) -> Tensor:
                optimizer_inputs, read = inputs[: len(names)], inputs[len(names) :]
                gradients, losses, *buffers = gradient(*read)
                named = dict(zip(names, optimizer_inputs, strict=True))
                update(read[0], gradients, named, named)
                constants = dict(zip(self._constants, read[1:], strict=False))
                for name, buffer in zip(self._changing, buffers, strict=True):
                    constants[name].copy_(buffer)
                return cast(Tensor, losses)

            return take

        key = (update, *names, *self._loss_values, len(self.parameters), indices.shape)
        return cast(Tensor, self._trace(key, build, inputs)(*inputs))

    def evaluate(self, examples: Examples, lanes: Tensor | None = None) -> Tensor:
        """Return mean loss, error and further quantities on shared examples, (2 + further, lanes).

        `lanes` are the indices of those to evaluate; None evaluates all.
        """
        state: Tensors = (self.parameters, *self._constants.values())
        if lanes is not None:
            state = tuple(tensor[lanes] for tensor in state)
        inputs = (*state, *examples.tensors)
        key = ("evaluation", len(state[0]), examples.size)
        build = partial(self._evaluation_graph, examples)
        with torch.no_grad():  # the workload's own tensors, as of a teacher, may require gradients
            return torch.stack(self._trace(key, build, inputs)(*inputs))

    def evaluate_apart(self, examples: Examples) -> Tensor:
        """Return the same as `evaluate`, with separate examples for each lane and without a trace.

        vmap then refuses to turn examples into Python or numpy numbers, which a trace would freeze
        at the first portion.
        """
        copies = [tensor.expand(len(self.parameters), *tensor.shape) for tensor in examples.tensors]
        self._model.eval()
        evaluation = self._evaluation(examples, shared=False)
        measured = evaluation(self.parameters, *self._constants.values(), *copies)
        self._model.train()
        return torch.stack(measured)

    def buffers(self, lane: int) -> dict[str, Tensor]:
        """Return copies of a lane's buffers that training may change, by name."""
        return {name: self._constants[name][lane].clone() for name in self._changing}

    def keep(self, lanes: Tensor) -> None:
        """Keep the lanes with these indices, in this order."""
        self.parameters = self.parameters[lanes]
        self._constants = {name: value[lanes] for name, value in self._constants.items()}
        self._loss_values = {name: value[lanes] for name, value in self._loss_values.items()}
        if self._generators:
            self._generators = [self._generators[lane] for lane in lanes.tolist()]

    def state(self) -> dict[str, Tensor]:
        """Return parameters, buffers such as batch statistics, and generators."""
        random = {f"random {i}": g.get_state() for i, g in enumerate(self._generators)}
        buffers = {f"buffer {name}": self._constants[name] for name in self._changing}
        return {"parameters": self.parameters, **buffers, **random}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Restore a state of the same lanes."""
        copy_into(self.parameters, state["parameters"])
        for name in self._changing:
            copy_into(self._constants[name], state[f"buffer {name}"])
        for i, generator in enumerate(self._generators):
            generator.set_state(state[f"random {i}"].cpu())

    def _read(self, indices: Tensor) -> Tensors:
        """Return the inputs of a gradient's trace, in order."""
        state = (self.parameters, *self._constants.values(), *self._loss_values.values())
        # a trace fixes strides too, and a batch is a slice of an epoch or joined from two
        return (*state, *self._examples, *self._drawn(indices), indices.contiguous())

    def _drawn(self, indices: Tensor) -> list[Tensor]:
        """Return the random numbers of a step, each (lanes, ...)."""
        if not self._generators:
            return []
        key, traces = ("draws", *self._loss_values, indices.shape[1]), self._loaded.traces
        if key not in traces:
            traces[key] = self._draws(indices[0])
        draws = cast(Sequence[Draw], traces[key])
        return [torch.stack([draw(g) for g in self._generators]) for draw in draws]

    def _draws(self, indices: Tensor) -> Sequence[Draw]:
        """Return the draws of a lane's step, recorded while its loss is computed."""
        computation = Computation(self._model, self._loaded.loss)
        constants = tuple(tensor[0].clone() for tensor in self._constants.values())
        state = self._state(self.parameters[0], constants)
        values = {name: value[0] for name, value in self._loss_values.items()}
        draws: list[Draw] = []
        with forked(indices.device), torch.no_grad(), recorded_draws(draws):
            computation.on(state, self._loaded.batch(indices), **values)
        return draws

    def _trace(self, key: Hashable, build: Callable[[Tensors], Trace], inputs: Tensors) -> Trace:
        # cached per worker: a trace fixes shapes and Python values, so the key names all of them
        traces = self._loaded.traces
        if key not in traces:
            traces[key] = compile_trace(self._checked(build, inputs), inputs)
        return cast(Trace, traces[key])

    def _checked(self, build: Callable[[Tensors], Trace], inputs: Tensors) -> Trace:
        """Build a trace; refuse Python state that changes, since a trace would freeze it."""
        for _ in range(2):  # the second time, a cache that the first call filled is unchanged
            before = self._python_state()
            built = build(inputs)
            changes = changed(before, self._python_state())
            if not changes:
                return built
        raise WorkloadError(
            f"{min(changes)} changes only with batches or measurements of this size, which a pack "
            'of lanes cannot follow; set compute.mode = "looped"'
        )

    def _python_state(self) -> Snapshot:
        versions = {
            f"buffer {name}": tensor._version
            for name, tensor in self._constants.items()
            if name not in self._changing
        }
        return {**snapshot(model=self._model, workload=self._loaded.workload), **versions}

    def _gradient_graph(self, inputs: Tensors) -> Trace:
        names, count, train = list(self._loss_values), len(self._constants), self._loaded.data.train
        begin = count + len(names)
        end = begin + len(self._examples)
        computation = Computation(self._model, self._loaded.loss)
        nonnegative = [
            tensor.dtype is torch.int64 and bool((tensor >= 0).all()) for tensor in self._examples
        ]

        def loss(
            flat: Tensor, rest: Tensors, drawn: Tensors, *batch: Tensor
        ) -> tuple[Tensor, list[Tensor]]:
            values = dict(zip(names, rest[count:], strict=True))
            state = self._state(flat, rest[:count])
            # copies: the model may change in place only tensors made inside this transform
            state |= {name: state[name].clone() for name in self._changing}
            classes = list(compress(batch, nonnegative))
            with given_draws(drawn), FewOperations(classes):
                value = computation.on(state, rebuilt(train, batch), **values)
            return cast(Tensor, value), [state[name] for name in self._changing]

        def gradients(parameters: Tensor, *inputs: Tensor) -> Tensors:
            rest, examples, drawn = inputs[:begin], inputs[begin:end], inputs[end:-1]
            indices = inputs[-1]  # whole rows are copied: indexing copies number by number
            rows = (tensor.index_select(0, indices.flatten()) for tensor in examples)
            batch = (tensor.view(*indices.shape, *tensor.shape[1:]) for tensor in rows)
            take = over_lanes(grad_and_value(loss, has_aux=True), len(parameters))
            slopes, (value, buffers) = take(parameters, rest, drawn, *batch)
            return slopes, value, *buffers

        return trace(gradients, inputs)

    def _evaluation_graph(self, examples: Examples, inputs: Tensors) -> Trace:
        self._model.eval()
        graph = trace(self._evaluation(examples, shared=True), inputs)
        self._model.train()
        return graph

    def _evaluation(self, examples: Examples, *, shared: bool) -> Callable[..., Tensors]:
        computation, count = Computation(self._model, self._loaded.measured), len(self._constants)

        def measure(flat: Tensor, constants: Tensors, *tensors: Tensor) -> Tensors:
            measured = computation.on(self._state(flat, constants), rebuilt(examples, tensors))
            return cast(Tensors, measured)

        def evaluation(parameters: Tensor, *rest: Tensor) -> Any:
            constants, tensors = rest[:count], rest[count:]
            dims = (0, 0, *[None if shared else 0] * len(tensors))
            return over_lanes(measure, len(parameters), dims)(parameters, constants, *tensors)

        return evaluation

    def _state(self, flat: Tensor, constants: Tensors) -> dict[str, Tensor]:
        named = dict(zip(self._constants, constants, strict=True))
        return self._layout.unflatten(flat) | named
