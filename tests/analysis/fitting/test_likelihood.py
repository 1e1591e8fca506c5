import math

import numpy as np
import pytest
from scipy import optimize, stats

from analysis.fitting.likelihood import Censoring, accepted_locations, maximize, threshold
from analysis.fitting.noises import NOISES

FAMILIES = {"log-normal": stats.norm, "log-logistic": stats.logistic}
VALUES = np.array([0.3, 1.9, 1.1, 0.2, 2.4, 0.9, 1.0])
MASKS = {
    "no miss": np.zeros(7, bool),
    "two misses": np.isin(np.arange(7), [1, 4]),
    "most missed": np.arange(7) > 1,
}
WIDTHS = {
    "exact": np.zeros(7),
    "brackets": np.array([0.3, 0.1, 0.9, 0.0, 0.2, 6.9, 0.05]),
    "narrow brackets": np.full(7, 1e-5),
}
CASES = [
    pytest.param(Censoring(missed=missed, widths=np.where(missed, 0.0, widths)), id=f"{one}, {two}")
    for one, missed in MASKS.items()
    for two, widths in WIDTHS.items()
]


def log_likelihood(where, scale, values, known, family):
    highs = (values - where) / scale
    lows = highs - known.widths / scale
    exact, missed = known.widths == 0, known.missed
    seen = family.logpdf(highs[exact & ~missed]) - math.log(scale)
    mirrored = lows + highs > 0
    highs, lows = np.where(mirrored, -lows, highs), np.where(mirrored, -highs, lows)
    inside = (family.cdf(highs) - family.cdf(lows))[~exact] / known.widths[~exact]
    beyond = family.logsf((values - where)[missed] / scale)
    return seen.sum() + np.log(inside).sum() + beyond.sum() - (known.least_scale / scale) ** 2 / 2


def best_scale(where, values, known, family):
    found = optimize.minimize_scalar(
        lambda log_scale: -log_likelihood(where, math.exp(log_scale), values, known, family),
        bounds=(-4, 6),
        method="bounded",
        options={"xatol": 1e-9},
    )
    return -found.fun


@pytest.mark.parametrize("name", NOISES)
@pytest.mark.parametrize("known", CASES)
def test_maximum_is_where_a_search_finds_it(name, known):
    found = maximize(VALUES, known, NOISES[name])
    searched = optimize.minimize(
        lambda at: -log_likelihood(at[0], math.exp(at[1]), VALUES, known, FAMILIES[name]),
        [1.0, 0.0],
        method="Nelder-Mead",
        options={"xatol": 1e-8, "fatol": 1e-12, "maxiter": 2000},
    )
    assert float(found.log_likelihood) == pytest.approx(-searched.fun, abs=1e-8)
    assert float(found.location) == pytest.approx(searched.x[0], abs=1e-4)
    assert float(found.scale) == pytest.approx(math.exp(searched.x[1]), rel=1e-4)


@pytest.mark.parametrize("name", NOISES)
@pytest.mark.parametrize("known", CASES)
def test_accepted_locations_end_on_the_threshold(name, known):
    least = float(maximize(VALUES, known, NOISES[name]).log_likelihood) - 1.7
    for end in accepted_locations(VALUES, known, NOISES[name], least):
        profile = best_scale(float(end), VALUES, known, FAMILIES[name])
        assert profile == pytest.approx(least, abs=1e-3)


@pytest.mark.parametrize("name", NOISES)
def test_rows_do_not_mix(name):
    rows = np.random.default_rng(2).standard_normal((6, 7)) * np.geomspace(0.01, 100, 6)[:, None]
    known = Censoring(missed=MASKS["two misses"], widths=np.zeros(7))
    together = maximize(rows, known, NOISES[name])
    for index, row in enumerate(rows):
        alone = maximize(row, known, NOISES[name])
        assert float(alone.location) == pytest.approx(together.location[index], rel=1e-4)
        assert float(alone.scale) == pytest.approx(together.scale[index], rel=1e-4)


def test_misses_far_away_and_equal_values_still_have_a_maximum():
    for bound in (-30.0, 1.0, 30.0):
        known = Censoring(missed=np.arange(4) == 3, widths=np.zeros(4))
        found = maximize(np.array([1.0, 1.0, 1.0, bound]), known, NOISES["log-normal"])
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


def test_threshold_tends_to_chi_squared():
    assert threshold(10**6, 3, 0.95) == pytest.approx(stats.chi2.ppf(0.95, 1) / 2, rel=1e-4)


@pytest.mark.parametrize("name", NOISES)
def test_brackets_match_scipy_in_either_tail(name):
    noise, family = NOISES[name], FAMILIES[name]
    low, high = np.array([-36.0, -3.0, -0.01, 2.0, 35.0]), np.array([-35.0, 1.0, 0.0, 2.3, 36.0])
    value, first, second = noise.bracket(low, high)
    mirrored = low + high > 0
    top, bottom = np.where(mirrored, -low, high), np.where(mirrored, -high, low)
    assert value == pytest.approx(np.log(family.cdf(top) - family.cdf(bottom)))
    step = 1e-6
    for end, change in enumerate(([step, 0], [0, step])):
        after, before = (noise.bracket(low + s * change[0], high + s * change[1]) for s in (1, -1))
        assert first[end] == pytest.approx((after[0] - before[0]) / (2 * step), rel=1e-4)
        slopes = (np.array(after[1]) - before[1]) / (2 * step)
        assert np.array(second[end : end + 2]) == pytest.approx(slopes, rel=1e-4, abs=1e-4)


def test_values_in_one_bracket_lie_in_its_middle():
    known = Censoring(missed=np.zeros(5, bool), widths=np.full(5, 0.1))
    found = maximize(np.full(5, 2.0), known, NOISES["log-normal"])
    assert float(found.location) == pytest.approx(1.95)
    least = float(found.log_likelihood) - threshold(5, 1, 0.95)
    ends = accepted_locations(np.full(5, 2.0), known, NOISES["log-normal"], least)
    assert ends == (pytest.approx(1.9, abs=0.01), pytest.approx(2.0, abs=0.01))
