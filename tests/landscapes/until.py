"""Whether `[until]` stops at the requested precision, and after how many steps: a table for docs.

Run `python -m tests.landscapes.until STUDIES` in the repository, which takes some minutes for each
study. With `noisy` after it, a search that learns is simulated with strongly scattered seeds, and
the last column is left out.
"""

import sys
from dataclasses import dataclass, replace
from functools import cache
from itertools import product

import numpy as np

from analysis.report.summary import analyze
from study.config.batch_sizes import spread
from study.config.until import UntilConfig
from study.search.narrowing import half_width
from study.search.until import Spent, next_grants
from tests.landscapes.judge_searches import Setting
from tests.landscapes.quadratic import BATCH_SIZES, HELD_OUT, TUNED_ON, true_b_crit
from tests.landscapes.races import run_study
from tests.landscapes.studies import NOISE
from tests.landscapes.whole import tables

PLAN = Setting("halton", 32, 32)
SEEDS = 3
"""Seeds in the plan of each study, which is run first."""
ASKED = (0.25, 0.15)
POWERS = tuple(2**power for power in range(2, 19))
"""Candidates of `batch_sizes = "auto"`: twice as many as `BATCH_SIZES`, with the same ends."""
NOISY_PLAN, NOISY_TOP, NOISY_ASKED = Setting("shared", 32, 16, prune=True), 3, (0.3,)


@dataclass(frozen=True)
class Ended:
    """End of a simulated sweep: half-width, whether the interval holds the truth, and costs."""

    width: float
    held: bool
    steps: int
    planned: int
    sizes: int


def noisy(batch_size):
    """Return a spread of seeds like that of small networks, 40 % at small batch sizes."""
    return 0.05 + 0.35 / (1 + (batch_size / 64) ** 2)


def ended(landscape, asked, number, plan=PLAN, top=1, noise=NOISE, auto=False):
    """Return the end of a sweep with `until`, which chooses the batch sizes if `auto`."""
    study = plan.study(landscape, number, SEEDS)
    until = UntilConfig(b_crit=asked, trial_steps=10**9)
    replicates = study.replicates.model_copy(update={"top": top})
    sizes = {"candidates": POWERS, "batch_sizes": spread(POWERS)} if auto else {}
    study = study.model_copy(update={"until": until, "replicates": replicates} | sizes)
    results, planned = None, 0
    while True:
        results = run_study(study, landscape, noise, recorded=results)
        everything = [result for some in results.values() for result in some]
        found, spent = analyze(tables(study, everything)), Spent.of(everything)
        planned = planned or spent.steps
        grants = next_grants(study, found, spent)
        if not grants.granted:
            break
        study = study.with_grants(grants.granted)
    b_crit = found.critical["b_crit"].estimate
    held = b_crit.low <= true_b_crit(landscape) <= b_crit.high
    return Ended(half_width(b_crit), held, spent.steps, planned, len(study.batch_sizes))


@cache
def evenly(landscape, times, number):
    """Return the half-width and the steps for a multiple of the plan's seeds and trials."""
    setting = replace(PLAN, trials=round(PLAN.trials * times))
    study = setting.study(landscape, number, round(SEEDS * times))
    results = [r for some in run_study(study, landscape).values() for r in some]
    b_crit = analyze(tables(study, results)).critical["b_crit"].estimate
    return half_width(b_crit), Spent.of(results).steps


def steps_evenly(landscape, width, number):
    """Return the steps that multiples of seeds and trials, up to 8, need for an equal interval."""
    tried = (evenly(landscape, times, number) for times in (1, 1.5, 2, 3, 4, 6, 8))
    return next((steps for found, steps in tried if found <= width), np.inf)


def print_table(studies):
    """Print a row for each requested half-width and choice of batch sizes."""
    print(
        "| asked | batch sizes | reached | half-width | coverage | measured | trial-steps | "
        "equal / `until` |"
    )
    print("| --: | :-- | --: | --: | --: | --: | --: | --: |")
    for asked, auto in product(ASKED, (False, True)):
        landscape, rows = HELD_OUT[-1], []
        for number in range(studies):
            end = ended(landscape, asked, number, auto=auto)
            even = steps_evenly(landscape, asked, number)
            rows.append([end.width, end.held, end.sizes, end.steps, even / end.steps])
            print(asked, auto, number, rows[-1], file=sys.stderr, flush=True)
        width, held, sizes, steps, equal = np.array(rows, float).T
        print(
            f"| {asked} | {'auto' if auto else len(BATCH_SIZES)} | "
            f"{(width <= asked).sum()} of {studies} | {np.median(width):.2f} | "
            f"{held.sum():.0f} of {studies} | {np.median(sizes):.0f} | {np.median(steps):,.0f} | "
            f"{np.median(equal):.1f} |",
            flush=True,
        )


def print_noisy(studies):
    """Print a line for each study with strongly scattered seeds."""
    for asked, number in product(NOISY_ASKED, range(studies)):
        end = ended(TUNED_ON[-2], asked, number, NOISY_PLAN, NOISY_TOP, noisy)
        more = end.steps / end.planned
        print(f"| {asked} | {number} | {end.width:.2f} | {end.held} | {more:.1f} |", flush=True)


if __name__ == "__main__":
    print_noisy(int(sys.argv[1])) if "noisy" in sys.argv else print_table(int(sys.argv[1]))
