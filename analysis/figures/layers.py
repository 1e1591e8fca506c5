"""Gradient-to-weight ratios of the layers: against batch size, and at start and end of training."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.escaping import unmathematical
from analysis.figures.style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    PALE,
    SMALL,
    WIDTH,
    power_of_two_ticks,
    ramp,
    save,
    style,
)
from analysis.measures.layers import ENDS
from analysis.tables.folder import ResultsFolder

_NAMED = 10
"""More layers than this are told by their colour alone, first to last, without full gradients."""
_RATIO = r"$|g|\,/\,|w|$"
_FULL = "full gradient"


def write_layer_figures(table: pd.DataFrame, subject: str, folder: ResultsFolder) -> list[str]:
    """Writes the figures of the layers.

    Args:
        table: as `analysis.measures.layers.read_layers` gives it.
        subject: workload and optimizer, for the titles.
        folder: where to; made where missing.

    Returns:
        The names of the files written; against batch size only where there are several.
    """
    written = []
    if table["batch_size"].nunique() > 1:
        data = layers_vs_batch_data(table)
        written += save(draw_layers_vs_batch(data, subject), data, folder, "layers_vs_batch")
    data = layers_start_end_data(table)
    return written + save(draw_layers_start_end(data, subject), data, folder, "layers_start_end")


def layers_vs_batch_data(table: pd.DataFrame) -> pd.DataFrame:
    """Gives what the figure against batch size draws.

    Args:
        table: as `analysis.measures.layers.read_layers` gives it.

    Returns:
        Rows moment (start, end), layer, batch_size, ratio, full_ratio; layers in their order,
        without a number where their weights are zero.
    """
    ends = table[table["moment"].isin(ENDS)]
    return ends[["moment", "layer", "batch_size", "ratio", "full_ratio"]].reset_index(drop=True)


def draw_layers_vs_batch(data: pd.DataFrame, subject: str) -> Figure:
    """Draws every layer's ratio against batch size, at the start and at the end.

    Args:
        data: what `layers_vs_batch_data` gives.
        subject: workload and optimizer, for the title.

    Returns:
        The figure.
    """
    layers = list(dict.fromkeys(data["layer"]))
    looks = dict(zip(layers, ramp(len(layers)), strict=True))
    left, right = data["batch_size"].min() / 1.3, data["batch_size"].max() * 1.3
    with style():
        figure = Figure(figsize=(1.15 * WIDTH, 4.2), layout="constrained")
        panels = figure.subplots(1, len(ENDS), sharey=True)
        for axes, moment in zip(panels, ENDS, strict=True):
            rows = data[data["moment"] == moment]
            for layer, own in rows.groupby("layer", sort=False):
                _draw_layer(axes, own, looks[layer])
                if len(layers) <= _NAMED:
                    axes.plot(own["batch_size"], own["full_ratio"], ":", color=looks[layer], lw=1.0)
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            axes.set_xlim(left, right)
            power_of_two_ticks(axes.xaxis, left, right, most=6)
            axes.set_title(f"{moment} of training", loc="left")
            axes.set_xlabel("Batch size (examples)")
        panels[0].set_ylabel(f"Gradient over weights, {_RATIO}")
        figure.suptitle(
            f"{unmathematical(subject)}: layer by layer", x=0.01, ha="left", fontsize=10.5
        )
        handles = _legend(layers, looks)
        figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 3))
    return figure


def _draw_layer(axes: Axes, own: pd.DataFrame, color: str) -> None:
    look = _look(str(own["layer"].iloc[0]), color)
    axes.plot(own["batch_size"], own["ratio"], lw=1.4, **look)


def _look(layer: str, color: str) -> dict[str, Any]:
    """Gives how a layer is drawn: biases dashed and open."""
    bias = layer.endswith("bias")
    return {
        "color": color,
        "linestyle": "--" if bias else "-",
        "marker": "s" if bias else "o",
        "markerfacecolor": "white" if bias else color,
        "markersize": 4,
    }


def _legend(layers: list[str], looks: dict[str, str]) -> list[Line2D]:
    """Gives the legend: every layer, or of many the first and the last of the colours."""
    if len(layers) > _NAMED:
        named = {layers[0]: f"{layers[0]}, the first", layers[-1]: f"{layers[-1]}, the last"}
        return [Line2D([], [], label=n, **_look(la, looks[la])) for la, n in named.items()]
    handles = [Line2D([], [], label=layer, **_look(layer, looks[layer])) for layer in layers]
    return [*handles, Line2D([], [], color=GREY, linestyle=":", lw=1.0, label=_FULL)]


def layers_start_end_data(table: pd.DataFrame) -> pd.DataFrame:
    """Gives what the figure of start and end draws.

    Args:
        table: as `analysis.measures.layers.read_layers` gives it.

    Returns:
        Rows batch_size (the smallest and the largest), layer, moment, step, ratio; layers in
        their order, without a number where their weights are zero.
    """
    sizes = {table["batch_size"].min(), table["batch_size"].max()}
    rows = table[table["batch_size"].isin(sizes)]
    return rows[["batch_size", "layer", "moment", "step", "ratio"]].reset_index(drop=True)


def draw_layers_start_end(data: pd.DataFrame, subject: str) -> Figure:
    """Draws the ratios of all layers at start and end of training, as in You et al. 2017.

    Args:
        data: what `layers_start_end_data` gives.
        subject: workload and optimizer, for the title.

    Returns:
        The figure.
    """
    layers = list(dict.fromkeys(data["layer"]))
    sizes = sorted(data["batch_size"].unique())
    with style():
        figure = Figure(figsize=(WIDTH, 1.7 + 0.24 * len(layers)), layout="constrained")
        panels = figure.subplots(1, len(sizes), sharex=True, sharey=True, squeeze=False)[0]
        for axes, size in zip(panels, sizes, strict=True):
            _draw_course(axes, data[data["batch_size"] == size], layers)
            axes.set_title(f"batch size {size}", loc="left")
            axes.set_xlabel(f"Gradient over weights, {_RATIO}")
        panels[0].set_yticks(np.arange(len(layers)), layers)
        panels[0].set_ylim(len(layers) - 0.5, -0.5)  # the first layer on top
        figure.suptitle(
            f"{unmathematical(subject)}: start and end of training",
            x=0.01,
            ha="left",
            fontsize=10.5,
        )
        handles, names = panels[-1].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=len(names))
    return figure


def _draw_course(axes: Axes, rows: pd.DataFrame, layers: list[str]) -> None:
    at = rows["layer"].map({layer: place for place, layer in enumerate(layers)})
    for _, own in rows.groupby(at):
        place = layers.index(own["layer"].iloc[0])
        axes.plot([own["ratio"].min(), own["ratio"].max()], [place] * 2, color=PALE, lw=1, zorder=1)
    looks = {
        "start": {"marker": "o", "color": "white", "edgecolor": BLUE, "s": 30},
        "between": {"marker": "|", "color": GREY, "s": 26},
        "end": {"marker": "o", "color": ORANGE, "s": 30},
    }
    for moment, look in looks.items():
        here = rows["moment"] == moment
        axes.scatter(rows.loc[here, "ratio"], at[here], label=moment, zorder=3, **look)  # type: ignore[arg-type]
    axes.set_xscale("log")
    axes.tick_params(axis="y", labelsize=SMALL, labelcolor=INK)
