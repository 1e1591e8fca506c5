"""The least validation error within a fixed number of epochs against batch size, by study."""

import pandas as pd
from matplotlib.axes import Axes

from analysis.comparison.compare import Comparison
from analysis.figures.comparison.studies import side_by_side, study_keys, study_styles
from analysis.figures.drawing.sheet import Sheet
from analysis.figures.drawing.ticks import batch_size_axis, label_axis, log_axis

_HEIGHT = 3.6
_MARGIN = 1.2


def draw_epochs(sheet: Sheet, data: pd.DataFrame, comparison: Comparison) -> None:
    """Draw the rows of `fixed_epochs`: medians over seeds, bars from the best seed to the worst."""
    shown = [study for study in comparison.studies if study.name in set(data["study"])]
    axes = sheet.axes(_HEIGHT)
    _scale(axes, data)
    styles = study_styles(comparison.studies)
    shifts = side_by_side([study.name for study in shown], data["batch_size"])
    for name, shift in shifts.items():
        points = data[data["study"] == name]
        axes.errorbar(
            points["batch_size"] * shift,
            points["error"],
            yerr=[points["error"] - points["low"], points["high"] - points["error"]],
            fmt="-",
            lw=1.3,
            elinewidth=0.9,
            markersize=4.5,
            **styles[name],
        )
    label_axis(axes.xaxis, "Batch size (examples)")
    label_axis(axes.yaxis, f"Lowest validation {comparison.quantity}")
    epochs = data["epochs"].iloc[0]
    sheet.title(f"Within {epochs:g} epochs: median over seeds, bars from best to worst")
    sheet.legend(study_keys(shown, styles))


def _scale(axes: Axes, data: pd.DataFrame) -> None:
    batch_size_axis(axes, data["batch_size"])
    if data["low"].min() > 0:  # an error of 0 has no logarithm
        low, high = float(data["low"].min()), float(data["high"].max())
        log_axis(axes.yaxis, low / _MARGIN, high * _MARGIN)
