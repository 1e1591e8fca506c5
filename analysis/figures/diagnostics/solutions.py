"""The solutions against batch size: curvature, sharpness and generalization gap."""

from typing import Any

import pandas as pd

from analysis.figures.drawing.colors import color, pale
from analysis.figures.drawing.kind import FigureKind
from analysis.figures.drawing.sheet import Sheet, key
from analysis.figures.drawing.ticks import batch_size_axis, fitted_axis
from analysis.measures.diagnostics import END, EQUAL, Diagnosed

_PANEL = (18, 14)
_PANELS = {
    "Hessian": ("eigenvalue", "trace"),
    "Learning rate times eigenvalue": ("lr_times_eigenvalue", "stability_limit"),
    "Keskar's sharpness": ("keskar",),
    "Adaptive sharpness": ("adaptive",),
}
"""Quantities of each panel."""
_SIZES = {
    "Keskar's sharpness": " (\N{GREEK SMALL LETTER EPSILON} = 0.001)",
    "Adaptive sharpness": " (\N{GREEK SMALL LETTER RHO} = 0.01)",
}
"""What follows the title of a panel: the size of the box."""
_FIRST = ("", "1", "epsilon 0.001", "rho 0.01")
"""The variants that are drawn: the largest eigenvalue, and one size of box."""
_NAMES = {
    "eigenvalue": "largest eigenvalue",
    "trace": "trace",
    "stability_limit": "stability limit of a quadratic",
}
"""Quantities that the legend names; the others are named in the titles of their panels."""


def flatness_data(diagnosed: Diagnosed) -> pd.DataFrame:
    """Return panel, quantity, batch_size, value, low and high; no rows for a single batch size."""
    table = diagnosed.table
    kept = table["what"].isin(["curvature", "sharpness"]) & (table["moment"] == END)
    rows = table[kept & table["variant"].isin(_FIRST) & table["value"].notna()]
    if rows["batch_size"].nunique() < 2:
        return pd.DataFrame()
    panel = {quantity: name for name, own in _PANELS.items() for quantity in own}
    rows = rows.assign(panel=rows["quantity"].map(panel))
    return rows[["panel", "quantity", "batch_size", "value", "low", "high"]].reset_index(drop=True)


def _draw_flatness(sheet: Sheet, data: pd.DataFrame, diagnosed: Diagnosed) -> None:
    names = [name for name in _PANELS if (data["panel"] == name).any()]
    titles = [name + _SIZES.get(name, "") for name in names]
    panels = sheet.grid(titles, _PANEL, f"Batch size ({diagnosed.unit})")
    handles = []
    for axes, name in zip(panels, names, strict=True):
        rows = data[data["panel"] == name]
        for place, quantity in enumerate(_PANELS[name]):
            own = rows[rows["quantity"] == quantity].sort_values("batch_size")
            if own.empty:
                continue
            style = _style(quantity, place)
            axes.plot(own["batch_size"], own["value"], **style)
            known = own.dropna(subset=["low", "high"])
            axes.vlines(known["batch_size"], known["low"], known["high"], color=style["color"])
            if quantity in _NAMES:
                handles.append(key(_NAMES[quantity], **style))
        batch_size_axis(axes, data["batch_size"])
        fitted_axis(axes.yaxis, rows["value"])
    sheet.title(f"{diagnosed.of('curvature')}: solutions at the target")
    sheet.legend(handles)


def _style(quantity: str, place: int) -> dict[str, Any]:
    if quantity == "stability_limit":
        return {"color": pale(0.34), "linestyle": "--", "lw": 1.0}
    return {"color": color(place), "marker": "o", "markersize": 4, "lw": 1.2}


_GAP_PANEL = (15, 17)
_SPLITS = {"train_error": "training", "val_error": "validation", "test_error": "test"}
_LINES = ("o-", "s--", "^:")


def gap_data(diagnosed: Diagnosed) -> pd.DataFrame:
    """Return equal, quantity, batch_size, step, value, low, high; no rows for one batch size."""
    table = diagnosed.table
    rows = table[(table["what"] == "gap") & table["quantity"].isin(_SPLITS)]
    if rows["batch_size"].nunique() < 2:
        return pd.DataFrame()
    rows = rows.assign(equal=rows["moment"].map(EQUAL)).sort_values(["moment", "batch_size"])
    columns = ["equal", "quantity", "batch_size", "step", "value", "low", "high"]
    return rows[columns].reset_index(drop=True)


def _draw_gap(sheet: Sheet, data: pd.DataFrame, diagnosed: Diagnosed) -> None:
    names = [name for name in EQUAL.values() if (data["equal"] == name).any()]
    titles = [name.capitalize() for name in names]
    panels = sheet.grid(titles, _GAP_PANEL, f"Batch size ({diagnosed.unit})", sharey=True)
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
    sheet.title(f"{diagnosed.of('gap')}: the winning trials")
    keys = [
        key(name, color=color(place), marker=_LINES[place][0], ls=_LINES[place][1:])
        for place, (quantity, name) in enumerate(_SPLITS.items())
        if (data["quantity"] == quantity).any()
    ]
    sheet.legend(keys)


FLATNESS = FigureKind(
    data=flatness_data, draw=_draw_flatness, needs="curvature or sharpness at two batch sizes"
)
GAP = FigureKind(data=gap_data, draw=_draw_gap, needs="a gap at two batch sizes")
