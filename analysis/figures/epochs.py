"""The least validation error within a fixed number of epochs against batch size, by study."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from analysis.comparison.compare import Comparison
from analysis.escaping import unmathematical
from analysis.figures.looks import looks
from analysis.figures.style import PLAIN, WIDTH, power_of_two_ticks, style

_HEIGHT = 3.6
_ROW_INCHES = 0.2
_APART = 1.05


def draw_epochs(data: pd.DataFrame, comparison: Comparison) -> Figure:
    """Draws the median over seeds, with bars from the best seed to the worst.

    Args:
        data: what `analysis.comparison.fixed_epochs.fixed_epochs` gives, at least one row.
        comparison: the comparison, for labels and title.

    Returns:
        The figure.
    """
    shown = [study for study in comparison.studies if study.name in set(data["study"])]
    with style():
        figure = Figure(figsize=(WIDTH, _HEIGHT + _ROW_INCHES * len(shown)), layout="constrained")
        axes = figure.add_subplot()
        _scale(axes, data)
        for place, study in enumerate(shown):
            points, look = data[data["study"] == study.name], looks(comparison.studies)[study.name]
            shift = _APART ** (place - (len(shown) - 1) / 2)
            axes.errorbar(
                points["batch_size"] * shift,  # bars of one batch size stand side by side
                points["error"],
                yerr=[points["error"] - points["low"], points["high"] - points["error"]],
                fmt=f"{look.marker}-",
                color=look.color,
                markersize=4.5,
                lw=1.3,
                elinewidth=0.9,
                label=unmathematical(study.label),
            )
        axes.set_xlabel("Batch size (examples)")
        axes.set_ylabel(f"Least validation {comparison.quantity}")
        words = f"Within {data['epochs'].iloc[0]:g} epochs: median of fresh seeds, best to worst"
        axes.set_title(words, loc="left", pad=8)
        figure.legend(loc="outside lower center", ncols=1)
    return figure


def _scale(axes: Axes, data: pd.DataFrame) -> None:
    left, right = float(data["batch_size"].min()) / 1.3, float(data["batch_size"].max()) * 1.3
    axes.set_xscale("log", base=2)
    axes.set_xlim(left, right)
    power_of_two_ticks(axes.xaxis, left, right)
    if data["low"].min() <= 0:  # an error of nothing has no logarithm
        return
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(PLAIN)
