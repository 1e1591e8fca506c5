import numpy as np
import pytest

from study.search.queue import CohortQueue
from tests.landscapes.judge_searches import Setting, found, row
from tests.landscapes.quadratic import BATCH_SIZES, TUNED_ON, Landscape, steps_to_target
from tests.landscapes.races import made_study, raced, run_study

SMALL = Landscape("sgd", 1.0, 1.0, 0.05, dimension=10)


def test_a_race_ends_at_the_exact_steps_and_stops_the_others_at_the_cap():
    study = made_study(SMALL, "halton", 16, lanes=16)
    cohort = CohortQueue(study, []).take()
    results = raced(study, SMALL, cohort, noise=0.0)
    places = np.log([[r.point.values["lr"] / 1e-5] for r in results]) / np.log(4.0 / 1e-5)
    exact = steps_to_target(SMALL, cohort.batch_size, places, np.zeros(16, int))
    best = min(r.outcome.steps for r in results if r.outcome.steps)
    for result, steps in zip(results, exact, strict=True):
        if result.outcome.steps:
            assert result.outcome.steps == pytest.approx(steps, rel=0.05, abs=1)
        elif result.outcome.status == "capped":
            assert steps > 1.4 * best


def test_a_simulated_study_follows_from_its_seed():
    first, again, other = (
        run_study(made_study(SMALL, "shared", 8, lanes=4, seed=seed), SMALL) for seed in (1, 1, 2)
    )
    points = [[r.point for some in study.values() for r in some] for study in (first, again, other)]
    assert len(points[0]) == 8 * len(BATCH_SIZES)
    assert points[0] == points[1] != points[2]


@pytest.mark.slow
@pytest.mark.long
def test_a_shared_search_comes_closer_without_more_steps():
    settings = Setting("shared", 64, 16), Setting("halton", 128, 64)
    shared, halton = ([found(TUNED_ON[2], setting, n) for n in range(4)] for setting in settings)
    print(row(settings[0], shared), row(settings[1], halton), sep="\n")
    assert np.median([s.excess for s in shared]) < 0.7 * np.median([s.excess for s in halton])
    assert np.mean([s.cost for s in shared]) < np.mean([s.cost for s in halton])
