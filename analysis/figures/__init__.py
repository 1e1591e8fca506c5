"""The figures of an analysis: for each the data it draws, and the drawing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.b_crit import b_crit_data, draw_b_crit
from analysis.figures.best_of_n import best_of_n_data, draw_best_of_n
from analysis.figures.budgets import budgets_data, draw_budgets
from analysis.figures.goals import draw_goals, goals_data
from analysis.figures.metaparameters import draw_metaparameters, metaparameters_data
from analysis.figures.residuals import draw_residuals, residuals_data
from analysis.figures.search import draw_search, search_data
from analysis.figures.steps import draw_steps, steps_data
from analysis.figures.style import save
from analysis.report.summary import Analysis
from analysis.tables.folder import ResultsFolder


@dataclass(frozen=True, kw_only=True, slots=True)
class FigureKind:
    """A kind of figure: what it draws, and how; without data there is no figure."""

    data: Callable[[Analysis], pd.DataFrame]
    draw: Callable[[pd.DataFrame, Analysis], Figure]


FIGURES: Mapping[str, FigureKind] = {
    "steps_vs_batch": FigureKind(data=steps_data, draw=draw_steps),
    "residuals": FigureKind(data=residuals_data, draw=draw_residuals),
    "search": FigureKind(data=search_data, draw=draw_search),
    "metaparameters": FigureKind(data=metaparameters_data, draw=draw_metaparameters),
    "best_of_n": FigureKind(data=best_of_n_data, draw=draw_best_of_n),
    "goals": FigureKind(data=goals_data, draw=draw_goals),
    "b_crit_vs_target": FigureKind(data=b_crit_data, draw=draw_b_crit),
    "budgets": FigureKind(data=budgets_data, draw=draw_budgets),
}
"""All figures by the name of their files."""


def write_figures(analysis: Analysis, folder: ResultsFolder) -> list[str]:
    """Writes every figure that the analysis has data for.

    Args:
        analysis: the analysis.
        folder: where to; made where missing.

    Returns:
        The names of the files written: PNG, SVG and CSV of each figure.
    """
    written: list[str] = []
    for stem, kind in FIGURES.items():
        data = kind.data(analysis)
        if not data.empty:
            written += save(kind.draw(data, analysis), data, folder, stem)
    return written
