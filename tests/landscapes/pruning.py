"""What pruning costs and saves on the bank: the table of docs/guide/races.md.

Run `python -m tests.landscapes.pruning` in the repository, which takes some minutes.
"""

from dataclasses import dataclass, replace

import numpy as np

from study.config.interpolation import interpolated
from study.engine.outcomes import judge
from study.engine.race import Race
from study.engine.stopping_rules import StoppingRules
from study.records import Status
from study.search.warm_start import inner_neighbor
from tests.landscapes.quadratic import BATCH_SIZES, HELD_OUT, TRIALS, TUNED_ON, lanes_of
from tests.landscapes.studies import SLACK, simulated_study

RUNGS = (0.25, 0.5)
OTHERS = ((0.5,), (0.25,), (0.25, 0.5, 0.75))
COHORT = 32
"""Trials that race together."""
RESOLUTION, MAX_STEPS = 0.03, 10**6


@dataclass(frozen=True)
class Raced:
    """The search of one set of points at one batch size.

    Attributes:
        first: fewest steps of its first cohort.
        fewest: fewest steps of all its cohorts.
        trial_steps: total steps of all trials.
        outcomes: outcome of each trial.
    """

    first: float
    fewest: float
    trial_steps: int
    outcomes: list


def raced(landscape, batch_size, number, rungs, carried):
    """Race the points of a set in cohorts, as a sweep hands them out."""
    fewest, first, total, ended = np.inf, np.inf, 0, []
    for start in range(0, TRIALS, COHORT):
        expected = carried if not start else int(first) if np.isfinite(first) else None
        rules = StoppingRules(
            target=landscape.target,
            max_steps=MAX_STEPS,
            slack=SLACK,
            resolution=RESOLUTION,
            best_steps=None if not np.isfinite(first) else int(first),
            ends_diverged=bool(rungs),
        )
        trials = slice(start, start + COHORT)
        lanes = lanes_of(landscape, batch_size, number, trials)
        race = Race(COHORT, rules.pruned(rungs, expected))
        while race.fruitless or not race.over:
            if race.fruitless:
                total += _trial_steps(race)
                lanes = lanes_of(landscape, batch_size, number, trials)
                race = Race(COHORT, rules)
            race.lap(lanes)
        total += _trial_steps(race)
        outcomes = [judge(run, race.rules)[1] for run in race.runs()]
        ended += outcomes
        best = min((o.steps for o in outcomes if o.steps is not None), default=np.inf)
        first, fewest = best if not start else first, min(fewest, best)
    return Raced(first, fewest, total, ended)


def _trial_steps(race):
    return sum(judge(run, race.rules)[1].stopped_at for run in race.runs())


def searched(landscape, number, rungs):
    """Return the searches of a set at every batch size, the middle one first."""
    found = {}
    middle = len(BATCH_SIZES) // 2
    for size in sorted(BATCH_SIZES, key=lambda s: abs(BATCH_SIZES.index(s) - middle)):
        known, inner = {}, inner_neighbor(BATCH_SIZES, size)
        while inner is not None:
            if np.isfinite(found[inner].first):
                known[inner] = int(found[inner].first)
            inner = inner_neighbor(BATCH_SIZES, inner)
        carried = interpolated(size, known) if known else None
        found[size] = raced(landscape, size, number, rungs, carried)
    return found


@dataclass(frozen=True)
class Judgment:
    """Searches with pruning relative to searches without, each of shape (searches,).

    Attributes:
        excess: ratio of the fewest steps, minus 1; 0 if the best trial was kept.
        share: ratio of the trial-steps.
    """

    excess: np.ndarray
    share: np.ndarray

    @property
    def lost(self):
        """Number of searches that lost their winner."""
        return int((self.excess > 0).sum())

    @property
    def times_fewer(self):
        """Factor by which pruning reduces trial-steps, with equal weight for each search."""
        return float(1 / self.share.mean())


def judged(landscapes, numbers, rungs=RUNGS):
    """Compare searches of some sets of points with and without pruning."""
    excess, share = [], []
    for landscape in landscapes:
        for number in numbers:
            whole, pruned = searched(landscape, number, ()), searched(landscape, number, rungs)
            for size, search in whole.items():
                excess.append(pruned[size].fewest / search.fewest - 1)
                share.append(pruned[size].trial_steps / search.trial_steps)
    return Judgment(np.array(excess), np.array(share))


def pruned_study(landscape, number):
    """Return the simulated study of a set, in which the trials that a race drops are pruned."""
    study = simulated_study(landscape, number)
    trials = study.trials.set_index(["batch_size", "role", "trial"])
    for size, search in searched(landscape, number, RUNGS).items():
        for trial, outcome in enumerate(search.outcomes):
            if outcome.status is Status.PRUNED:
                at = (size, "search", trial)
                trials.loc[at, ["status", "stopped_at"]] = ["pruned", outcome.stopped_at]
                trials.loc[at, ["steps", "steps_before"]] = None
    return replace(study, trials=trials.reset_index())


def print_table(numbers=range(8)):
    """Print a row for each landscape, and for some other rungs."""
    print("| landscape | rungs | winners lost | excess there | fewer trial-steps | at worst |")
    print("| :-- | :-- | --: | --: | --: | --: |")
    others = [(at, rungs) for at in TUNED_ON[:2] for rungs in OTHERS]
    for at, rungs in [*((at, RUNGS) for at in (*TUNED_ON, *HELD_OUT)), *others]:
        found = judged([at], numbers, rungs)
        worse = found.excess[found.excess > 0]
        excess = f"{np.median(worse):.0%}, {worse.max():.0%} at most" if worse.size else "-"
        print(
            f"| {at.optimizer}, a = {at.a:g}, b = {at.b:g}, target {at.target:g} | {list(rungs)} | "
            f"{found.lost} of {found.excess.size} | {excess} | {found.times_fewer:.2f} | "
            f"{1 / found.share.max():.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    print_table()
