"""Tests of your own sampler: run before a sweep starts, and available as a pytest kit.

In the tests of its package:

    from study.search.testing import SamplerContract

    class TestMine(SamplerContract):
        def make(self):
            return Mine
"""

from collections.abc import Sequence
from itertools import cycle

import numpy as np

from study.config.space import Range, Space
from study.errors import StudyError
from study.search.samplers import (
    SAMPLERS,
    Finished,
    Make,
    Sampler,
    made_sampler,
    of_class,
    suggested,
)
from workloads.examination.python_state import changed, snapshot
from workloads.examination.reads import Reads

_TRIALS = 8
_SEED = 1


def require_sound_sampler(name: str, sampler: Sampler, space: Space) -> None:
    """Refuse a user's own sampler whose points depend on more than its documented inputs.

    Raises:
        StudyError: it fails, leaves the unit cube, or answers the same question in two ways.
    """
    dimensions = sum(isinstance(entry, Range) for entry in space.values())
    if name in SAMPLERS or not dimensions:
        return
    if sampler.own is not None:
        _require_repeatable(name, sampler.own, dimensions)
    elif sampler.points is not None:
        few, more = (sampler.points(dimensions, n, _SEED) for n in (_TRIALS // 2, _TRIALS))
        before = snapshot(sampler=sampler.points)
        with Reads(files=False) as reads:
            again = sampler.points(dimensions, _TRIALS, _SEED)
        reads.refuse()
        same = np.array_equal(few, more[: len(few)]) and np.array_equal(more, again)
        if not same or changed(before, snapshot(sampler=sampler.points)):
            raise StudyError(
                f"sampler {name} is not adaptive, so it must always suggest the same point for a "
                "trial, whichever other trials are asked for, got different points; let points "
                "depend on the seed and the trial's number alone, or set adaptive = True"
            )


def _require_repeatable(name: str, make: Make, dimensions: int) -> None:
    size, trials = (dimensions, _SEED), range(_TRIALS, 2 * _TRIALS)
    suggested(name, make, size, range(_TRIALS), ())
    told = _made_up(dimensions)
    one, before = suggested(name, make, size, trials, told), snapshot(sampler=make)
    with Reads(files=False) as reads:
        other = suggested(name, make, size, trials, told)
    reads.refuse()
    if not np.array_equal(one, other) or changed(before, snapshot(sampler=make)):
        raise StudyError(
            f"sampler {name} must suggest the same points for the same seed, trials and results, "
            "got different points; draw from np.random.default_rng(seed), and keep no state "
            "outside the object"
        )


def _made_up(dimensions: int) -> Sequence[Finished]:
    points = np.random.default_rng(_SEED).random((_TRIALS, dimensions))
    kinds = [
        ("reached", 40, 0.04, 40.0),
        ("capped", None, 0.2, 119.7),
        ("diverged", None, None, 300.0),
    ]
    return [
        Finished(point=point, status=status, steps=steps, best_error=error, objective=value)
        for point, (status, steps, error, value) in zip(points, cycle(kinds), strict=False)
    ]


class SamplerContract:
    """A pytest kit: inherit from it and override `make`."""

    def make(self) -> object:
        """Return the sampler's class.

        Raises:
            NotImplementedError: the author has not overridden it.
        """
        raise NotImplementedError("override `make` to return your sampler's class")

    def test_points(self) -> None:
        """Check the points in one and in several dimensions."""
        sampler = of_class("of this test", made_sampler(self.make(), "make()"))
        for dimensions in (1, 2, 5):
            space = {f"x{axis}": Range(low=0.0, high=1.0) for axis in range(dimensions)}
            require_sound_sampler("of this test", sampler, space)
