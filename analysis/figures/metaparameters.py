"""The best hyperparameters against batch size, beside the usual rules for scaling them."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.escaping import unmathematical
from analysis.figures.style import (
    BLUE,
    GREY,
    ORANGE,
    power_of_two_ticks,
    style,
)
from analysis.measures.federated import batch_axis
from analysis.measures.recipes import follows_rule
from analysis.measures.scaling_rules import EXPONENTS
from analysis.report.summary import Analysis

_PANEL = (3.1, 3.0)
_RULES = {name.replace("-", " "): power for name, power in EXPONENTS.items()}
_RULE_LINES = {"linear": "--", "square root": ":"}
_WITH_RULES = ("lr", "effective_lr")
_NAMES = {
    "lr": "Best learning rate",
    "1 - momentum": "Best 1 \N{MINUS SIGN} momentum",
    "effective_lr": "Best lr / (1 \N{MINUS SIGN} momentum)",
}


def metaparameters_data(analysis: Analysis) -> pd.DataFrame:
    """Gives what the figure draws.

    Args:
        analysis: the analysis.

    Returns:
        One row per batch size that reached the target: batch_size, each searched hyperparameter
        of the winner (1 - momentum for momentum), effective_lr where momentum is searched with
        the learning rate, and for learning rates the linear and the square-root rule from the
        first row on; no row where nothing is searched, or a rule gives it.
    """
    if follows_rule(analysis.study):
        return pd.DataFrame()
    reached, space = analysis.reached, analysis.study.space
    data = pd.DataFrame({"batch_size": reached["batch_size"].to_numpy(float)})
    for name, entry in space.items():
        values = reached[name].to_numpy(float)
        if entry["scale"] == "reverse-log":
            data[f"1 - {name}"] = 1 - values
        else:
            data[name] = values
    if {"lr", "momentum"} <= set(space):
        data["effective_lr"] = reached["effective_lr"].to_numpy(float)
    if len(data.columns) == 1 or data.empty:
        return pd.DataFrame()
    growth = data["batch_size"] / data["batch_size"].iloc[0]
    for name in _WITH_RULES:
        if name in data:
            for rule, power in _RULES.items():
                data[f"{name}, {rule} rule"] = data[name].iloc[0] * growth**power
    return data


def draw_metaparameters(data: pd.DataFrame, analysis: Analysis) -> Figure:
    """Draws the best hyperparameters against batch size, one panel each.

    Args:
        data: what `metaparameters_data` gives, at least one row.
        analysis: the analysis, for scales and the title.

    Returns:
        The figure.
    """
    names = [name for name in data.columns if name != "batch_size" and not name.endswith(" rule")]
    with style():
        figure = Figure(
            figsize=(max(_PANEL[0] * len(names), 4.2), _PANEL[1] + 0.6), layout="constrained"
        )
        panels = figure.subplots(1, len(names), squeeze=False).ravel()
        for panel, name in zip(panels, names, strict=True):
            _draw_panel(panel, data, name)
            panel.set_xlabel(batch_axis([analysis.study.config]))
            if analysis.study.space.get(name, {}).get("scale") != "linear":
                panel.set_yscale("log")
        figure.suptitle(unmathematical(analysis.title), fontsize=10.5)
        if f"{names[0]}, linear rule" in data:
            handles, labels = panels[0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _draw_panel(panel: Axes, data: pd.DataFrame, name: str) -> None:
    sizes, values = data["batch_size"], data[name]
    panel.plot(sizes, values, "o-", color=BLUE, markersize=5, label="best trial", zorder=3)
    for rule, line in _RULE_LINES.items():
        column = f"{name}, {rule} rule"
        if column in data:
            color = ORANGE if rule == "linear" else GREY
            panel.plot(sizes, data[column], line, color=color, lw=1.3, label=f"{rule} rule")
    panel.set_xscale("log", base=2)
    left, right = float(sizes.min()) / 1.3, float(sizes.max()) * 1.3
    panel.set_xlim(left, right)
    power_of_two_ticks(panel.xaxis, left, right, most=6)
    panel.set_title(_NAMES.get(name, f"Best {name}"), loc="left")
