"""Tests for your own schedule, run before a sweep starts and available as a pytest kit.

In the tests of its package:

    from study.optimizers.testing import ScheduleContract

    class TestMine(ScheduleContract):
        def make(self):
            return Mine
"""

import numpy as np

from study.config.space import Range
from study.errors import StudyError, cause
from study.optimizers.registry import made_schedule
from study.optimizers.schedules import Schedule
from study.records import Floats
from workloads.examination.python_state import changed, snapshot
from workloads.examination.reads import Reads

_PLACES = (0.0, 0.5, 1.0)
"""Positions of the lanes' values in the default ranges, from 0 to 1."""
_LANES = len(_PLACES)
_LENGTHS = (1, 7, 1000)


def require_sound_schedule(name: str, schedule: Schedule) -> None:
    """Refuse a schedule whose factors are not a function of step, budget and a lane's own values.

    Raises:
        StudyError: the schedule fails, or returns a wrong shape, a factor that is negative or not
            finite, other factors in a second call, or other factors for a lane alone than among
            others; or a call changes its values or the schedule's Python state.
    """
    before = None
    with Reads(files=False) as reads:
        for length in _LENGTHS:
            for step in sorted({0, 1, length // 2, length - 1, length, 3 * length}):
                _require_sound_at(name, schedule, step, length)
                before = before or snapshot(schedule=schedule)  # after a cache has been filled
    reads.refuse()
    if changes := changed(before or {}, snapshot(schedule=schedule)):
        raise StudyError(
            f"schedule {name} must keep no state between calls, since a trial may resume anywhere, "
            f"got a change of {min(changes)}; compute the factor from its arguments"
        )


def _require_sound_at(name: str, schedule: Schedule, step: int, length: int) -> None:
    defaults = {name: entry.default for name, entry in schedule.hyperparameters.items()}
    values = {
        name: np.array([entry.at(p) if isinstance(entry, Range) else entry for p in _PLACES])
        for name, entry in defaults.items()
    }

    def factors(lanes: slice) -> Floats:
        given = {hyperparameter: column[lanes].copy() for hyperparameter, column in values.items()}
        assert schedule.factor is not None  # callers leave out constant rates
        returned = np.array(schedule.factor(step, length, given), dtype=float)
        if any(not np.array_equal(column, values[n][lanes]) for n, column in given.items()):
            raise ValueError("a change of its values, which all steps share; compute new ones")
        return np.broadcast_to(returned, (len(range(*lanes.indices(_LANES))),))

    try:
        together, again = factors(slice(None)), factors(slice(None))
        alone = np.concatenate([factors(slice(lane, lane + 1)) for lane in range(_LANES)])
    except Exception as error:
        raise StudyError(
            f"schedule {name} must give one factor per lane, got {cause(error)} at step {step} of "
            f"{length}"
        ) from error
    if not (np.isfinite(together) & (together >= 0)).all():
        raise StudyError(
            f"the factors of schedule {name} must be finite and at least 0, got {together} at step "
            f"{step} of {length}"
        )
    if not np.array_equal(together, again) or not np.allclose(together, alone):
        raise StudyError(
            f"schedule {name} must compute each lane's factor from the step, the budget and the "
            f"lane's own values, got {together}, then {again}, and {alone} for each lane alone at "
            f"step {step} of {length}"
        )


class ScheduleContract:
    """A pytest kit: inherit from it and override `make`."""

    def make(self) -> object:
        """Return the schedule to test: a class, or a `Schedule`."""
        raise NotImplementedError("override `make` to return your schedule")

    def test_factors(self) -> None:
        """Check the schedule."""
        require_sound_schedule("of this test", made_schedule(self.make(), "make()"))
