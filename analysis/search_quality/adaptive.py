"""The progress of an adaptive search: where it sampled last, and what its last half gained.

Its trials are not an even sample, so they do not show what other trials would have found. What the
later ones did find is known.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from analysis.fitting.estimates import percent, span_text, value_text

LATE_COLUMNS = {"late_gain": "Float64", "looked": "str"}
"""Additional columns of the table of an adaptive search."""
_LAST = 0.25
"""Share of the trials that show where a search sampled last."""


def late_row(even: pd.DataFrame, searched: list[str]) -> dict[str, object]:
    """Return the columns of one batch size, given the trials of its own search.

    Returns:
        late_gain: share of extra steps that the best of the first half of the trials took; null if
        none of them reached. looked: the middle half of the values in the last quarter of the
        trials, such as "lr 0.02 to 0.3, momentum 0.8 to 0.9".
    """
    if even.empty:
        return {"late_gain": None, "looked": ""}
    in_order = even.sort_values(["role", "trial"], ascending=[False, True], kind="stable")
    steps = in_order["steps"].to_numpy(np.float64, na_value=np.inf)
    half, fewest = steps[: len(steps) // 2].min(initial=np.inf), steps.min(initial=np.inf)
    last = in_order.tail(max(1, int(len(in_order) * _LAST)))
    spans = [np.quantile(last[name].to_numpy(np.float64), (0.25, 0.75)) for name in searched]
    return {
        "late_gain": float(half / fewest - 1) if np.isfinite(half) else None,
        "looked": ", ".join(
            f"{name} {span_text(*(value_text(end, 2) for end in span))}"
            for name, span in zip(searched, spans, strict=True)
        ),
    }


def late_sentences(table: pd.DataFrame) -> Iterator[str]:
    """Yield sentences on the gain and the place of later trials; none for other searches."""
    if "looked" not in table:
        return
    gains, looked = table["late_gain"].dropna(), table[table["looked"].ne("")]
    if len(gains):
        span = span_text(percent(gains.min()), percent(gains.max()))
        yield (
            f"The first half of the trials took {span} more steps than all, "
            f"{percent(gains.mean())} on average over batch sizes; expect less from doubling the "
            "trials again (search.trials)."
        )
    ends = pd.concat([looked.head(1), looked.tail(1)]).drop_duplicates("batch_size")
    if len(ends):
        places = [f"{row.looked} at B = {row.batch_size}" for row in ends.itertuples()]
        yield f"Its last trials looked mostly at {', and at '.join(places)}."
