"""The local critical batch size, by branches from one moment of a trial.

After Merrill et al. 2025 (arXiv:2505.23971): training continues with k times the batch size and a
learning rate scaled to it, from the same weights and optimizer state, for as many examples. The
local critical batch size is the largest whose loss then exceeds the loss at k = 1 by no more than a
tolerance.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from analysis.measures.branches import (
    CRITICAL,
    ENOUGH,
    EXCESS,
    LOSS,
    TOLERANCE,
    local_critical,
)
from study.config.batch_schedule import BatchScheduleConfig
from study.config.study import ResolvedStudy
from study.engine.networks.training import Lockstep
from study.records import Floats, Point, TrialResult
from study.replay.diagnostics.intervals import reach
from study.replay.diagnostics.network import Row, row
from study.replay.trial import Replay
from study.seeding import derive_seed
from workloads.workload import Dynamics

ORDERS = 5
"""Data orders of the window, the same at every batch size, over which losses are averaged."""
SHARE, MIN_STEPS = 2, 4
"""The window is at most 1 / SHARE of the trial's steps; the largest batch takes MIN_STEPS."""
_LINEAR = ("sgd", "asgd", "heavy-ball", "nesterov")
"""Update rules whose step is proportional to the gradient; the length of others hardly varies."""
_Rule = Literal["linear", "square-root"]
_WORST = 1.0
"""Excess of a branch that diverges, and the largest recorded for any branch."""


def branches(
    resolved: ResolvedStudy,
    trainable: Lockstep,
    trial: TrialResult,
    replay: Replay,
    seeds: Sequence[TrialResult],
) -> Iterator[Row]:
    """Yield losses after the window, their excess over k = 1, and the critical batch size.

    `replay` has trained the trial up to the moment; a workload's own dynamics must know batch
    schedules. The trial is one of `seeds`, whose shortest run sets the window. With several seeds
    all batch sizes are tried, so that means at each are over all seeds.
    """
    size, steps = trial.batch_size, window(seeds)
    multiples = [2**k for k in range(steps.bit_length()) if steps >> k >= MIN_STEPS]
    if resolved.examples is not None:
        multiples = [k for k in multiples if k * size <= resolved.examples]
    rule: _Rule = "linear" if resolved.optimizer in _LINEAR else "square-root"
    points = list(_points(trial.point, trainable))
    columns: dict[str, Any] = {"variant": rule, "examples": steps * size, "samples": len(points)}
    if len(multiples) < 2:
        yield row(CRITICAL, None, **columns)
        return
    loss_after, losses, excess = replay.branching(), [], []
    for k in multiples:
        grown = _grown_study(resolved, size, k, rule, replay.step)
        losses.append(np.array([loss_after(grown, point, steps // k) for point in points]))
        excess.append(_excess(losses[-1], losses[0]))
        mean, far = float(excess[-1].mean()), float(np.nan_to_num(_reach(excess[-1])))
        if len(seeds) == 1 and mean > ENOUGH and mean - far > TOLERANCE:
            break
    batches = size * np.array(multiples[: len(losses)])
    for batch, *both in zip(batches, losses, excess, strict=True):
        for quantity, values in zip((LOSS, EXCESS), both, strict=True):
            mean, far = float(values.mean()), float(_reach(values))
            yield row(quantity, mean, x=float(batch), far=far, **columns)
    means, reaches = np.mean(excess, axis=1), np.array([_reach(values) for values in excess])
    value, low, high = local_critical(batches, means, means - reaches, means + reaches)
    yield row(CRITICAL, value, low=None if math.isnan(reaches[0]) else low, high=high, **columns)


def window(seeds: Sequence[TrialResult]) -> int:
    """Return the steps in a window at the trials' own batch size, a power of two, at least 1."""
    steps = min(trial.outcome.steps or 0 for trial in seeds)  # all have reached the target
    return 1 << (max(1, steps // SHARE).bit_length() - 1)


def _points(point: Point, trainable: Lockstep) -> Iterator[Point]:
    """Yield the trial's point with the seed of each data order; own dynamics keep one seed."""
    if isinstance(trainable, Dynamics):
        yield point
        return
    for order in range(ORDERS):
        yield replace(point, seed=derive_seed(point.seed, "branch", order))


def _grown_study(
    resolved: ResolvedStudy, size: int, multiple: int, rule: _Rule, step: int
) -> ResolvedStudy:
    """Return the study with a batch size that grows at a step, and a learning rate with it."""
    stages = ((0, size), (step, multiple * size)) if step else ((0, multiple * size),)
    grown = BatchScheduleConfig(stages=((0.0, 1.0),), lr=rule)
    return resolved.model_copy(update={"batch_plans": {str(size): stages}, "batch_schedule": grown})


def _excess(losses: Floats, base: Floats) -> Floats:
    """Return by which share losses are worse than `base`, with the same data orders."""
    with np.errstate(all="ignore"):
        relative = (losses - base) / np.abs(base)
    excess: Floats = np.nan_to_num(relative, nan=_WORST, posinf=_WORST).clip(max=_WORST)
    return excess


def _reach(values: Floats) -> Floats:
    return reach(values) if len(values) > 1 else np.array(math.nan)
