"""Errors of the splits against batch size, at equal target, steps and examples."""

from typing import Any

import pandas as pd

from analysis.figures.drawing.colors import color
from analysis.figures.drawing.sheet import Sheet, key
from analysis.figures.drawing.ticks import batch_size_axis, fitted_axis
from analysis.measures.diagnostics import EQUAL, Diagnosed

_PANEL = (15, 17)
_SPLITS = {"train_error": "training", "val_error": "validation", "test_error": "test"}
_LINES = ("o-", "s--", "^:")


def gap_data(found: Diagnosed) -> pd.DataFrame:
    """Return equal, quantity, batch_size, step, value, low, high; no rows of one batch size."""
    table = found.table
    rows = table[(table["what"] == "gap") & table["quantity"].isin(_SPLITS)]
    if rows["batch_size"].nunique() < 2:  # noqa: PLR2004
        return pd.DataFrame()
    rows = rows.assign(equal=rows["moment"].map(EQUAL)).sort_values(["moment", "batch_size"])
    columns = ["equal", "quantity", "batch_size", "step", "value", "low", "high"]
    return rows[columns].reset_index(drop=True)


def draw_gap(sheet: Sheet, data: pd.DataFrame, found: Diagnosed) -> None:
    """Draw the rows of `gap_data`, a panel for each thing that is equal."""
    names = [name for name in EQUAL.values() if (data["equal"] == name).any()]
    titles = [name.capitalize() for name in names]
    panels = sheet.grid(titles, _PANEL, f"Batch size ({found.unit})", sharey=True)
    for axes, name in zip(panels, names, strict=True):
        for place, quantity in enumerate(_SPLITS):
            own = data[(data["equal"] == name) & (data["quantity"] == quantity)]
            style: dict[str, Any] = {"color": color(place), "markersize": 4, "lw": 1.2}
            axes.plot(own["batch_size"], own["value"], _LINES[place], **style)
            known = own.dropna(subset=["low", "high"])
            axes.vlines(known["batch_size"], known["low"], known["high"], color=color(place), lw=1)
        batch_size_axis(axes, data["batch_size"])
    fitted_axis(panels[0].yaxis, data["value"], margin=1.8)
    sheet.label_y("Error")
    sheet.title(f"{found.of('gap')}: the winning trials")
    keys = [
        key(name, color=color(place), marker=_LINES[place][0], ls=_LINES[place][1:])
        for place, (quantity, name) in enumerate(_SPLITS.items())
        if (data["quantity"] == quantity).any()
    ]
    sheet.legend(keys)
