"""Best of N: what a search would have found with fewer trials, and whether more would help.

For each n, the fewest steps over n trials drawn without replacement from the N that were run, as an
exact expectation over all subsets: the k-th fastest trial is the best of a subset with probability
C(N - k, n - 1) / C(N, n). Nothing is simulated. (The Tuning Playbook of Godbole et al. 2023 draws
the same curve by bootstrap, with replacement, which is biased: a draw holds some trials twice.)

It holds for samples whose trials are exchangeable: random points, and nearly quasi-random ones, of
which the first n cover the box more evenly than n of them drawn at random do, so that the gain is
if anything overstated. It does not hold for adaptive searches, where later trials are better ones.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.errors import AnalysisError

SETTLED_GAIN = 0.05
"""A search is settled where half its trials would have given less than 5 % more steps.

On a smooth optimum in two dimensions the expected excess over the true optimum falls as 1 / n, so
that the gain of the last doubling is what is still to be gained; in one dimension, where it falls
as 1 / n^2, a third of the gain is. On made searches of 32 to 96 even points in two dimensions: with
an expected excess of 1 or 2 % settled in all but 0.3 %, of 5 % in 61 %, of 10 % in 12 % at most, of
25 % in none. The rule errs towards more trials: on the noisy quadratic with SGD, one dimension,
100 trials are 3 % above the truth and still called falling."""
SURE_REACH = 0.95
"""With a lesser probability that half the trials hold one that reached, nothing is called settled:
the gain is then too loose a bound. Five trials that reached suffice."""


class SearchVerdict(StrEnum):
    """Whether more trials would lower the steps to target."""

    SETTLED = "settled"
    """The last doubling of trials gave less than `SETTLED_GAIN`."""
    FALLING = "still falling"
    """It gave more."""
    UNKNOWN = "unknown"
    """Too few trials reached the target, or the sample is not even."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sample:
    """The even sample of a search, fastest first.

    Attributes:
        steps: steps to target of the trials that reached it, rising; shape (reached,).
        trials: how many trials there are, misses (exhausted, capped, diverged, failed) included.
        bound: steps that every miss is taken to need at least, >= the last of `steps`. A miss has
            no number of steps; it stands behind all trials that reached, and enters a mean with
            this bound, so that the mean is a lower bound.
    """

    steps: NDArray[np.float64]
    trials: int
    bound: float

    def __post_init__(self) -> None:
        """Checks the order.

        Raises:
            AnalysisError: more trials reached than there are, or the order is broken.
        """
        rising = np.array([1.0, *self.steps, self.bound])
        if len(self.steps) > self.trials or not (np.diff(rising) >= 0).all():
            raise AnalysisError(
                "a sample must hold rising steps of at most all trials, from 1 up to the bound of "
                f"misses, got {len(self.steps)} of {self.trials} trials with steps "
                f"{self.steps.tolist()} and bound {self.bound:g}; sort them"
            )

    def outranked(self, n: int) -> NDArray[np.float64]:
        """Gives the probability that the best of n trials is none of the k fastest.

        It is C(N - k, n) / C(N, n), built up factor by factor, which loses no digits.

        Args:
            n: trials drawn, 1 to `trials`.

        Returns:
            Probabilities for k = 0, 1, ... up to the number that reached.

        Raises:
            AnalysisError: n is outside its range.
        """
        if not 1 <= n <= self.trials:
            raise AnalysisError(f"n must lie from 1 to {self.trials}, got {n}; draw what there is")
        at = np.arange(len(self.steps))
        factors = np.maximum(self.trials - n - at, 0) / (self.trials - at)
        return np.concatenate(([1.0], np.cumprod(factors)))

    def reach(self, n: int) -> float:
        """Gives the probability that n trials hold one that reached the target."""
        return float(1 - self.outranked(n)[-1])

    def mean(self, n: int) -> float:
        """Gives the geometric mean of the fewest steps over n trials.

        Steps vary by factors, so their logarithm is averaged. Subsets without a trial that reached
        enter with `bound`: the mean is a lower bound unless `reach` is 1.

        Args:
            n: trials drawn, 1 to `trials`.

        Returns:
            Steps, >= 1.
        """
        outranked = self.outranked(n)
        best = -np.diff(outranked) @ np.log(self.steps)
        return float(np.exp(best + outranked[-1] * np.log(self.bound)))

    def median(self, n: int) -> float | None:
        """Gives the least number of steps that half the subsets of n trials reach within.

        It needs no bound for the misses, but it is blind to the last doubling: half of all subsets
        of N / 2 trials hold the very best one.

        Args:
            n: trials drawn, 1 to `trials`.

        Returns:
            Steps; None where more than half the subsets hold no trial that reached.
        """
        hits = np.flatnonzero(self.outranked(n)[1:] <= 0.5 + 1e-12)
        return float(self.steps[hits[0]]) if len(hits) else None

    @property
    def gain(self) -> float | None:
        """How many more steps half the trials would have given, as a share; None without a hit.

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
        if gain is None or self.reach(self.trials // 2) < SURE_REACH:
            return SearchVerdict.UNKNOWN
        return SearchVerdict.SETTLED


def sample_of(trials: pd.DataFrame) -> Sample:
    """Gives the sample that trials of one batch size make.

    Args:
        trials: at least one trial, columns as `analysis.measures.targets.search_trials` gives them.

    Returns:
        The sample. Its bound is where the first trial stopped that neither reached nor broke: all
        race, so none stopped before the last that reached. Where a search was cut to its first
        trials, some stopped for the sake of a faster one that is no longer there; they needed more
        steps than that too, and count as misses.
    """
    reached = trials["status"] == "reached"
    steps = np.sort(trials.loc[reached, "steps"].to_numpy(np.float64))
    stopped = trials.loc[trials["status"].isin(["capped", "exhausted"]), "stopped_at"]
    last = float(steps[-1]) if len(steps) else 1.0
    bound = last if stopped.empty else max(last, float(stopped.min()))
    return Sample(steps=steps, trials=len(trials), bound=bound)


def best_of_n(sample: Sample) -> pd.DataFrame:
    """Gives the whole best-of-N curve.

    Args:
        sample: the sample.

    Returns:
        One row for each n from 1 to its trials: n, reach, steps (geometric mean, a lower bound
        where reach is below 1; null where no trial reached at all), median (null where more than
        half the subsets miss).
    """
    sizes = range(1, sample.trials + 1)
    hit = len(sample.steps) > 0
    return pd.DataFrame(
        {
            "n": list(sizes),
            "reach": [sample.reach(n) for n in sizes],
            "steps": [sample.mean(n) if hit else None for n in sizes],
            "median": [sample.median(n) for n in sizes],
        }
    ).astype({"steps": "Float64", "median": "Float64"})
