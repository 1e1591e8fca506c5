"""The lowest validation error against batch size within fixed steps and fixed examples."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from analysis.figures.drawing.colors import ink, pale, ramp
from analysis.figures.drawing.kind import FigureKind
from analysis.figures.drawing.marks import bound_mark
from analysis.figures.drawing.sheet import Sheet, bound_key, key
from analysis.figures.drawing.ticks import batch_size_axis, log_axis
from analysis.fitting.estimates import counted
from analysis.measures.budgets import Unit, best_errors, choose_budgets
from analysis.measures.federated import batch_axis, step_unit
from analysis.report.summary import Analysis

_PANEL = (20, 17)  # in font sizes
_MARGIN = 1.35
_ARROW = 0.1  # height of an arrow as a share of the axes


def budgets_data(analysis: Analysis) -> pd.DataFrame:
    """Return the lowest errors within each chosen budget.

    Returns:
        The columns of `best_errors`, and `drawn`: whether an error is exact, or a bound beside an
        exact one of the same budget. No rows unless there are two budgets of each unit.
    """
    budgets = choose_budgets(analysis.study)
    if min(sum(b.unit is unit for b in budgets) for unit in Unit) < 2:
        return pd.DataFrame()
    data = best_errors(analysis.study, budgets)
    exact = data.groupby(["unit", "budget"])["exact"]
    beside = exact.shift(1, fill_value=False) | exact.shift(-1, fill_value=False)
    data["drawn"] = data["exact"] | beside
    return data


def _draw(sheet: Sheet, data: pd.DataFrame, analysis: Analysis) -> None:
    drawn, config = data[data["drawn"]], analysis.study.config
    units = {Unit.STEPS: step_unit(config), Unit.EXAMPLES: str(Unit.EXAMPLES)}
    names = [f"Fixed {unit}" for unit in units.values()]
    panels = sheet.grid(names, _PANEL, batch_axis([config]), sharex=True, sharey=True)
    handles: list[Artist] = []
    for panel, (unit, name) in zip(panels, units.items(), strict=True):
        _scale(panel, drawn)
        handles += _draw_panel(panel, drawn[drawn["unit"] == unit.value], name)
        if analysis.study.raced:
            panel.axhline(analysis.study.target, color=pale(0.34), ls="--", lw=0.9, zorder=1)
    sheet.label_y(f"Lowest validation {analysis.quantity}")
    sheet.title(analysis.subject)
    if not drawn["exact"].all():
        label = "upper bound (trials stopped before)"
        handles.append(bound_key(label, ink(), downward=True))
    if analysis.study.raced and panels[0].get_ylim()[0] <= analysis.study.target:
        handles.append(key("target", color=pale(0.34), ls="--", lw=0.9))
    sheet.legend(handles)


def _scale(panel: Axes, drawn: pd.DataFrame) -> None:
    batch_size_axis(panel, drawn["batch_size"])
    least, most = float(drawn["best_error"].min()), float(drawn["best_error"].max())
    if least <= 0:
        # few validation examples allow an error of 0, which has no logarithm
        panel.set_ylim(-0.04 * most, most * 1.15)
        return
    # room for the arrows of bounds
    below = (most / least) ** (0.0 if drawn["exact"].all() else _ARROW)
    log_axis(panel.yaxis, least / _MARGIN / below, most * _MARGIN)


def _draw_panel(panel: Axes, drawn: pd.DataFrame, unit: str) -> Sequence[Artist]:
    budgets = sorted(drawn["budget"].unique())
    handles = []
    for budget, color in zip(budgets, reversed(ramp(len(budgets))), strict=True):
        rows = drawn[drawn["budget"] == budget]
        # the line breaks where a bound lies between two exact errors
        line = rows["best_error"].where(rows["exact"])
        panel.plot(rows["batch_size"], line, "o-", color=color, markersize=4, lw=1.4)
        bounds = rows[~rows["exact"]]
        mark = {"color": color, "zorder": 4, **bound_mark(downward=True)}
        panel.plot(bounds["batch_size"], bounds["best_error"], **mark)
        label = counted(_short(budget), unit)
        handles.append(key(label, color=color, marker="o", markersize=4))
    return handles


def _short(amount: int) -> str:
    """Return a count as 190, 3k, 12M or 1G."""
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if amount >= size:
            return f"{amount / size:g}{letter}"
    return str(amount)


BUDGETS = FigureKind(
    data=budgets_data, draw=_draw, needs="two budgets each of steps and of examples"
)
