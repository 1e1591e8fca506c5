"""The gradient noise scale against batch size and along each run, beside b_crit."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis.figures.drawing.colors import color, pale, paper, ramp
from analysis.figures.drawing.marks import B_CRIT_SIGN
from analysis.figures.drawing.sheet import Sheet, key
from analysis.figures.drawing.ticks import batch_size_axis, log_axis
from analysis.fitting.estimates import Estimate
from analysis.measures.diagnostics import END, START, Diagnosed, course

_PANEL = (18, 17)
_MARGIN = 1.35


def noise_data(found: Diagnosed) -> pd.DataFrame:
    """Return the noise scale in the optimizer's norm: batch_size, moment, step, value, low, high.

    An end that the data did not set is null. No rows where no noise scale is known.
    """
    return course(found, found.norm).dropna(subset="value").reset_index(drop=True)


def draw_noise(sheet: Sheet, data: pd.DataFrame, found: Diagnosed) -> None:
    """Draw the rows of `noise_data`: a panel against batch size, one along the runs."""
    panels = sheet.grid(["Start and end, by batch size", "Along each run"], _PANEL, "", sharey=True)
    by_size, along = panels
    for place, moment in enumerate((START, END)):
        rows = data[data["moment"] == moment]
        filled = color(place) if moment == END else paper()
        _draw_intervals(by_size, rows, color(place), filled)
    batch_size_axis(by_size, data["batch_size"])
    by_size.set_xlabel(f"Batch size ({found.unit})", fontsize="small")
    sizes = sorted(data["batch_size"].unique())
    for size, shade in zip(sizes, ramp(len(sizes)), strict=True):
        run = data[data["batch_size"] == size]
        along.plot(run["step"] / max(run["step"].max(), 1), run["value"], "o-", ms=3, color=shade)
    along.set_xlabel("Share of the steps to target", fontsize="small")
    values = data["value"][data["value"] > 0].to_numpy(float)
    ends = [values.min() / _MARGIN, values.max() * _MARGIN]
    handles = [
        key(START, color=color(0), marker="o", ls="", markerfacecolor=paper()),
        key(END, color=color(1), marker="o", ls=""),
        key(f"run at B = {sizes[0]}", color=ramp(len(sizes))[0]),
        *([key(f"run at B = {sizes[-1]}", color=ramp(len(sizes))[-1])] if len(sizes) > 1 else []),
    ]
    if (b_crit := found.measured_b_crit) is not None:
        ends = [min(ends[0], b_crit.low), max(ends[1], b_crit.high)]
        handles.append(draw_b_crit(panels, b_crit))
    log_axis(by_size.yaxis, *ends)
    sheet.label_y("Gradient noise scale (examples)")
    sheet.title(f"{found.of('noise')}: gradient noise, {found.norm.replace('euc', 'Euc')} norm")
    sheet.legend(handles)


def draw_b_crit(panels: Sequence[Axes], b_crit: Estimate) -> Line2D:
    """Draw the measured critical batch size across panels; return its entry of the legend."""
    for axes in panels:
        axes.axhspan(b_crit.low, b_crit.high, color=pale(0.82), lw=0, zorder=0)
        axes.axhline(b_crit.value, color=pale(0.34), lw=0.9, zorder=1)
    return key(f"{B_CRIT_SIGN} as measured", color=pale(0.34), lw=0.9)


def _draw_intervals(axes: Axes, rows: pd.DataFrame, edge: str, filled: str) -> None:
    top = 10 * float(rows["value"].max()) if len(rows) else math.nan
    high = rows["high"].fillna(top)
    below, above = (rows["value"] - rows["low"]).clip(lower=0), (high - rows["value"]).clip(lower=0)
    far = np.array([below, above], dtype=float)
    marks: dict[str, Any] = {"color": edge, "markerfacecolor": filled, "markersize": 4.5}
    axes.errorbar(rows["batch_size"], rows["value"], yerr=far, fmt="o", elinewidth=1.1, **marks)
