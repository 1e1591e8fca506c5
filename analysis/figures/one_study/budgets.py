"""The least validation error against batch size, within fixed steps and within fixed examples."""

from collections.abc import Mapping
from typing import Literal

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.drawing.axes import (
    batch_size_axis_with_labels,
    key,
    legend_below,
    one_two_five_ticks,
    title,
)
from analysis.figures.drawing.labels import EndLabel, label_ends
from analysis.figures.drawing.series import BOUND
from analysis.figures.drawing.style import GRAY, INK, ramp, style
from analysis.measures.budgets import Unit, best_errors, choose_budgets
from analysis.measures.federated import batch_axis, step_unit
from analysis.report.summary import Analysis

_SIZE = (7.6, 4.0)
_AXES_INCHES = 2.8
_LABEL_SHARE = 0.16
# lines fan out where the budget is hardest to meet: steps for small batch sizes, examples for large
_SIDES: Mapping[Unit, Literal["left", "right"]] = {Unit.STEPS: "left", Unit.EXAMPLES: "right"}


def budgets_data(analysis: Analysis) -> pd.DataFrame:
    """Return the least errors within each chosen budget.

    Returns:
        The columns of `best_errors`, and `drawn`: exact errors, and upper bounds next to an exact
        error of the same budget. No rows unless there are two budgets of each unit.
    """
    budgets = choose_budgets(analysis.study)
    if min(sum(b.unit is unit for b in budgets) for unit in Unit) < 2:  # noqa: PLR2004
        return pd.DataFrame()
    data = best_errors(analysis.study, budgets)
    exact = data.groupby(["unit", "budget"])["exact"]
    beside = exact.shift(1, fill_value=False) | exact.shift(-1, fill_value=False)
    data["drawn"] = data["exact"] | beside
    return data


def draw_budgets(data: pd.DataFrame, analysis: Analysis) -> Figure:
    """Draw the rows of `budgets_data`: a panel per unit, a color per budget."""
    drawn, config = data[data["drawn"]], analysis.study.config
    with style():
        figure = Figure(figsize=_SIZE, layout="constrained")
        panels = figure.subplots(1, 2, sharey=True)
        for panel, unit in zip(panels, Unit, strict=True):
            _scale(panel, drawn, _SIDES[unit])
            _draw_panel(panel, drawn[drawn["unit"] == unit.value], unit)
            if analysis.study.raced:
                panel.axhline(analysis.study.target, color=GRAY, ls="--", lw=0.9, zorder=1)
            panel.set_title(f"Fixed {step_unit(config) if unit is Unit.STEPS else unit}")
            panel.set_xlabel(batch_axis([config]))
        panels[0].set_ylabel(f"Lowest validation {analysis.quantity} within the budget")
        title(figure, analysis.subject)
        if not drawn["exact"].all():
            legend_below(figure, _legend(analysis))
    return figure


def _scale(panel: Axes, drawn: pd.DataFrame, side: Literal["left", "right"]) -> None:
    batch_size_axis_with_labels(panel, drawn["batch_size"], _LABEL_SHARE, side, most=6)
    least, most = float(drawn["best_error"].min()), float(drawn["best_error"].max())
    if least <= 0:
        # an error of 0 is possible on few validation examples, and has no logarithm
        panel.set_ylim(-0.04 * most, most * 1.15)
        return
    panel.set_yscale("log")
    panel.set_ylim(least / 1.35, most * 1.35)
    one_two_five_ticks(panel.yaxis)


def _draw_panel(panel: Axes, drawn: pd.DataFrame, unit: Unit) -> None:
    side = _SIDES[unit]
    budgets = sorted(drawn["budget"].unique())
    labels = []
    for budget, color in zip(budgets, reversed(ramp(len(budgets))), strict=True):
        rows = drawn[drawn["budget"] == budget]
        # the line breaks where a bound lies between two exact errors
        line = rows["best_error"].where(rows["exact"])
        panel.plot(rows["batch_size"], line, "o-", color=color, markersize=4, lw=1.4)
        bounds = rows[~rows["exact"]]
        marks = {"marker": "v", "color": color, "markersize": 6, "zorder": 4, **BOUND}
        panel.plot(bounds["batch_size"], bounds["best_error"], **marks)
        end = rows.iloc[0 if side == "left" else -1]
        x, y = float(end["batch_size"]), float(end["best_error"])
        labels.append(EndLabel(text=_short(budget), color=color, x=x, y=y))
    label_ends(panel, labels, _AXES_INCHES, side)


def _short(amount: int) -> str:
    """Return a count as 190, 3k, 12M or 1G."""
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if amount >= size:
            return f"{amount / size:g}{letter}"
    return str(amount)


def _legend(analysis: Analysis) -> list[Line2D]:
    handles = [
        key("exact", marker="o", color=INK, markersize=4, lw=1.4),
        key("upper bound: trials stopped before the budget", marker="v", color=INK, **BOUND),
    ]
    if analysis.study.raced:
        handles.append(key("target", color=GRAY, ls="--", lw=0.9))
    return handles
