"""Landscapes of real training: recorded runs, and a smooth surface through them; see `record`.

A simulated run takes the steps of the surface to each recorded level of error, multiplied by the
deviation of a recorded run from its point. It diverges with the frequency of the nearest recorded
point. The surface is the truth of the landscape.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from itertools import takewhile

import numpy as np
import pandas as pd

from study.config.space import Range
from study.engine.outcomes import Run
from study.engine.stopping_rules import DIVERGED_FACTOR, measured_steps
from study.records import Curve
from tests.landscapes.judge import headline
from tests.landscapes.quadratic import fewest_steps
from tests.landscapes.recorded.record import RECORDINGS
from tests.landscapes.recorded.surface import Surface, log_passages

OTHERS, HELD_OUT = ("digits", "fashion"), ("cnn", "transformer")
"""Names of recordings; nothing may be tuned on those held out."""
_FACTOR = 20
"""Budget of a simulated run as a multiple of the fewest steps."""


@cache
def landscape(name):
    """Return a landscape of the bank."""
    return RecordedLandscape(pd.read_parquet(RECORDINGS / f"{name}.parquet"))


class RecordedLandscape:
    """Recorded runs as a landscape.

    Attributes:
        optimizer: name of the optimizer.
        space: the recorded search space, as in a study file.
        levels: errors relative to the error at the start; the first is 1, the last the target.
        batch_sizes: recorded batch sizes.
    """

    options = {}

    def __init__(self, recording, easier=0):
        """Load runs that `record.recording` returned, with a target some levels `easier`."""
        about = recording.attrs
        self.optimizer, self.space = about["optimizer"], about["space"]
        levels = [about["start"], *about["levels"]]
        self.levels = np.array(levels[: len(levels) - easier]) / levels[0]
        self._ranges = {name: Range(**entry) for name, entry in self.space.items()}
        self._runs = {int(size): runs for size, runs in recording.groupby("batch_size")}
        self.batch_sizes = tuple(self._runs)

    @property
    def target(self):
        """Target relative to the error at the start."""
        return float(self.levels[-1])

    @property
    def max_steps(self):
        """Budgets by batch size."""
        fewest = zip(self.batch_sizes, fewest_steps(self), strict=True)
        return {str(size): int(np.ceil(_FACTOR * steps)) for size, steps in fewest}

    @cached_property
    def recorded(self):
        """Recorded runs by batch size."""
        return {size: _Recorded(self, runs) for size, runs in self._runs.items()}

    def steps(self, batch_size, places):
        """Return the median steps to target at places of the unit square, infinite for none."""
        return self.recorded[batch_size].surface.median_steps(self.widths * places)

    def b_crit(self, fewest):
        """Return the headline of a study that finds the fewest steps without noise."""
        return headline(self.batch_sizes, fewest)

    def places(self, values):
        """Return the positions of values in the unit square, shape (points, searched)."""
        columns = [[r.position(float(v)) for v in values[n]] for n, r in self._ranges.items()]
        return np.array(columns).T

    @property
    def widths(self):
        """Extent of the search space in natural logarithms, shape (searched,)."""
        ends = [(r.high / r.low) if r.scale == "log" else (1 - r.low) / (1 - r.high)
                for r in self._ranges.values()]  # fmt: skip
        return np.log(ends)

    def runs(self, cohort, rules, _noise, far):
        """Return the runs of a cohort, `far` times as long as a race without rungs."""
        values = {name: [point.values[name] for point in cohort.points] for name in self.space}
        places = self.widths * self.places(values)
        lanes = self.recorded[cohort.batch_size].lanes(places, [p.seed for p in cohort.points])
        end = np.inf if rules.best_steps is None else rules.best_steps
        if rules.shared:
            end = min([end, *(lane.passages[-1] + 1 for lane in lanes if not lane.lost)])
        last = 1.1 * far * rules.slack * end
        steps = np.array([0, *takewhile(lambda step: step <= last, measured_steps(rules))])
        return [lane.run(steps, self.levels) for lane in lanes]


class _Recorded:
    """The recorded runs of a batch size, and their surface."""

    def __init__(self, of, runs):
        levels = range(len(of.levels) - 1)
        steps, before = (
            runs[[f"{kind}_{level}" for level in levels]].to_numpy(float, na_value=np.nan)
            for kind in ("steps", "before")
        )
        followed = runs["stopped_at"].to_numpy(float)
        self._lost = (runs["status"] == "diverged").to_numpy()
        self._ends = runs[["blew_up", "diverged"]].to_numpy(float, na_value=np.inf)
        points, first, of_run = np.unique(runs["point"], return_index=True, return_inverse=True)
        places = of.places({name: runs[name].to_numpy(float)[first] for name in of.space})
        passages = log_passages(steps, before, followed, of.levels)
        self.surface = Surface(of.widths * places, of_run, passages, self._lost)
        self._runs = [np.flatnonzero(of_run == number) for number in range(len(points))]

    def lanes(self, places, seeds):
        """Return a run at each of some places."""
        found, surface = [], self.surface
        near = surface.nearest(places)
        for row, at, seed in zip(surface.log_steps(places), near, seeds, strict=True):
            rng = np.random.default_rng(seed)
            passages = np.exp(row + rng.choice(surface.deviations))
            run = rng.choice(self._runs[at])
            found.append(_Lane(passages, self._lost[run], *self._ends[run]))
        return found


@dataclass(frozen=True)
class _Lane:
    """A simulated run.

    Attributes:
        passages: steps to each level.
        lost: whether it diverges instead.
        blew_up: step of the first measurement that is not finite; infinite for none.
        diverged: first step at which it has plainly diverged; infinite for none.
    """

    passages: np.ndarray
    lost: bool
    blew_up: float
    diverged: float

    def run(self, steps, levels):
        """Return the run, measured at some steps."""
        if self.lost:
            blown = None if np.isinf(self.blew_up) else int(self.blew_up)
            steps = steps[steps < self.blew_up]
            errors = np.where(steps >= self.diverged, 2 * DIVERGED_FACTOR, 1.5) * levels[0]
            errors[0] = levels[0]
            return _measured(steps, errors, blown)
        # just below each level at its passage; not followed past the target
        steps = steps[: np.searchsorted(steps, self.passages[-1]) + 1]
        below = np.log(np.append(levels[0], levels[1:] * (1 - 1e-9)))
        errors = np.exp(np.interp(steps, np.append(0.0, self.passages), below))
        return _measured(steps, errors, None)


def _measured(steps, errors, blew_up):
    nothing = np.zeros(len(steps))
    curve = Curve(
        step=steps, train_loss=nothing, val_loss=errors, val_error=errors, seconds=nothing
    )
    return Run(curve=curve, diverged_at=blew_up)
