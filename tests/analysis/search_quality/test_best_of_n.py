import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.search_quality.best_of_n import SearchSample, SearchVerdict, best_of_n, search_sample


def made_sample(steps, misses, slack=1.5):
    steps = np.sort(np.array(steps, dtype=float))
    bound = slack * steps[-1] if len(steps) else 100.0
    return SearchSample(steps=steps, trials=len(steps) + misses, bound=bound)


SAMPLES = st.builds(
    made_sample, st.lists(st.integers(1, 50), min_size=1, max_size=6), st.integers(0, 4)
)


def subsets(sample, n):
    """Return the fewest steps of every subset of n trials, infinite where all missed."""
    trials = [*sample.steps, *[math.inf] * (sample.trials - len(sample.steps))]
    return np.array([min(drawn) for drawn in combinations(trials, n)])


@settings(deadline=None)
@given(SAMPLES)
def test_it_is_the_exact_expectation_over_all_subsets(sample):
    for row in best_of_n(sample).itertuples(index=False):
        best = subsets(sample, row.n)
        assert row.reach == pytest.approx(np.isfinite(best).mean(), abs=1e-12)
        mean = np.exp(np.log(np.where(np.isfinite(best), best, sample.bound)).mean())
        assert row.steps == pytest.approx(mean)
        median = np.sort(best)[(len(best) + 1) // 2 - 1]  # half of the subsets are there by then
        assert (median if np.isfinite(median) else pd.NA) is row.median or row.median == median


@given(SAMPLES)
def test_more_trials_never_cost_steps_and_all_of_them_yield_the_minimum(sample):
    curve = best_of_n(sample)
    assert (curve["steps"].diff().dropna() <= 1e-9).all()
    assert (curve["reach"].diff().dropna() >= -1e-12).all()
    assert curve["steps"].iloc[-1] == pytest.approx(sample.steps[0])
    assert sample.gain is None or sample.gain >= -1e-12


@given(SAMPLES, st.floats(0.1, 10))
def test_the_gain_does_not_depend_on_the_unit_of_steps(sample, factor):
    scaled = SearchSample(
        steps=sample.steps * 10 * factor, trials=sample.trials, bound=sample.bound * 10 * factor
    )
    assert scaled.gain == (sample.gain if sample.gain is None else pytest.approx(sample.gain))


def test_known_values():
    # half of 4 trials: of the 6 pairs, 3 hold the 10, 2 more the 20, one neither
    sample = made_sample([10, 20], 2)
    assert sample.none_of_fastest(2).tolist() == pytest.approx([1, 1 / 2, 1 / 6])
    assert sample.reach(2) == pytest.approx(5 / 6)
    assert sample.mean(2) == pytest.approx((10**3 * 20**2 * 30) ** (1 / 6))
    assert sample.gain == pytest.approx(sample.mean(2) / 10 - 1)
    assert [sample.row(n)[3] for n in (1, 2, 4)] == [20, 10, 10]
    assert made_sample([10], 2).row(1)[3] is None


def test_digits_survive_many_trials():
    sample = made_sample(range(1, 2001), 3000)
    assert sample.mean(2500) == pytest.approx(
        np.exp(sum(np.log(range(1, 60)) / 2.0 ** np.arange(1, 60))), rel=1e-3
    )
    assert 0 <= sample.none_of_fastest(4999)[-1] < 1e-300


@pytest.mark.parametrize(
    ("sample", "verdict"),
    [
        (made_sample([100] * 6, 10), "settled"),
        (made_sample([100, 101, 102, 103, 104, 105], 10), "settled"),
        (made_sample([100, 115, 120, 125, 130], 10), "still falling"),
        (made_sample([100], 31), "still falling"),
        (made_sample([100], 31, slack=1.0), "unknown"),
        (made_sample([100, 100, 100, 100], 28), "unknown"),
        (made_sample([], 32), "unknown"),
        (made_sample([100], 0), "unknown"),
        (made_sample([], 0), "unknown"),
    ],
)
def test_verdicts(sample, verdict):
    assert sample.verdict is SearchVerdict(verdict)


def trials_table(*rows):
    return pd.DataFrame(rows, columns=["status", "steps", "stopped_at"]).astype({"steps": "Int64"})


def test_misses_rank_behind_all_that_reached():
    sample = search_sample(
        trials_table(
            ("capped", None, 150),
            ("reached", 120, 120),
            ("diverged", None, 7),
            ("reached", 100, 100),
            ("failed", None, 3),
            ("exhausted", None, 160),
        )
    )
    assert sample.steps.tolist() == [100, 120]
    assert (sample.trials, sample.bound) == (6, 150)
    assert search_sample(trials_table(("diverged", None, 7), ("reached", 5, 5))).bound == 5


def test_without_a_hit_the_curve_has_no_steps():
    curve = best_of_n(search_sample(trials_table(*[("exhausted", None, 400)] * 4)))
    assert curve["reach"].eq(0).all()
    assert curve[["steps", "median"]].isna().all(axis=None)


def verdicts(race, sample, points, curvature, trials):
    """Return verdicts on searches of log steps curvature x distance^2 from a random optimum."""
    found = []
    for seed in range(100):
        places = points(trials, 2, seed)
        optimum = np.random.default_rng([seed, 1]).uniform(0.2, 0.8, 2)
        steps, _ = race(np.log(1000) + curvature * ((places - optimum) ** 2).sum(1))
        found.append(sample(steps).verdict)
    return found


@pytest.mark.parametrize("trials", [32, 64, 96])
@pytest.mark.parametrize(
    ("excess", "verdict"), [(0.01, SearchVerdict.SETTLED), (0.25, SearchVerdict.FALLING)]
)
def test_dense_searches_are_settled_and_sparse_ones_still_falling(
    race, sample, points, excess, verdict, trials
):
    # even points leave the best one curvature / (pi x trials) above the optimum, in log steps
    curvature = excess * np.pi * trials
    assert (
        np.mean([found is verdict for found in verdicts(race, sample, points, curvature, trials)])
        >= 0.95
    )


@pytest.mark.slow
def test_heavy_ball_on_the_noisy_quadratic_is_still_falling_at_100_trials(
    heavy_ball, values, sample, points
):
    # the best of 100 trials takes 1.4 x the 15 steps of the true optimum at B = 65536
    box = {"lr": {"low": 1e-4, "high": 10.0}, "momentum": {"high": 0.999}}
    excess, falling = [], []
    for seed in range(40):
        hyper = values(points(100, 2, seed), box)
        steps, _, _ = heavy_ball(hyper["lr"], hyper["momentum"], 65536, 300)
        excess.append(np.nanmin(steps) / 15)
        falling.append(sample(steps).verdict is SearchVerdict.FALLING)
    assert 1.3 < np.median(excess) < 1.6
    assert np.mean(falling) >= 0.95
