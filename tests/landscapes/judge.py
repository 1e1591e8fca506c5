"""How well b_crit is found on the bank, without and with under-tuning: the table of docs/method.md.

Run `python -m tests.landscapes.judge` in the repository.
"""

from dataclasses import dataclass

import numpy as np

from analysis.fitting.fit import fit
from analysis.fitting.tuned import tuned_b_crit
from analysis.measures.replicates import fitted_points, with_replicates
from analysis.measures.targets import steps_to_target
from analysis.search_quality.tuning import tuning_gaps
from tests.landscapes.quadratic import HELD_OUT, SETS, TUNED_ON, true_b_crit
from tests.landscapes.studies import simulated_study

_HEADINGS = "error | coverage | width"
_NAMES = {"sgd": "SGD", "heavy-ball": "heavy ball"}


@dataclass(frozen=True)
class Judgment:
    """Estimates of one b_crit as shares of the truth: value, low and high, shape (studies, 3)."""

    shares: np.ndarray

    @property
    def ratio(self):
        """The median of the value over the truth."""
        return float(np.median(self.shares[:, 0]))

    @property
    def error(self):
        """The median of |value / truth - 1|."""
        return float(np.median(np.abs(self.shares[:, 0] - 1)))

    @property
    def coverage(self):
        """The share of studies whose interval holds the truth."""
        return float(((self.shares[:, 1] <= 1) & (self.shares[:, 2] >= 1)).mean())

    @property
    def width(self):
        """The median of the interval's upper end over the lower one."""
        with np.errstate(divide="ignore"):
            return float(np.median(self.shares[:, 2] / self.shares[:, 1]))


def judged(landscapes, numbers=range(SETS)):
    """Return the judgments of b_crit without and with under-tuning over simulated studies."""
    found = []
    for landscape in landscapes:
        truth = true_b_crit(landscape)
        for number in numbers:
            study = simulated_study(landscape, number)
            table = with_replicates(steps_to_target(study), study)
            fitted = fit(fitted_points(table))
            tuned = tuned_b_crit(fitted, tuning_gaps(study, table)[0])
            found.append(
                [[e.value / truth, e.low / truth, e.high / truth] for e in (fitted.b_crit, tuned)]
            )
    return tuple(Judgment(shares) for shares in np.array(found).swapaxes(0, 1))


def print_table():
    """Print one row per landscape, and one each for all tuned on and all held out."""
    print(f"| landscape | `b_crit`: {_HEADINGS} | `b_crit_tuned`: {_HEADINGS} |")
    print("| :-- | --: | --: | --: | --: | --: | --: |")
    for heading, landscapes in (("tuned on", TUNED_ON), ("held out", HELD_OUT)):
        judgments = [judged([landscape]) for landscape in landscapes]
        for at, pair in zip(landscapes, judgments, strict=True):
            _print_row(
                f"{_NAMES[at.optimizer]}, a = {at.a:g}, b = {at.b:g}, target {at.target:g}", pair
            )
        both = [
            Judgment(np.concatenate([j.shares for j in js])) for js in zip(*judgments, strict=True)
        ]
        _print_row(f"all {len(both[0].shares)} {heading}", both)


def _print_row(name, pair):
    cells = [f"{j.error:.0%} | {j.coverage:.0%} | {j.width:.1f}" for j in pair]
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    print_table()
