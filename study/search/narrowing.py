"""Options that narrow the interval of b_crit: more seeds, more trials, new batch sizes.

Each states how much of the variance of log b_crit it should remove, to first order, for a hyperbola
fitted by least squares: where log steps have the variance v_i at batch size i, log b_crit has the
variance sum of w_i^2 v_i, with the `sensitivities` w_i.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from analysis.fitting.critical import SEEDS, TUNING
from analysis.fitting.estimates import Estimate
from analysis.fitting.fit import ScalingFit
from analysis.fitting.models import Floats, sensitivities
from analysis.measures.replicates import representative_runs
from analysis.report.summary import Analysis
from study.config.study import ResolvedStudy
from study.config.until import Grant

MORE = 0.5
"""Seeds or trials granted at once, as a share of the present ones, so that few rounds are needed.
"""
_MAX_SEEDS = 1000
_NORMAL = 1.96  # of a 95 % interval
_POOLED = 4
"""Number of seeds that the scatter pooled over batch sizes counts for at each of them."""
_REACH = 8
"""Largest factor by which a new batch size may lie outside the measured ones."""
_UNBOUNDED = 2.0
"""Factor by which a b_crit without a bound is assumed to lie outside the measured batch sizes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """A grant, how much of the variance of log b_crit it should remove, and its steps."""

    grant: Grant
    narrows: float
    steps: float

    @property
    def worth(self) -> float:
        """Variance removed per step."""
        return self.narrows / self.steps


def half_width(b_crit: Estimate) -> float:
    """Return the relative half-width w of an interval from its middle / (1 + w) to middle (1 + w).

    >>> round(half_width(Estimate(value=100.0, low=80.0, high=125.0)), 3)
    0.25
    """
    return math.sqrt(b_crit.high / b_crit.low) - 1 if b_crit.identified else math.inf


def _log_variance(b_crit: Estimate) -> float:
    """Return the variance of log b_crit that its interval implies."""
    return (math.log1p(half_width(b_crit)) / _NORMAL) ** 2


@dataclass(frozen=True)
class Narrowing:
    """The options of a study whose curve is fitted."""

    resolved: ResolvedStudy
    analysis: Analysis  # with fits
    b_crit: Estimate  # its headline

    @property
    def share_of_noise(self) -> float:
        """The share of the variance of log b_crit that seeds and trials account for."""
        noise = self._seed_variances + self._gap_variances
        if not len(noise):
            return 0.0
        # a single noisy point may hide the bound
        about_curve = float(noise.max()) / self._scatter
        if not self.b_crit.identified:
            return about_curve
        parts = self.analysis.critical["b_crit"].parts
        # the first order underestimates how far wide gaps move b_crit
        without_form = _log_variance(parts.get(TUNING, parts[SEEDS])) / self._variance
        first_order = float((self._weights * noise).sum()) / self._variance
        return max(first_order, min(about_curve, without_form))

    def at_measured_sizes(self) -> list[Option]:
        """Return more seeds and more trials at each batch size that has medians over seeds."""
        choosing = _choosing_seeds(self.analysis)
        table = self._measured.assign(
            by_seeds=self._weights * self._seed_variances,
            by_gap=self._weights * self._gap_variances,
            choosing=[choosing.get(size, 0) for size in self._measured["batch_size"]],
        )
        rows = table.to_dict("records")
        return [option for row in rows for option in _options_at(self.resolved, row)]

    def at_new_sizes(self) -> list[Option]:
        """Return the batch sizes that the study may add, each with the planned trials and seeds.

        The variance that seeds and trials do not explain is attributed to the batch sizes, whose
        points lie off the curve; so it falls as batch sizes are added.
        """
        study, noise = self.resolved, self._seed_variances + self._gap_variances
        sizes = self._measured["batch_size"].to_numpy(np.float64)
        if not len(sizes):
            return []
        left = max(self._variance - float((self._weights * noise).sum()), 0.0)
        variances = noise + left / self._weights.sum()
        now = float((self._weights * variances).sum())
        counts = self._measured["seeds"].to_numpy(np.float64) / study.replicates.measuring
        typical = float(np.mean(self._seed_variances * counts) + np.median(self._gap_variances))
        with_new = np.append(variances, typical + left / self._weights.sum())
        searched = study.search.trials * study.race.slack
        return [
            Option(
                grant=planned(study, size),
                narrows=now - float(self._weights_of(np.append(sizes, size)) @ with_new),
                steps=(searched + study.replicates_at(size)) * float(self._hyperbola.predict(size)),
            )
            for size in worth_measuring(study, self.analysis)
        ]

    @property
    def _variance(self) -> float:
        if self.b_crit.identified:
            return _log_variance(self.b_crit)
        return float(self._weights.sum()) * self._scatter

    @property
    def _hyperbola(self) -> ScalingFit:
        fits = self.analysis.fits
        assert fits is not None
        return (fits.found or fits)["hyperbola"]

    @property
    def _scatter(self) -> float:
        """The variance of log steps about the curve, above 0 also where few points lie on it."""
        return float(max(self._hyperbola.sigma, self.resolved.race.resolution) ** 2)

    @cached_property
    def _seed_variances(self) -> Floats:
        """The variance of the median log steps over seeds at each batch size."""
        variances = _variances_over_seeds(self.analysis)
        single = np.array([variances.get(size, 0.0) for size in self._measured["batch_size"]])
        of_medians: Floats = single / self._measured["seeds"].to_numpy(np.float64)
        return of_medians

    @cached_property
    def _gap_variances(self) -> Floats:
        sizes = self._measured["batch_size"]
        return np.array([_gap_variance(self.analysis, size) for size in sizes])

    @cached_property
    def _measured(self) -> pd.DataFrame:
        """The rows of batch sizes with a median over seeds, if there are two or more."""
        table = self.analysis.table
        measured = table[table["steps"].notna() & table["steps_median"].notna()]
        return measured if len(measured) > 1 else measured.iloc[:0]

    @cached_property
    def _weights(self) -> Floats:
        return self._weights_of(self._measured["batch_size"].to_numpy(np.float64))

    def _weights_of(self, sizes: Floats) -> Floats:
        squares: Floats = sensitivities(sizes, self._center) ** 2 if len(sizes) else sizes
        return squares

    @property
    def _center(self) -> float:
        """The most likely b_crit, kept near the batch sizes where the data do not bound it."""
        if self.b_crit.identified:
            return self.b_crit.value
        sizes = self._hyperbola.points.batch_sizes
        likely = math.exp(min(self._hyperbola.log_b_crit, math.log(_UNBOUNDED * sizes.max())))
        return max(likely, float(sizes.min()) / _UNBOUNDED)


def _options_at(resolved: ResolvedStudy, row: Mapping[Any, Any]) -> Iterator[Option]:
    """Yield more seeds of the best point, and more trials of the search.

    `row` is of the batch size in the summary, with the variances of log b_crit by its seeds and by
    its tuning gap, and with `_choosing_seeds`.
    """
    size, median, counted = row["batch_size"], float(row["steps_median"]), row["seeds"]
    trials, seeds = resolved.trials_at(size), resolved.seeds_at(size)
    enough = min(row["choosing"] + math.ceil((1 + MORE) * counted), _MAX_SEEDS)
    more = enough - seeds - (resolved.replicates.confirm or 0)
    if more > 0:
        yield Option(
            grant=Grant(batch_size=size, trials=trials, seeds=seeds + more),
            narrows=row["by_seeds"] * (1 - counted / (enough - row["choosing"])),
            steps=more * median,
        )
    searched = len(resolved.ranges)
    if row["by_gap"] > 0 and searched:
        grant = more_trials(resolved, size)
        more = grant.trials - trials
        # near a smooth optimum the gap falls as trials^(-2 / searched)
        left = (trials / grant.trials) ** (4 / searched)
        yield Option(
            grant=grant,
            narrows=row["by_gap"] * (1 - left),
            # lanes run to the cap of their race, and a new best point needs its own seeds
            steps=(more * resolved.race.slack + resolved.replicates.measuring) * median,
        )


def worth_measuring(resolved: ResolvedStudy, analysis: Analysis) -> list[int]:
    """Return the batch sizes that a study may add, near those that reached the target.

    None lies beyond one that missed the target, because it would miss it too.
    """
    sizes, missed = analysis.reached["batch_size"], analysis.table["steps"].isna()
    if sizes.empty:
        return []
    low, high = int(sizes.min()), int(sizes.max())
    walls = analysis.table.loc[missed, "batch_size"]
    least = max([low // _REACH, *walls[walls < low]])
    most = min([high * _REACH, *walls[walls > high]])
    return [size for size in resolved.unmeasured if least <= size <= most]


def planned(resolved: ResolvedStudy, batch_size: int) -> Grant:
    """Return the trials and seeds of a new batch size."""
    search, replicates = resolved.search, resolved.replicates
    return Grant(batch_size=batch_size, trials=search.trials, seeds=replicates.seeds)


def more_trials(resolved: ResolvedStudy, batch_size: int) -> Grant:
    """Return half as many trials again at a batch size, in whole cohorts."""
    trials, lanes = resolved.trials_at(batch_size), resolved.lanes_at(batch_size)
    return Grant(
        batch_size=batch_size,
        trials=trials + lanes * math.ceil(MORE * trials / lanes),
        seeds=resolved.seeds_at(batch_size),
    )


def _choosing_seeds(analysis: Analysis) -> Mapping[int, int]:
    """Return how many seeds of the best point chose it at each batch size.

    These are as many as the next best point has, 0 without one. They do not count in the median
    once there are others.
    """
    runs = analysis.study.trials[analysis.study.trials["role"] == "replicate"]
    counts = runs.groupby(["batch_size", "source_role", "source_trial"]).size()
    return {
        int(str(size)): int(some.nlargest(2).iloc[1]) if len(some) > 1 else 0
        for size, some in counts.groupby("batch_size")
    }


def _variances_over_seeds(analysis: Analysis) -> Mapping[int, float]:
    """Return the variance of log steps over the seeds of one point at each batch size.

    Few seeds determine it poorly, so it is shrunk toward the variance pooled over batch sizes.
    """
    runs = representative_runs(analysis.study)
    runs = runs[runs["steps"].notna()]
    runs = runs.assign(log=np.log(runs["steps"].to_numpy(np.float64)))
    seeds = runs.groupby("batch_size")["log"]
    freedom = seeds.size() - 1
    squares = seeds.var(ddof=0) * seeds.size()
    pooled = squares.sum() / max(freedom.sum(), 1)
    shrunk = (squares + _POOLED * pooled) / (freedom + _POOLED)
    return {int(str(size)): float(variance) for size, variance in shrunk.items()}


def _gap_variance(analysis: Analysis, size: float) -> float:
    """Return the variance of the log tuning gap at a batch size; 0 where it is unknown.

    For an adaptive search, the gap's standard deviation is taken as half of what the second half of
    its trials gained: in simulated studies as many trials again gained half as much.
    """
    gap = None if analysis.tuning is None else analysis.tuning.gaps.get(size)
    if gap is None:
        gains = analysis.search.set_index("batch_size").get("late_gain", pd.Series(dtype=float))
        return (math.log1p(float(gains.dropna().get(int(size), 0.0))) / 2) ** 2
    low, high = (math.log1p(gap.excess(level)) for level in (0.16, 0.84))
    return ((high - low) / 2) ** 2
