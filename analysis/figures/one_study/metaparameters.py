"""The best hyperparameters against batch size, beside the usual scaling rules."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis.figures.drawing.colors import color, pale
from analysis.figures.drawing.kind import FigureKind
from analysis.figures.drawing.sheet import Sheet, key
from analysis.figures.drawing.ticks import batch_size_axis, log_axis, with_minus
from analysis.measures.federated import batch_axis
from analysis.measures.recipes import follows_rule
from analysis.report.summary import Analysis
from analysis.tables.schema import EXPONENTS

_PANEL = (14, 13)  # in font sizes
_MARGIN = 1.5
_RULES = {name.replace("-", " "): power for name, power in EXPONENTS.items()}
_WITH_RULES = ("lr", "effective_lr")
_NAMES = {
    "lr": "Best learning rate",
    "effective_lr": "Best lr / (1 \N{MINUS SIGN} momentum)",
}


def metaparameters_data(analysis: Analysis) -> pd.DataFrame:
    """Return the best hyperparameters, one row per batch size that reached the target.

    Returns:
        Columns batch_size, each searched hyperparameter (1 - momentum for momentum), effective_lr
        if both its parts are searched, and for the learning rates the predictions of the linear
        and the square-root rule from the first of several rows. No rows if nothing is searched, or
        if a scaling rule gives the values.
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
    if {"lr", "momentum"} <= set(space) and "effective_lr" in reached:
        data["effective_lr"] = reached["effective_lr"].to_numpy(float)
    if len(data.columns) == 1 or data.empty:
        return pd.DataFrame()
    growth = data["batch_size"] / data["batch_size"].iloc[0]
    for name in _WITH_RULES:
        if name in data and len(data) > 1:
            for rule, power in _RULES.items():
                data[f"{name}, {rule} rule"] = data[name].iloc[0] * growth**power
    return data


def _draw(sheet: Sheet, data: pd.DataFrame, analysis: Analysis) -> None:
    names = [name for name in data.columns if name != "batch_size" and not name.endswith(" rule")]
    titles = [_NAMES.get(name, f"Best {with_minus(name)}") for name in names]
    panels = sheet.grid(titles, _PANEL, batch_axis([analysis.study.config]), sharex=True)
    handles: dict[str, Line2D] = {}
    for panel, name in zip(panels, names, strict=True):
        handles |= _draw_panel(panel, data, name)
        if analysis.study.space.get(name, {}).get("scale") != "linear":
            low, high = panel.get_ylim() if data[name].min() <= 0 else _ends(data, name)
            log_axis(panel.yaxis, low, high, least=3)
    sheet.title(analysis.title)
    sheet.legend(list(handles.values()))


def _ends(data: pd.DataFrame, name: str) -> tuple[float, float]:
    drawn = data[[one for one in data.columns if one == name or one.startswith(f"{name}, ")]]
    return float(drawn.min().min()) / _MARGIN, float(drawn.max().max()) * _MARGIN


def _draw_panel(panel: Axes, data: pd.DataFrame, name: str) -> dict[str, Line2D]:
    """Draw the panel of a hyperparameter; return its legend entries by label."""
    sizes = data["batch_size"]
    lines: dict[str, tuple[str, dict[str, Any]]] = {
        name: ("best trial", {"color": color(0), "marker": "o", "markersize": 5, "zorder": 3})
    }
    styles = {"linear": (color(1), "--"), "square root": (pale(0.34), ":")}
    for rule, (own, dashes) in styles.items():
        label = f"{rule.replace(' ', '-')} scaling rule"
        lines[f"{name}, {rule} rule"] = label, {"color": own, "linestyle": dashes}
    drawn = {column: line for column, line in lines.items() if column in data}
    for column, (_, line) in drawn.items():
        panel.plot(sizes, data[column], **line)
    batch_size_axis(panel, sizes)
    return {label: key(label, **line) for label, line in drawn.values()}


METAPARAMETERS = FigureKind(
    data=metaparameters_data,
    draw=_draw,
    needs="a searched hyperparameter and a batch size that reached the target",
)
