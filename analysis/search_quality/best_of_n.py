"""Best of N: what a search would have found with fewer trials, and whether more would help.

For each n, the expected fewest steps over n of the N trials, sampled without replacement. It is
exact over all subsets, without simulation: the k-th fastest trial is the best of a subset with
probability C(N - k, n - 1) / C(N, n). (The Tuning Playbook of Godbole et al. 2023 computes the same
curve by bootstrap, which is biased, because a sample with replacement repeats some trials.)

Assumption: exchangeable trials. It holds for random points, and nearly for quasi-random ones: their
first n cover the box more evenly than a random n, so the gain of more trials is overestimated, if
anything. It fails for adaptive searches, whose later trials are better.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

SETTLED_GAIN = 0.05
"""A search is settled if half its trials would have needed less than 5 % more steps.

At a smooth optimum in two dimensions, the expected excess over the true optimum falls as 1 / n, so
what remains to be gained is as much as the last doubling gained; in one dimension, where it falls
as 1 / n^2, a third of that. Simulated searches of 32 to 96 even points in two dimensions were
called settled in at least 99.7 % of cases at an expected excess of 1 or 2 %, in 61 % at 5 %, in at
most 12 % at 10 %, and never at 25 %. The criterion errs towards more trials: with SGD on the noisy
quadratic, in one dimension, 100 trials are 3 % above the truth and still called falling."""
MIN_REACH = 0.95
"""Smallest probability, for a search to be settled, that half its trials include one that reached:
below it, the gain is too loose a bound. Five trials that reached suffice."""
MAX_NUMBERS = 500
"""Most numbers of trials on a best-of-N curve: more would look the same."""


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
    # lower bound of the steps of every miss, >= the last of `steps`. Misses rank behind all trials
    # that reached, and enter a mean with this bound, which makes it a lower bound too
    bound: float
    cut: bool = True  # whether a miss was stopped there; else misses would never have reached

    def none_of_fastest(self, n: int) -> NDArray[np.float64]:
        """Return the probability that n trials include none of the k fastest, for k = 0, 1, ...

        It is C(N - k, n) / C(N, n), as a product of factors, which loses no digits. The last k is
        the number that reached; n is from 1 to `trials`.
        """
        k = np.arange(len(self.steps))
        factors = np.maximum(self.trials - n - k, 0) / (self.trials - k)
        return np.concatenate(([1.0], np.cumprod(factors)))

    def reach(self, n: int) -> float:
        """Return the probability that n trials include one that reached the target."""
        return float(1 - self.none_of_fastest(n)[-1])

    def mean(self, n: int) -> float:
        """Return the geometric mean of the fewest steps over n trials, 1 to `trials`.

        Steps vary by factors, so logarithms are averaged. Subsets without a trial that reached
        enter with `bound`: the mean is a lower bound unless `reach` is 1.
        """
        return self._mean(self.none_of_fastest(n))

    def _mean(self, missing: NDArray[np.float64]) -> float:
        log_mean = -np.diff(missing) @ np.log(self.steps)
        return float(np.exp(log_mean + missing[-1] * np.log(self.bound)))

    def row(self, n: int) -> tuple[int, float, float | None, float | None]:
        """Return n, `reach`, `mean` and the median of the fewest steps over n trials.

        The mean is None if no trial reached, the median if over half the subsets miss. The median
        needs no bound for misses, but is blind to the last doubling: half of all subsets of N / 2
        trials include the very best one.
        """
        missing = self.none_of_fastest(n)
        mean = self._mean(missing) if len(self.steps) else None
        hits = np.flatnonzero(missing[1:] <= 0.5 + 1e-12)
        return n, float(1 - missing[-1]), mean, float(self.steps[hits[0]]) if len(hits) else None

    @property
    def gain(self) -> float | None:
        """Share of extra steps that half the trials would have needed; None if none reached.

        It is a lower bound if the mean over half the trials is.
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
        if gain is None or self.reach(self.trials // 2) < MIN_REACH:
            return SearchVerdict.UNKNOWN
        return SearchVerdict.SETTLED


def search_sample(trials: pd.DataFrame) -> SearchSample:
    """Return the sample of one batch size, given its trials from `search_trials`.

    The bound is the earliest stop of a trial that was capped or exhausted: all trials race, so none
    of these stopped before the last trial that reached. In a search cut to its first trials, some
    were capped by a faster trial that was dropped; they count as misses too.

    All that is known of a pruned trial is that it did not reach the target by its last step. It
    counts as a miss slower than those kept, as pruning assumes. Half the trials then seem to find
    less than they would have, so the gain of more trials is overestimated, if anything.
    """
    reached = trials["status"] == "reached"
    steps = np.sort(trials.loc[reached, "steps"].to_numpy(np.float64))
    stopped = trials.loc[trials["status"].isin(["capped", "exhausted"]), "stopped_at"]
    last = float(steps[-1]) if len(steps) else 1.0
    bound = last if stopped.empty else max(last, float(stopped.min()))
    return SearchSample(steps=steps, trials=len(trials), bound=bound, cut=not stopped.empty)


def spread_numbers(trials: int, most: int) -> list[int]:
    """Return numbers from 1 to `trials`, evenly spaced in the logarithm, with half and all."""
    spread = np.geomspace(1, trials, min(most, trials)).round().astype(int)
    return sorted({*spread.tolist(), trials // 2, trials})


def best_of_n(sample: SearchSample, sizes: Sequence[int] = ()) -> pd.DataFrame:
    """Return the best-of-N curve at some numbers of trials.

    By default at all from 1 on, or at `spread_numbers` if there are more than `MAX_NUMBERS`.

    Returns:
        One row for each n: n, reach, steps (geometric mean, a lower bound where reach is below 1;
        null if no trial reached), median (null if over half the subsets miss).
    """
    every = range(1, sample.trials + 1)
    default = every if len(every) <= MAX_NUMBERS else spread_numbers(len(every), MAX_NUMBERS)
    rows = [sample.row(n) for n in sizes or default]
    names = ["n", "reach", "steps", "median"]
    return pd.DataFrame(rows, columns=names).astype({"steps": "Float64", "median": "Float64"})
