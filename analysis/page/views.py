"""The curve of a study at each target as plain data: rows, bounds, fits, regimes."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from analysis.figures.drawing.series import LEFT_OUT, bound_rows, curve_sizes, fit_note
from analysis.fitting.critical import critical_batch_sizes
from analysis.fitting.fit import Fits
from analysis.fitting.models import Floats
from analysis.fitting.regimes import Regime, regimes_of
from analysis.measures.replicates import all_have_replicates, fitted_quantity
from analysis.report.fits import critical_record
from analysis.report.summary import Analysis
from analysis.tables.study import json_rows

_DIGITS = 4
_EVERY = 2
"""A screen needs only every second point of the curves in figures."""


def views(analysis: Analysis) -> list[dict[str, Any]]:
    """Return the view of the analysis itself, then those of its other goals."""
    of = fitted_quantity(analysis.study, analysis.table)
    own = _view(analysis.target, of, analysis.table, analysis.fits)
    others = [
        _view(goal.target, goal.of, goal.table, goal.fits)
        for goal in analysis.goals
        if (goal.target, goal.of) != (analysis.target, of)
    ]
    return [own, *others]


def curve_points(batch_sizes: object) -> Floats:
    """Return the batch sizes at which a page draws a curve, including the given ones."""
    between = [float(f"{size:.{_DIGITS}g}") for size in curve_sizes(batch_sizes)[::_EVERY]]
    sizes = np.asarray(batch_sizes, dtype=np.float64)
    inside = [size for size in between if sizes.min() < size < sizes.max()]
    return np.union1d(sizes, np.array(inside, dtype=np.float64))


def shortened(values: "Floats | pd.Series[float]") -> list[float | None]:
    """Return numbers rounded to four digits, which look the same on a page; null if unknown."""
    short = [float(f"{value:.{_DIGITS}g}") for value in values]
    # integers are shorter in JSON
    return [
        (int(number) if number.is_integer() else number) if math.isfinite(number) else None
        for number in short
    ]


def _view(target: float, of: str, table: pd.DataFrame, fits: Fits | None) -> dict[str, Any]:
    at = curve_points(table["batch_size"])
    fitted: dict[str, Any] = {"chosen": None, "level": None, "note": ""}
    fitted |= {"fits": {}, "critical": {}, "regimes": []}
    if fits is not None:
        fitted = {
            "chosen": fits.best.model.name,
            "level": fits.best.level,
            "note": fit_note(fits),
            "fits": dict(_curves(fits, at)),
            "critical": critical_record(critical_batch_sizes(fits)),
            "regimes": [
                [str(span.regime), span.low, span.high]
                for span in regimes_of(fits).spans()
                if span.regime is not Regime.NOT_RESOLVED
            ],
        }
    return {
        "target": target,
        "of": of,
        "medians": all_have_replicates(table),
        "rows": json_rows(table),
        "bounds": [
            [size, steps, series == LEFT_OUT]
            for series, size, steps in bound_rows(table).to_numpy().tolist()
        ],
        "at": at.tolist(),
        **fitted,
    }


def _curves(fits: Fits, at: Floats) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, fit in fits.by_name.items():
        low, high = fit.band(at)
        yield (
            name,
            {
                "formula": fit.model.formula,
                "steps": shortened(fit.predict(at)),
                "low": shortened(low),
                "high": shortened(high),
            },
        )
