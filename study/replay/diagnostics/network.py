"""A recorded trial's network at one moment of training: its gradients, and losses nearby."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn import Parameter
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
"""A row of `diagnostics.parquet` without the columns that identify trial and moment."""
EXAMPLES = 8_192
"""Most training and validation examples on which a trial is diagnosed, by default."""
_AT_ONCE = 1_024


def row(quantity: str, value: float | None, *, far: float | None = None, **columns: Any) -> Row:
    """Return the row of a quantity, with half-width `far`; numbers that are not finite are null."""
    ends = {} if far is None or value is None else {"low": value - far, "high": value + far}
    numbers = {"quantity": quantity, "value": value, **ends, **columns}
    return {
        name: None if isinstance(number, float) and not math.isfinite(number) else number
        for name, number in numbers.items()
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """The examples on which all trials of a study are diagnosed, in random order."""

    indices: Tensor  # of the training examples in the training set
    train: Examples
    validation: Examples
    test: Examples | None
    # of the training set; 0 if the loss draws random numbers, because then no number of examples
    # makes a gradient exact
    share: float

    @property
    def splits(self) -> Mapping[str, Examples]:
        """The examples of each split, by the prefix of the quantities measured on it."""
        test = {} if self.test is None else {"test": self.test}
        return {"train": self.train, "val": self.validation, **test}


def sample_of(resolved: ResolvedStudy, loaded: LoadedWorkload, examples: int) -> Sample:
    """Return at most `examples` examples of each split, drawn with the study's seed."""
    source, data = generator(resolved.seed, "diagnostics"), loaded.data

    def draw(size: int) -> Tensor:
        return torch.randperm(size, generator=source)[:examples]

    def rows(split: Split) -> Examples:
        drawn: Examples = split.rows(draw(split.size)).to(loaded.device)
        return drawn

    indices = draw(data.train.size).to(loaded.device)
    draws = loaded.observed.draws or hasattr(loaded.workload, "augment")
    with forked(loaded.device):  # items of a data set may draw random numbers
        seed_all(derive_seed(resolved.seed, "diagnostics"))
        return Sample(
            indices=indices,
            train=loaded.batch(indices),
            validation=rows(data.validation),
            test=None if data.test is None else rows(data.test),
            share=0.0 if draws else len(indices) / data.train.size,
        )


class Network:
    """The model of a trial with its weights after `step` updates."""

    weights: Weights
    step: int

    def __init__(
        self, resolved: ResolvedStudy, loaded: LoadedWorkload, trial: TrialResult, sample: Sample
    ) -> None:
        """Build the model; `set` gives it weights."""
        self.resolved, self.loaded, self.trial, self.sample = resolved, loaded, trial, sample
        # bf16 would lose small differences between losses
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
        """Use the weights after `step` updates."""
        self.weights, self.step = weights, step
        self.use(weights.parameters, weights.buffers)

    def use(self, flat: Tensor, buffers: Mapping[str, Tensor]) -> None:
        """Compute with these parameters, shape (parameters,), and buffers from now on."""
        for name, values in self.layout.unflatten(flat).items():
            self._model.get_parameter(name).data = values
        for name, values in buffers.items():
            self._model.get_buffer(name).copy_(values)

    def seed(self, *path: str | int) -> int:
        """Return the seed for one use of random numbers at this moment of the trial."""
        return derive_seed(self.trial.point.seed, "diagnostics", *path, self.step)

    def gradients(self, batches: Sequence[Tensor], use: str) -> Iterator[Tensor]:
        """Yield the gradient of the training loss, (parameters,), on each batch.

        Each batch has its own batch statistics; `use` names the random stream of the model.
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
        pieces = torch.autograd.grad(
            scalar,
            self._trained(),
            allow_unused=True,
            materialize_grads=True,
            create_graph=create_graph,
        )
        return torch.cat([piece.reshape(-1) for piece in pieces])

    def _flat_of_backward(self, scalar: Tensor) -> Tensor:
        """Return the same by a complete backward pass, which fails if it cannot differentiate.

        `torch.autograd.grad` silently leaves out operations that are differentiable only once.
        """
        trained = self._trained()
        torch.autograd.backward(scalar)
        flat = torch.cat(
            [(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in trained]
        )
        for parameter in trained:
            parameter.grad = None
        return flat

    def _trained(self) -> list[Parameter]:
        return [self._model.get_parameter(name) for name in self.layout.names]

    def slope(self, flat: Tensor) -> tuple[float, Tensor]:
        """Return the training loss on the sample, batch statistics fixed, and its gradient."""
        self.use(flat, {})

        def compute(size: int) -> tuple[float, Tensor]:
            value, total = 0.0, torch.zeros_like(flat)
            for part, share in self._parts(self.sample.train, size):
                with torch.enable_grad():
                    loss = self._exact.plain_loss(self._model, part, **self._values)
                value += share * loss.item()
                total.add_(self._flat(loss), alpha=share)
            return value, total

        return self._evaluate(compute)

    def hessian_times(self, vector: Tensor, examples: Examples | None = None) -> Tensor:
        """Return the Hessian of the loss times a vector, on the sample or on other examples."""
        self.use(self.weights.parameters, {})

        def compute(size: int) -> Tensor:
            total = torch.zeros_like(vector)
            for part, share in self._parts(examples or self.sample.train, size):
                # only plain attention can be differentiated twice
                with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
                    loss = self._exact.plain_loss(self._model, part, **self._values)
                    along = self._flat(loss, create_graph=True) @ vector
                if along.requires_grad:  # a linear loss has no second derivative
                    total.add_(self._flat_of_backward(along), alpha=share)
            return total

        try:
            return self._evaluate(compute)
        except (NotImplementedError, RuntimeError) as error:
            raise StudyError(
                "curvature needs a model and a loss that torch differentiates twice, got "
                f"{cause(error)}; leave curvature out of --what"
            ) from error

    def measured(self, flat: Tensor, examples: Examples) -> tuple[float, float]:
        """Return the mean loss and error on examples, measured as on validation examples."""
        self.use(flat, {})

        def compute(size: int) -> tuple[float, float]:
            total = torch.zeros(2, dtype=torch.float64)
            for part, share in self._parts(examples, size):
                with torch.no_grad():
                    both = torch.stack(self._exact.measured(self._model, part)[:2])
                total += share * both.cpu()
            return float(total[0]), float(total[1])

        return self._evaluate(compute)

    def _parts(self, examples: Examples, size: int) -> Iterator[tuple[Examples, float]]:
        size = examples.size if self.loaded.whole else size
        for start in range(0, examples.size, size):
            part = examples.rows(slice(start, start + size))
            yield part, part.size / examples.size

    def _evaluate(self, compute: Callable[[int], T]) -> T:
        """Return the result of a computation; if it draws, from the same random numbers."""
        if self.loaded.observed.measure_draws is None:
            return self._portions.run(compute)
        with forked(self.loaded.device):
            seed_all(self.seed("evaluation"))
            return self._portions.run(compute)
