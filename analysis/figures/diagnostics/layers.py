"""Gradient-to-weight ratios of layers against batch size, and at start and end of training."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis.figures.drawing.colors import color, pale, paper, ramp
from analysis.figures.drawing.kind import FigureKind
from analysis.figures.drawing.sheet import Sheet, key
from analysis.figures.drawing.ticks import batch_size_axis, fitted_axis
from analysis.measures.diagnostics import Diagnosed
from analysis.measures.layers import ENDS, layer_table

_MAX_NAMED = 10
"""With more layers, the legend names only the first and last, and full gradients are omitted."""
_RATIO = r"Gradient norm / weight norm, $|g|\,/\,|w|$"
# in font sizes
_PANEL = (18, 17)
_LAYER, _AROUND = 1.7, 5.0


def layers_vs_batch_data(diagnosed: Diagnosed) -> pd.DataFrame:
    """Return moment (start, end), layer, batch_size, ratio and full_ratio of each layer.

    Layers are in model order; a ratio is null if the weights of the layer are zero. No rows for a
    single batch size.
    """
    table = layer_table(diagnosed.table)
    if table["batch_size"].nunique() < 2:
        return pd.DataFrame()
    ends = table[table["moment"].isin(ENDS)]
    return ends[["moment", "layer", "batch_size", "ratio", "full_ratio"]].reset_index(drop=True)


def _draw_vs_batch(sheet: Sheet, data: pd.DataFrame, diagnosed: Diagnosed) -> None:
    layers = list(dict.fromkeys(data["layer"]))
    colors = dict(zip(layers, ramp(len(layers)), strict=True))
    names = [f"{moment.capitalize()} of training" for moment in ENDS]
    panels = sheet.grid(names, _PANEL, f"Batch size ({diagnosed.unit})", sharex=True, sharey=True)
    for axes, moment in zip(panels, ENDS, strict=True):
        rows = data[data["moment"] == moment]
        for layer, own in rows.groupby("layer", sort=False):
            sizes, color = own["batch_size"], colors[layer]
            axes.plot(sizes, own["ratio"], lw=1.4, **_layer_style(str(layer), color))
            if len(layers) <= _MAX_NAMED:
                axes.plot(sizes, own["full_ratio"], ":", color=color, lw=1.0)
        batch_size_axis(axes, data["batch_size"])
    fitted_axis(panels[0].yaxis, data[["ratio", "full_ratio"]])
    sheet.label_y(_RATIO)
    sheet.title(f"{diagnosed.of('layers')}: layer by layer")
    sheet.legend(_legend(layers, colors))


def _layer_style(layer: str, color: str) -> dict[str, Any]:
    """Return the style of a layer: biases are dashed and open."""
    bias = layer.endswith("bias")
    return {
        "color": color,
        "linestyle": "--" if bias else "-",
        "marker": "s" if bias else "o",
        "markerfacecolor": paper() if bias else color,
        "markersize": 4,
    }


def _legend(layers: list[str], colors: dict[str, str]) -> list[Line2D]:
    if len(layers) > _MAX_NAMED:
        named = {layers[0]: f"{layers[0]} (first)", layers[-1]: f"{layers[-1]} (last)"}
        return [key(label, **_layer_style(la, colors[la])) for la, label in named.items()]
    handles = [key(layer, **_layer_style(layer, colors[layer])) for layer in layers]
    return [*handles, key("full gradient", color=pale(0.34), linestyle=":", lw=1.0)]


def layers_start_end_data(diagnosed: Diagnosed) -> pd.DataFrame:
    """Return batch_size (the smallest and the largest), layer, moment, step and ratio.

    Layers are in model order; a ratio is null if the weights of the layer are zero.
    """
    table = layer_table(diagnosed.table)
    sizes = {table["batch_size"].min(), table["batch_size"].max()}
    rows = table[table["batch_size"].isin(sizes)]
    return rows[["batch_size", "layer", "moment", "step", "ratio"]].reset_index(drop=True)


def _draw_start_end(sheet: Sheet, data: pd.DataFrame, diagnosed: Diagnosed) -> None:
    layers = list(dict.fromkeys(data["layer"]))
    sizes = sorted(data["batch_size"].unique())
    least = (_PANEL[0], _LAYER * len(layers) + _AROUND)
    panels = sheet.grid([f"B = {size}" for size in sizes], least, _RATIO, sharex=True, sharey=True)
    for axes, size in zip(panels, sizes, strict=True):
        _draw_course(axes, data[data["batch_size"] == size], layers)
    fitted_axis(panels[0].xaxis, data[["ratio"]])
    panels[0].set_yticks(np.arange(len(layers)), layers)
    panels[0].set_ylim(len(layers) - 0.5, -0.5)  # the first layer on top
    sheet.title(f"{diagnosed.of('layers')}: start and end of training")
    shown = set(data.loc[data["ratio"].notna(), "moment"])
    sheet.legend([key(moment, **mark) for moment, mark in _moments().items() if moment in shown])


def _moments() -> Mapping[str, dict[str, Any]]:
    start = {"color": color(0), "markerfacecolor": paper()}
    return {
        "start": {"marker": "o", "linestyle": "", "markersize": 5.5, **start},
        "between": {"marker": "|", "linestyle": "", "markersize": 5.0, "color": pale(0.34)},
        "end": {"marker": "o", "linestyle": "", "markersize": 5.5, "color": color(1)},
    }


def _draw_course(axes: Axes, rows: pd.DataFrame, layers: list[str]) -> None:
    places = rows["layer"].map({layer: place for place, layer in enumerate(layers)})
    for place, own in rows.groupby(places):
        ends = [own["ratio"].min(), own["ratio"].max()]
        axes.plot(ends, [place] * 2, color=pale(0.73), lw=1, zorder=1)
    for moment, mark in _moments().items():
        here = rows["moment"] == moment
        axes.plot(rows.loc[here, "ratio"], places[here], zorder=3, **mark)


LAYERS_VS_BATCH = FigureKind(
    data=layers_vs_batch_data, draw=_draw_vs_batch, needs="layers at two batch sizes"
)
LAYERS_START_END = FigureKind(
    data=layers_start_end_data, draw=_draw_start_end, needs="a measured layer"
)
