"""The figures of a study by name.

Those of a comparison are in `analysis.figures.comparison`; those of `batchscale diagnose` in
`analysis.figures.diagnostics`.
"""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.drawing.kind import FigureKind, draw_named
from analysis.figures.one_study.b_crit import b_crit_data, draw_b_crit
from analysis.figures.one_study.best_of_n import best_of_n_data, draw_best_of_n
from analysis.figures.one_study.budgets import budgets_data, draw_budgets
from analysis.figures.one_study.goals import draw_goals, goals_data
from analysis.figures.one_study.metaparameters import draw_metaparameters, metaparameters_data
from analysis.figures.one_study.residuals import draw_residuals, residuals_data
from analysis.figures.one_study.search import draw_search, search_data
from analysis.figures.one_study.steps import draw_steps, steps_data
from analysis.report.summary import Analysis

FIGURES: Mapping[str, FigureKind[Analysis]] = {
    "steps_vs_batch": FigureKind(
        data=steps_data, draw=draw_steps, needs="a batch size with a trial that trained"
    ),
    "residuals": FigureKind(data=residuals_data, draw=draw_residuals, needs="a fit"),
    "search": FigureKind(data=search_data, draw=draw_search, needs="a searched hyperparameter"),
    "metaparameters": FigureKind(
        data=metaparameters_data,
        draw=draw_metaparameters,
        needs="a searched hyperparameter and a batch size that reached the target",
    ),
    "best_of_n": FigureKind(
        data=best_of_n_data,
        draw=draw_best_of_n,
        needs="a non-adaptive search of 2 trials or more that reached the target",
    ),
    "goals": FigureKind(
        data=goals_data, draw=draw_goals, needs="two targets that the curves can be judged at"
    ),
    "b_crit_vs_target": FigureKind(
        data=b_crit_data, draw=draw_b_crit, needs="two targets at which the data bound b_crit"
    ),
    "budgets": FigureKind(
        data=budgets_data, draw=draw_budgets, needs="two budgets each of steps and of examples"
    ),
}
"""All figures by name, which is also the stem of their files."""


def draw(analysis: Analysis, name: str = "steps_vs_batch", ax: Axes | None = None) -> Figure:
    """Return the figure of that name in `FIGURES`, as `draw_named` does; nothing is written."""
    return draw_named(FIGURES, name, analysis, ax)
