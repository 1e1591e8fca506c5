"""Learning-rate schedules, vectorized over lanes: factors on the tuned learning rate.

A schedule's factor at step t (0 for the first update) falls from 1 to `end_factor` at step
T = decay_fraction x the step budget, and then is constant; wsd (warm-up, stable, decay) falls over
the last part of the budget. Any schedule can have a warm-up, by hyperparameters that a study names
in `search.space`. The two factors are multiplied, so T means the same with and without a warm-up.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.measures.batch_plan import BatchPlan
from study.config.space import Hyperparameter, Range, Scale
from study.optimizers.momentum import nonnegative, positive
from study.records import Floats

Factor = Callable[[int, int, Mapping[str, Floats]], Floats]
"""Maps (step, max_steps, values) to factors (lanes,); step 0 is the first update."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """A learning-rate schedule.

    Attributes:
        hyperparameters: by name, each with a default range or a fixed default.
        factor: the factor at a step; None for a constant learning rate.
    """

    hyperparameters: Mapping[str, Hyperparameter]
    factor: Factor | None


def lr_factor(
    schedule: Schedule, max_steps: int, epoch: float | None, values: Mapping[str, Floats]
) -> Callable[[int], Floats] | None:
    """Return a function from the step (0 for the first update) to learning-rate factors (lanes,).

    None stands for a factor of 1 at every step. `values` are the hyperparameters of the schedule
    and of a warm-up, each (lanes,); `epoch` is the steps in an epoch, None without a data set.
    """
    decay, warmup_steps = schedule.factor, _warmup_steps(max_steps, epoch, values)
    if decay is None and warmup_steps is None:
        return None

    def factor(step: int) -> Floats:
        factors = [] if warmup_steps is None else [_warm_up(step, warmup_steps, values)]
        if decay is not None:
            factors.append(decay(step, max_steps, values))
        product: Floats = np.prod(factors, axis=0)
        return product

    return factor


def planned_factor(
    plan: BatchPlan, batch_size: int, power: float, factor: Callable[[int], Floats] | None
) -> Callable[[int], Floats]:
    """Return the factors for batches that change by a plan, as a function of the step.

    The schedule counts examples in steps of the study's batch size; the rate is proportional to a
    power of the current batch size over it. A `factor` of None is constantly 1.
    """

    def planned(step: int) -> Floats:
        by_size = np.float64((plan.size_at(step) / batch_size) ** power)
        equivalent_step = int(plan.examples(step)) // batch_size
        product: Floats = by_size * (np.ones(1) if factor is None else factor(equivalent_step))
        return product

    return planned


def _warmup_steps(
    max_steps: int, epoch: float | None, values: Mapping[str, Floats]
) -> Floats | None:
    if "warmup_epochs" in values:
        assert epoch is not None  # such studies are refused when they are resolved
        return values["warmup_epochs"] * epoch
    if "warmup_fraction" in values:
        return values["warmup_fraction"] * max_steps
    return values.get("warmup_steps")


def _warm_up(step: int, steps: Floats, values: Mapping[str, Floats]) -> Floats:
    """Return min(1, f + (1 - f) (t + 1) / (w + 1)): equal increments (Goyal et al. 2017)."""
    # f is the factor before the first update: no step has rate 0, and w = 0 is no warm-up
    first = values.get("warmup_factor", np.zeros_like(steps))
    factor: Floats = first + (1.0 - first) * np.minimum((step + 1) / (steps + 1.0), 1.0)
    return factor


def _wsd(step: int, max_steps: int, values: Mapping[str, Floats]) -> Floats:
    """Return 1 up to the last fraction c of the budget T, then linear to a at its end."""
    cooldown = values["cooldown_fraction"] * max_steps
    progress = np.clip((step - (max_steps - cooldown)) / cooldown, 0.0, 1.0)
    factor: Floats = 1.0 - (1.0 - values["end_factor"]) * progress
    return factor


_DECAY_FRACTION = Hyperparameter(
    default=Range(low=0.5, high=1.0), low=0.0, high=1.0, low_open=True, high_open=False
)


def _end_factor(default: Range | float) -> Hyperparameter:
    return Hyperparameter(default=default, low=0.0, high=1.0, high_open=False)


def _falling(
    shape: Callable[[Floats, Floats, Mapping[str, Floats]], Any],
    end_factor: Range | float = 0.0,
    **further: Hyperparameter,
) -> Schedule:
    """Return a schedule whose factor is `shape(end factor, t / T up to 1, values)`."""

    def factor(step: int, max_steps: int, values: Mapping[str, Floats]) -> Floats:
        progress = np.minimum(step / (values["decay_fraction"] * max_steps), 1.0)
        factors: Floats = shape(values["end_factor"], progress, values)
        return factors

    shared = {"decay_fraction": _DECAY_FRACTION, "end_factor": _end_factor(end_factor)}
    return Schedule(hyperparameters=shared | further, factor=factor)


SCHEDULES: Mapping[str, Schedule] = {
    "constant": Schedule(hyperparameters={}, factor=None),
    "linear-decay": _falling(  # Shallue et al. 2018
        lambda a, progress, _: 1.0 - (1.0 - a) * progress,
        Range(low=1e-4, high=0.1, scale=Scale.LOG),
    ),
    "cosine": _falling(  # Loshchilov and Hutter 2017
        lambda a, progress, _: a + (1.0 - a) * (1.0 + np.cos(np.pi * progress)) / 2.0
    ),
    "polynomial": _falling(  # You et al. 2017: power 2, a = 0
        lambda a, progress, values: a + (1.0 - a) * (1.0 - progress) ** values["power"],
        power=positive(2.0),
    ),
    # Hu et al. 2024 (arXiv 2404.06395); a linear decay over a fifth is as good as a longer one
    # (Hägele et al. 2024, arXiv 2405.18392)
    "wsd": Schedule(
        hyperparameters={
            "cooldown_fraction": Hyperparameter(
                default=0.2, low=0.0, high=1.0, low_open=True, high_open=False
            ),
            "end_factor": _end_factor(0.0),
        },
        factor=_wsd,
    ),
}

WARM_UP: Mapping[str, Hyperparameter] = {
    "warmup_steps": nonnegative(0.0),
    "warmup_epochs": nonnegative(0.0),
    "warmup_fraction": Hyperparameter(default=0.0, low=0.0, high=1.0, high_open=False),
    "warmup_factor": Hyperparameter(default=0.0, low=0.0, high=1.0, high_open=False),
}
"""Optional hyperparameters of any schedule: one length (in steps, in epochs or as a fraction of the
step budget), and the factor just before the first update. Lengths need not be integers: at a length
of 2.5 the factor is still below 1 at step 2, and 1 at step 3."""
