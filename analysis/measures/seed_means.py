"""Diagnostics of several seeds at a batch size as means with intervals."""

import numpy as np
import pandas as pd
from scipy.stats import t as student

from analysis.fitting.estimates import LEVEL, span_text
from analysis.measures.branches import local_over_seeds
from analysis.tables.schema import TRIAL_KEY


def seed_counts(table: pd.DataFrame) -> dict[str, str]:
    """Return how many trials a batch size has, as text, by diagnostic with several."""
    counts = table[["what", *TRIAL_KEY]].drop_duplicates().groupby(["what", "batch_size"]).size()
    return {
        str(what): span_text(int(own.min()), int(own.max()))
        for what, own in counts.groupby("what")
        if own.max() > 1
    }


def over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """Return means over the trials of each batch size with their 95 % intervals, by Student's t.

    They are means of logarithms for a quantity that is always positive. Moments are paired in their
    order, at the median of their steps. A number that is known for one trial alone stays as it is.
    The local critical batch size is that of the mean excess of branches. Some batch size must have
    several trials.
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
    found, values = groups.first(), groups["scaled"]
    count, mean = values.count(), values.mean()
    far = student.ppf((1 + LEVEL) / 2, (count - 1).clip(lower=1)) * values.std() / count**0.5
    for name, place in (("value", mean), ("low", mean - far), ("high", mean + far)):
        back = place.where(found["logs"] == 0, np.exp(place))
        found[name] = found[name].mask(count > 1, back)
    found["samples"] = found["samples"].mask(count > 1, count)
    return local_over_seeds(found.reset_index(), at)[list(table.columns)]
