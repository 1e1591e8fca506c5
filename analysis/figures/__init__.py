"""The figures of a study by name.

The figures of a comparison are in `analysis.figures.comparison`, and those of `batchscale diagnose`
in `analysis.figures.diagnostics`.
"""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.drawing.kind import FigureKind, draw_named
from analysis.figures.one_study.best_of_n import BEST_OF_N
from analysis.figures.one_study.budgets import BUDGETS
from analysis.figures.one_study.goals import B_CRIT_VS_TARGET, GOALS
from analysis.figures.one_study.metaparameters import METAPARAMETERS
from analysis.figures.one_study.residuals import RESIDUALS
from analysis.figures.one_study.search import SEARCH
from analysis.figures.one_study.steps import STEPS
from analysis.report.summary import Analysis

FIGURES: Mapping[str, FigureKind[Analysis]] = {
    "steps_vs_batch": STEPS,
    "residuals": RESIDUALS,
    "search": SEARCH,
    "metaparameters": METAPARAMETERS,
    "best_of_n": BEST_OF_N,
    "goals": GOALS,
    "b_crit_vs_target": B_CRIT_VS_TARGET,
    "budgets": BUDGETS,
}
"""All figures by name, the stem of their files."""


def draw(analysis: Analysis, name: str = "steps_vs_batch", ax: Axes | None = None) -> Figure:
    """Return one of the `FIGURES`, as `draw_named` does; nothing is written."""
    return draw_named(FIGURES, name, analysis, ax)
