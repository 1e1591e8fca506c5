"""The data a curve is fitted to: steps to target, or a lower bound if the target was missed.

The target was crossed somewhere in the bracket between the first measurement below it and the one
before. Fits use this bracket of each point, and nothing finer.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from analysis.errors import AnalysisError
from analysis.fitting.estimates import REACH, Estimate
from analysis.fitting.likelihood import Censoring
from analysis.fitting.models import Floats, Mask, Model

OUT_OF_REACH = 3.0
"""Factor by which steps, missed or not, may exceed the most that any admissible curve needs."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Points:
    """Steps to target at batch sizes, in increasing order of batch size."""

    batch_sizes: Floats  # examples per step, > 0, shape (n,)
    steps: Floats  # steps to target, > 0, shape (n,); where missed, steps that did not suffice
    missed: Mask  # which steps are such lower bounds (right-censored), shape (n,)
    # where the bracket of each begins (interval-censored), shape (n,); equal to `steps` where these
    # are exact or missed
    before: Floats

    @classmethod
    def of(
        cls,
        batch_sizes: ArrayLike,
        steps: ArrayLike,
        missed: ArrayLike | None = None,
        before: ArrayLike | None = None,
    ) -> "Points":
        """Return checked points, sorted by batch size; the arguments may have any order.

        Steps are exact where `before` is NaN, and everywhere without it.

        Raises:
            AnalysisError: a batch size or number of steps is not positive and finite, or a bracket
                does not begin below its steps.
        """
        sizes, steps = (np.asarray(column, dtype=np.float64) for column in (batch_sizes, steps))
        for name, column in (("batch sizes", sizes), ("steps", steps)):
            wrong = column[~(np.isfinite(column) & (column > 0))]
            if wrong.size:
                raise AnalysisError(
                    f"{name} to fit must be positive and finite, got {wrong[0]:g}; leave out batch "
                    "sizes that did not reach the target, or mark them as missed"
                )
        misses = np.zeros(sizes.shape, bool) if missed is None else np.asarray(missed, dtype=bool)
        begins = steps if before is None else np.asarray(before, dtype=np.float64)
        begins = np.where(misses | np.isnan(begins), steps, begins)
        outside = (begins < 0) | (begins > steps)
        if outside.any():
            raise AnalysisError(
                "the measurement before the target must be at 0 or more steps and no later than "
                f"the steps to target, got {begins[outside][0]:g} before {steps[outside][0]:g}; "
                "give the last measurement that was not below the target"
            )
        order = np.argsort(sizes, kind="stable")
        return cls(
            batch_sizes=sizes[order], steps=steps[order], missed=misses[order], before=begins[order]
        )

    @property
    def observed(self) -> int:
        """Number of points that reached the target."""
        return int((~self.missed).sum())

    @property
    def distinct(self) -> int:
        """Number of distinct batch sizes that reached the target."""
        return int(np.unique(self.batch_sizes[~self.missed]).size)

    @property
    def bracketed(self) -> Mask:
        """Which steps are known only up to a bracket."""
        return self.before < self.steps

    @property
    def middles(self) -> Floats:
        """The middles of the brackets: the steps where these are exact, or missed; shape (n,)."""
        return (self.before + self.steps) / 2

    @cached_property
    def censoring(self) -> Censoring:
        """The censoring of the log steps."""
        return Censoring.of(self.steps, self.missed, self.before)

    def out_of_reach(self) -> Mask:
        """Return which misses are not explained by any curve, as in `unexplained`, shape (n,)."""
        return self.missed & self.unexplained()

    def unexplained(self) -> Mask:
        """Return which points no curve from perfect scaling to a plateau explains, shape (n,).

        On such a curve, B needs at most `max(1, B' / B)` times the steps of another batch size B'.
        More than `OUT_OF_REACH` times that bound is not noise: the target or the search fails.
        """
        sizes, steps = self.batch_sizes[~self.missed], self.steps[~self.missed]
        most = steps * np.maximum(1.0, np.divide.outer(1 / self.batch_sizes, 1 / sizes))
        unexplained: Mask = self.steps > OUT_OF_REACH * most.min(axis=-1, initial=np.inf)
        return unexplained

    def log_plateaus(self, model: Model, log_b_crit: Floats, exponent: Floats) -> Floats:
        """Return log steps less the rise of curves above their plateau: log S_min plus noise.

        The last axis of the result has the n points; the others are those of the shapes.
        """
        x = np.subtract.outer(log_b_crit, np.log(self.batch_sizes))
        return np.log(self.steps) - model.rise(x, exponent[..., None])

    def bounded(self, batch_size: Estimate) -> Estimate:
        """Return an estimate whose ends beyond `REACH` times the measured range are open."""
        return batch_size.within(self.batch_sizes.min() / REACH, self.batch_sizes.max() * REACH)

    def without(self, left_out: Mask) -> "Points":
        """Return the points except those in a mask of shape (n,)."""
        keep = ~left_out
        return Points(
            batch_sizes=self.batch_sizes[keep],
            steps=self.steps[keep],
            missed=self.missed[keep],
            before=self.before[keep],
        )
