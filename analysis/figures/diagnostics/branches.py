"""The local critical batch size along a run, and what larger batches lose in branches from it."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from analysis.figures.diagnostics.noise import draw_b_crit
from analysis.figures.drawing.colors import color, pale, ramp
from analysis.figures.drawing.marks import bound_mark
from analysis.figures.drawing.sheet import Sheet, bound_key, key
from analysis.figures.drawing.ticks import batch_size_axis, log_axis
from analysis.measures.branches import CRITICAL, ENOUGH, EXCESS, TOLERANCE, branch_rows
from analysis.measures.diagnostics import Diagnosed

_PANEL = (18, 17)
_MARGIN = 1.35


def branch_data(found: Diagnosed) -> pd.DataFrame:
    """Return quantity, batch_size, step, x (batch of the branch), value, low and high.

    No rows of a run that is too short to branch from.
    """
    rows = branch_rows(found.table)
    drawn = [CRITICAL, EXCESS] if rows["x"].notna().any() else []
    columns = ["quantity", "batch_size", "step", "x", "value", "low", "high"]
    return rows[rows["quantity"].isin(drawn)][columns].reset_index(drop=True)


def draw_branches(sheet: Sheet, data: pd.DataFrame, found: Diagnosed) -> None:
    """Draw the rows of `branch_data`: a panel along the run, one against batch size."""
    along, against = sheet.grid(["Along the run", "Loss after branching"], _PANEL, "")
    local, excess = (data[data["quantity"] == name] for name in (CRITICAL, EXCESS))
    ends = [excess["x"].min() / _MARGIN, excess["x"].max() * _MARGIN]
    handles: list[Artist] = []
    if (b_crit := found.measured_b_crit) is not None:
        ends = [min(ends[0], b_crit.low), max(ends[1], b_crit.high)]
        handles = [draw_b_crit([along], b_crit)]
    log_axis(along.yaxis, *ends)
    handles = [*_draw_local(along, local, excess["x"].max()), *handles]
    handles += _draw_excess(against, excess)
    along.set_ylabel(f"Batch size ({found.unit})", fontsize="small")
    against.set_xlabel(f"Batch size ({found.unit})", fontsize="small")
    size = local["batch_size"].iloc[0]
    sheet.title(f"{found.subject}: local critical batch size, branches from B = {size}")
    sheet.legend(handles)


def _draw_local(axes: Axes, rows: pd.DataFrame, most: float) -> list[Artist]:
    """Draw local critical batch sizes, moments side by side; those beyond `most` as bounds."""
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
    handles: list[Artist] = [key(f"loss {TOLERANCE:.0%} worse, 95% interval", **mark)]
    return [
        *handles,
        *([bound_key(f"less than {TOLERANCE:.0%} worse at all", color(0))] if beyond.any() else []),
    ]


def _draw_excess(axes: Axes, rows: pd.DataFrame) -> list[Artist]:
    """Draw the excess loss of each branch, a line for each moment, and the tolerance."""
    steps = sorted(rows["step"].unique())
    for step, shade in zip(steps, ramp(len(steps)), strict=True):
        own = rows[rows["step"] == step]
        axes.plot(own["x"], 100 * own["value"], "o-", ms=3, color=shade)
    axes.axhline(100 * TOLERANCE, color=pale(0.34), ls="--", lw=0.9)
    batch_size_axis(axes, rows["x"])
    least = 100 * rows["value"].min()
    axes.set_ylim(min(_MARGIN * least, -100 * TOLERANCE), 100 * ENOUGH)
    axes.set_ylabel("Excess loss (%)", fontsize="small")
    shades = ramp(len(steps))
    ends = dict(zip((steps[0], steps[-1]), (shades[0], shades[-1]), strict=True))
    return [key(f"branch at step {step:,}", color=shade) for step, shade in ends.items()]
