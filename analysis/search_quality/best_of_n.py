"""Best of N: what a search would have found with fewer trials, and whether more would help.

For each n, the expected fewest steps over n trials sampled without replacement from the N that were
run, exact over all subsets: the k-th fastest trial is the best of a subset with probability
C(N - k, n - 1) / C(N, n). Nothing is simulated. (The Tuning Playbook of Godbole et al. 2023 draws
the same curve by bootstrap, with replacement, which is biased: a resample repeats some trials.)

Assumption: exchangeable trials. That holds for random points, and nearly for quasi-random ones,
whose first n cover the box more evenly than a random n of them, so that the gain of more trials is
if anything overestimated. It fails for adaptive searches, whose later trials are better ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

SETTLED_GAIN = 0.05
"""A search is settled if half its trials would have needed less than 5 % more steps.

At a smooth optimum in two dimensions the expected excess over the true optimum falls as 1 / n, so
the gain of the last doubling is what remains to be gained; in one dimension, where it falls as
1 / n^2, a third of it remains. Simulated searches of 32 to 96 even points in two dimensions were
called settled in all but 0.3 % of cases at an expected excess of 1 or 2 %, in 61 % at 5 %, in 12 %
at most at 10 %, and never at 25 %. The criterion errs towards more trials: on the noisy quadratic
with SGD, one dimension, 100 trials are 3 % above the truth and still called falling."""
LEAST_REACH = 0.95
"""Least probability that half the trials hold one that reached, for a search to be settled: below,
the gain is too loose a bound. Five trials that reached suffice."""


MOST_NUMBERS = 500
"""Numbers of trials at which a best-of-N curve is known: a line through more looks the same."""


class SearchVerdict(StrEnum):
    """Whether more trials would lower the steps to target."""

    SETTLED = "settled"
    """The last doubling of trials gained less than `SETTLED_GAIN`."""
    FALLING = "still falling"
    """It gained more."""
    UNKNOWN = "unknown"
    """Too few trials reached the target, or the sampler is adaptive."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SearchSample:
    """The exchangeable trials of a search."""

    # steps to target of the trials that reached it, rising; shape (reached,)
    steps: NDArray[np.float64]
    trials: int  # number of trials, misses (exhausted, capped, pruned, diverged, failed) included
    # lower bound of the steps of every miss, >= the last of `steps`. A miss has no number of steps:
    # it ranks behind all trials that reached, and enters a mean with this bound, which makes the
    # mean a lower bound
    bound: float
    cut: bool = True  # whether some miss was stopped there; else misses would never have reached

    def none_of_fastest(self, n: int) -> NDArray[np.float64]:
        """Return the probability that n trials hold none of the k fastest, for k = 0, 1, ...

        It is C(N - k, n) / C(N, n), as a product of factors, which loses no digits; k goes up to
        the number that reached, n from 1 to `trials`.
        """
        k = np.arange(len(self.steps))
        factors = np.maximum(self.trials - n - k, 0) / (self.trials - k)
        return np.concatenate(([1.0], np.cumprod(factors)))

    def reach(self, n: int) -> float:
        """Return the probability that n trials hold one that reached the target."""
        return _reach(self.none_of_fastest(n))

    def mean(self, n: int) -> float:
        """Return the geometric mean of the fewest steps over n trials, 1 to `trials`.

        Steps vary by factors, so their logarithms are averaged. Subsets without a trial that
        reached enter with `bound`: the mean is a lower bound unless `reach` is 1.
        """
        return self._mean(self.none_of_fastest(n))

    def _mean(self, missing: NDArray[np.float64]) -> float:
        log_mean = -np.diff(missing) @ np.log(self.steps)
        return float(np.exp(log_mean + missing[-1] * np.log(self.bound)))

    def row(self, n: int) -> tuple[int, float, float | None, float | None]:
        """Return n, `reach`, `mean` and the median of the fewest steps over n trials.

        The mean is None if no trial reached, the median if over half the subsets miss. The median
        needs no bound for misses, but does not see the last doubling: half of all subsets of N / 2
        trials hold the very best one.
        """
        missing = self.none_of_fastest(n)
        mean = self._mean(missing) if len(self.steps) else None
        hits = np.flatnonzero(missing[1:] <= 0.5 + 1e-12)
        return n, _reach(missing), mean, float(self.steps[hits[0]]) if len(hits) else None

    @property
    def gain(self) -> float | None:
        """Share of more steps that half the trials would have needed; None if none reached.

        A lower bound, as the mean over half the trials is.
        """
        if not len(self.steps) or self.trials < 2:
            return None
        return self.mean(self.trials // 2) / self.mean(self.trials) - 1

    @property
    def verdict(self) -> SearchVerdict:
        """Whether more trials would lower the steps to target."""
        gain = self.gain
        if gain is not None and gain >= SETTLED_GAIN:
            return SearchVerdict.FALLING
        if gain is None or self.reach(self.trials // 2) < LEAST_REACH:
            return SearchVerdict.UNKNOWN
        return SearchVerdict.SETTLED


def _reach(missing: NDArray[np.float64]) -> float:
    return float(1 - missing[-1])


def search_sample(trials: pd.DataFrame) -> SearchSample:
    """Return the sample of the trials of one batch size, from `search_trials`.

    Its bound is where the first trial stopped that neither reached nor diverged or failed: all
    race, so none stopped before the last that reached. If a search was cut to its first trials,
    some were capped by a faster one that was dropped; they needed more steps than that too, and
    count as misses.

    A pruned trial did not reach the target by its last step, and more is not known. It counts as a
    miss that would have been slower than those kept, as pruning supposes: half the trials then seem
    to find less than they would have, so that the gain of more trials is if anything overestimated.
    """
    reached = trials["status"] == "reached"
    steps = np.sort(trials.loc[reached, "steps"].to_numpy(np.float64))
    stopped = trials.loc[trials["status"].isin(["capped", "exhausted"]), "stopped_at"]
    last = float(steps[-1]) if len(steps) else 1.0
    bound = last if stopped.empty else max(last, float(stopped.min()))
    return SearchSample(steps=steps, trials=len(trials), bound=bound, cut=not stopped.empty)


def spread_numbers(trials: int, most: int) -> list[int]:
    """Return numbers from 1 to `trials`, evenly in the logarithm, half and all among them."""
    spread = np.geomspace(1, trials, min(most, trials)).round().astype(int)
    return sorted({*spread.tolist(), trials // 2, trials})


def best_of_n(sample: SearchSample, sizes: Sequence[int] = ()) -> pd.DataFrame:
    """Return the best-of-N curve at some numbers of trials; by default from 1 to all.

    Of more than `MOST_NUMBERS` trials the default is `spread_numbers` of them.

    One row for each n: n, reach, steps (geometric mean, a lower bound where reach is below 1; null
    if no trial reached), median (null if over half the subsets miss).
    """
    if not sizes:
        every = range(1, sample.trials + 1)
        sizes = (
            every if sample.trials <= MOST_NUMBERS else spread_numbers(sample.trials, MOST_NUMBERS)
        )
    rows = [sample.row(n) for n in sizes]
    names = ["n", "reach", "steps", "median"]
    return pd.DataFrame(rows, columns=names).astype({"steps": "Float64", "median": "Float64"})
