"""The least validation error within a fixed number of epochs against batch size, by study."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.comparison.compare import Comparison
from analysis.escaping import escape_math
from analysis.figures.comparison.studies import study_styles
from analysis.figures.drawing.axes import batch_size_axis, one_two_five_ticks, single_axes
from analysis.figures.drawing.style import style

_HEIGHT = 3.6
_ROW_INCHES = 0.2
_APART = 1.05


def draw_epochs(data: pd.DataFrame, comparison: Comparison) -> Figure:
    """Draw the rows of `fixed_epochs`: medians over seeds, bars from the best seed to the worst."""
    shown = [study for study in comparison.studies if study.name in set(data["study"])]
    with style():
        figure, axes = single_axes(_HEIGHT + _ROW_INCHES * len(shown))
        _scale(axes, data)
        for place, study in enumerate(shown):
            points = data[data["study"] == study.name]
            mark = study_styles(comparison.studies)[study.name]
            shift = _APART ** (place - (len(shown) - 1) / 2)
            axes.errorbar(
                points["batch_size"] * shift,  # bars of one batch size are side by side
                points["error"],
                yerr=[points["error"] - points["low"], points["high"] - points["error"]],
                fmt=f"{mark.marker}-",
                color=mark.color,
                markersize=4.5,
                lw=1.3,
                elinewidth=0.9,
                label=escape_math(study.label),
            )
        axes.set_xlabel("Batch size (examples)")
        axes.set_ylabel(f"Lowest validation {comparison.quantity}")
        epochs = data["epochs"].iloc[0]
        axes.set_title(f"Within {epochs:g} epochs: median over seeds, bars from best to worst")
        figure.legend(loc="outside lower center", ncols=1)
    return figure


def _scale(axes: Axes, data: pd.DataFrame) -> None:
    batch_size_axis(axes, data["batch_size"])
    if data["low"].min() > 0:  # an error of 0 has no logarithm
        axes.set_yscale("log")
        one_two_five_ticks(axes.yaxis)
