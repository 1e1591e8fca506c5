"""Gradient-to-weight ratios of the layers: against batch size, and at start and end of training."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.drawing.axes import batch_size_axis, key, legend_below, title
from analysis.figures.drawing.style import (
    BLUE,
    GRAY,
    INK,
    ORANGE,
    PALE,
    SMALL,
    WIDTH,
    ramp,
    save,
    style,
)
from analysis.measures.layers import ENDS
from analysis.tables.folder import ResultsFolder

_MOST_NAMED = 10
"""With more layers the legend names the first and the last, and full gradients are left out."""
_RATIO = r"Gradient norm / weight norm, $|g|\,/\,|w|$"


def write_layer_figures(table: pd.DataFrame, subject: str, folder: ResultsFolder) -> list[str]:
    """Write the figures of the layers; that against batch size only where there are several.

    Args:
        table: from `analysis.measures.layers.read_layers`.
        subject: workload and optimizer, for the titles.
        folder: where to write; made if it does not exist.

    Returns:
        The names of the files written.
    """
    written = []
    if table["batch_size"].nunique() > 1:
        data = layers_vs_batch_data(table)
        written += save(draw_layers_vs_batch(data, subject), data, folder, "layers_vs_batch")
    data = layers_start_end_data(table)
    return written + save(draw_layers_start_end(data, subject), data, folder, "layers_start_end")


def layers_vs_batch_data(table: pd.DataFrame) -> pd.DataFrame:
    """Return moment (start, end), layer, batch_size, ratio and full_ratio of each layer.

    Layers are in their order; ratios are null where the weights of a layer are zero.
    """
    ends = table[table["moment"].isin(ENDS)]
    return ends[["moment", "layer", "batch_size", "ratio", "full_ratio"]].reset_index(drop=True)


def draw_layers_vs_batch(data: pd.DataFrame, subject: str) -> Figure:
    """Draw the rows of `layers_vs_batch_data`: a panel at the start, one at the end of training."""
    layers = list(dict.fromkeys(data["layer"]))
    colors = dict(zip(layers, ramp(len(layers)), strict=True))
    with style():
        figure = Figure(figsize=(1.15 * WIDTH, 4.2), layout="constrained")
        panels = figure.subplots(1, len(ENDS), sharey=True)
        for axes, moment in zip(panels, ENDS, strict=True):
            rows = data[data["moment"] == moment]
            for layer, own in rows.groupby("layer", sort=False):
                sizes, color = own["batch_size"], colors[layer]
                axes.plot(sizes, own["ratio"], lw=1.4, **_layer_style(str(layer), color))
                if len(layers) <= _MOST_NAMED:
                    axes.plot(sizes, own["full_ratio"], ":", color=color, lw=1.0)
            axes.set_yscale("log")
            batch_size_axis(axes, data["batch_size"], most=6)
            axes.set_title(f"{moment.capitalize()} of training")
            axes.set_xlabel("Batch size (examples)")
        panels[0].set_ylabel(_RATIO)
        title(figure, f"{subject}: layer by layer")
        handles = _legend(layers, colors)
        legend_below(figure, handles, columns=min(len(handles), 3))
    return figure


def _layer_style(layer: str, color: str) -> dict[str, Any]:
    """Return how a layer is drawn: biases are dashed and open."""
    bias = layer.endswith("bias")
    return {
        "color": color,
        "linestyle": "--" if bias else "-",
        "marker": "s" if bias else "o",
        "markerfacecolor": "white" if bias else color,
        "markersize": 4,
    }


def _legend(layers: list[str], colors: dict[str, str]) -> list[Line2D]:
    if len(layers) > _MOST_NAMED:
        named = {layers[0]: f"{layers[0]} (first)", layers[-1]: f"{layers[-1]} (last)"}
        return [key(label, **_layer_style(la, colors[la])) for la, label in named.items()]
    handles = [key(layer, **_layer_style(layer, colors[layer])) for layer in layers]
    return [*handles, key("full gradient", color=GRAY, linestyle=":", lw=1.0)]


def layers_start_end_data(table: pd.DataFrame) -> pd.DataFrame:
    """Return batch_size (the smallest and the largest), layer, moment, step and ratio.

    Layers are in their order; ratios are null where the weights of a layer are zero.
    """
    sizes = {table["batch_size"].min(), table["batch_size"].max()}
    rows = table[table["batch_size"].isin(sizes)]
    return rows[["batch_size", "layer", "moment", "step", "ratio"]].reset_index(drop=True)


def draw_layers_start_end(data: pd.DataFrame, subject: str) -> Figure:
    """Draw the rows of `layers_start_end_data`, as in You et al. 2017: a row per layer."""
    layers = list(dict.fromkeys(data["layer"]))
    sizes = sorted(data["batch_size"].unique())
    with style():
        figure = Figure(figsize=(WIDTH, 1.7 + 0.24 * len(layers)), layout="constrained")
        panels = figure.subplots(1, len(sizes), sharex=True, sharey=True, squeeze=False)[0]
        for axes, size in zip(panels, sizes, strict=True):
            _draw_course(axes, data[data["batch_size"] == size], layers)
            axes.set_title(f"B = {size}")
            axes.set_xlabel(_RATIO)
        panels[0].set_yticks(np.arange(len(layers)), layers)
        panels[0].set_ylim(len(layers) - 0.5, -0.5)  # the first layer on top
        title(figure, f"{subject}: start and end of training")
        handles, _ = panels[-1].get_legend_handles_labels()
        legend_below(figure, handles)
    return figure


def _draw_course(axes: Axes, rows: pd.DataFrame, layers: list[str]) -> None:
    places = rows["layer"].map({layer: place for place, layer in enumerate(layers)})
    for place, own in rows.groupby(places):
        axes.plot([own["ratio"].min(), own["ratio"].max()], [place] * 2, color=PALE, lw=1, zorder=1)
    marks = {
        "start": {"marker": "o", "color": "white", "edgecolor": BLUE, "s": 30},
        "between": {"marker": "|", "color": GRAY, "s": 26},
        "end": {"marker": "o", "color": ORANGE, "s": 30},
    }
    for moment, mark in marks.items():
        here = rows["moment"] == moment
        axes.scatter(rows.loc[here, "ratio"], places[here], label=moment, zorder=3, **mark)  # type: ignore[arg-type]
    axes.set_xscale("log")
    axes.tick_params(axis="y", labelsize=SMALL, labelcolor=INK)
