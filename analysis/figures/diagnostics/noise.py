"""The gradient noise scale, and the local critical batch size from branches of a run."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis.figures.drawing.colors import color, pale, paper, ramp
from analysis.figures.drawing.kind import FigureKind
from analysis.figures.drawing.marks import B_CRIT_SIGN, bound_mark
from analysis.figures.drawing.sheet import Sheet, bound_key, key
from analysis.figures.drawing.ticks import batch_size_axis, log_axis
from analysis.fitting.estimates import Estimate
from analysis.measures.branches import BRANCH, CRITICAL, ENOUGH, EXCESS, TOLERANCE, branch_rows
from analysis.measures.diagnostics import END, START, Diagnosed, course

_PANEL = (18, 17)
_MARGIN = 1.35


def noise_data(diagnosed: Diagnosed) -> pd.DataFrame:
    """Return the noise scale in the optimizer's norm: batch_size, moment, step, value, low, high.

    An end without bound is null. No rows if no noise scale is above 0.
    """
    rows = course(diagnosed, diagnosed.norm).dropna(subset="value").reset_index(drop=True)
    return rows if (rows["value"] > 0).any() else rows.iloc[:0]


def _draw_noise(sheet: Sheet, data: pd.DataFrame, diagnosed: Diagnosed) -> None:
    panels = sheet.grid(["Start and end, by batch size", "Along each run"], _PANEL, "", sharey=True)
    by_size, along = panels
    for place, moment in enumerate((START, END)):
        rows = data[data["moment"] == moment]
        filled = color(place) if moment == END else paper()
        _draw_intervals(by_size, rows, color(place), filled)
    batch_size_axis(by_size, data["batch_size"])
    by_size.set_xlabel(f"Batch size ({diagnosed.unit})", fontsize="small")
    sizes = sorted(data["batch_size"].unique())
    shades = dict(zip(sizes, ramp(len(sizes)), strict=True))
    for size, shade in shades.items():
        run = data[data["batch_size"] == size]
        along.plot(run["step"] / max(run["step"].max(), 1), run["value"], "o-", ms=3, color=shade)
    along.set_xlabel("Share of the steps to target", fontsize="small")
    values = data["value"][data["value"] > 0].to_numpy(float)
    ends = [values.min() / _MARGIN, values.max() * _MARGIN]
    handles = [
        key(START, color=color(0), marker="o", ls="", markerfacecolor=paper()),
        key(END, color=color(1), marker="o", ls=""),
        *(
            key(f"run at B = {size}", color=shades[size])
            for size in dict.fromkeys((sizes[0], sizes[-1]))
        ),
    ]
    if (b_crit := diagnosed.measured_b_crit) is not None:
        ends = [min(ends[0], b_crit.low), max(ends[1], b_crit.high)]
        handles.append(_draw_b_crit(panels, b_crit))
    log_axis(by_size.yaxis, *ends)
    sheet.label_y("Gradient noise scale (examples)")
    sheet.title(
        f"{diagnosed.of('noise')}: gradient noise, {diagnosed.norm.replace('euc', 'Euc')} norm"
    )
    sheet.legend(handles)


def _draw_b_crit(panels: Sequence[Axes], b_crit: Estimate) -> Line2D:
    """Draw the measured critical batch size across panels; return its legend entry."""
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


def branch_data(diagnosed: Diagnosed) -> pd.DataFrame:
    """Return quantity, batch_size, step, x (batch of the branch), value, low and high.

    No rows if the run is too short to branch from.
    """
    rows = branch_rows(diagnosed.table)
    drawn = [CRITICAL, EXCESS] if rows["x"].notna().any() else []
    columns = ["quantity", "batch_size", "step", "x", "value", "low", "high"]
    return rows[rows["quantity"].isin(drawn)][columns].reset_index(drop=True)


def _draw_branches(sheet: Sheet, data: pd.DataFrame, diagnosed: Diagnosed) -> None:
    along, against = sheet.grid(["Along the run", "Loss after branching"], _PANEL, "")
    local, excess = (data[data["quantity"] == name] for name in (CRITICAL, EXCESS))
    ends = [excess["x"].min() / _MARGIN, excess["x"].max() * _MARGIN]
    handles: list[Line2D] = []
    if (b_crit := diagnosed.measured_b_crit) is not None:
        ends = [min(ends[0], b_crit.low), max(ends[1], b_crit.high)]
        handles = [_draw_b_crit([along], b_crit)]
    log_axis(along.yaxis, *ends)
    handles = [*_draw_local(along, local, excess["x"].max()), *handles]
    handles += _draw_excess(against, excess)
    along.set_ylabel(f"Batch size ({diagnosed.unit})", fontsize="small")
    against.set_xlabel(f"Batch size ({diagnosed.unit})", fontsize="small")
    size = local["batch_size"].iloc[0]
    sheet.title(f"{diagnosed.of(BRANCH)}: local critical batch size, branches from B = {size}")
    sheet.legend(handles)


def _draw_local(axes: Axes, rows: pd.DataFrame, most: float) -> list[Line2D]:
    """Draw local critical batch sizes, one per moment; those beyond `most` as bounds."""
    places = np.arange(len(rows))
    values, low = rows["value"].to_numpy(float), rows["low"].to_numpy(float)
    high = rows["high"].fillna(axes.get_ylim()[1]).to_numpy(float)
    beyond = np.isnan(values)
    mark: dict[str, Any] = {"color": color(0), "marker": "o", "markersize": 4.5, "linestyle": ""}
    axes.plot(places, values, **mark)
    interval = ~beyond & ~np.isnan(low)
    axes.vlines(places[interval], low[interval], high[interval], color=color(0), lw=1.1)
    axes.plot(places[beyond], np.full(beyond.sum(), most), color=color(0), **bound_mark())
    axes.set_xticks(places, [f"{step:,}" for step in rows["step"]])
    axes.set_xlim(-0.5, len(rows) - 0.5)
    axes.set_xlabel("Step of the branch", fontsize="small")
    handles = [key(f"loss {TOLERANCE:.0%} worse, 95% interval", **mark)]
    if beyond.any():
        handles.append(bound_key(f"never {TOLERANCE:.0%} worse", color(0)))
    return handles


def _draw_excess(axes: Axes, rows: pd.DataFrame) -> list[Line2D]:
    """Draw the excess loss of the branches, a line per moment, and the tolerance."""
    steps = sorted(rows["step"].unique())
    shades = dict(zip(steps, ramp(len(steps)), strict=True))
    for step, shade in shades.items():
        own = rows[rows["step"] == step]
        axes.plot(own["x"], 100 * own["value"], "o-", ms=3, color=shade)
    axes.axhline(100 * TOLERANCE, color=pale(0.34), ls="--", lw=0.9)
    batch_size_axis(axes, rows["x"])
    least = 100 * rows["value"].min()
    axes.set_ylim(min(_MARGIN * least, -100 * TOLERANCE), 100 * ENOUGH)
    axes.set_ylabel("Excess loss (%)", fontsize="small")
    ends = dict.fromkeys((steps[0], steps[-1]))
    return [key(f"branch at step {step:,}", color=shades[step]) for step in ends]


NOISE = FigureKind(data=noise_data, draw=_draw_noise, needs="a noise scale")
BRANCHES = FigureKind(data=branch_data, draw=_draw_branches, needs="branches")
