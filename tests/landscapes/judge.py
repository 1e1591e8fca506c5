"""How well b_crit is estimated on the bank, with the noise of seeds alone and with all of it.

Run `python -m tests.landscapes.judge` in the repository for the table of docs/method.md; with
`cost`, for the error against the number of trials.
"""

import sys
from dataclasses import dataclass

import numpy as np

from analysis.fitting.critical import SEEDS, b_crit_of
from analysis.fitting.fit import fit_all
from analysis.fitting.points import Points
from analysis.fitting.tuned import fit_best
from analysis.measures.replicates import fitted_points, with_replicates
from analysis.measures.targets import steps_to_target
from analysis.search_quality.tuning import tuning_of
from tests.landscapes.quadratic import (
    BATCH_SIZES,
    HELD_OUT,
    SETS,
    TUNED_ON,
    fewest_steps,
    searched_steps,
    true_b_crit,
)
from tests.landscapes.studies import simulated_study

COST_TRIALS, COST_SETS = (16, 64, 256), 10
_HEADINGS = "error | coverage | width"
_NAMES = {"sgd": "SGD", "heavy-ball": "heavy ball"}


@dataclass(frozen=True)
class Judgment:
    """Estimates relative to the truth: value, low and high, shape (studies, 3)."""

    shares: np.ndarray

    @property
    def ratio(self):
        """Median of value / truth."""
        return float(np.median(self.shares[:, 0]))

    @property
    def error(self):
        """Median of |value / truth - 1|."""
        return float(np.median(self.errors))

    @property
    def errors(self):
        """|value / truth - 1|, shape (studies,)."""
        return np.abs(self.shares[:, 0] - 1)

    @property
    def coverage(self):
        """Share of studies whose interval contains the truth."""
        return float(((self.shares[:, 1] <= 1) & (self.shares[:, 2] >= 1)).mean())

    @property
    def width(self):
        """Median ratio of the interval's ends."""
        with np.errstate(divide="ignore"):
            return float(np.median(self.shares[:, 2] / self.shares[:, 1]))


@dataclass(frozen=True)
class Judged:
    """Results of simulated studies.

    Attributes:
        seeds: b_crit of the points found, with the noise of seeds alone.
        b_crit: the headline.
        steps: |steps / truth - 1| of the estimated optima, shape (studies, batch sizes).
    """

    seeds: Judgment
    b_crit: Judgment
    steps: np.ndarray

    @classmethod
    def together(cls, parts):
        """Return the results of all parts."""
        seeds, b_crit = (
            Judgment(np.concatenate([getattr(part, name).shares for part in parts]))
            for name in ("seeds", "b_crit")
        )
        return cls(seeds, b_crit, np.concatenate([part.steps for part in parts]))


def b_crits(study):
    """Return the fits of a simulated study and its critical batch size."""
    table = with_replicates(steps_to_target(study), study)
    fits = fit_best(fitted_points(table), tuning_of(study, table).gaps)
    return fits, b_crit_of(fits)


def headline(batch_sizes, fewest):
    """Return the critical batch size of a study without noise that finds these steps."""
    return b_crit_of(fit_all(Points.of(np.array(batch_sizes), fewest))).estimate.value


def judged(landscapes, numbers=range(SETS), found=None):
    """Return the results of simulated studies of landscapes.

    Args:
        landscapes: the landscapes to search.
        numbers: numbers of the sets of points.
        found: exact steps by landscape, shape (batch sizes, sets, trials); None for the bank's own.
    """
    seeds, all_in, steps = [], [], []
    for landscape in landscapes:
        truth, fewest = true_b_crit(landscape), fewest_steps(landscape)
        for number in numbers:
            study = simulated_study(
                landscape, number, found=None if found is None else found[landscape][:, number]
            )
            fits, b_crit = b_crits(study)
            for rows, e in ((seeds, b_crit.parts[SEEDS]), (all_in, b_crit.estimate)):
                rows.append([e.value / truth, e.low / truth, e.high / truth])
            best = fits.best.predict(BATCH_SIZES) * np.exp(fits.best.residuals)
            steps.append(np.abs(best / fewest - 1))
    return Judged(Judgment(np.array(seeds)), Judgment(np.array(all_in)), np.array(steps))


def print_table():
    """Print a row for each landscape, for all that were tuned on, and for all held out."""
    print(f"| landscape | seeds alone: {_HEADINGS} | `b_crit`: {_HEADINGS} | steps: median, 90 % |")
    print("| :-- | --: | --: | --: | --: | --: | --: | --: |")
    for heading, landscapes in (("tuned on", TUNED_ON), ("held out", HELD_OUT)):
        found = [judged([landscape]) for landscape in landscapes]
        for at, one in zip(landscapes, found, strict=True):
            _print_row(
                f"{_NAMES[at.optimizer]}, a = {at.a:g}, b = {at.b:g}, target {at.target:g}", one
            )
        together = Judged.together(found)
        _print_row(f"all {len(together.steps)} {heading}", together)


def _print_row(name, found):
    cells = [
        f"{j.error:.0%} | {j.coverage:.0%} | {j.width:.1f}" for j in (found.seeds, found.b_crit)
    ]
    half, most = np.quantile(found.steps, [0.5, 0.9])
    print(f"| {name} | {' | '.join(cells)} | {half:.0%}, {most:.0%} |", flush=True)


def print_cost(landscapes=HELD_OUT):
    """Print error against the number of trials at each batch size."""
    print("| optimizer | trials | error of `b_crit` | coverage | width | steps: median, 90 % |")
    print("| :-- | --: | --: | --: | --: | --: |")
    for optimizer, name in _NAMES.items():
        of = [landscape for landscape in landscapes if landscape.optimizer == optimizer]
        # followed far enough for a race over the first few trials to apply its slack
        steps = {at: searched_steps(at, COST_SETS, max(COST_TRIALS), 6.0) for at in of}
        for trials in COST_TRIALS:
            few = {at: found[..., :trials] for at, found in steps.items()}
            found = judged(of, range(COST_SETS), few)
            half, most = np.quantile(found.steps, [0.5, 0.9])
            print(
                f"| {name} | {trials} | {found.b_crit.error:.0%} | {found.b_crit.coverage:.0%} | "
                f"{found.b_crit.width:.1f} | {half:.0%}, {most:.0%} |",
                flush=True,
            )


if __name__ == "__main__":
    print_cost() if "cost" in sys.argv else print_table()
