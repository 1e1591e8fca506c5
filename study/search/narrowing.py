"""What would narrow the interval of b_crit: more seeds, more trials, new batch sizes.

Each option has the variance of log b_crit that it should take away, to first order, for a hyperbola
fitted by least squares: with steps of variance v_i, log b_crit has the sum of w_i^2 v_i, where w_i
are the `sensitivities` of the batch sizes.
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
"""Seeds or trials granted at once, as a share of those there are: so steps are few."""
_MOST_SEEDS = 1000
_NORMAL = 1.96  # of a 95 % interval
_POOLED = 4
"""Seeds as which the scatter at all batch sizes counts, beside that at one."""
_FAR = 8
"""Factor beyond the measured batch sizes within which the next one is chosen."""
_BEYOND = 2.0
"""Factor beyond the measured batch sizes at which a b_crit without a bound is taken to be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """A grant, how much of the variance of log b_crit it should take away, and its steps."""

    grant: Grant
    narrows: float
    steps: float

    @property
    def worth(self) -> float:
        """The variance taken away by one step."""
        return self.narrows / self.steps


def half_width(b_crit: Estimate) -> float:
    """Return the relative half-width of an interval: both ends lie within that factor, less 1.

    >>> round(half_width(Estimate(value=100.0, low=80.0, high=125.0)), 3)
    0.25
    """
    return math.sqrt(b_crit.high / b_crit.low) - 1 if b_crit.identified else math.inf


def _variance_of(b_crit: Estimate) -> float:
    """Return the variance of the logarithm that an interval has."""
    return (math.log1p(half_width(b_crit)) / _NORMAL) ** 2


@dataclass(frozen=True)
class Narrowing:
    """What can be granted in a study whose curve is fitted."""

    resolved: ResolvedStudy
    found: Analysis  # its analysis, with fits
    b_crit: Estimate  # its headline

    @property
    def by_noise(self) -> float:
        """The share of what is to be narrowed that seeds and trials account for."""
        known = self._of_seeds + self._of_gaps
        if not len(known):
            return 0.0
        # a single noisy point may be what hides the bound
        about_curve = float(known.max()) / self._scatter
        if not self.b_crit.identified:
            return about_curve
        parts = self.found.critical["b_crit"].parts
        # to first order, wide gaps move b_crit far less than they do
        without_form = _variance_of(parts.get(TUNING, parts[SEEDS])) / self._variance
        first_order = float((self._weights * known).sum()) / self._variance
        return max(first_order, min(about_curve, without_form))

    def at_measured(self) -> list[Option]:
        """Return more seeds and more trials at each batch size that has medians over seeds."""
        chose = _seeds_that_choose(self.found)
        options: list[Option] = []
        by_size = (self._weights * self._of_seeds, self._weights * self._of_gaps)
        for row, seeds, gap in zip(self._known.to_dict("records"), *by_size, strict=True):
            row["chose"] = chose.get(row["batch_size"], 0)
            options += _at(self.resolved, row, seeds, gap)
        return options

    def at_new(self) -> list[Option]:
        """Return the batch sizes that the study may add, each with the trials and seeds planned.

        Whatever seeds and trials leave of the variance is taken to be of each batch size, as that
        of points off the curve; so it falls as batch sizes are added.
        """
        study, known = self.resolved, self._of_seeds + self._of_gaps
        sizes = self._known["batch_size"].to_numpy(np.float64)
        if not len(sizes):
            return []
        left = max(self._variance - float((self._weights * known).sum()), 0.0)
        variances = known + left / self._weights.sum()
        now = float((self._weights * variances).sum())
        counts = self._known["seeds"].to_numpy(np.float64) / study.replicates.measuring
        typical = float(np.mean(self._of_seeds * counts) + np.median(self._of_gaps))
        with_new = np.append(variances, typical + left / self._weights.sum())
        searched = study.search.trials * study.race.slack
        return [
            Option(
                grant=planned(study, size),
                narrows=now - float(self._weights_of(np.append(sizes, size)) @ with_new),
                steps=(searched + study.replicates_at(size)) * float(self._hyperbola.predict(size)),
            )
            for size in worth_measuring(study, self.found)
        ]

    @property
    def _variance(self) -> float:
        """The variance of log b_crit."""
        if self.b_crit.identified:
            return _variance_of(self.b_crit)
        return float(self._weights.sum()) * self._scatter

    @property
    def _hyperbola(self) -> ScalingFit:
        """The curve of the points found."""
        assert self.found.fits is not None
        return (self.found.fits.found or self.found.fits)["hyperbola"]

    @property
    def _scatter(self) -> float:
        """The variance of log steps about the curve; some, where few points lie on it by chance."""
        return float(max(self._hyperbola.sigma, self.resolved.race.resolution) ** 2)

    @cached_property
    def _of_seeds(self) -> Floats:
        """The variance of the median log steps over seeds at each batch size."""
        spreads = _variances_of_seeds(self.found)
        spread = np.array([spreads.get(size, 0.0) for size in self._known["batch_size"]])
        of_medians: Floats = spread / self._known["seeds"].to_numpy(np.float64)
        return of_medians

    @cached_property
    def _of_gaps(self) -> Floats:
        """The variance of the log tuning gap at each batch size."""
        return np.array([_spread_of_gap(self.found, size) for size in self._known["batch_size"]])

    @cached_property
    def _known(self) -> pd.DataFrame:
        table = self.found.table
        known = table[table["steps"].notna() & table["steps_median"].notna()]
        return known if len(known) > 1 else known.iloc[:0]

    @cached_property
    def _weights(self) -> Floats:
        return self._weights_of(self._known["batch_size"].to_numpy(np.float64))

    def _weights_of(self, sizes: Floats) -> Floats:
        """Return the squared sensitivities of batch sizes."""
        squares: Floats = sensitivities(sizes, self._center) ** 2 if len(sizes) else sizes
        return squares

    @property
    def _center(self) -> float:
        """The most likely b_crit, not far from the batch sizes where the data do not bound it."""
        if self.b_crit.identified:
            return self.b_crit.value
        sizes = self._hyperbola.points.batch_sizes
        likely = math.exp(min(self._hyperbola.log_b_crit, math.log(_BEYOND * sizes.max())))
        return max(likely, float(sizes.min()) / _BEYOND)


def _at(
    resolved: ResolvedStudy, row: Mapping[Any, Any], by_seeds: float, by_gap: float
) -> Iterator[Option]:
    """Yield more seeds of the best point, and more trials of the search.

    Args:
        resolved: the study.
        row: of the batch size in the summary, with `_seeds_that_choose`.
        by_seeds: variance of log b_crit from the seeds there.
        by_gap: that from what its search has left.
    """
    size, median, counted = row["batch_size"], float(row["steps_median"]), row["seeds"]
    trials, seeds = resolved.trials_at(size), resolved.seeds_at(size)
    enough = min(row["chose"] + math.ceil((1 + MORE) * counted), _MOST_SEEDS)
    more = enough - seeds - (resolved.replicates.confirm or 0)
    if more > 0:
        yield Option(
            grant=Grant(batch_size=size, trials=trials, seeds=seeds + more),
            narrows=by_seeds * (1 - counted / (enough - row["chose"])),
            steps=more * median,
        )
    searched = len(resolved.ranges)
    if by_gap > 0 and searched:
        grant = more_trials(resolved, size)
        more = grant.trials - trials
        # near a smooth optimum the gap falls as trials^(-2 / searched)
        left = (trials / grant.trials) ** (4 / searched)
        yield Option(
            grant=grant,
            narrows=by_gap * (1 - left),
            # lanes of a race run to its cap, and a new best point has seeds of its own
            steps=(more * resolved.race.slack + resolved.replicates.measuring) * median,
        )


def worth_measuring(resolved: ResolvedStudy, found: Analysis) -> list[int]:
    """Return the batch sizes that a study may add, near those that reached the target.

    None lies beyond one that missed it, as it would miss it too.
    """
    sizes, missed = found.reached["batch_size"], found.table["steps"].isna()
    if sizes.empty:
        return []
    low, high = int(sizes.min()), int(sizes.max())
    walls = found.table.loc[missed, "batch_size"]
    least = max([low // _FAR, *walls[walls < low]])
    most = min([high * _FAR, *walls[walls > high]])
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
