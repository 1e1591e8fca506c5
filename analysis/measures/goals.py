"""What a study says at other targets than its own: steps to each, and b_crit against target.

The targets lie between the one that trials raced to, below which nothing was measured, and the
loosest that every batch size still needs a few steps for: at first every step is measured, so that
few steps are a coarse number.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.fitting.estimates import Estimate, two_digits
from analysis.fitting.fit import ScalingFit, fit
from analysis.fitting.models import MODELS
from analysis.measures.budgets import Budget, Unit, best_errors
from analysis.measures.replicates import fitted_points
from analysis.measures.targets import steps_to_target
from analysis.tables.study import StudyTables

MOST_TARGETS = 5
LEAST_POINTS = MODELS["hyperbola"].least_points
LEVEL = 0.95
"""Coverage of the intervals."""
LEAST_STEPS = 5
"""Fewer steps than these, at any batch size, are too coarse: each is a fifth of the number."""
_LEAST_RATIO = 1.15
"""Targets nearer to each other than this say the same."""
_ALL_STEPS = 2**62
_SHOWN = ("batch_size", "steps", "steps_before", "examples", "stopped_at")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Goal:
    """What a study says at one of several targets.

    Attributes:
        target: validation error to get below.
        table: one row per batch size, as `steps_to_target` gives it.
        fit: the hyperbola; None where too few batch sizes reached the target.
    """

    target: float
    table: pd.DataFrame
    fit: ScalingFit | None

    @property
    def b_crit(self) -> Estimate | None:
        """The critical batch size of the hyperbola."""
        return None if self.fit is None else self.fit.b_crit


def choose_targets(study: StudyTables) -> tuple[float, ...]:
    """Chooses up to five targets, evenly spaced in the logarithm of the error.

    The tightest is the one raced to; in a study that was not raced, the tightest with two digits
    that every batch size reached. The loosest is one that every batch size needs at least five
    steps for.

    Args:
        study: the study.

    Returns:
        Targets from the tightest to the loosest, with two digits but for one raced to; fewer
        where they would lie close together, none where there is no room for two.
    """
    # steps to a target are at least n where nothing got below it within n - 1
    early = best_errors(study, [Budget(unit=Unit.STEPS, amount=LEAST_STEPS - 1)])
    loosest = float(early["best_error"].min()) if len(early) else 0.0
    tightest = study.target if study.raced else _reached_by_all(study)
    if not 0 < tightest < loosest:
        return ()
    loosest = two_digits(loosest, down=True)
    room = math.log(loosest / tightest) / math.log(_LEAST_RATIO)
    count = min(MOST_TARGETS, 1 + math.floor(room))
    if count < 2:  # noqa: PLR2004
        return ()
    between = [two_digits(error) for error in np.geomspace(tightest, loosest, count)[1:-1]]
    return (tightest, *between, loosest)


def _reached_by_all(study: StudyTables) -> float:
    """Gives the tightest target with two digits that every batch size reached; 0 for none."""
    least = best_errors(study, [Budget(unit=Unit.STEPS, amount=_ALL_STEPS)])["best_error"]
    errors = study.curves["val_error"]
    above_zero = errors[errors > 0]
    if least.empty or above_zero.empty:
        return 0.0
    # an error of nothing has no logarithm: the least above it then
    worst = max(float(least.max()), float(above_zero.min()))
    down = two_digits(worst, down=True)
    # strictly above it, for a target is to be got below
    return float(f"{down + 10.0 ** (math.floor(math.log10(worst)) - 1):.2g}")


def find_goals(study: StudyTables, targets: Sequence[float] | None = None) -> tuple[Goal, ...]:
    """Gives the steps to several targets, and the fit at each.

    All are the fewest steps of the searches: replicates were run of the points best at one target.

    Args:
        study: the study.
        targets: validation errors to get below; None for those of `choose_targets`.

    Returns:
        One per target, in the order given.

    Raises:
        AnalysisError: there is no search trial, or a target cannot be judged from the curves.
    """  # noqa: DOC502  (raised by steps_to_target)
    chosen = choose_targets(study) if targets is None else targets
    tables = {target: steps_to_target(study, target) for target in chosen}
    return tuple(Goal(target=t, table=table, fit=_fit(table)) for t, table in tables.items())


def _fit(table: pd.DataFrame) -> ScalingFit | None:
    """Fits the curve of steps to one target; the one place where goals meet a model."""
    points = fitted_points(table)
    points = points.without(points.out_of_reach())
    return fit(points, level=LEVEL) if points.different >= LEAST_POINTS else None


def goal_records(goals: Sequence[Goal]) -> list[dict[str, object]]:
    """Gives goals as plain finite data: target, b_crit (null where unknown) and table of steps."""
    return [
        {
            "target": goal.target,
            "b_crit": None if goal.b_crit is None else dict(goal.b_crit.record()),
            "table": json.loads(goal.table[list(_SHOWN)].to_json(orient="records")),
        }
        for goal in goals
    ]


def goals_markdown(goals: Sequence[Goal]) -> str:
    """Gives b_crit against target as a section of a Markdown page; empty without goals."""
    if not goals:
        return ""
    rows = [f"| {goal.target:g} | {_span(goal)} | {_b_crit_words(goal)} |" for goal in goals]
    return "\n".join(
        (
            "The critical batch size at several targets:",
            "",
            "| target | steps, from the largest to the smallest | b_crit |",
            "| --: | --: | :-- |",
            *rows,
            "",
            f"A target that some batch size reaches in fewer than {LEAST_STEPS} steps is left out: "
            "whole steps are too coarse there. All come from the same trials: neighbours move "
            "together.",
            "\n",
        )
    )


def _span(goal: Goal) -> str:
    steps = goal.table["steps"].dropna()
    missed = len(goal.table) - len(steps)
    span = f"{steps.max()} to {steps.min()}" if len(steps) else "-"
    return f"{span}, {missed} missed" if missed else span


def _b_crit_words(goal: Goal) -> str:
    if goal.b_crit is None:
        return f"no fit: fewer than {LEAST_POINTS} batch sizes reached it"
    return goal.b_crit.text("b_crit").removeprefix("b_crit ").removeprefix("= ")
