"""What a sweep does past its plan: more seeds, or more trials, where they narrow b_crit most.

A step is decided when all that was granted has been recorded, from the recorded results alone, and
written into the study before it is run. So neither the number of workers nor a stop changes it.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.fitting.estimates import Estimate
from analysis.fitting.models import sensitivities
from analysis.measures.replicates import representative_runs
from analysis.report.summary import Analysis
from study.config.space import Range
from study.config.study import ResolvedStudy
from study.config.until import Grant, UntilConfig
from study.records import TrialResult

AT_ONCE = 2
"""Batch sizes that are granted more in one step: the optimum seldom needs others."""
_MORE = 0.5
"""Seeds or trials granted at once, as a share of those there are: so steps are few."""
_MOST_SEEDS = 1000
_NORMAL = 1.96  # of a 95 % interval
_MISFIT = (
    ": points off the curve make it wide; add batch sizes or search.trials, or see the other models"
)
_POOLED = 4
"""Seeds as which the scatter at all batch sizes counts, beside that at one."""
_LEAST_SHARE = 0.1
"""Of the interval's variance that seeds and trials account for, below which they are of no use."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spent:
    """What the recorded trials of a study took."""

    steps: int
    hours: float

    @classmethod
    def of(cls, results: Iterable[TrialResult]) -> "Spent":
        """Return what some trials took."""
        steps, seconds = 0, 0.0
        for result in results:
            steps += result.outcome.stopped_at
            seconds += result.seconds.total
        return cls(steps=steps, hours=seconds / 3600)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Option:
    """A grant, how much of a variance of log b_crit it should take away, and its steps."""

    grant: Grant
    of: float
    narrows: float
    steps: float

    @property
    def worth(self) -> float:
        return self.narrows / self.steps


@dataclass(frozen=True, slots=True)
class Grants:
    """What to grant next, nothing where the sweep is to end, and where b_crit stands."""

    granted: tuple[Grant, ...] = ()
    why: str = ""


def half_width(b_crit: Estimate) -> float:
    """Return the relative half-width of an interval: both ends lie within that factor, less 1.

    >>> round(half_width(Estimate(value=100.0, low=80.0, high=125.0)), 3)
    0.25
    """
    return math.sqrt(b_crit.high / b_crit.low) - 1 if b_crit.identified else math.inf


def next_grants(resolved: ResolvedStudy, found: Analysis, spent: Spent) -> Grants:
    """Return what to grant next.

    Args:
        resolved: the study, of which everything granted so far is recorded.
        found: its analysis.
        spent: by all its trials.
    """
    until = resolved.until
    assert until is not None  # asked only of studies that have it
    critical = found.critical.get("b_crit")
    if critical is None or not critical.estimate.identified:
        return Grants(
            why="until: b_crit is not identified, so no batch size is known to narrow it; add "
            "batch sizes beyond the measured ones, or raise search.trials"
        )
    estimate = critical.estimate
    known = f"until: {estimate.text('b_crit')}, {_within(half_width(estimate))}"
    if until.b_crit is not None and half_width(estimate) <= until.b_crit:
        return Grants(why=f"{known}, as asked for (until.b_crit = {until.b_crit:g})")
    options = list(_options(resolved, found, estimate.value))
    variance = (math.log1p(half_width(estimate)) / _NORMAL) ** 2
    if sum(option.of for option in options) < _LEAST_SHARE * variance:
        return Grants(why=f"{known}; more seeds or trials would not narrow it{_MISFIT}")
    chosen = _best(options)
    steps = sum(option.steps for option in chosen)
    if (cap := _over(until, spent, steps)) is not None:
        return Grants(why=f"{known}; {cap} is spent{_still_needed(until, estimate, spent)}")
    return Grants(granted=tuple(option.grant for option in chosen), why=known)


def _best(options: Iterable[_Option]) -> list[_Option]:
    """Return the options of most worth, at most one of each batch size."""
    chosen: dict[int, _Option] = {}
    for option in sorted(options, key=lambda option: (-option.worth, option.grant.batch_size)):
        chosen.setdefault(option.grant.batch_size, option)
    best = list(chosen.values())[:AT_ONCE]
    return [option for option in best if option.narrows > 0]


def _options(resolved: ResolvedStudy, found: Analysis, b_crit: float) -> Iterator[_Option]:
    known = found.table[found.table["steps"].notna() & found.table["steps_median"].notna()]
    if len(known) < 2:
        return
    weights = sensitivities(known["batch_size"].to_numpy(np.float64), b_crit) ** 2
    variances, chose = _variances_of_seeds(found), _seeds_that_choose(found)
    for row, weight in zip(known.to_dict("records"), weights, strict=True):
        by_seeds = weight * variances.get(row["batch_size"], 0.0)
        by_gap = weight * _spread_of_gap(found, row["batch_size"])
        yield from _at(resolved, row | {"chose": chose.get(row["batch_size"], 0)}, by_seeds, by_gap)


def _at(
    resolved: ResolvedStudy, row: Mapping[Any, Any], by_seeds: float, by_gap: float
) -> Iterator[_Option]:
    """Yield more seeds of the best point, and more trials of the search.

    Args:
        resolved: the study.
        row: of the batch size in the summary, with `_seeds_that_choose`.
        by_seeds: variance of log b_crit from one seed there.
        by_gap: that from what its search has left.
    """
    size, median, counted = row["batch_size"], float(row["steps_median"]), row["seeds"]
    trials, seeds = resolved.trials_at(size), resolved.seeds_at(size)
    enough = min(row["chose"] + math.ceil((1 + _MORE) * counted), _MOST_SEEDS)
    more = enough - seeds - (resolved.replicates.confirm or 0)
    if more > 0:
        yield _Option(
            grant=Grant(batch_size=size, trials=trials, seeds=seeds + more),
            of=by_seeds / counted,
            narrows=by_seeds * (1 / counted - 1 / (enough - row["chose"])),
            steps=more * median,
        )
    searched = sum(isinstance(entry, Range) for entry in resolved.search.space.values())
    if by_gap > 0 and searched:
        lanes = resolved.lanes_at(size)
        more = lanes * math.ceil(_MORE * trials / lanes)  # whole cohorts
        # near a smooth optimum the gap falls as trials^(-2 / searched)
        left = (trials / (trials + more)) ** (4 / searched)
        yield _Option(
            grant=Grant(batch_size=size, trials=trials + more, seeds=seeds),
            of=by_gap,
            narrows=by_gap * (1 - left),
            # lanes of a race run to its cap, and a new best point has seeds of its own
            steps=(more * resolved.race.slack + resolved.replicates.seeds) * median,
        )


def _seeds_that_choose(found: Analysis) -> Mapping[int, int]:
    """Return the seeds of the next best point at each batch size, 0 without one.

    As many of the best have chosen it, and do not count once it has more.
    """
    runs = found.study.trials[found.study.trials["role"] == "replicate"]
    counts = runs.groupby(["batch_size", "source_role", "source_trial"]).size()
    return {
        int(str(size)): int(some.nlargest(2).iloc[1]) if len(some) > 1 else 0
        for size, some in counts.groupby("batch_size")
    }


def _variances_of_seeds(found: Analysis) -> Mapping[int, float]:
    """Return the variance of log steps over the seeds of one point at each batch size.

    Few seeds show it roughly, so that of all batch sizes together counts as some more.
    """
    runs = representative_runs(found.study)
    runs = runs[runs["steps"].notna()]
    runs = runs.assign(log=np.log(runs["steps"].to_numpy(np.float64)))
    seeds = runs.groupby("batch_size")["log"]
    freedom = seeds.size() - 1
    squares = seeds.var(ddof=0) * seeds.size()
    pooled = squares.sum() / max(freedom.sum(), 1)
    shrunk = (squares + _POOLED * pooled) / (freedom + _POOLED)
    return {int(str(size)): float(variance) for size, variance in shrunk.items()}


def _spread_of_gap(found: Analysis, size: float) -> float:
    """Return the variance of the log tuning gap at a batch size; 0 where it is not known.

    For a search that learns, half of what the later half of its trials gained stands for the gap's
    spread: in simulated studies as many trials again gained half as much.
    """
    gap = None if found.tuning is None else found.tuning.gaps.get(size)
    if gap is None:
        gains = found.search.set_index("batch_size").get("late_gain", pd.Series(dtype=float))
        return (math.log1p(float(gains.dropna().get(int(size), 0.0))) / 2) ** 2
    low, high = (math.log1p(gap.excess(level)) for level in (0.16, 0.84))
    return ((high - low) / 2) ** 2


def _within(width: float) -> str:
    return f"both ends within a factor of {1 + width:.3g} of its middle"


def _over(until: UntilConfig, spent: Spent, steps: float) -> str | None:
    """Return the cap that further steps would exceed, as text."""
    total = spent.steps + steps
    if until.trial_steps is not None and total > until.trial_steps:
        return f"until.trial_steps = {until.trial_steps:,}"
    if until.hours is not None and spent.hours * total / max(spent.steps, 1) > until.hours:
        return f"until.hours = {until.hours:g}"
    return None


def _still_needed(until: UntilConfig, estimate: Estimate, spent: Spent) -> str:
    if until.b_crit is None:
        return ""
    times = (math.log1p(half_width(estimate)) / math.log1p(until.b_crit)) ** 2
    return (
        f"; until.b_crit = {until.b_crit:g} would take about {times:.2g} times the "
        f"{spent.steps:,} trial-steps so far, if the interval narrows as their square root"
    )
