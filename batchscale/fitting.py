"""Fits of your own steps to target, with the same statistics as a study's."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.errors import AnalysisError
from analysis.fitting.critical import b_crit_of, critical_batch_sizes
from analysis.fitting.estimates import Estimate, size_text
from analysis.fitting.fit import Fits, ScalingFit, fit_all
from analysis.fitting.models import MODELS, Floats
from analysis.fitting.points import Points
from analysis.fitting.regimes import Regimes, regimes_of
from analysis.report.fits import (
    STEPS,
    critical_record,
    fit_sentences,
    fits_record,
    lower_bounds,
    regime_sentences,
    unexplained_sentences,
)
from batchscale.arguments import is_number, refuse_unless
from batchscale.loading import critical_table, page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StepsFit:
    """Curves fitted to steps to target at several batch sizes.

    A notebook shows the curve, the points and the findings.

    Attributes:
        points: what was fitted; a batch size that missed the target is a lower bound.
        fits: every model that the points allow, with intervals; `fits.best` has the lowest AICc.
        regimes: perfect scaling, diminishing returns, plateau, read from the points.
    """

    points: Points
    fits: Fits
    regimes: Regimes

    @property
    def hyperbola(self) -> ScalingFit:
        """The fit of S_min + E_min / B (McCandlish et al. 2018, eq. 2.11 and appendix D)."""
        return self.fits["hyperbola"]

    @property
    def b_crit(self) -> Estimate:
        """The critical batch size E_min / S_min, averaged over the models (`analysis.fitting`).

        Its interval covers the scatter of the steps and the form of the curve, but not
        under-tuning: numbers alone do not show how good a search was. Unless it is `identified`,
        only a bound is known, and the value is NaN.
        """
        return b_crit_of(self.fits).estimate.known

    def critical_batch_sizes(self) -> pd.DataFrame:
        """Return the critical batch size by every definition, with its interval.

        Returns:
            The table that `Study.critical_batch_sizes` returns.
        """
        return critical_table(critical_batch_sizes(self.fits))

    def sentences(self) -> tuple[str, ...]:
        """Return the findings, one sentence each."""
        critical = critical_record(critical_batch_sizes(self.fits))
        record = fits_record(self.fits)
        regimes = regime_sentences(self.regimes.record(), lower_bounds(record))
        odd = self.points.batch_sizes[self.points.unexplained() & ~self.points.missed]
        doubt = {"unexplained": [size_text(size) for size in odd], "unit": STEPS}
        return (*fit_sentences(record, critical), *regimes, *unexplained_sentences(doubt))

    def figure(self, ax: "Axes | None" = None) -> "Figure":
        """Return points, bounds and the hyperbola with its band, on logarithmic axes.

        Args:
            ax: matplotlib axes to draw into; None for a new figure.
        """
        from analysis.figures.points import draw_points

        return draw_points(self.hyperbola, ax)

    def __repr__(self) -> str:
        return f"StepsFit of {self.points.steps.size} batch sizes: {self.b_crit.text('b_crit')}"

    def _repr_html_(self) -> str:
        points = self.points
        sizes, steps, missed = points.batch_sizes, points.steps, points.missed
        rows = [
            [
                size_text(size),
                f"> {count:g}" if miss else f"{count:g}",
                f"{self.hyperbola.predict(size):.4g}",
                "-" if miss else str(self.regimes.of(size)),
            ]
            for size, count, miss in zip(sizes, steps, missed, strict=True)
        ]
        table = pd.DataFrame(rows, columns=["B", "steps", "hyperbola", "regime"])
        return page("Steps to target", table, self.sentences(), self.figure())


def fit(
    batch_sizes: Sequence[float],
    steps: Sequence[float | None],
    bounds: Sequence[float | None] | None = None,
    level: float = 0.95,
    before: Sequence[float | None] | None = None,
) -> StepsFit:
    """Fit steps to target against batch size by maximum likelihood in log steps.

    Args:
        batch_sizes: examples per step, > 0, no repeats.
        steps: updates to the target, > 0, at each batch size; None or NaN where it was missed.
        bounds: for each missed batch size, steps that did not suffice, > 0; other entries are
            ignored.
        level: coverage of the intervals, between 0 and 1.
        before: for each batch size, the step of the last measurement that was not below the target;
            the curve then runs through the bracket between it and `steps`. None where steps are
            exact; steps - 1 where they count updates.

    Returns:
        The fits of all models that the points allow.

    Raises:
        AnalysisError: the arguments differ in length, a batch size is repeated, a miss has no
            bound, a bracket does not begin below its steps, or fewer than three batch sizes reached
            the target.

    >>> import numpy as np
    >>> sizes = 2.0 ** np.arange(4, 12)
    >>> fitted = fit(sizes, 100 + 6400 / sizes)
    >>> round(fitted.b_crit.value)
    64
    """
    _refuse_misaligned([batch_sizes, steps, bounds, before])
    refuse_unless(is_number(level) and 0 < level < 1, "level", "between 0 and 1", level)
    sizes, values = _numbers("batch_sizes", batch_sizes), _numbers("steps", steps)
    limits = np.full(sizes.shape, np.nan) if bounds is None else _numbers("bounds", bounds)
    begins = np.full(sizes.shape, np.nan) if before is None else _numbers("before", before)
    _check_columns(sizes, values, limits, begins)
    missed = np.isnan(values)
    points = Points.of(sizes, np.where(missed, limits, values), missed, begins)
    least = MODELS["hyperbola"].least_points
    if points.observed < least:
        raise AnalysisError(
            f"a fit needs {least} or more batch sizes that reached the target, got "
            f"{points.observed}; measure more of them"
        )
    fits = fit_all(points, level)
    return StepsFit(points=points, fits=fits, regimes=regimes_of(fits))


def _refuse_misaligned(columns: Sequence[object]) -> None:
    indexes = [column.index for column in columns if isinstance(column, pd.Series)]
    if any(not index.equals(indexes[0]) for index in indexes):
        raise AnalysisError(
            "columns must have their rows in the same order, got Series of different indexes; take "
            "them from one table, or give their values: column.to_list()"
        )


def _numbers(name: str, values: Sequence[float | None]) -> Floats:
    """Return values as numbers, NaN where there is none."""
    try:
        if isinstance(values, Mapping | Set | bytes):  # without order, or without numbers
            raise TypeError
        return np.array([_number(cell) for cell in values], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise AnalysisError(
            f"{name} must be a list of numbers, got {values!r:.100}; give a list, an array or a "
            "column"
        ) from error


def _number(cell: object) -> float:
    """Return a cell of a list, an array, a column or a tensor as a number, NaN where missing."""
    if cell is None or cell is pd.NA or cell is np.ma.masked:
        return np.nan
    if isinstance(cell, np.datetime64 | np.timedelta64):  # `item` may be in nanoseconds
        raise TypeError
    plain = cell.item() if hasattr(cell, "item") else cell
    if isinstance(plain, bool) or not isinstance(plain, Real | Decimal):
        raise TypeError
    return float(plain)


def _check_columns(sizes: Floats, steps: Floats, bounds: Floats, before: Floats) -> None:
    lengths = [column.size for column in (sizes, steps, bounds, before)]
    if len(set(lengths)) > 1:
        raise AnalysisError(
            "batch_sizes, steps, bounds and before must be of one length, got "
            f"{', '.join(map(str, lengths))}; give None where there is no value"
        )
    distinct, counts = np.unique(sizes, return_counts=True)
    if (counts > 1).any():
        repeated = distinct[counts > 1][0]
        raise AnalysisError(
            f"batch_sizes must have each batch size once, got {repeated:g} more than once; give "
            "the median of its runs"
        )
    unbounded = sizes[np.isnan(steps) & np.isnan(bounds)]
    if unbounded.size:
        raise AnalysisError(
            f"a batch size that missed the target needs an entry in bounds, got none for "
            f"{unbounded[0]:g}; give the steps that did not suffice, or leave it out"
        )
