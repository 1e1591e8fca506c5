"""Learning-rate schedules, vectorised over lanes: the factor on the tuned learning rate."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from study.records import Floats
from study.space import Hyperparameter, Range, Scale

Factor = Callable[[int, int, Mapping[str, Floats]], Floats]
"""The factor at a step (0 for the first update), given (step, max_steps, values): (lanes,)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """A learning-rate schedule.

    Attributes:
        hyperparameters: what the schedule is tuned by, with default ranges.
        factor: the schedule; None where the learning rate is constant.
    """

    hyperparameters: Mapping[str, Hyperparameter]
    factor: Factor | None


def _linear_decay(step: int, max_steps: int, values: Mapping[str, Floats]) -> Floats:
    """1 - (1 - a) t / T up to step T, then a (Shallue et al. 2018; T = decay_fraction x budget)."""
    decay_steps = values["decay_fraction"] * max_steps
    progress = np.minimum(step / decay_steps, 1.0)
    factor: Floats = 1.0 - (1.0 - values["end_factor"]) * progress
    return factor


SCHEDULES: Mapping[str, Schedule] = {
    "constant": Schedule(hyperparameters={}, factor=None),
    "linear-decay": Schedule(
        hyperparameters={
            "decay_fraction": Hyperparameter(
                default=Range(low=0.5, high=1.0), low=0.0, high=1.0, low_open=True, high_open=False
            ),
            "end_factor": Hyperparameter(
                default=Range(low=1e-4, high=0.1, scale=Scale.LOG),
                low=0.0,
                high=1.0,
                high_open=False,
            ),
        },
        factor=_linear_decay,
    ),
}
