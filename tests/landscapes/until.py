"""Whether `[until]` stops at the precision asked for, and for how many steps: a table for docs.

Run `python -m tests.landscapes.until STUDIES` in the repository: some seconds for each study; with
`noisy` after it, of a search that learns where seeds scatter strongly, without the last column.
"""

import sys
from dataclasses import replace
from itertools import product

import numpy as np

from analysis.report.summary import analyze
from study.config.until import UntilConfig
from study.search.narrowing import half_width
from study.search.until import Spent, next_grants
from tests.landscapes.judge_searches import Setting
from tests.landscapes.quadratic import HELD_OUT, TUNED_ON, true_b_crit
from tests.landscapes.races import run_study
from tests.landscapes.studies import NOISE
from tests.landscapes.whole import tables

PLAN = Setting("halton", 32, 32)
SEEDS = 3
"""The plan of each study, which is run first."""
ASKED = (0.25, 0.15)
NOISY_PLAN, NOISY_TOP, NOISY_ASKED = Setting("shared", 32, 16, prune=True), 3, (0.3,)


def noisy(batch_size):
    """Return a spread of seeds such as that of small networks: 40 % at small batch sizes."""
    return 0.05 + 0.35 / (1 + (batch_size / 64) ** 2)


def ended(landscape, asked, number, plan=PLAN, top=1, noise=NOISE):
    """Return the half-width, whether the interval holds the truth, steps, and those of the plan."""
    study = plan.study(landscape, number, SEEDS)
    until = UntilConfig(b_crit=asked, trial_steps=10**9)
    replicates = study.replicates.model_copy(update={"top": top})
    study = study.model_copy(update={"until": until, "replicates": replicates})
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
    return half_width(b_crit), held, spent.steps, planned


def evenly(landscape, width, number):
    """Return the steps that equal seeds and trials need for an interval as narrow; none past 8x."""
    for times in (1, 1.5, 2, 3, 4, 6, 8):
        setting = replace(PLAN, trials=round(PLAN.trials * times))
        study = setting.study(landscape, number, round(SEEDS * times))
        results = [r for some in run_study(study, landscape).values() for r in some]
        if half_width(analyze(tables(study, results)).critical["b_crit"].estimate) <= width:
            return Spent.of(results).steps
    return np.inf


def print_table(studies):
    """Print one row for each half-width asked for."""
    print("| asked | studies | reached | half-width | coverage | steps / plan | equal / `until` |")
    print("| --: | --: | --: | --: | --: | --: | --: |")
    for asked in ASKED:
        rows = []
        for number in range(studies):
            landscape = HELD_OUT[-1]
            width, held, steps, planned = ended(landscape, asked, number)
            even = evenly(landscape, max(width, asked), number)
            rows.append([width <= asked, width, held, steps / planned, even / steps])
            print(asked, number, rows[-1], file=sys.stderr, flush=True)
        reached, width, held, more, equal = np.array(rows, float).T
        print(
            f"| {asked} | {studies} | {reached.mean():.0%} | {np.median(width):.2f} | "
            f"{held.mean():.0%} | {np.median(more):.1f} | {np.median(equal):.1f} |",
            flush=True,
        )


def print_noisy(studies):
    """Print a line for each study where seeds scatter strongly."""
    for asked, number in product(NOISY_ASKED, range(studies)):
        width, held, steps, planned = ended(
            TUNED_ON[-2], asked, number, NOISY_PLAN, NOISY_TOP, noisy
        )
        print(f"| {asked} | {number} | {width:.2f} | {held} | {steps / planned:.1f} |", flush=True)


if __name__ == "__main__":
    print_noisy(int(sys.argv[1])) if "noisy" in sys.argv else print_table(int(sys.argv[1]))
