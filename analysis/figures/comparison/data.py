"""What the figures of a comparison draw."""

import numpy as np
import pandas as pd

from analysis.comparison.compare import Compared, Comparison
from analysis.figures.drawing.series import (
    FIT,
    LEFT_OUT,
    MEASURED,
    NOT_REACHED,
    PERFECT,
    curve_sizes,
    series_rows,
)

B_CRIT = "b_crit"


def comparison_data(comparison: Comparison) -> pd.DataFrame:
    """Return points, curves and critical batch sizes of all studies.

    Returns:
        Columns study, label, series, batch_size, steps, low, high. Series `measured`: low and high
        are the interval of the median, where medians are compared; `not reached`: steps is a lower
        bound; `left out`: one that no curve explains; `fit`: the hyperbola over the study's batch
        sizes, low and high are its band; `b_crit`: batch_size, low and high are its value and
        interval, null without bound.
    """
    parts = [_series(study, 1.0, comparison.medians) for study in comparison.studies]
    return pd.concat([*parts, *map(_b_crit, comparison.studies)], ignore_index=True)


def normalised_data(comparison: Comparison) -> pd.DataFrame:
    """Return points and curves with each study's steps divided by its `normalisation`.

    Returns:
        As `comparison_data` without b_crit, and the line of perfect scaling from there. No rows
        where the comparison has no normalisation.
    """
    to = comparison.normalisation
    if to.batch_size is None:
        return pd.DataFrame()
    parts = [_series(study, to.by[study.name], comparison.medians) for study in comparison.studies]
    sizes = comparison.table["batch_size"]
    at = np.array([float(sizes.min()), float(sizes.max())])
    parts.append(series_rows(PERFECT, at, to.batch_size / at))
    return pd.concat(parts, ignore_index=True)


def _series(study: Compared, divisor: float, medians: bool) -> pd.DataFrame:
    points = study.points
    kind = np.where(points.missed, NOT_REACHED, MEASURED)
    if study.fit is not None:
        kind = np.where(points.out_of_reach(), LEFT_OUT, kind)
    columns = {"series": kind, "batch_size": points.batch_sizes, "steps": points.steps}
    parts = [pd.DataFrame(columns)]
    if medians:
        ends = study.analysis.table.set_index("batch_size")[["low", "high"]].astype(float)
        shown = ends.reindex(points.batch_sizes.astype(int)).to_numpy()
        shown[points.missed] = np.nan
        parts[0][["low", "high"]] = shown
    if study.fit is not None:
        at = curve_sizes(points.batch_sizes)
        low, high = study.fit.band(at)
        parts.append(series_rows(FIT, at, study.fit.predict(at), low=low, high=high))
    data = pd.concat(parts, ignore_index=True).reindex(
        columns=["series", "batch_size", "steps", "low", "high"]
    )
    data[["steps", "low", "high"]] /= divisor
    data.insert(0, "study", study.name)
    data.insert(1, "label", study.label)
    return data


def _b_crit(study: Compared) -> pd.DataFrame:
    ends = {} if study.b_crit is None else study.b_crit.record()
    row = {
        "study": study.name,
        "label": study.label,
        "series": B_CRIT,
        "batch_size": ends.get("value"),
        "steps": None,
        "low": ends.get("low"),
        "high": ends.get("high"),
    }
    numbers = dict.fromkeys(("batch_size", "steps", "low", "high"), "float64")
    return pd.DataFrame([row]).astype(numbers)
