"""Which points get fresh seeds, and that the seeds that chose one do not count for it."""

import numpy as np
import pandas as pd

from analysis.measures.replicates import unbiased_runs
from study.config.until import Grant
from study.records import Role
from tests.study.search import made_searches
from tests.study.search.made_searches import missed, reached


def lucky(size, point):
    """All points are alike: what differs is luck, of 30 %."""
    return reached(round(1000 * np.exp(0.3 * np.random.default_rng(point.seed).standard_normal())))


def grown(study):
    """Return the trials of a search that goes on twice, with more seeds each time."""
    results = []
    for trials, seeds in ((4, 3), (8, 6), (16, 12)):
        granted = study.with_grants([Grant(batch_size=4, trials=trials, seeds=seeds)])
        _, results = made_searches.sweep(granted, results, ends=lucky)
    return results


def test_no_winners_curse_where_a_search_goes_on(make_study):
    found, fewest, counts = [], [], []
    for seed in range(50):
        study = make_study(
            batch_sizes=[4], search={"trials": 4}, replicates={"seeds": 3}, seed=seed
        )
        rows = [
            {
                "batch_size": r.batch_size,
                "trial": r.point.trial,
                "role": r.point.role,
                "replicate_of": r.point.source and f"search {r.point.source.trial}",
                "steps": r.outcome.steps,
            }
            for r in grown(study)
        ]
        trials = pd.DataFrame(rows)
        again = trials[trials["role"] == Role.REPLICATE]
        counted = unbiased_runs(again, planned=3)
        found.append(np.log(counted["steps"].median() / 1000))
        fewest.append(np.log(trials["steps"].min() / 1000))
        counts.append((again["replicate_of"].nunique(), len(counted), len(again)))
    points, counted, total = np.mean(counts, axis=0)
    assert np.mean(fewest) < -0.5
    assert abs(np.mean(found)) < 0.035
    # points that came later and were no better have cost few seeds
    assert points > 1.5
    assert counted > total / 3


def test_further_seeds_of_a_lucky_trial_go_beyond_the_cap_of_earlier_ones(make_study):
    def ends(size, point):
        return missed(80) if point.role is Role.REPLICATE else reached(20)

    study = make_study(batch_sizes=[4], search={"trials": 4}, replicates={"seeds": 3})
    (*_, first), results = made_searches.sweep(study, ends=ends)
    granted = study.with_grants([Grant(batch_size=4, trials=4, seeds=5)])
    (further,), _ = made_searches.sweep(granted, results, ends=ends)
    assert (len(first.points), first.best_steps) == (3, 20)
    assert (len(further.points), further.best_steps) == (2, 80)
