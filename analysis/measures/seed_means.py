"""Means with intervals of diagnostics that have several seeds at a batch size."""

import numpy as np
import pandas as pd
from scipy.stats import t as student

from analysis.fitting.estimates import LEVEL, span_text
from analysis.measures.branches import local_over_seeds
from analysis.tables.schema import TRIAL_KEY


def seed_counts(table: pd.DataFrame) -> dict[str, str]:
    """Return the number of trials at a batch size, as text, for each diagnostic with several."""
    counts = table[["what", *TRIAL_KEY]].drop_duplicates().groupby(["what", "batch_size"]).size()
    return {
        str(what): span_text(int(own.min()), int(own.max()))
        for what, own in counts.groupby("what")
        if own.max() > 1
    }


def over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """Return means over the trials of each batch size with 95 % intervals, by Student's t.

    Some batch size must have several trials. A quantity that is always positive is averaged in its
    logarithm. Moments are paired by their order, at the median of their steps. A number known for
    only one trial stays as it is. The local critical batch size follows from the mean excess loss.
    """
    at = ["what", "batch_size", "moment", "place"]
    moments = table[["what", *TRIAL_KEY, "moment", "step"]].drop_duplicates()
    moments["place"] = moments.groupby(["what", *TRIAL_KEY, "moment"]).cumcount()
    middle = moments.groupby(at)["step"].transform("median").round().astype("Int64")
    rows = table.merge(moments.assign(middle=middle))
    rows = rows.drop(columns="step").rename(columns={"middle": "step"})
    least = rows.groupby(["what", "quantity", "variant"])["value"].transform("min")
    rows["logs"] = (least > 0).astype(float)
    rows["scaled"] = rows["value"].where(least <= 0, np.log(rows["value"].where(least > 0)))
    groups = rows.groupby([*at, "quantity", "variant", "x", "y"], dropna=False, sort=False)
    means, values = groups.first(), groups["scaled"]
    count, mean = values.count(), values.mean()
    half = student.ppf((1 + LEVEL) / 2, (count - 1).clip(lower=1)) * values.std() / count**0.5
    for name, scaled in (("value", mean), ("low", mean - half), ("high", mean + half)):
        unscaled = scaled.where(means["logs"] == 0, np.exp(scaled))
        means[name] = means[name].mask(count > 1, unscaled)
    means["samples"] = means["samples"].mask(count > 1, count)
    return local_over_seeds(means.reset_index(), at)[list(table.columns)]
