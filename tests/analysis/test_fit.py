import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.errors import AnalysisError
from analysis.fit import fit_hyperbola
from analysis.models import hyperbola

POWERS = 2.0 ** np.arange(1, 11)
DIGITS = np.array([600, 335, 198, 91, 49, 35, 32, 30, 22, 19])

# published steps to target at B = 2^6 .. 2^14 of Zhang et al. 2024, and their a and b/a
PUBLISHED = {
    "85M": ([46000, 23000, 13282, 7000, 3840, 2528, 1917, 1600, 1600], 1294, 2191),
    "151M": ([96000, 49000, 24000, 12000, 7128, 4350, 2940, 2400, 2300], 1752, 3240),
}
# noisy quadratic model, d = 100, tuned, B = 1, 4, .. 65536: exact steps to loss < 0.01
QUADRATIC = {
    "sgd": ([32108, 8050, 2037, 536, 169, 94, 77, 72, 70], 453),
    "heavy ball": ([30046, 6818, 1707, 426, 108, 31, 18, 15, 15], 2010),
    "nesterov": ([29965, 6760, 1648, 379, 82, 28, 21, 20, 20], 1411),
}


@pytest.mark.parametrize(("steps", "s_min", "b_crit"), PUBLISHED.values(), ids=PUBLISHED)
def test_published_curves(steps, s_min, b_crit):
    fit = fit_hyperbola(2 ** np.arange(6, 15), steps)
    assert round(fit.s_min.value) == s_min
    assert round(fit.b_crit.value) == b_crit
    assert np.abs(fit.residuals).max() < 0.095  # published as 6 to 9 %


@pytest.mark.parametrize(("steps", "b_crit"), QUADRATIC.values(), ids=QUADRATIC)
def test_noisy_quadratic_model(steps, b_crit):
    assert round(fit_hyperbola(4 ** np.arange(9), steps).b_crit.value) == b_crit


@pytest.mark.parametrize(("s_min", "e_min"), [(20, 1200), (3, 1e6), (1e4, 50)])
def test_exact_data_are_recovered(s_min, e_min):
    fit = fit_hyperbola(POWERS, hyperbola(POWERS, s_min, e_min))
    assert fit.s_min.value == pytest.approx(s_min, rel=1e-4)
    assert fit.e_min.value == pytest.approx(e_min, rel=1e-4)
    assert fit.b_crit.value == pytest.approx(e_min / s_min, rel=1e-4)
    assert fit.sigma < 1e-4
    assert fit.predict(POWERS) == pytest.approx(hyperbola(POWERS, s_min, e_min))


@pytest.mark.parametrize(
    ("sizes", "s_min", "e_min", "sigma"),
    [
        (2.0 ** np.arange(1, 11), 20, 1200, 0.1),
        (2.0 ** np.arange(1, 8), 20, 1200, 0.1),
        (2.0 ** np.arange(0, 17), 70, 32000, 0.2),
    ],
    ids=["ten", "seven, little plateau", "seventeen, noisy"],
)
def test_intervals_cover_at_the_stated_rate(sizes, s_min, e_min, sigma):
    rng = np.random.default_rng(99)
    truth = hyperbola(sizes, s_min, e_min)
    at_16 = float(hyperbola(16.0, s_min, e_min))
    covered = np.zeros(4)
    repeats = 2000
    for _ in range(repeats):
        fit = fit_hyperbola(sizes, truth * np.exp(sigma * rng.standard_normal(sizes.size)))
        low, high = fit.band([16.0])
        covered += [
            fit.s_min.low <= s_min <= fit.s_min.high,
            fit.e_min.low <= e_min <= fit.e_min.high,
            fit.b_crit.low <= e_min / s_min <= fit.b_crit.high,
            low[0] <= at_16 <= high[0],
        ]
    assert (covered / repeats > 0.93).all(), covered
    assert (covered / repeats < 0.97).all(), covered


def test_sigma_is_the_spread_of_the_noise():
    rng = np.random.default_rng(3)
    truth = hyperbola(POWERS, 20, 1200)
    variances = [
        fit_hyperbola(POWERS, truth * np.exp(0.1 * rng.standard_normal(POWERS.size))).sigma ** 2
        for _ in range(300)
    ]
    assert math.sqrt(np.mean(variances)) == pytest.approx(0.1, rel=0.05)


def test_a_higher_level_gives_a_wider_interval():
    narrow, wide = (fit_hyperbola(POWERS, DIGITS, level=level) for level in (0.5, 0.95))
    assert wide.b_crit.low < narrow.b_crit.low < narrow.b_crit.value
    assert narrow.b_crit.value < narrow.b_crit.high < wide.b_crit.high


def test_interval_ends_lie_on_the_threshold():
    fit = fit_hyperbola(POWERS, DIGITS)
    # F quantile 0.95 of (1, 8) degrees of freedom, from a printed table
    threshold = np.square(fit.residuals).sum() * (1 + 5.318 / 8)
    for b_crit in (fit.b_crit.low, fit.b_crit.high):
        rest = np.log(DIGITS) - np.log1p(b_crit / POWERS)
        assert np.square(rest - rest.mean()).sum() == pytest.approx(threshold, rel=1e-3)


def test_perfect_scaling_alone_does_not_identify_the_plateau():
    fit = fit_hyperbola([1, 2, 4, 8], [800, 400, 200, 100])
    assert fit.s_min.value == fit.s_min.low == 0
    assert fit.b_crit.value == fit.b_crit.high == math.inf
    assert not fit.s_min.identified
    assert not fit.b_crit.identified
    assert fit.e_min.identified
    assert fit.e_min.value == pytest.approx(800)
    assert fit.predict([16]) == pytest.approx(50)
    assert "b_crit >" in fit.b_crit.text("b_crit")


def test_a_plateau_alone_does_not_identify_perfect_scaling():
    fit = fit_hyperbola([64, 128, 256, 512], [100, 100, 100, 100])
    assert fit.e_min.value == fit.b_crit.value == 0
    assert not fit.e_min.identified
    assert fit.s_min.identified
    assert fit.predict([16]) == pytest.approx(100)
    assert "b_crit <" in fit.b_crit.text("b_crit")


def test_noise_may_leave_an_end_open_while_the_value_is_finite():
    fit = fit_hyperbola([2, 4, 8, 16], [620, 290, 160, 84])
    assert math.isfinite(fit.b_crit.value)
    assert fit.b_crit.high == math.inf
    assert fit.s_min.low == 0
    assert math.isfinite(fit.e_min.high)


def test_band_holds_the_curve_and_narrows_between_points():
    fit = fit_hyperbola(POWERS, DIGITS)
    low, high = fit.band(POWERS)
    assert (low < fit.predict(POWERS)).all()
    assert (fit.predict(POWERS) < high).all()
    (beyond_low,), (beyond_high,) = fit.band([1e5])
    assert (beyond_low, beyond_high) == pytest.approx((fit.s_min.low, fit.s_min.high), rel=0.01)


@settings(max_examples=40)
@given(factor=st.floats(1e-3, 1e3), rate=st.floats(1e-3, 1e3))
def test_units_scale_the_answer(factor, rate):
    base = fit_hyperbola(POWERS, DIGITS)
    fit = fit_hyperbola(POWERS * factor, DIGITS * rate)
    for name, scale in (("b_crit", factor), ("s_min", rate), ("e_min", factor * rate)):
        for end in ("value", "low", "high"):
            expected = getattr(getattr(base, name), end) * scale
            assert getattr(getattr(fit, name), end) == pytest.approx(expected, rel=1e-4)


@settings(max_examples=20)
@given(order=st.permutations(range(len(DIGITS))))
def test_order_does_not_matter(order):
    fit = fit_hyperbola(POWERS[order], DIGITS[order])
    assert fit.b_crit.value == pytest.approx(fit_hyperbola(POWERS, DIGITS).b_crit.value, rel=1e-6)


@pytest.mark.parametrize("sizes", [[], [2], [2, 4], [2, 4, 4]])
def test_three_batch_sizes_are_needed(sizes):
    with pytest.raises(AnalysisError, match="needs at least 3 batch sizes.*got [0-2]; add"):
        fit_hyperbola(sizes, [10.0] * len(sizes))


@pytest.mark.parametrize("wrong", [math.nan, math.inf, 0.0, -1.0])
def test_only_positive_finite_numbers_are_fitted(wrong):
    with pytest.raises(AnalysisError, match=f"steps to fit must be positive.*got {wrong:g}; leave"):
        fit_hyperbola([2, 4, 8], [10.0, wrong, 5.0])
    with pytest.raises(AnalysisError, match="batch sizes to fit must be positive"):
        fit_hyperbola([2, wrong, 8], [10.0, 7.0, 5.0])
