"""The data a curve is fitted to: steps to target, or a lower bound if the target was missed.

A measurement finds the target reached, so it was crossed somewhere in the bracket between the
measurement before and that one. Fits know of each point this bracket, and no more.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from analysis.errors import AnalysisError
from analysis.fitting.likelihood import Censoring
from analysis.fitting.models import Floats, Mask

OUT_OF_REACH = 3.0
"""Factor by which a miss, or steps, may exceed the most that any admissible curve needs."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Points:
    """Steps to target at batch sizes, in increasing order of batch size."""

    batch_sizes: Floats  # examples per step, > 0, shape (n,)
    steps: Floats  # steps to target, > 0, shape (n,); where missed, steps that did not suffice
    missed: Mask  # which steps are such lower bounds (right-censored), shape (n,)
    # steps that did not suffice yet (interval-censored), shape (n,); those of `steps` where these
    # are exact, or missed
    before: Floats

    @classmethod
    def of(
        cls,
        batch_sizes: ArrayLike,
        steps: ArrayLike,
        missed: ArrayLike | None = None,
        before: ArrayLike | None = None,
    ) -> "Points":
        """Return checked and sorted points; the arguments are the attributes in any order.

        Steps whose entry in `before` is NaN are exact, and all are without it.

        Raises:
            AnalysisError: a batch size or number of steps is not positive and finite, or a bracket
                does not begin below its steps.
        """
        columns = {
            "batch sizes": np.asarray(batch_sizes, dtype=np.float64),
            "steps": np.asarray(steps, dtype=np.float64),
        }
        for name, column in columns.items():
            wrong = column[~(np.isfinite(column) & (column > 0))]
            if wrong.size:
                raise AnalysisError(
                    f"{name} to fit must be positive and finite, got {wrong[0]:g}; leave out batch "
                    "sizes that did not reach the target, or mark them as missed"
                )
        sizes = columns["batch sizes"]
        misses = np.zeros(sizes.shape, bool) if missed is None else np.asarray(missed, dtype=bool)
        steps = columns["steps"]
        begins = steps if before is None else np.asarray(before, dtype=np.float64)
        begins = np.where(misses | np.isnan(begins), steps, begins)
        outside = (begins < 0) | (begins > steps)
        if outside.any():
            raise AnalysisError(
                "the measurement before must be at 0 or more steps and not after the one below the "
                f"target, got {begins[outside][0]:g} before {steps[outside][0]:g}; give the last "
                "one that was not below it"
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
        """Which steps are known up to a bracket."""
        return self.before < self.steps

    @property
    def middles(self) -> Floats:
        """The middles of the brackets: the steps where these are exact, or missed; shape (n,)."""
        return (self.before + self.steps) / 2

    @cached_property
    def censoring(self) -> Censoring:
        """What is known of the log steps."""
        return Censoring.of(self.steps, self.missed, self.before)

    def out_of_reach(self) -> Mask:
        """Return which misses no curve from perfect scaling to a plateau explains, shape (n,)."""
        return self.missed & self.unexplained()

    def unexplained(self) -> Mask:
        """Return which points no such curve explains, shape (n,).

        A batch size B needs at most `max(1, B' / B)` times the steps of another one, B'. A point
        at more than three times that bound is not noise: the target or the search fails there.
        """
        sizes, steps = self.batch_sizes[~self.missed], self.steps[~self.missed]
        most = steps * np.maximum(1.0, np.divide.outer(1 / self.batch_sizes, 1 / sizes))
        found: Mask = self.steps > OUT_OF_REACH * most.min(axis=-1, initial=np.inf)
        return found

    def without(self, left_out: Mask) -> "Points":
        """Return the points except those of a mask, shape (n,)."""
        keep = ~left_out
        return Points(
            batch_sizes=self.batch_sizes[keep],
            steps=self.steps[keep],
            missed=self.missed[keep],
            before=self.before[keep],
        )
