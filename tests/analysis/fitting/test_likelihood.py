import math

import numpy as np
import pytest
from scipy import optimize, stats

from analysis.fitting.likelihood import (
    NOISES,
    accepted_locations,
    maximize,
    threshold,
)

FAMILIES = {"log-normal": stats.norm, "log-logistic": stats.logistic}
VALUES = np.array([0.3, 1.9, 1.1, 0.2, 2.4, 0.9, 1.0])
MASKS = {
    "no miss": np.zeros(7, bool),
    "two misses": np.isin(np.arange(7), [1, 4]),
    "most missed": np.arange(7) > 1,
}


def log_likelihood(where, scale, values, missed, family):
    z = (values - where) / scale
    seen = family.logpdf(z[~missed]) - math.log(scale)
    return seen.sum() + family.logsf(z[missed]).sum()


def best_scale(where, values, missed, family):
    found = optimize.minimize_scalar(
        lambda log_scale: -log_likelihood(where, math.exp(log_scale), values, missed, family),
        bounds=(-4, 6),
        method="bounded",
        options={"xatol": 1e-9},
    )
    return -found.fun


@pytest.mark.parametrize("name", NOISES)
@pytest.mark.parametrize("missed", MASKS.values(), ids=MASKS)
def test_maximum_is_where_a_search_finds_it(name, missed):
    found = maximize(VALUES, missed, NOISES[name])
    searched = optimize.minimize(
        lambda at: -log_likelihood(at[0], math.exp(at[1]), VALUES, missed, FAMILIES[name]),
        [1.0, 0.0],
        method="Nelder-Mead",
        options={"xatol": 1e-8, "fatol": 1e-12, "maxiter": 2000},
    )
    assert float(found.log_likelihood) == pytest.approx(-searched.fun, abs=1e-8)
    assert float(found.location) == pytest.approx(searched.x[0], abs=1e-4)
    assert float(found.scale) == pytest.approx(math.exp(searched.x[1]), rel=1e-4)


@pytest.mark.parametrize("name", NOISES)
@pytest.mark.parametrize("missed", MASKS.values(), ids=MASKS)
def test_accepted_locations_end_on_the_threshold(name, missed):
    least = float(maximize(VALUES, missed, NOISES[name]).log_likelihood) - 1.7
    for end in accepted_locations(VALUES, missed, NOISES[name], least):
        profile = best_scale(float(end), VALUES, missed, FAMILIES[name])
        assert profile == pytest.approx(least, abs=1e-3)


@pytest.mark.parametrize("name", NOISES)
def test_rows_do_not_mix(name):
    rows = np.random.default_rng(2).standard_normal((6, 7)) * np.geomspace(0.01, 100, 6)[:, None]
    missed = MASKS["two misses"]
    together = maximize(rows, missed, NOISES[name])
    for index, row in enumerate(rows):
        alone = maximize(row, missed, NOISES[name])
        assert float(alone.location) == pytest.approx(together.location[index], rel=1e-4)
        assert float(alone.scale) == pytest.approx(together.scale[index], rel=1e-4)


def test_misses_far_away_and_equal_values_still_have_a_maximum():
    for bound in (-30.0, 1.0, 30.0):
        found = maximize(np.array([1.0, 1.0, 1.0, bound]), np.arange(4) == 3, NOISES["log-normal"])
        assert math.isfinite(float(found.log_likelihood))
        assert float(found.location) >= 1 - 1e-6


@pytest.mark.parametrize("name", NOISES)
def test_noise_families_match_scipy(name):
    noise, family = NOISES[name], FAMILIES[name]
    z = np.linspace(-6, 6, 13)
    for terms, expected in ((noise.density, family.logpdf), (noise.survival, family.logsf)):
        value, first, second = terms(z)
        assert value == pytest.approx(expected(z))
        step = 1e-5
        assert first == pytest.approx((expected(z + step) - expected(z - step)) / 2e-5, abs=1e-6)
        after, before = terms(z + step)[1], terms(z - step)[1]
        assert second == pytest.approx((after - before) / 2e-5, abs=1e-6)
    assert noise.std == pytest.approx(family.std())
    draws = noise.sample(np.random.default_rng(1), (4, 5000))
    assert draws.shape == (4, 5000)
    assert draws.std() == pytest.approx(noise.std, rel=0.03)


def test_threshold_tends_to_chi_squared():
    assert threshold(10**6, 3, 0.95) == pytest.approx(stats.chi2.ppf(0.95, 1) / 2, rel=1e-4)
