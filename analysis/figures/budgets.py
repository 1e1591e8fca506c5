"""The least validation error against batch size, within fixed steps and within fixed examples."""

from collections.abc import Mapping
from typing import Literal

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from analysis.escaping import unmathematical
from analysis.figures.labels import EndLabel, label_ends
from analysis.figures.style import GREY, INK, PLAIN, power_of_two_ticks, ramp, style
from analysis.measures.budgets import Unit, best_errors, choose_budgets
from analysis.measures.federated import batch_axis, step_unit
from analysis.report.summary import Analysis

_SIZE = (7.6, 4.0)
_AXES_INCHES = 2.8
_LABEL_SHARE = 0.16
# lines fan out where the budget is hardest to meet: steps for small batch sizes, examples for large
_SIDES: Mapping[Unit, Literal["left", "right"]] = {Unit.STEPS: "left", Unit.EXAMPLES: "right"}


def budgets_data(analysis: Analysis) -> pd.DataFrame:
    """Gives what the figure draws.

    Args:
        analysis: the analysis.

    Returns:
        What `best_errors` gives for the chosen budgets, and `drawn`: exact ones, and of the
        bounds those next to an exact one of the same budget; no row where there are not two
        budgets of each unit.
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
    """Draws the least error against batch size, a panel per unit and a colour per budget.

    Args:
        data: what `budgets_data` gives, at least one row.
        analysis: the analysis, for target and title.

    Returns:
        The figure.
    """
    drawn, config = data[data["drawn"]], analysis.study.config
    with style():
        figure = Figure(figsize=_SIZE, layout="constrained")
        panels = figure.subplots(1, 2, sharey=True)
        for panel, unit in zip(panels, Unit, strict=True):
            _scale(panel, drawn, _SIDES[unit])
            _draw_panel(panel, drawn[drawn["unit"] == unit.value], unit)
            if analysis.study.raced:
                panel.axhline(analysis.study.target, color=GREY, ls="--", lw=0.9, zorder=1)
            word = step_unit(config) if unit is Unit.STEPS else str(unit)
            panel.set_title(f"Fixed {word}", loc="left")
            panel.set_xlabel(batch_axis([config]))
        panels[0].set_ylabel(f"Least validation {analysis.quantity} within the budget")
        figure.suptitle(unmathematical(analysis.subject), fontsize=10.5)
        if not drawn["exact"].all():
            figure.legend(handles=_legend(analysis), loc="outside lower center", ncols=3)
    return figure


def _scale(panel: Axes, drawn: pd.DataFrame, side: Literal["left", "right"]) -> None:
    sizes, errors = drawn["batch_size"], drawn["best_error"]
    left, right = float(sizes.min()), float(sizes.max())
    room = (right / left) ** _LABEL_SHARE if right > left else 2.0
    panel.set_xscale("log", base=2)
    panel.set_xlim(
        left / (room if side == "left" else 1.3), right * (room if side == "right" else 1.3)
    )
    power_of_two_ticks(panel.xaxis, left / 1.01, right * 1.01, most=6)
    if errors.min() <= 0:
        # on few validation examples an error of nothing is possible, and has no logarithm
        panel.set_ylim(-0.04 * float(errors.max()), float(errors.max()) * 1.15)
        return
    panel.set_yscale("log")
    panel.set_ylim(float(errors.min()) / 1.35, float(errors.max()) * 1.35)
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.yaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_formatter(PLAIN)


def _draw_panel(panel: Axes, drawn: pd.DataFrame, unit: Unit) -> None:
    side = _SIDES[unit]
    budgets = sorted(drawn["budget"].unique())
    labels = []
    for budget, color in zip(budgets, reversed(ramp(len(budgets))), strict=True):
        rows = drawn[drawn["budget"] == budget]
        bounds = rows[~rows["exact"]]
        # where a bound lies between two exact ones the line breaks
        line = rows["best_error"].where(rows["exact"])
        panel.plot(rows["batch_size"], line, "o-", color=color, markersize=4, lw=1.4)
        panel.plot(
            bounds["batch_size"],
            bounds["best_error"],
            "v",
            color=color,
            markerfacecolor="white",
            markersize=6,
            zorder=4,
        )
        end = rows.iloc[0 if side == "left" else -1]
        labels.append(
            EndLabel(
                text=_short(budget),
                color=color,
                x=float(end["batch_size"]),
                y=float(end["best_error"]),
            )
        )
    label_ends(panel, labels, _AXES_INCHES, side)


def _short(amount: int) -> str:
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if amount >= size:
            return f"{amount / size:g}{letter}"
    return str(amount)


def _legend(analysis: Analysis) -> list[Line2D]:
    exact = Line2D([], [], marker="o", color=INK, markersize=4, lw=1.4, label="exact")
    bound = Line2D([], [], ls="", marker="v", color=INK, markerfacecolor="white", markersize=6)
    bound.set_label("at most this: trials stopped before the budget")
    if not analysis.study.raced:
        return [exact, bound]
    raced = Line2D([], [], color=GREY, ls="--", lw=0.9, label="target raced to")
    return [exact, bound, raced]
