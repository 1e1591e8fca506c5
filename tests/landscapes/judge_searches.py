"""How close samplers come to the optima of the bank, and at what cost: a table for the docs.

Run `python -m tests.landscapes.judge_searches` in the repository, with `held-out` for the held-out
landscapes. It simulates 18 studies of each setting, which takes some minutes.
"""

import sys
from dataclasses import dataclass

import numpy as np

from analysis.fitting.fit import fit
from analysis.fitting.points import Points
from study.config.space import Range
from tests.landscapes.quadratic import (
    HELD_OUT,
    TUNED_ON,
    fewest_steps,
    true_b_crit,
)
from tests.landscapes.races import made_study, run_study


@dataclass(frozen=True)
class Setting:
    """A sampler, its trials at each batch size, the lanes of a cohort, and whether it prunes."""

    sampler: str
    trials: int
    lanes: int
    prune: bool = False

    def __str__(self):
        return f"{self.sampler} {self.trials}{', pruned' * self.prune}"

    def study(self, landscape, seed, seeds=0):
        """Return the study of a landscape; `seeds` re-run each best point, None for the default."""
        return made_study(
            landscape,
            self.sampler,
            self.trials,
            lanes=self.lanes,
            seed=seed,
            seeds=seeds,
            prune=[0.25, 0.5] if self.prune else None,
        )


SETTINGS = (
    Setting("halton", 64, 64),
    Setting("halton", 128, 64),
    Setting("tpe", 64, 16),
    Setting("shared", 64, 16),
    Setting("shared", 96, 16),
    Setting("shared", 128, 16, prune=True),
)


@dataclass(frozen=True)
class Found:
    """Results of one study, relative to the truth.

    Attributes:
        excess: steps of the best point found over the fewest possible, minus 1; (batch sizes,).
        cost: trial-steps over the fewest steps, summed over batch sizes.
        b_crit: b_crit of the hyperbola through the points found, over the true one.
        held: whether the interval of that fit contains the truth.
    """

    excess: np.ndarray
    cost: float
    b_crit: float
    held: bool


def found(landscape, setting, seed):
    """Return the results of one simulated study, judged by the exact steps of its points."""
    results = run_study(setting.study(landscape, seed), landscape)
    fewest = fewest_steps(landscape)
    exact = np.array([_exact(landscape, size, some) for size, some in results.items()])
    spent = [sum(r.outcome.stopped_at for r in some) for some in results.values()]
    seen = np.isfinite(exact)
    b_crit = fit(Points.of(np.array(landscape.batch_sizes)[seen], exact[seen])).b_crit
    truth = true_b_crit(landscape)
    return Found(
        excess=exact / fewest - 1,
        cost=float((spent / fewest).sum()),
        b_crit=b_crit.value / truth,
        held=b_crit.low <= truth <= b_crit.high,
    )


def _exact(landscape, size, results):
    reached = [result for result in results if result.outcome.steps is not None]
    if not reached:
        return np.inf
    best = min(reached, key=lambda result: result.outcome.steps)
    place = [
        Range(**entry).position(best.point.values[name]) for name, entry in landscape.space.items()
    ]
    return landscape.steps(size, np.array([place]))[0]


def row(setting, studies):
    """Return the row of a setting."""
    excess = np.concatenate([study.excess for study in studies])
    off = np.abs(np.array([study.b_crit for study in studies]) - 1)
    middle, most = np.median(excess), np.quantile(excess, 0.9)
    held = np.mean([study.held for study in studies])
    cost = np.mean([study.cost for study in studies])
    return (
        f"| `{setting.sampler}`, {setting.trials} trials, cohorts of {setting.lanes}"
        f"{', pruned' * setting.prune} | "
        f"{cost:,.0f} | {middle:.0%} | {most:.0%} | {np.median(off):.0%} | {held:.0%} |"
    )


def print_table(landscapes, seeds):
    """Print a row for each setting over all landscapes."""
    print(
        "| search | trial-steps / fewest | excess: median | nine of ten | `b_crit`: error | held |"
    )
    print("| :-- | --: | --: | --: | --: | --: |")
    for setting in SETTINGS:
        studies = [found(at, setting, seed) for at in landscapes for seed in seeds]
        print(row(setting, studies), flush=True)


if __name__ == "__main__":
    print_table(HELD_OUT if "held-out" in sys.argv[1:] else TUNED_ON, range(100, 106))
