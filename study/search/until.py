"""What a sweep does past its plan: more seeds, or more trials, where they narrow b_crit most.

A step is decided when all that was granted has been recorded, from the recorded results alone, and
written into the study before it is run. So neither the number of workers nor a stop changes it.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from analysis.fitting.estimates import Estimate
from analysis.fitting.models import MODELS
from analysis.report.summary import Analysis
from study.config.study import ResolvedStudy
from study.config.until import Grant, UntilConfig
from study.records import TrialResult
from study.search.narrowing import Narrowing, Option, half_width, more_trials

AT_ONCE = 2
"""Batch sizes that are granted more in one step: the optimum seldom needs others."""
_MISFIT = (
    "more seeds or trials would not narrow it: points off the curve make it wide; add batch sizes "
    "or search.trials, or see the other models"
)
_LEAST_SHARE = 0.1
"""Share of the variance that seeds and trials account for, below which they are of no use."""
_TRIED = 4
"""Times the planned trials after which a batch size that missed the target gets no more."""


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


@dataclass(frozen=True, slots=True)
class Grants:
    """What to grant next, nothing where the sweep is to end, and where b_crit stands."""

    granted: tuple[Grant, ...] = ()
    why: str = ""


def next_grants(resolved: ResolvedStudy, found: Analysis, spent: Spent) -> Grants:
    """Return what to grant next.

    Args:
        resolved: the study, of which everything granted so far is recorded.
        found: its analysis.
        spent: by all its trials.
    """
    assert resolved.until is not None  # asked only of studies that have it
    critical = found.critical.get("b_crit")
    if critical is None:
        return _toward_a_fit(resolved, found, spent)
    estimate, asked = critical.estimate, resolved.until.b_crit
    known = f"until: {estimate.text('b_crit')}"
    if estimate.identified:
        known += f", both ends within a factor of {1 + half_width(estimate):.3g} of its middle"
    if asked is not None and half_width(estimate) <= asked:
        return Grants(why=f"{known}, as asked for (until.b_crit = {asked:g})")
    if (why := _one_regime(resolved, found, estimate)) is not None:
        return Grants(why=f"{known}; {why}")
    narrowing = Narrowing(resolved, found, estimate)
    chosen = _best(narrowing.at_measured())
    if not chosen or narrowing.by_noise < _LEAST_SHARE:
        return Grants(why=f"{known}; {_MISFIT}")
    if (cap := _over(resolved.until, spent, sum(option.steps for option in chosen))) is not None:
        return Grants(why=f"{known}; {cap} is spent{_still_needed(asked, estimate, spent)}")
    return Grants(granted=tuple(option.grant for option in chosen), why=known)


def _toward_a_fit(resolved: ResolvedStudy, found: Analysis, spent: Spent) -> Grants:
    """Return more trials where the target was missed, as too few batch sizes for a fit reached it.

    All get equally many, so those with the fewest are next, and of these the largest.
    """
    least = MODELS["hyperbola"].least_points
    known = f"until: fewer than {least} batch sizes reached the target, so b_crit is unknown"
    rows = found.table[found.table["steps"].isna() | found.table["steps_median"].isna()]
    longest = dict(zip(rows["batch_size"].tolist(), rows["stopped_at"].tolist(), strict=True))
    sizes = sorted(longest, key=lambda size: (resolved.trials_at(size), -size))
    most = _TRIED * resolved.search.trials
    grants = [more_trials(resolved, size) for size in sizes if resolved.trials_at(size) < most]
    grants = grants[:AT_ONCE]
    if not grants:
        return Grants(
            why=f"{known}, after {_TRIED} times search.trials where it was missed; raise "
            "race.max_steps, widen search.space, loosen race.target or add batch sizes"
        )
    steps = sum(
        (grant.trials - resolved.trials_at(grant.batch_size)) * longest[grant.batch_size]
        for grant in grants
    )
    assert resolved.until is not None
    if (cap := _over(resolved.until, spent, steps)) is not None:
        return Grants(why=f"{known}; {cap} is spent; raise it, or loosen race.target")
    return Grants(granted=tuple(grants), why=known)


def _one_regime(resolved: ResolvedStudy, found: Analysis, b_crit: Estimate) -> str | None:
    """Return why no seeds or trials would bound b_crit, where it lies beyond all batch sizes."""
    if b_crit.identified:
        return None
    sizes = found.reached["batch_size"]
    least, most = int(sizes.min()), int(sizes.max())
    if b_crit.low >= most:
        remedy = f"add batch sizes above {most}"
        if most == resolved.examples:
            remedy = "a looser race.target has a smaller b_crit"
        return f"all batch sizes scale perfectly, as far as they show; {remedy}"
    if b_crit.high <= least:
        remedy = f"add batch sizes below {least}"
        if least == 1:
            remedy = "a tighter race.target has a larger b_crit"
        return f"all batch sizes lie on the plateau, as far as they show; {remedy}"
    return None


def _best(options: Iterable[Option]) -> list[Option]:
    """Return the options of most worth, at most one of each batch size."""
    chosen: dict[int, Option] = {}
    for option in sorted(options, key=lambda option: (-option.worth, option.grant.batch_size)):
        chosen.setdefault(option.grant.batch_size, option)
    best = list(chosen.values())[:AT_ONCE]
    return [option for option in best if option.narrows > 0]


def _over(until: UntilConfig, spent: Spent, steps: float) -> str | None:
    """Return the cap that further steps would exceed, as text."""
    total = spent.steps + steps
    if until.trial_steps is not None and total > until.trial_steps:
        return f"until.trial_steps = {until.trial_steps:,}"
    if until.hours is not None and spent.hours * total / max(spent.steps, 1) > until.hours:
        return f"until.hours = {until.hours:g}"
    return None


def _still_needed(asked: float | None, estimate: Estimate, spent: Spent) -> str:
    if not estimate.identified:
        return "; raise it, or add batch sizes on the side that has no bound"
    if asked is None:
        return ""
    times = (math.log1p(half_width(estimate)) / math.log1p(asked)) ** 2
    return (
        f"; until.b_crit = {asked:g} would take about {times:.2g} times the "
        f"{spent.steps:,} trial-steps so far, if the interval narrows as their square root"
    )
