"""Norms of each layer's gradient and weights while a recorded trial trains.

The ratio |g| / |w| of each layer motivated LARS (You, Gitman, Ginsburg 2017, arXiv:1708.03888,
section 4): where it differs much between layers, no single learning rate suits all of them.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from study.config.study import ResolvedStudy
from study.engine.data_order import DataOrder
from study.engine.networks.micro_batch import MicroBatch
from study.engine.networks.training import (
    Layout,
    LoadedWorkload,
    Trainable,
    fresh_model,
)
from study.errors import StudyError
from study.optimizers.hyperparameters import of_workload
from study.records import TrialResult
from study.replay.recorded import winners
from study.replay.trial import Replay
from study.seeding import derive_seed, generator
from workloads.command.program import PROGRAM
from workloads.randomness import forked, seed_all

MOMENTS_BETWEEN = 3
"""Moments measured between start and end, evenly spaced in the logarithm of the step."""
BATCHES = 16
"""Mini-batches over which a gradient's norm is averaged: at B = 1 a single one says little."""
FULL_EXAMPLES = 65_536
"""Upper bound on the training examples, sampled by the trial's seed, for the full gradient."""
_AT_ONCE = 1_024


def best_trials(
    resolved: ResolvedStudy, recorded: Sequence[TrialResult], batch_sizes: Sequence[int] | None
) -> list[TrialResult]:
    """Return the search trial of fewest steps at each batch size, ascending.

    Args:
        resolved: the study.
        recorded: its trials with their final outcomes.
        batch_sizes: the batch sizes wanted; None for all that reached the target.

    Returns:
        One trial per batch size.

    Raises:
        StudyError: a batch size did not reach the target, or none did; or it is of a program.
    """
    if resolved.compute.mode == PROGRAM:
        raise StudyError(
            "only a network that batchscale trains has layers, got a study of a program; measure "
            "them in the program itself"
        )
    best = {winner.batch_size: winner for winner in winners(resolved, recorded)}
    if not best:
        raise StudyError(
            "layers are measured at batch sizes that reached the target, got none; raise "
            "race.max_steps or search.trials, or loosen the target"
        )
    missed = sorted(set(batch_sizes or ()) - set(best))
    if missed:
        raise StudyError(
            f"--batch-sizes must be among those that reached the target, "
            f"{', '.join(map(str, best))}, got {missed[0]}"
        )
    return [best[size] for size in sorted(set(batch_sizes or best))]


def measured_layers(
    resolved: ResolvedStudy,
    trainable: Trainable,
    trial: TrialResult,
    recorded: Sequence[TrialResult],
) -> list[dict[str, Any]]:
    """Train a trial again and measure its layers on the way to the target.

    Args:
        resolved: the study.
        trainable: the loaded workload.
        trial: one that reached the target.
        recorded: all trials of the study, sorted by batch size, role and number.

    Returns:
        Rows of `layers.parquet`, one per moment and parameter tensor: at the start (before the
        first update), in between, and at the end (after the update that reached the target).

    Raises:
        StudyError: the workload trains no network, or the trial does not reach the target at the
            recorded step.
    """
    if not isinstance(trainable, LoadedWorkload):
        raise StudyError(
            f"only a network has layers, got {resolved.workload!r}, a workload with its own "
            "dynamics; choose a study of another workload"
        )
    if resolved.batch_schedule is not None:
        raise StudyError(
            "layers are measured on mini-batches of one size, got a study with a batch schedule; "
            "choose a study without `batch_schedule`"
        )
    if resolved.federated is not None:
        raise StudyError(
            "layers are measured on the mini-batches of a single model, got a federated study with "
            "one model per client; choose a study without `federated`"
        )
    end = trial.outcome.steps
    assert end is not None  # it reached the target
    replay = Replay(resolved, trainable, trial, recorded)
    gradients = _Gradients(resolved, trainable, trial)
    moments, rows = _moments(trial.curve.step.tolist(), end), []
    for step in replay.measurements(end):
        if step in moments:
            key = {
                "batch_size": trial.batch_size,
                "role": str(trial.point.role),
                "trial": trial.point.trial,
                "moment": moments[step],
                "step": step,
            }
            rows += [key | row for row in gradients.measured(replay.parameters(), step)]
    curve = replay.curve()
    if curve.step[-1] != end or not curve.val_error[-1] < resolved.target:
        raise StudyError(
            f"a replayed trial must reach the target at the recorded step, got trial "
            f"{trial.point.trial} at batch size {trial.batch_size} recorded at step {end}, and now "
            f"at error {curve.val_error[-1]:.4g} at step {curve.step[-1]}; `batchscale verify` "
            "shows the differences, --batch-sizes leaves this batch size out"
        )
    return rows


def _moments(measured: Sequence[int], end: int) -> dict[int, str]:
    """Return the steps to measure at with their names, evenly spaced in the logarithm."""
    moments = {0: "start", end: "end"}
    inside = np.array([step for step in measured if 0 < step < end])
    for power in np.arange(1, MOMENTS_BETWEEN + 1) / (MOMENTS_BETWEEN + 1):
        if inside.size:
            nearest = inside[np.argmin(np.abs(np.log(inside) - power * math.log(end)))]
            moments.setdefault(int(nearest), "between")
    return moments


class _Gradients:
    """Gradients of a trial's training loss on its own mini-batches."""

    def __init__(self, resolved: ResolvedStudy, loaded: LoadedWorkload, trial: TrialResult) -> None:
        self._loaded, self._seed, self._size = loaded, trial.point.seed, trial.batch_size
        self._model = fresh_model(loaded, self._seed).train()
        self._layout = Layout(self._model)
        used = of_workload(loaded.workload).used(resolved.search.space)
        self._values = {
            name: torch.tensor(trial.point.values[name], dtype=torch.float32, device=loaded.device)
            for name in used
        }
        # batch statistics must be those of the trial's own batches, so these are never split
        whole = not loaded.splits_batches
        at_once = self._size if whole else _AT_ONCE
        self._micro_batch = MicroBatch(at_once, minimum=self._size if whole else 1)

    def measured(self, parameters: Tensor, step: int) -> list[dict[str, Any]]:
        """Return a row per parameter tensor, for `parameters` as they are after `step` updates."""
        for name, values in self._layout.unflatten(parameters).items():
            self._model.get_parameter(name).data = values
        with forked(self._loaded.device):
            seed_all(derive_seed(self._seed, "layers", step))
            sampled = np.array([self._norms(batch) for batch in self._next_batches(step)])
            full = self._norms(self._all_examples())
        weights = self._norms_of(parameters)
        return [
            {
                "layer": name,
                "parameters": values.numel(),
                "weight_norm": weight,
                "gradient_norm": norms.mean(),
                "gradient_norm_sd": norms.std(ddof=1),
                "batches": len(norms),
                "ratio": _ratio(norms.mean(), weight),
                "full_gradient_norm": exact,
                "full_ratio": _ratio(exact, weight),
            }
            for (name, values), weight, norms, exact in zip(
                self._layout.unflatten(parameters).items(), weights, sampled.T, full, strict=True
            )
        ]

    def _next_batches(self, step: int) -> Iterator[Tensor]:
        """Yield the batches that the trial takes after `step` updates, each (batch size,)."""
        examples = self._loaded.data.train.size
        order = DataOrder([self._seed], examples, self._size, self._loaded.device)
        for _ in range(step):
            order.next()
        for _ in range(BATCHES):
            yield order.next()[0]

    def _all_examples(self) -> Tensor:
        examples = self._loaded.data.train.size
        order = torch.randperm(examples, generator=generator(self._seed, "layers"))[:FULL_EXAMPLES]
        if not self._loaded.splits_batches:
            order = order[: len(order) // self._size * self._size]
        return order.to(self._loaded.device)

    def _norms(self, indices: Tensor) -> NDArray[np.float64]:
        """Return the norm of the mean loss's gradient on some examples, for each tensor."""
        return self._norms_of(self._micro_batch.run(lambda size: self._gradient(indices, size)))

    def _gradient(self, indices: Tensor, size: int) -> Tensor:
        parameters = [self._model.get_parameter(name) for name in self._layout.names]
        total = torch.zeros(sum(p.numel() for p in parameters), device=indices.device)
        for part in torch.split(indices, size):
            with torch.enable_grad():
                loss = self._loaded.loss(self._model, self._loaded.batch(part), **self._values)
            pieces = torch.autograd.grad(
                loss, parameters, allow_unused=True, materialize_grads=True
            )
            flat = torch.cat([piece.flatten() for piece in pieces])
            total.add_(flat, alpha=len(part) / len(indices))
        return total

    def _norms_of(self, flat: Tensor) -> NDArray[np.float64]:
        pieces = self._layout.unflatten(flat).values()
        return np.array([float(torch.linalg.vector_norm(piece.double())) for piece in pieces])


def _ratio(gradient: float, weight: float) -> float | None:
    """Return |g| / |w|; None for a tensor of zeros, as some are before the first update."""
    return float(gradient / weight) if weight > 0 else None
