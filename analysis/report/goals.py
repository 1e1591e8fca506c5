"""Steps to target and b_crit at targets other than the study's own.

The targets range from the one that trials raced to, below which nothing was measured, to the
loosest for which every batch size still needs a few steps: small counts of steps are coarse.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from analysis.fitting.critical import b_crit_of
from analysis.fitting.estimates import Estimate, span_text, two_digits
from analysis.fitting.fit import Fits
from analysis.fitting.models import MODELS
from analysis.fitting.tuned import fit_best
from analysis.measures.budgets import Budget, Unit, best_errors
from analysis.measures.recipes import follows_rule
from analysis.measures.replicates import (
    FEWEST,
    FEWEST_OF_SEEDS,
    all_have_replicates,
    fitted_points,
)
from analysis.measures.targets import steps_to_target
from analysis.search_quality.tuning import tuning_of
from analysis.tables.study import StudyTables, json_rows

MAX_TARGETS = 5
MIN_POINTS = MODELS["hyperbola"].least_points
MIN_STEPS = 5
"""At a target that takes fewer steps, one step is more than a fifth of them."""
GOALS_NOTE = (
    f"Targets that some batch size reaches in fewer than {MIN_STEPS} steps are left out, since "
    "small counts are coarse. All rows come from the same trials, so neighboring rows are "
    "correlated."
)
_MIN_RATIO = 1.15
"""Smallest ratio of neighboring targets; closer ones are redundant."""
_ALL_STEPS = 2**62
_RECORDED = ("batch_size", "steps", "steps_before", "examples", "stopped_at")


@dataclass(frozen=True, kw_only=True, eq=False)
class Goal:
    """The result of a study at one of several targets."""

    study: StudyTables
    target: float  # validation error to get below
    table: pd.DataFrame  # one row per batch size, as `steps_to_target` returns it
    of: str = FEWEST  # the fitted quantity, in words

    @cached_property
    def fits(self) -> Fits | None:
        """The fitted curves; None if too few batch sizes reached the target."""
        return fits_at(self.study, self.target, self.table)

    @property
    def b_crit(self) -> Estimate | None:
        """The critical batch size, as `analysis.fitting.critical.b_crit_of` gives it."""
        return None if self.fits is None else b_crit_of(self.fits).estimate


def fits_at(study: StudyTables, target: float, table: pd.DataFrame) -> Fits | None:
    """Return the curves of a study at a target; None if too few batch sizes reached it.

    Args:
        study: the tables.
        target: validation error to get below.
        table: as `steps_to_target` returns it, with the columns of `with_replicates` for medians.
    """
    points = fitted_points(table)
    points = points.without(points.out_of_reach())
    if points.distinct < MIN_POINTS:
        return None
    # cached: the study's own target is also one of its goals
    key = ("fits", target, all_have_replicates(table))
    return study.once(key, lambda: fit_best(points, tuning_of(study, table, target).gaps))


def choose_targets(study: StudyTables) -> tuple[float, ...]:
    """Return up to five targets, from the tightest to the loosest, evenly spaced in log error.

    The tightest is the one raced to; in a study that was not raced, the tightest with two digits
    that every batch size reached. At the loosest, every batch size needs at least five steps. All
    but a target raced to are rounded to two digits. There are fewer if they would lie close
    together, and none if there is no room for two.
    """
    # a target needs at least n steps if no error was below it within n - 1
    early = best_errors(study, [Budget(unit=Unit.STEPS, amount=MIN_STEPS - 1)])
    loosest = float(early["best_error"].min()) if len(early) else 0.0
    tightest = study.target if study.raced else _reached_by_all(study)
    if not 0 < tightest < loosest:
        return ()
    loosest = two_digits(loosest, down=True)
    room = math.log(loosest / tightest) / math.log(_MIN_RATIO)
    count = min(MAX_TARGETS, 1 + math.floor(room))
    if count < 2:
        return ()
    between = [two_digits(error) for error in np.geomspace(tightest, loosest, count)[1:-1]]
    return (tightest, *between, loosest)


def _reached_by_all(study: StudyTables) -> float:
    """Return the tightest target with two digits that every batch size reached; 0 if none."""
    least = best_errors(study, [Budget(unit=Unit.STEPS, amount=_ALL_STEPS)])["best_error"]
    errors = study.curves["val_error"]
    above_zero = errors[errors > 0]
    if least.empty or above_zero.empty:
        return 0.0
    # an error of 0 has no logarithm: take the smallest positive one instead
    worst = max(float(least.max()), float(above_zero.min()))
    down = two_digits(worst, down=True)
    # strictly above, because a target is reached only below it
    return float(f"{down + 10.0 ** (math.floor(math.log10(worst)) - 1):.2g}")


def find_goals(study: StudyTables) -> tuple[Goal, ...]:
    """Return the steps to each of `choose_targets`; curves are fitted on demand.

    All use the fewest steps of the searches: replicates exist only for the points that are best at
    one target.
    """
    tables = {target: steps_to_target(study, target) for target in choose_targets(study)}
    of = FEWEST_OF_SEEDS if follows_rule(study) else FEWEST
    return tuple(Goal(study=study, target=t, table=table, of=of) for t, table in tables.items())


def target_for_all(study: StudyTables) -> float | None:
    """Return the tightest target with two digits that all batch sizes reached; None if none."""
    target = _reached_by_all(study)
    if target <= 0 or (study.raced and target <= study.target):
        return None
    return target if steps_to_target(study, target)["steps"].notna().all() else None


def goal_records(goals: Sequence[Goal]) -> list[dict[str, object]]:
    """Return goals as JSON data: target, b_crit (null if unknown) and table of steps."""
    return [
        {
            "target": goal.target,
            "of": goal.of,
            "b_crit": None if goal.b_crit is None else goal.b_crit.record(),
            "table": json_rows(goal.table[list(_RECORDED)]),
        }
        for goal in goals
    ]


def goals_table(goals: Sequence[Goal]) -> pd.DataFrame:
    """Return b_crit against target as text: columns target, the kind of steps, b_crit."""
    if not goals:
        return pd.DataFrame()
    rows = []
    for goal in goals:
        steps = goal.table["steps"].dropna()
        missed = len(goal.table) - len(steps)
        span = span_text(steps.max(), steps.min()) if len(steps) else "-"
        no_fit = f"no fit: fewer than {MIN_POINTS} batch sizes reached it"
        b_crit = no_fit if goal.b_crit is None else goal.b_crit.text()
        rows.append((f"{goal.target:g}", f"{span}, {missed} missed" if missed else span, b_crit))
    steps_name = f"{goals[0].of}, from the largest to the smallest"
    return pd.DataFrame(rows, columns=["target", steps_name, "b_crit"])
