"""The lower bounds of a study: steps that were too few to reach the target."""

import numpy as np
import pandas as pd

from analysis.figures.drawing.series import LEFT_OUT, NOT_REACHED, series_rows
from analysis.measures.replicates import fitted_points
from analysis.report.summary import Analysis


def bound_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return the bounds that a fit of a table of steps uses, and those that no curve explains.

    Returns:
        Columns series (`not reached` or `left out`), batch_size, steps.
    """
    points = fitted_points(table)
    left_out = points.out_of_reach() if points.observed else np.zeros_like(points.missed)
    fitted = points.missed & ~left_out
    return pd.concat(
        [
            series_rows(NOT_REACHED, points.batch_sizes[fitted], points.steps[fitted]),
            series_rows(LEFT_OUT, points.batch_sizes[left_out], points.steps[left_out]),
        ],
        ignore_index=True,
    )


def left_out_points(analysis: Analysis) -> pd.DataFrame:
    """Return the bounds of an analysis that are in no fit, as columns batch_size and steps."""
    rows = bound_rows(analysis.table)
    return rows.loc[rows["series"] == LEFT_OUT, ["batch_size", "steps"]]
