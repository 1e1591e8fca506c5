"""The best hyperparameters against batch size, beside the usual scaling rules."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.drawing.axes import batch_size_axis, legend_below, title
from analysis.figures.drawing.style import BLUE, GRAY, ORANGE, style
from analysis.measures.federated import batch_axis
from analysis.measures.recipes import follows_rule
from analysis.measures.scaling_rules import EXPONENTS
from analysis.report.summary import Analysis

_PANEL = (3.1, 3.0)
_RULES = {name.replace("-", " "): power for name, power in EXPONENTS.items()}
_RULE_LINES = {
    "linear": {"color": ORANGE, "ls": "--", "label": "linear scaling rule"},
    "square root": {"color": GRAY, "ls": ":", "label": "square-root scaling rule"},
}
_WITH_RULES = ("lr", "effective_lr")
_NAMES = {
    "lr": "Best learning rate",
    "1 - momentum": "Best 1 \N{MINUS SIGN} momentum",
    "effective_lr": "Best lr / (1 \N{MINUS SIGN} momentum)",
}


def metaparameters_data(analysis: Analysis) -> pd.DataFrame:
    """Return the best hyperparameters, one row per batch size that reached the target.

    Returns:
        Columns batch_size, each searched hyperparameter (1 - momentum for momentum), effective_lr
        where both learning rate and momentum are searched, and for the learning rates what the
        linear and the square-root rule make of the first row. No rows where nothing is searched,
        or a scaling rule gives the values.
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
    """Draw the rows of `metaparameters_data`, one panel per hyperparameter."""
    names = [name for name in data.columns if name != "batch_size" and not name.endswith(" rule")]
    size = (max(_PANEL[0] * len(names), 4.2), _PANEL[1] + 0.6)
    with style():
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(1, len(names), squeeze=False).ravel()
        for panel, name in zip(panels, names, strict=True):
            _draw_panel(panel, data, name)
            panel.set_xlabel(batch_axis([analysis.study.config]))
            if analysis.study.space.get(name, {}).get("scale") != "linear":
                panel.set_yscale("log")
        title(figure, analysis.title)
        handles, _ = panels[0].get_legend_handles_labels()
        if len(handles) > 1:
            legend_below(figure, handles)
    return figure


def _draw_panel(panel: Axes, data: pd.DataFrame, name: str) -> None:
    sizes = data["batch_size"]
    panel.plot(sizes, data[name], "o-", color=BLUE, markersize=5, label="best trial", zorder=3)
    for rule, line in _RULE_LINES.items():
        column = f"{name}, {rule} rule"
        if column in data:
            panel.plot(sizes, data[column], lw=1.3, **line)  # type: ignore[arg-type]
    batch_size_axis(panel, sizes, most=6)
    panel.set_title(_NAMES.get(name, f"Best {name}"))
