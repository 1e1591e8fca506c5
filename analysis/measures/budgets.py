"""The lowest validation error within fixed budgets of steps or examples, at each batch size.

This is the view behind "large batches generalize worse" (Shallue et al. 2018, arXiv:1811.03600,
section 4.8): a step budget favors large batch sizes, an example budget small ones. Budgets are
applied to the measured curves afterwards, without interpolation. A trial that stopped before its
budget might have improved further, so the least measured error is then only an upper bound.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.fitting.estimates import two_digits
from analysis.fitting.models import Floats
from analysis.measures.batch_plan import BatchPlan
from analysis.measures.targets import by_trial, competing_trials
from analysis.tables.schema import TRIAL_KEY
from analysis.tables.study import StudyTables

MAX_BUDGETS = 4
GROWTH = 4
"""Factor between one chosen budget and the next."""
_MIN_EXACT = 3
"""Batch sizes at which the largest chosen budget is exact; fewer make no curve."""
_NEAR = 0.05
"""Relative distance from the lowest error at which a batch size is near-optimal (arXiv 2607.01487).
"""
_KEY = list(TRIAL_KEY)


class Unit(StrEnum):
    """What a budget counts."""

    STEPS = "steps"
    EXAMPLES = "examples"


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """How long each trial may train: `amount` >= 1 steps (updates or rounds) or examples."""

    unit: Unit
    amount: int

    def steps(self, plan: BatchPlan) -> int:
        """Return the complete steps within the budget, >= 0."""
        return plan.steps(self.amount) if self.unit is Unit.EXAMPLES else self.amount


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _LowestErrors:
    """The curve of the lowest error over all trials so far, exact up to step `known_to`."""

    steps: NDArray[np.int64]
    errors: Floats
    known_to: int

    def within(self, steps: int) -> float:
        """Return the lowest error measured within a number of steps; NaN if there is none."""
        count = int(np.searchsorted(self.steps, steps, side="right"))
        return float(self.errors[count - 1]) if count else math.nan

    def last_gain(self) -> int:
        """Return the step of the last improvement up to `known_to`; 0 if there is none."""
        known = self.errors[self.steps <= self.known_to]
        return int(self.steps[known.argmin()]) if known.size else 0


def best_errors(study: StudyTables, budgets: Iterable[Budget]) -> pd.DataFrame:
    """Return the lowest validation error of each batch size within each budget.

    The minimum is over all trials that did not fail and all their measurements after step 0 up to
    the budget. It is exact if every trial that neither diverged nor failed trained for the whole
    budget. If one stopped earlier (at the target, capped, pruned, or at its own smaller budget),
    it is an upper bound.

    Returns:
        One row per budget and batch size, budgets as given, batch sizes rising: unit, budget,
        batch_size, steps (complete steps within the budget), best_error, exact. No row if the
        budget is less than one step or nothing was measured within it.
    """
    best = _lowest_errors(study)
    rows = [
        (str(budget.unit), budget.amount, size, steps, curve.within(steps), steps <= curve.known_to)
        for budget in budgets
        for size, curve in best.items()
        for steps in [budget.steps(BatchPlan.of(study.config, size))]
    ]
    columns = ["unit", "budget", "batch_size", "steps", "best_error", "exact"]
    table = pd.DataFrame(rows, columns=columns)
    return table[table["best_error"].notna()].reset_index(drop=True)


def choose_budgets(study: StudyTables) -> tuple[Budget, ...]:
    """Return up to four budgets of each unit, each four times the one before.

    At the largest, at least three batch sizes still improve and are exact. Step budgets come before
    example budgets, each rising and rounded to two digits; there are none without measurements.
    """
    best = _lowest_errors(study)
    chosen: list[Budget] = []
    for unit in Unit:
        plans = {b: BatchPlan.of(study.config, b) for b in best}
        used = {b: plan.examples if unit is Unit.EXAMPLES else int for b, plan in plans.items()}
        gains = sorted(int(used[b](curve.last_gain())) for b, curve in best.items())
        most = gains[-_MIN_EXACT] if len(gains) >= _MIN_EXACT else min(gains, default=0)
        if most < 1:
            continue
        least = min(int(used[b](1)) for b in best)
        most = max(int(two_digits(most, down=True)), least)
        amounts = {most, *(int(two_digits(most / GROWTH**k)) for k in range(1, MAX_BUDGETS))}
        chosen += [Budget(unit=unit, amount=n) for n in sorted(amounts) if n >= least]
    return tuple(chosen)


def _lowest_errors(study: StudyTables) -> Mapping[int, _LowestErrors]:
    """Return the lowest errors of each batch size with measurements, batch sizes rising."""
    return study.once("lowest errors", lambda: _lowest_errors_of(study))


def _lowest_errors_of(study: StudyTables) -> Mapping[int, _LowestErrors]:
    trials = competing_trials(study)
    ran = trials[trials["status"] != "failed"]
    trial, keys = by_trial(study)
    step, error = study.curves["step"].to_numpy("int64"), study.curves["val_error"].to_numpy("f8")
    runs = keys.merge(ran[_KEY], on=_KEY, how="left", indicator=True)["_merge"] == "both"
    counts = runs.to_numpy()[trial] & (step >= 1) & np.isfinite(error)
    size, sizes = pd.factorize(keys["batch_size"].to_numpy("int64"), sort=True)
    known_to, best = _known_to(ran), {}
    # one batch size after another: few copies of millions of measurements fit into memory
    place_of = np.where(counts, size.astype(np.int32)[trial], np.int32(-1))
    for place, batch_size in enumerate(sizes.tolist()):
        rows = np.flatnonzero(place_of == place)
        if rows.size:
            steps, at = np.unique(step[rows], return_inverse=True)
            least = np.full(len(steps), np.inf)
            np.minimum.at(least, at, error[rows])
            best[batch_size] = _LowestErrors(
                steps=steps, errors=np.minimum.accumulate(least), known_to=known_to[batch_size]
            )
    return best


def _known_to(trials: pd.DataFrame) -> Mapping[int, int]:
    """Return for each batch size the step up to which all trials ran that might still improve."""
    # if all trials diverged, everything is known up to the end of the longest
    known_to = trials.groupby("batch_size")["stopped_at"].max()
    sound = trials[trials["status"] != "diverged"]
    known_to.update(sound.groupby("batch_size")["stopped_at"].min())
    return dict(zip(known_to.index.tolist(), known_to.astype(int).tolist(), strict=True))


def best_batch_size_sentences(
    budgets: Sequence[Mapping[str, Any]], quantity: str, tokens: int | None = None
) -> list[str]:
    """Return which batch size is best within each example budget, and which come close.

    The best one alone says little if its neighbors are as good. There are no sentences if an error
    is not exact.

    Args:
        budgets: rows of `best_errors`.
        quantity: what they measure, an error or a loss.
        tokens: tokens per example, for a study written in tokens.
    """
    rows = [row for row in budgets if row["unit"] == Unit.EXAMPLES]
    if not all(row["exact"] for row in rows):
        return []
    amounts = sorted({row["budget"] for row in rows})
    within = [[row for row in rows if row["budget"] == amount] for amount in amounts]
    return [_best_of(same, quantity, tokens or 0) for same in within if len(same) >= _MIN_EXACT]


def _best_of(rows: Sequence[Mapping[str, Any]], quantity: str, tokens: int) -> str:
    """Return a sentence on one budget, given its rows by rising batch size."""
    errors = [row["best_error"] for row in rows]
    best = first = last = errors.index(min(errors))
    close = [error <= (1 + _NEAR) * errors[best] for error in errors]
    while first > 0 and close[first - 1]:
        first -= 1
    while last < len(rows) - 1 and close[last + 1]:
        last += 1
    sizes = [row["batch_size"] for row in rows]
    open_ends = [
        f"the {end} measured"
        for end, reached in (("smallest", first == 0), ("largest", last == len(rows) - 1))
        if reached
    ]
    near = f"B = {sizes[first]} to {sizes[last]} come within {_NEAR:.0%} of it"
    if first == last:
        near = f"no neighbor comes within {_NEAR:.0%} of it"
    budget, size = (
        f" ({tokens * examples:,} tokens)" if tokens else ""
        for examples in (rows[0]["budget"], sizes[best])
    )
    return (
        f"Within {rows[0]['budget']:,} examples{budget} the lowest {quantity}, {errors[best]:.3g}, "
        f"is at B = {sizes[best]}{size}; {near}"
        + (f" ({' and '.join(open_ends)})" if open_ends else "")
        + "."
    )


def budget_sentence(study: StudyTables) -> str:
    """Return a sentence on the budgets up to which the lowest errors are exact."""
    if not study.raced:
        return (
            "Every trial ran to its budget: the lowest error within any smaller number of steps or "
            "examples is exact."
        )
    pruned = competing_trials(study)["status"].eq("pruned").any()
    stopped, first = (
        ("were pruned", "step of the first pruning at")
        if pruned
        else ("stopped at the target", "fewest steps of")
    )
    return (
        f"Trials {stopped}, so the lowest error within a budget is exact up to the "
        f"{first} each batch size and an upper bound beyond. For exact errors at larger "
        'budgets set `race.to = "budget"` in the study file, which runs every trial to its budget.'
    )
