"""The cost of training against batch size, and time to target against the number of devices."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.cost.estimates import TIME, record, unit_of
from analysis.cost.study_cost import StudyCost
from analysis.figures.drawing.colors import color, ink, pale
from analysis.figures.drawing.kind import FigureKind
from analysis.figures.drawing.series import draw_points, perfect_line
from analysis.figures.drawing.sheet import Sheet, key
from analysis.figures.drawing.ticks import batch_size_axis, label_axis, log_axis
from analysis.measures.federated import batch_axis, step_unit

STEPS, STEP_SECONDS, SECONDS, MONEY = "steps", "step_seconds", "seconds", "money"
FOUND = "found"
"""Series of the best points found, where the main series is of the estimated optima."""
_LABELS = {
    STEP_SECONDS: "Time of a step ({})",
    SECONDS: "Time to target ({})",
    MONEY: "Money",
}
_NUMBERS = ("value", "low", "high")
_HEIGHT, _MARGIN = 1.45, 1.35
_DEVICES_HEIGHT = 3.6


def costs_data(cost: StudyCost) -> pd.DataFrame:
    """Return the rows of the panels: quantity, series, batch_size, value, low, high.

    Quantities are steps, step_seconds, seconds and, with a price, money. Series `best` has the
    costs with intervals; `found` has those of the best points found, if `best` is of the optima.
    """
    rows: list[tuple[Any, ...]] = []
    for row in cost.rows:
        step = None if row.step is None else row.step.seconds
        best = {STEPS: row.steps, STEP_SECONDS: step, SECONDS: row.seconds, MONEY: row.money}
        found = {STEPS: row.steps_found, SECONDS: row.seconds_found} if cost.on_curve else {}
        rows += [
            (name, "best", row.batch_size, *(record(value) or {}).values())
            for name, value in best.items()
            if value is not None
        ]
        rows += [
            (name, FOUND, row.batch_size, value, None, None)
            for name, value in found.items()
            if value is not None
        ]
    return pd.DataFrame(rows, columns=["quantity", "series", "batch_size", *_NUMBERS])


def draw_costs(sheet: Sheet, data: pd.DataFrame, cost: StudyCost) -> None:
    """Draw the rows of `costs_data` in panels with a shared axis of batch sizes."""
    config = cost.analysis.study.config
    shown = list(dict.fromkeys(data["quantity"]))
    labels = _LABELS | {STEPS: f"{step_unit(config).capitalize()} to target"}
    panels = sheet.stack([_HEIGHT] * len(shown), sharex=True)
    for axes, name in zip(panels, shown, strict=True):
        rows = data[data["quantity"] == name]
        size, unit = _time_unit(rows["value"]) if name in {STEP_SECONDS, SECONDS} else (1.0, "")
        _draw_panel(axes, rows, size)
        label_axis(axes.yaxis, labels[name].format(unit))
        if cost.fastest is not None:
            axes.axvline(cost.fastest.batch_size, zorder=1, **_fastest_style())
    batch_size_axis(panels[-1], data["batch_size"])
    label_axis(panels[-1].xaxis, batch_axis([config]))
    sheet.title(f"{cost.analysis.title}, on one device")
    which = "estimated optimum" if cost.on_curve else "best point found"
    handles = [key(f"{which}, 95% interval", ls="", **_best_style())]
    if (data["series"] == FOUND).any():
        handles.append(key("best point found", ls="", **_found_style()))
    if cost.fastest is not None:
        handles.append(key("fastest batch size", **_fastest_style()))
    sheet.legend(handles)


def _time_unit(seconds: "pd.Series[float]") -> tuple[float, str]:
    """Return size and name of the unit of an axis of times."""
    return unit_of(float(np.exp(np.log(seconds.astype(float)).mean())), TIME)


def _draw_panel(axes: Axes, rows: pd.DataFrame, size: float) -> None:
    rows = rows.assign(**{name: rows[name].astype(float) / size for name in _NUMBERS})
    best, found = (rows[(rows["series"] == FOUND) == own] for own in (False, True))
    numbers = rows[list(_NUMBERS)]
    low, top = float(numbers.min().min()) / _MARGIN, float(numbers.max().max()) * _MARGIN
    log_axis(axes.yaxis, low, top, least=3)
    points = best.rename(columns={"value": "steps"})
    draw_points(axes, points, top, zorder=5, **_best_style())
    axes.plot(found["batch_size"], found["value"], ls="", zorder=4, **_found_style())


def _best_style() -> dict[str, Any]:
    return {"marker": "o", "markersize": 4, "color": color(0)}


def _found_style() -> dict[str, Any]:
    return {"marker": "_", "markersize": 9, "markeredgewidth": 1.6, "color": color(1)}


def _fastest_style() -> dict[str, Any]:
    return {"color": pale(0.5), "ls": ":", "lw": 1.1}


def devices_data(cost: StudyCost) -> pd.DataFrame:
    """Return devices, batch_size, seconds, low, high, perfect; no rows for one number of devices.

    `perfect` is the time of perfect scaling from one device.
    """
    if len(cost.scaling) < 2:
        return pd.DataFrame()
    rows = [
        (row.devices, row.batch_size, *(record(row.seconds) or {}).values(), row.efficiency)
        for row in cost.scaling
    ]
    names = ["devices", "batch_size", "seconds", "low", "high", "perfect"]
    data = pd.DataFrame(rows, columns=names)
    return data.assign(perfect=data["seconds"] * data["perfect"])


def draw_devices(sheet: Sheet, data: pd.DataFrame, cost: StudyCost) -> None:
    """Draw the rows of `devices_data` on logarithmic axes, labeled with their batch sizes."""
    axes = sheet.axes(_DEVICES_HEIGHT)
    batch_size_axis(axes, data["devices"])
    size, unit = _time_unit(data["seconds"])
    numbers = data[["seconds", "low", "high", "perfect"]].astype(float) / size
    low, top = float(numbers.min().min()) / _MARGIN, float(numbers.max().max()) * _MARGIN**2
    log_axis(axes.yaxis, low, top)
    axes.plot(data["devices"], numbers["perfect"], **perfect_line())
    points = numbers.rename(columns={"seconds": "steps"}).assign(batch_size=data["devices"])
    draw_points(axes, points, top, zorder=5, **_best_style())
    tops = numbers["high"].fillna(numbers["seconds"])
    for devices, batch, height in zip(data["devices"], data["batch_size"], tops, strict=True):
        axes.annotate(
            f"B = {batch}",
            (devices, height),
            xytext=(0, 4),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize="x-small",
            color=ink(),
            backgroundcolor=axes.get_facecolor(),  # a vertical line may pass behind
        )
    label_axis(axes.xaxis, "Devices")
    label_axis(axes.yaxis, _LABELS[SECONDS].format(unit))
    sheet.title(cost.analysis.title)
    handles = [
        key("at the fastest batch size B, 95% interval", ls="", **_best_style()),
        key("perfect scaling (time falls as 1/N)", **perfect_line()),
    ]
    if cost.ended is not None:
        axes.axvline(cost.ended.devices, zorder=1, **_fastest_style())
        handles.append(key("speed-up falls below half of perfect", **_fastest_style()))
    sheet.legend(handles)


COST_FIGURES: Mapping[str, FigureKind[StudyCost]] = {
    "cost": FigureKind(data=costs_data, draw=draw_costs, needs="step times"),
    "cost_devices": FigureKind(
        data=devices_data, draw=draw_devices, needs="--devices with two numbers or more"
    ),
}
"""The figures of `batchscale cost` by name, the stem of their files."""
