"""How large each layer's gradient is beside its weights, while a recorded trial trains.

The ratio of norms |g| / |w|, layer by layer, is what LARS was made for (You, Gitman, Ginsburg 2017,
arXiv:1708.03888, section 4): where it differs much between layers, no one learning rate suits all.
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
from study.engine.networks.micro_batch import Portion
from study.engine.networks.training import Layout, LoadedWorkload, Trainable, forked, fresh_model
from study.errors import StudyError
from study.optimizers.hyperparameters import of_workload
from study.records import TrialResult
from study.replay.recorded import winners
from study.replay.trial import Replay
from study.seeding import derive_seed, generator

MOMENTS_BETWEEN = 3
"""How many moments are measured between start and end, evenly in the logarithm of the step."""
BATCHES = 16
"""Over how many mini-batches a gradient's norm is averaged: at B = 1 one alone says little."""
FULL_EXAMPLES = 65_536
"""At most so many training examples, drawn by the trial's seed, stand for the full gradient."""
_AT_ONCE = 1_024


def best_trials(
    resolved: ResolvedStudy, recorded: Sequence[TrialResult], batch_sizes: Sequence[int] | None
) -> list[TrialResult]:
    """Gives the trials to look into.

    Args:
        resolved: the study.
        recorded: its trials, finally judged.
        batch_sizes: which batch sizes; None for all that reached the target.

    Returns:
        The trial of fewest steps of each search, by rising batch size.

    Raises:
        StudyError: a batch size did not reach the target, or none did.
    """
    best = {winner.batch_size: winner for winner in winners(resolved, recorded)}
    if not best:
        raise StudyError(
            "layers are measured where the target was reached, got no such batch size; raise "
            "race.max_steps or search.trials, or loosen the target"
        )
    strange = sorted(set(batch_sizes or ()) - set(best))
    if strange:
        raise StudyError(
            f"--batch-sizes must be among those that reached the target, "
            f"{', '.join(map(str, best))}, got {strange[0]}; choose of these"
        )
    return [best[size] for size in sorted(set(batch_sizes or best))]


def measured_layers(
    resolved: ResolvedStudy,
    trainable: Trainable,
    trial: TrialResult,
    recorded: Sequence[TrialResult],
) -> list[dict[str, Any]]:
    """Trains a trial again and measures its layers on the way to the target.

    Args:
        resolved: the study.
        trainable: its workload, made ready.
        trial: one that reached the target.
        recorded: the study's trials, sorted by batch size, role and trial.

    Returns:
        Rows of `layers.parquet`: at the start (before the first update), at some steps between,
        and at the end (after the update that reached the target), one for each parameter tensor.

    Raises:
        StudyError: the workload trains no network, or the trial does not reach the target at the
            recorded step here.
    """
    if not isinstance(trainable, LoadedWorkload):
        raise StudyError(
            f"layers are those of a network, got {resolved.workload!r} with dynamics of its own; "
            "choose a study of another workload"
        )
    if resolved.federated is not None:
        raise StudyError(
            "layers are measured on the mini-batches of one model, got a federated study, whose "
            "clients have one each; choose a study without `federated`"
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
            f"a trial must reach the target where it did to be looked into, got trial "
            f"{trial.point.trial} at batch size {trial.batch_size} recorded there at step {end}, "
            f"and now at error {curve.val_error[-1]:.4g} at step {curve.step[-1]}; `batchscale "
            "verify` shows the differences, --batch-sizes leaves it out"
        )
    return rows


def _moments(measured: Sequence[int], end: int) -> dict[int, str]:
    """Gives the steps to measure at, those between evenly spaced in the logarithm."""
    moments = {0: "start", end: "end"}
    inside = np.array([step for step in measured if 0 < step < end])
    for power in np.arange(1, MOMENTS_BETWEEN + 1) / (MOMENTS_BETWEEN + 1):
        if inside.size:
            nearest = inside[np.argmin(np.abs(np.log(inside) - power * math.log(end)))]
            moments.setdefault(int(nearest), "between")
    return moments


class _Gradients:
    """The gradients of a trial's training loss, on its own mini-batches."""

    def __init__(self, resolved: ResolvedStudy, loaded: LoadedWorkload, trial: TrialResult) -> None:
        self._loaded, self._seed, self._size = loaded, trial.point.seed, trial.batch_size
        self._model = fresh_model(loaded, self._seed).train()
        self._layout = Layout(self._model)
        used = of_workload(loaded.workload).used(resolved.search.space)
        self._values = {
            name: torch.tensor(trial.point.values[name], dtype=torch.float32, device=loaded.device)
            for name in used
        }
        # batch statistics must be those of the trial's own batches
        own = loaded.mixing is not None
        at_once = self._size if own else _AT_ONCE
        self._portion = Portion(at_once, least=self._size if own else 1)

    def measured(self, parameters: Tensor, step: int) -> list[dict[str, Any]]:
        """Gives the norms of every parameter tensor, after `step` updates led to `parameters`."""
        for name, values in self._layout.unflatten(parameters).items():
            self._model.get_parameter(name).data = values
        with forked(self._loaded.device):
            torch.manual_seed(derive_seed(self._seed, "layers", step))
            drawn = np.array([self._norms(batch) for batch in self._next_batches(step)])
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
                "full_gradient_norm": whole,
                "full_ratio": _ratio(whole, weight),
            }
            for (name, values), weight, norms, whole in zip(
                self._layout.unflatten(parameters).items(), weights, drawn.T, full, strict=True
            )
        ]

    def _next_batches(self, step: int) -> Iterator[Tensor]:
        """Gives the batches that the trial takes after `step` updates, each (batch size,)."""
        examples = len(self._loaded.data.train.inputs)
        order = DataOrder([self._seed], examples, self._size, self._loaded.device)
        for _ in range(step):
            order.next()
        for _ in range(BATCHES):
            yield order.next()[0]

    def _all_examples(self) -> Tensor:
        examples = len(self._loaded.data.train.inputs)
        order = torch.randperm(examples, generator=generator(self._seed, "layers"))[:FULL_EXAMPLES]
        if self._loaded.mixing is not None:
            order = order[: len(order) // self._size * self._size]
        return order.to(self._loaded.device)

    def _norms(self, indices: Tensor) -> NDArray[np.float64]:
        """Gives the norm of each tensor's gradient of the mean loss on some examples."""
        return self._norms_of(self._portion.fitting(lambda size: self._gradient(indices, size)))

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
    """Gives |g| / |w|; None for a tensor that is zero, as some are before the first update."""
    return float(gradient / weight) if weight > 0 else None
