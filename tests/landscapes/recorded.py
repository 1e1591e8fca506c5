"""Simulated studies of real training: shares of the trials of the studies in `results/reference`.

A study draws some of the trials at each batch size. Fresh seeds of its best point scatter about its
steps as the recorded replicates scatter about their medians. What all trials find stands in for the
truth, which is not known. Run `python -m tests.landscapes.recorded` in the repository.
"""

from functools import cache
from pathlib import Path

import numpy as np

from analysis.measures.targets import search_trials
from analysis.report.summary import analyze
from analysis.tables.folder import ResultsFolder
from analysis.tables.study import read_study
from tests.landscapes.judge import Judgment, b_crits
from tests.landscapes.studies import SEEDS, SLACK, study_of

REFERENCE = Path(__file__).parents[2] / "results" / "reference"
HELD_OUT = ("digits", "momentum/optimizer-sgd", "momentum/optimizer-nesterov")
"""All of them: nothing was chosen on recorded landscapes."""


@cache
def recorded(name):
    """Return a recorded study and the deviations of its seeds from their medians, in log steps."""
    study = read_study(ResultsFolder.at(REFERENCE / name))
    runs = study.trials.query("role == 'replicate' and status == 'reached'")
    logs = np.log(runs["steps"].astype(float))
    point = [runs["batch_size"], runs["source_role"], runs["source_trial"]]
    return study, (logs - logs.groupby(point).transform("median")).to_numpy()


@cache
def found_by_all(name):
    """Return b_crit of the whole recorded study."""
    return analyze(recorded(name)[0]).b_crit.estimate.value


def simulated(name, number, share=0.5):
    """Return a study of a random share of the trials of a recorded one."""
    study, deviations = recorded(name)
    rng = np.random.default_rng(number)
    sizes, searched, fresh, caps = [], [], [], []
    for size, trials in search_trials(study).groupby("batch_size"):
        some = trials.sample(round(share * len(trials)), random_state=rng)
        steps = some["steps"].astype(float).fillna(np.inf).to_numpy()
        if np.isinf(steps).all():
            continue
        best = steps.argmin()
        sizes.append(int(size))
        searched.append((steps, best))
        fresh.append(np.ceil(steps[best] * np.exp(rng.choice(deviations, SEEDS))))
        # later, trials of the recorded race were not followed
        caps.append(SLACK * float(trials["steps"].min()))
    options = {"optimizer": study.config["optimizer"], "space": study.space}
    return study_of(sizes, searched, fresh, caps, target=study.target, **options)


def judged(name, numbers=range(50), share=0.5):
    """Return what simulated studies found of b_crit, as shares of what all trials find."""
    truth, rows = found_by_all(name), []
    for number in numbers:
        found = b_crits(simulated(name, number, share))[1].estimate
        rows.append([found.value / truth, found.low / truth, found.high / truth])
    return Judgment(np.array(rows))


def print_table():
    """Print one row per landscape."""
    print("| recorded study | error | coverage | width |\n| :-- | --: | --: | --: |")
    for name in HELD_OUT:
        found = judged(name)
        print(f"| {name} | {found.error:.0%} | {found.coverage:.0%} | {found.width:.1f} |")


if __name__ == "__main__":
    print_table()
