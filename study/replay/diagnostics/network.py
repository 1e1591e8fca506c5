"""A recorded trial's network at one moment of its training: its gradients, and its loss nearby."""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from study.config.sections import Precision
from study.config.study import ResolvedStudy
from study.engine.networks.micro_batch import MicroBatch
from study.engine.networks.training import Layout, LoadedWorkload, fresh_model
from study.errors import StudyError, cause
from study.optimizers.hyperparameters import of_workload
from study.records import TrialResult
from study.replay.trial import Weights
from study.seeding import derive_seed, generator
from workloads.randomness import forked, seed_all
from workloads.workload import Examples, Split

T = TypeVar("T")
Row = Mapping[str, Any]
"""A row of `diagnostics.parquet` without the columns that say of what and when it is."""
EXAMPLES = 8_192
"""Training and validation examples on which a trial is diagnosed, by default, at most."""
_AT_ONCE = 1_024


def row(quantity: str, value: float | None, *, far: float | None = None, **columns: Any) -> Row:
    """Return a row of a quantity with an interval of `far` to each side; nulls if not finite."""
    ends = {} if far is None or value is None else {"low": value - far, "high": value + far}
    numbers = {"quantity": quantity, "value": value, **ends, **columns}
    return {
        name: None if isinstance(number, float) and not math.isfinite(number) else number
        for name, number in numbers.items()
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """The examples on which all trials of a study are diagnosed, in random order."""

    indices: Tensor  # numbers of the training examples
    train: Examples
    validation: Examples
    test: Examples | None
    # of the training set that they are; 0 where the loss draws random numbers, so that no number of
    # examples makes a gradient exact
    share: float

    @property
    def splits(self) -> Mapping[str, Examples]:
        """The examples of each split, by the first part of the names of what is measured on it."""
        test = {} if self.test is None else {"test": self.test}
        return {"train": self.train, "val": self.validation, **test}


def sample_of(resolved: ResolvedStudy, loaded: LoadedWorkload, examples: int) -> Sample:
    """Return at most `examples` examples of each split, drawn by the study's seed."""
    source, data = generator(resolved.seed, "diagnostics"), loaded.data

    def drawn(size: int) -> Tensor:
        return torch.randperm(size, generator=source)[:examples]

    def rows(split: Split) -> Examples:
        found: Examples = split.rows(drawn(split.size)).to(loaded.device)
        return found

    indices = drawn(data.train.size).to(loaded.device)
    draws = loaded.observed.draws or hasattr(loaded.workload, "augment")
    with forked(loaded.device):  # an item of a data set may draw
        seed_all(derive_seed(resolved.seed, "diagnostics"))
        return Sample(
            indices=indices,
            train=loaded.batch(indices),
            validation=rows(data.validation),
            test=None if data.test is None else rows(data.test),
            share=0.0 if draws else len(indices) / data.train.size,
        )


class Network:
    """The model of a trial with the weights of one moment, after `step` updates."""

    weights: Weights
    step: int

    def __init__(
        self, resolved: ResolvedStudy, loaded: LoadedWorkload, trial: TrialResult, sample: Sample
    ) -> None:
        """Build the model; `set` gives it weights."""
        self.resolved, self.loaded, self.trial, self.sample = resolved, loaded, trial, sample
        # small differences of a loss are lost in bf16
        self._exact = replace(loaded, precision=Precision.FLOAT32)
        self._model = fresh_model(loaded, trial.point.seed).eval()
        self.layout = Layout(self._model)  # names and shapes of the trained tensors
        used = of_workload(loaded.workload).used(resolved.search.space)
        self._values = {
            name: torch.tensor(trial.point.values[name], dtype=torch.float32, device=loaded.device)
            for name in used
        }
        self._portions = MicroBatch(len(sample.indices) if loaded.whole else _AT_ONCE)

    def set(self, weights: Weights, step: int) -> None:
        """Take the weights after `step` updates."""
        self.weights, self.step = weights, step
        self.use(weights.parameters, weights.buffers)

    def use(self, flat: Tensor, buffers: Mapping[str, Tensor]) -> None:
        """Compute with these parameters, shape (parameters,), and buffers from now on."""
        for name, values in self.layout.unflatten(flat).items():
            self._model.get_parameter(name).data = values
        for name, values in buffers.items():
            self._model.get_buffer(name).copy_(values)

    def seed(self, *path: str | int) -> int:
        """Return the seed of one use of this trial at this moment."""
        return derive_seed(self.trial.point.seed, "diagnostics", *path, self.step)

    def gradients(self, batches: Sequence[Tensor], use: str) -> Iterator[Tensor]:
        """Yield the gradient of the training loss, (parameters,), on each of some batches.

        Batch statistics are of each by itself; `use` names the stream that the model draws from.
        """
        whole = bool(self.loaded.indivisible)
        self.use(self.weights.parameters, self.weights.buffers)
        self._model.train()
        try:
            with forked(self.loaded.device):
                seed_all(self.seed(use))
                for batch in batches:
                    least = len(batch) if whole else 1
                    micro_batch = MicroBatch(len(batch) if whole else _AT_ONCE, minimum=least)
                    yield micro_batch.run(partial(self._gradient, batch))
        finally:
            self._model.eval()
            self.use(self.weights.parameters, self.weights.buffers)

    def _gradient(self, batch: Tensor, size: int) -> Tensor:
        total = torch.zeros_like(self.weights.parameters)
        for part in torch.split(batch, size):
            with torch.enable_grad():
                loss = self.loaded.loss(self._model, self.loaded.batch(part), **self._values)
            total.add_(self._flat(loss), alpha=len(part) / len(batch))
        return total

    def _flat(self, scalar: Tensor, create_graph: bool = False) -> Tensor:
        """Return the gradient of a scalar with respect to the parameters, (parameters,)."""
        trained = [self._model.get_parameter(name) for name in self.layout.names]
        pieces = torch.autograd.grad(
            scalar, trained, allow_unused=True, materialize_grads=True, create_graph=create_graph
        )
        return torch.cat([piece.reshape(-1) for piece in pieces])

    def _all_the_way(self, scalar: Tensor) -> Tensor:
        """Return the same by a complete backward pass, which meets what cannot be differentiated.

        `torch.autograd.grad` leaves out an operation that is differentiable once, without a word.
        """
        trained = [self._model.get_parameter(name) for name in self.layout.names]
        torch.autograd.backward(scalar)
        flat = torch.cat(
            [(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in trained]
        )
        for parameter in trained:
            parameter.grad = None
        return flat

    def slope(self, flat: Tensor) -> tuple[float, Tensor]:
        """Return the training loss of the sample, batch statistics fixed, and its gradient."""
        self.use(flat, {})

        def computed(size: int) -> tuple[float, Tensor]:
            value, total = 0.0, torch.zeros_like(flat)
            for part, share in self._parts(self.sample.train, size):
                with torch.enable_grad():
                    loss = self._exact.plain_loss(self._model, part, **self._values)
                value += share * loss.item()
                total.add_(self._flat(loss), alpha=share)
            return value, total

        return self._evaluated(computed)

    def hessian_times(self, vector: Tensor, examples: Examples | None = None) -> Tensor:
        """Return the Hessian of the sample's loss, or of others', times a vector (parameters,)."""
        self.use(self.weights.parameters, {})

        def computed(size: int) -> Tensor:
            total = torch.zeros_like(vector)
            for part, share in self._parts(examples or self.sample.train, size):
                # of attention, only the plain formula can be differentiated twice
                with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
                    loss = self._exact.plain_loss(self._model, part, **self._values)
                    along = self._flat(loss, create_graph=True) @ vector
                if along.requires_grad:  # not where the loss is linear
                    total.add_(self._all_the_way(along), alpha=share)
            return total

        try:
            return self._evaluated(computed)
        except (NotImplementedError, RuntimeError) as error:
            raise StudyError(
                "curvature needs a model and a loss that torch differentiates twice, got "
                f"{cause(error)}; leave curvature out of --what"
            ) from error

    def measured(self, flat: Tensor, examples: Examples) -> tuple[float, float]:
        """Return mean loss and error of some examples, measured as validation examples are."""
        self.use(flat, {})

        def computed(size: int) -> tuple[float, float]:
            total = torch.zeros(2, dtype=torch.float64)
            for part, share in self._parts(examples, size):
                with torch.no_grad():
                    both = torch.stack(self._exact.measured(self._model, part)[:2])
                total += share * both.cpu()
            return float(total[0]), float(total[1])

        return self._evaluated(computed)

    def _parts(self, examples: Examples, size: int) -> Iterator[tuple[Examples, float]]:
        size = examples.size if self.loaded.whole else size
        for start in range(0, examples.size, size):
            part = examples.rows(slice(start, start + size))
            yield part, part.size / examples.size

    def _evaluated(self, compute: Callable[[int], T]) -> T:
        """Return what a computation gives, with the same random numbers each time if it draws."""
        fixed = contextlib.ExitStack()
        if self.loaded.observed.measure_draws is not None:
            fixed.enter_context(forked(self.loaded.device))
            seed_all(self.seed("evaluation"))
        with fixed:
            return self._portions.run(compute)
