"""The least validation error within fixed budgets of steps or examples, at each batch size.

The view behind "large batches generalise worse" (Shallue et al. 2018, arXiv:1811.03600, section
4.8): a budget of steps favours large batch sizes, one of examples small ones. Budgets are applied
afterwards, to the curves as they were measured; nothing is interpolated. A trial that stopped
before its budget might have gone on to fall, so that the least error measured is then only a bound.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.fitting.estimates import two_digits
from analysis.fitting.models import Floats
from analysis.measures.federated import examples_per_step
from analysis.measures.targets import competing_trials
from analysis.tables.schema import TRIAL_KEY
from analysis.tables.study import StudyTables

MOST_BUDGETS = 4
GROWTH = 4
"""Each chosen budget is so many times the one before."""
_LEAST_EXACT = 3
"""At so many batch sizes the largest budget chosen is exact; fewer make no curve."""
_KEY = list(TRIAL_KEY)


class Unit(StrEnum):
    """What a budget counts."""

    STEPS = "steps"
    EXAMPLES = "examples"


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """How long each trial may train.

    Attributes:
        unit: what is counted: steps (optimizer updates, or rounds), or the examples they use.
        amount: how many, >= 1.
    """

    unit: Unit
    amount: int

    def steps(self, examples: int) -> int:
        """Gives the whole steps within the budget, each of so many examples, >= 0."""
        return self.amount // _per_step(self.unit, examples)


def _per_step(unit: Unit, examples: int) -> int:
    return examples if unit is Unit.EXAMPLES else 1


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Best:
    """The best of all trials of one batch size.

    Attributes:
        steps: measured steps, rising, from 1.
        errors: least validation error measured up to each of them.
        known_to: steps up to which no trial was stopped that might still have improved.
    """

    steps: NDArray[np.int64]
    errors: Floats
    known_to: int

    def within(self, steps: int) -> float:
        """Gives the least error measured within so many steps; NaN where there is none."""
        count = int(np.searchsorted(self.steps, steps, side="right"))
        return float(self.errors[count - 1]) if count else math.nan

    def last_gain(self) -> int:
        """Gives the step of the last improvement among those known."""
        known = self.errors[self.steps <= self.known_to]
        return int(self.steps[known.argmin()]) if known.size else 0


def best_errors(study: StudyTables, budgets: Iterable[Budget]) -> pd.DataFrame:
    """Gives the least validation error of each batch size within each budget.

    It is the least over all trials that did not fail and all their measurements after step 0, up
    to the budget. It is exact where every trial that neither diverged nor failed trained for at
    least the budget. Where one stopped before (it reached the target, was capped, or its own
    budget was smaller) the error within the budget is at most the one given.

    Args:
        study: the study.
        budgets: the budgets.

    Returns:
        One row per budget and batch size, budgets as given, batch sizes rising: unit, budget,
        batch_size, steps (whole steps within the budget), best_error, exact. No row where the
        budget is less than one step, or nothing was measured within it.
    """
    best = _best_by_batch_size(study)
    rows = [
        (budget.unit.value, budget.amount, size, steps, here.within(steps), steps <= here.known_to)
        for budget in budgets
        for size, here in best.items()
        for steps in [budget.steps(examples_per_step(study.config, size))]
    ]
    columns = ["unit", "budget", "batch_size", "steps", "best_error", "exact"]
    table = pd.DataFrame(rows, columns=columns)
    return table[table["best_error"].notna()].reset_index(drop=True)


def choose_budgets(study: StudyTables) -> tuple[Budget, ...]:
    """Chooses up to four budgets of each unit, each four times the one before.

    The largest is one up to which at least three batch sizes still improved and are exact.

    Args:
        study: the study.

    Returns:
        Budgets of steps, then of examples, each rising, with two digits; none where nothing was
        measured.
    """
    best = _best_by_batch_size(study)
    chosen: list[Budget] = []
    for unit in Unit:
        per_step = {b: _per_step(unit, examples_per_step(study.config, b)) for b in best}
        gains = sorted(per_step[b] * here.last_gain() for b, here in best.items())
        most = gains[-_LEAST_EXACT] if len(gains) >= _LEAST_EXACT else min(gains, default=0)
        if most < 1:
            continue
        least = min(per_step.values())
        most = max(int(two_digits(most, down=True)), least)
        amounts = {most, *(int(two_digits(most / GROWTH**k)) for k in range(1, MOST_BUDGETS))}
        chosen += [Budget(unit=unit, amount=n) for n in sorted(amounts) if n >= least]
    return tuple(chosen)


def _best_by_batch_size(study: StudyTables) -> Mapping[int, _Best]:
    """Gives the best of each batch size that measured anything, batch sizes rising."""
    trials = competing_trials(study)
    ran = trials[trials["status"] != "failed"]
    curves = study.curves[(study.curves["step"] >= 1) & study.curves["val_error"].notna()]
    curves = curves.merge(ran[_KEY], on=_KEY)
    least = curves.groupby(["batch_size", "step"], as_index=False)["val_error"].min()
    known_to = _known_to(ran)
    best: dict[int, _Best] = {}
    for size in sorted(least["batch_size"].unique().tolist()):
        here = least[least["batch_size"] == size]
        best[size] = _Best(
            steps=here["step"].to_numpy(np.int64),
            errors=np.minimum.accumulate(here["val_error"].to_numpy(np.float64)),
            known_to=known_to[size],
        )
    return best


def _known_to(trials: pd.DataFrame) -> Mapping[int, int]:
    """Gives for each batch size the steps up to which no trial was stopped that could go on."""
    known_to = trials.groupby("batch_size")["stopped_at"].max()
    open_ended = trials[trials["status"] != "diverged"]
    # where all diverged, as far as the longest of them is all there is to know
    known_to.update(open_ended.groupby("batch_size")["stopped_at"].min())
    return dict(zip(known_to.index.tolist(), known_to.astype(int).tolist(), strict=True))


def budget_records(study: StudyTables) -> list[dict[str, object]]:
    """Gives the least errors within the chosen budgets as plain data, as `best_errors` has them."""
    table = best_errors(study, choose_budgets(study))
    records: list[dict[str, object]] = json.loads(
        table.to_json(orient="records", double_precision=15)
    )
    return records


def budget_words(study: StudyTables) -> str:
    """Says in one sentence which of the least errors within budgets are exact."""
    if not study.raced:
        return (
            "Every trial ran to its budget: the least error within any smaller number of steps or "
            "examples is exact."
        )
    return (
        "Trials stopped at the target, so the least error within a budget is exact up to the "
        'fewest steps of each batch size and an upper bound beyond; `race.to = "budget"` in the '
        "study file, by which every trial runs to its budget, gives the rest."
    )
