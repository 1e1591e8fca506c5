"""The loss around solutions: along random directions, over a plane, and between two of them."""

import numpy as np
import pandas as pd

from analysis.figures.drawing.colors import color, paper, ramp
from analysis.figures.drawing.kind import FigureKind
from analysis.figures.drawing.sheet import Sheet, key
from analysis.figures.drawing.ticks import fitted_axis
from analysis.measures.diagnostics import Diagnosed

_HEIGHT = 3.4
_PANEL = (18, 18)
_MAX_NAMED = 12
_LEVELS = 9
_LOSS = "Training loss"


def line_data(diagnosed: Diagnosed) -> pd.DataFrame:
    """Return batch_size, x, and the mean training loss over directions with low and high."""
    rows = diagnosed.rows("landscape", "train_loss", "line")
    return rows[["batch_size", "x", "value", "low", "high"]].reset_index(drop=True)


def _draw_line(sheet: Sheet, data: pd.DataFrame, diagnosed: Diagnosed) -> None:
    axes = sheet.axes(_HEIGHT)
    sizes = sorted(data["batch_size"].unique())
    shades = ramp(len(sizes))
    for size, shade in zip(sizes, shades, strict=True):
        own = data[data["batch_size"] == size]
        axes.plot(own["x"], own["value"], color=shade, lw=1.4)
        if size in (sizes[0], sizes[-1]):
            low = own["low"].clip(lower=data["value"].min())
            axes.fill_between(own["x"], low, own["high"], color=shade, alpha=0.15, lw=0)
    fitted_axis(axes.yaxis, data["value"], margin=1.1)
    axes.set_xlabel("Distance along the direction (lengths of each filter)")
    axes.set_ylabel(f"{_LOSS}, mean of directions")
    sheet.title(f"{diagnosed.of('landscape')}: around the solutions at the target")
    named = sizes if len(sizes) <= _MAX_NAMED else [sizes[0], sizes[-1]]
    sheet.legend([key(f"B = {size}", color=shades[sizes.index(size)]) for size in named])


def plane_data(diagnosed: Diagnosed) -> pd.DataFrame:
    """Return batch_size (the smallest and the largest), x, y and the training loss.

    No rows if the loss is the same everywhere.
    """
    rows = diagnosed.rows("landscape", "train_loss", "plane")
    rows = rows if rows["value"].nunique() > 1 else rows.iloc[:0]
    return rows[["batch_size", "x", "y", "value"]].reset_index(drop=True)


def _draw_plane(sheet: Sheet, data: pd.DataFrame, diagnosed: Diagnosed) -> None:
    sizes = sorted(data["batch_size"].unique())
    names = [f"B = {size}" for size in sizes]
    panels = sheet.grid(names, _PANEL, "Along one direction", sharex=True, sharey=True)
    values = data["value"].to_numpy(float)
    space = np.geomspace if values.min() > 0 else np.linspace
    levels = space(values.min(), values.max(), _LEVELS + 2)[1:-1]
    shades = ramp(_LEVELS)
    for axes, size in zip(panels, sizes, strict=True):
        grid = data[data["batch_size"] == size].pivot_table(index="y", columns="x", values="value")
        lines = axes.contour(grid.columns, grid.index, grid.to_numpy(), levels, colors=shades)
        lines.set_linewidth(1.2)
        axes.plot([0], [0], "o", color=color(1), markeredgecolor=paper(), markersize=5)
        axes.set_aspect("equal")
    sheet.label_y("Along a second direction")
    sheet.title(f"{diagnosed.of('landscape')}: {_LOSS.lower()} over a plane")
    shown = zip(levels[::2], shades[::2], strict=True)
    keys = [key(f"loss {level:.2g}", color=shade) for level, shade in shown]
    sheet.legend([*keys, key("solution", color=color(1), marker="o", ls="")])


def between_data(diagnosed: Diagnosed) -> pd.DataFrame:
    """Return quantity, x, value, low and high on the line between two solutions.

    Quantities are loss and error in training and validation; a single line has no interval.
    """
    table = diagnosed.table
    rows = table[(table["what"] == "landscape") & table["variant"].str.startswith("to B = ")]
    rows = rows[rows["value"].notna()]
    columns = ["batch_size", "variant", "quantity", "x", "value", "low", "high"]
    return rows[columns].reset_index(drop=True)


def _draw_between(sheet: Sheet, data: pd.DataFrame, diagnosed: Diagnosed) -> None:
    losses, errors = sheet.stack((2.4, 2.0), sharex=True)
    for axes, quantity in ((losses, "loss"), (errors, "error")):
        for place, split in enumerate(("train", "val")):
            own = data[data["quantity"] == f"{split}_{quantity}"]
            axes.plot(own["x"], own["value"], "--" if place else "-", color=color(place), lw=1.4)
            if len(known := own.dropna(subset=["low", "high"])):
                ends = known["x"], known["low"], known["high"]
                axes.fill_between(*ends, color=color(place), alpha=0.15, lw=0)
        for x in (0, 1):
            axes.axvline(x, color=color(4), lw=0.8, ls=":")
        axes.set_ylabel(quantity.capitalize())
    fitted_axis(losses.yaxis, data.loc[data["quantity"].str.endswith("loss"), "value"])
    first, other = data["batch_size"].iloc[0], data["variant"].iloc[0].removeprefix("to ")
    errors.set_xlabel(f"Position on the line: 0 is the solution of B = {first}, 1 that of {other}")
    sheet.title(f"{diagnosed.of('landscape')}: from one solution to another")
    sheet.legend(
        [key("training", color=color(0)), key("validation", color=color(1), linestyle="--")]
    )


LINE = FigureKind(data=line_data, draw=_draw_line, needs="a landscape")
PLANE = FigureKind(data=plane_data, draw=_draw_plane, needs="a landscape")
BETWEEN = FigureKind(data=between_data, draw=_draw_between, needs="a landscape at two batch sizes")
