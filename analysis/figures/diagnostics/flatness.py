"""Curvature and sharpness of the solutions at equal target, against batch size."""

from typing import Any

import pandas as pd

from analysis.figures.drawing.colors import color, pale
from analysis.figures.drawing.sheet import Sheet, key
from analysis.figures.drawing.ticks import batch_size_axis, fitted_axis
from analysis.measures.diagnostics import END, Diagnosed

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
"""What follows the name of a panel: the size of the box."""
_FIRST = ("", "1", "epsilon 0.001", "rho 0.01")
"""Variants that are drawn: of several eigenvalues the largest, of several boxes one."""
_NAMES = {
    "eigenvalue": "largest eigenvalue",
    "trace": "trace",
    "stability_limit": "stability limit of a quadratic",
}
"""Quantities that the legend names; the others stand in the titles of their panels."""


def flatness_data(found: Diagnosed) -> pd.DataFrame:
    """Return panel, quantity, batch_size, value, low and high; no rows of a single batch size."""
    table = found.table
    kept = table["what"].isin(["curvature", "sharpness"]) & (table["moment"] == END)
    rows = table[kept & table["variant"].isin(_FIRST) & table["value"].notna()]
    if rows["batch_size"].nunique() < 2:  # noqa: PLR2004
        return pd.DataFrame()
    panel = {quantity: name for name, own in _PANELS.items() for quantity in own}
    rows = rows.assign(panel=rows["quantity"].map(panel))
    return rows[["panel", "quantity", "batch_size", "value", "low", "high"]].reset_index(drop=True)


def draw_flatness(sheet: Sheet, data: pd.DataFrame, found: Diagnosed) -> None:
    """Draw the rows of `flatness_data`, a panel for each kind of measure."""
    names = [name for name in _PANELS if (data["panel"] == name).any()]
    titles = [name + _SIZES.get(name, "") for name in names]
    panels = sheet.grid(titles, _PANEL, f"Batch size ({found.unit})")
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
    sheet.title(f"{found.of('curvature')}: solutions at the target")
    sheet.legend(handles)


def _style(quantity: str, place: int) -> dict[str, Any]:
    if quantity == "stability_limit":
        return {"color": pale(0.34), "linestyle": "--", "lw": 1.0}
    return {"color": color(place), "marker": "o", "markersize": 4, "lw": 1.2}
