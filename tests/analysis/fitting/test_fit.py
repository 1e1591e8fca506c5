import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from analysis.errors import AnalysisError
from analysis.fitting.estimates import REACH
from analysis.fitting.fit import HEAVY_TAILS_GAIN, aicc, fit, fit_all
from analysis.fitting.models import MODELS
from analysis.fitting.noises import NOISES
from analysis.fitting.points import Points
from tests.analysis.fitting.reading import curve_of, hyperbola

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


def fitted(sizes, steps, missed=None, name="hyperbola", **options):
    return fit(Points.of(sizes, steps, missed), MODELS[name], **options)


@pytest.mark.parametrize(("steps", "s_min", "b_crit"), PUBLISHED.values(), ids=PUBLISHED)
def test_published_curves(steps, s_min, b_crit):
    fit = fitted(2 ** np.arange(6, 15), steps)
    assert round(fit.s_min.value) == s_min
    assert round(fit.b_crit.value) == b_crit
    assert fit.noise.name == "log-normal"
    assert np.abs(fit.residuals).max() < 0.095  # published as 6 to 9 %


@pytest.mark.parametrize(("steps", "b_crit"), QUADRATIC.values(), ids=QUADRATIC)
def test_noisy_quadratic_model(steps, b_crit):
    fit = fitted(4 ** np.arange(9), steps)
    assert fit.noise.name == "log-normal"
    assert round(fit.b_crit.value) == b_crit


@pytest.mark.parametrize(("s_min", "e_min"), [(20, 1200), (3, 2e4), (1e4, 5e3)])
def test_exact_data_are_recovered(s_min, e_min):
    fit = fitted(POWERS, hyperbola(POWERS, s_min, e_min))
    assert fit.s_min.value == pytest.approx(s_min, rel=1e-4)
    assert fit.e_min.value == pytest.approx(e_min, rel=1e-4)
    assert fit.b_crit.value == pytest.approx(e_min / s_min, rel=1e-4)
    assert fit.sigma < 1e-4
    assert fit.predict(POWERS) == pytest.approx(hyperbola(POWERS, s_min, e_min))


def test_exact_steps_in_brackets_are_recovered():
    truth = hyperbola(POWERS, 20, 1200)
    share = np.linspace(0.2, 0.8, POWERS.size)
    begins, ends = truth * (1 - 0.06 * share), truth * (1 + 0.06 * (1 - share))
    found = fit(Points.of(POWERS, ends, before=begins))
    assert found.b_crit.value == pytest.approx(60, rel=0.05)
    assert found.b_crit.low < 60 < found.b_crit.high
    inside = found.predict(POWERS)
    assert ((begins < inside) & (inside < ends)).all()
    closed = fit(Points.of(POWERS, DIGITS, before=DIGITS * (1 - 1e-7)))
    for name in ("b_crit", "s_min", "e_min"):
        exact, almost = (getattr(at, name) for at in (fitted(POWERS, DIGITS), closed))
        for end in ("value", "low", "high"):
            assert getattr(almost, end) == pytest.approx(getattr(exact, end), rel=1e-4)
    assert closed.aicc == pytest.approx(fitted(POWERS, DIGITS).aicc, abs=1e-4)


def test_sigma_is_the_spread_of_the_noise():
    rng = np.random.default_rng(3)
    truth = hyperbola(POWERS, 20, 1200)
    variances = [
        fitted(POWERS, truth * np.exp(0.1 * rng.standard_normal(POWERS.size))).sigma ** 2
        for _ in range(300)
    ]
    assert math.sqrt(np.mean(variances)) == pytest.approx(0.1, rel=0.05)


def test_a_higher_level_gives_a_wider_interval():
    narrow, wide = (fitted(POWERS, DIGITS, level=level) for level in (0.5, 0.95))
    assert wide.b_crit.low < narrow.b_crit.low < narrow.b_crit.value
    assert narrow.b_crit.value < narrow.b_crit.high < wide.b_crit.high


def test_interval_ends_lie_on_the_threshold():
    fit = fitted(POWERS, DIGITS)
    # F quantile 0.95 of (1, 8) degrees of freedom, from a printed table
    threshold = np.square(fit.residuals).sum() * (1 + 5.318 / 8)
    for b_crit in (fit.b_crit.low, fit.b_crit.high):
        rest = np.log(DIGITS) - np.log1p(b_crit / POWERS)
        assert np.square(rest - rest.mean()).sum() == pytest.approx(threshold, rel=1e-3)


def test_perfect_scaling_alone_does_not_identify_the_plateau():
    fit = fitted([1, 2, 4, 8], [800, 400, 200, 100])
    assert fit.s_min.value == fit.s_min.low == 0
    assert fit.b_crit.value == fit.b_crit.high == math.inf
    assert not fit.s_min.identified
    assert not fit.b_crit.identified
    assert fit.e_min.identified
    assert fit.e_min.value == pytest.approx(800)
    assert fit.predict([16]) == pytest.approx(50)
    assert "b_crit >" in fit.b_crit.text("b_crit")


def test_a_plateau_alone_does_not_identify_perfect_scaling():
    fit = fitted([64, 128, 256, 512], [100, 100, 100, 100])
    assert fit.e_min.value == fit.b_crit.value == 0
    assert not fit.e_min.identified
    assert fit.s_min.identified
    assert fit.predict([16]) == pytest.approx(100)
    assert "b_crit <" in fit.b_crit.text("b_crit")


def test_noise_may_leave_an_end_open_while_the_value_is_finite():
    fit = fitted([2, 4, 8, 16], [620, 290, 160, 84])
    assert math.isfinite(fit.b_crit.value)
    assert fit.b_crit.high == math.inf
    assert fit.s_min.low == 0
    assert math.isfinite(fit.e_min.high)


def test_b_crit_far_from_the_measured_range_is_not_identified():
    # without noise the likelihood determines both, from a tenth of a percent of the steps
    beyond = fitted(POWERS, hyperbola(POWERS, 3, 1e6))
    assert beyond.b_crit.low == REACH * POWERS[-1]
    assert (beyond.b_crit.high, beyond.s_min.low) == (math.inf, 0)
    below = fitted(POWERS, hyperbola(POWERS, 1e4, 50))
    assert below.b_crit.high == POWERS[0] / REACH
    assert (below.b_crit.low, below.e_min.low) == (0, 0)


def test_band_holds_the_curve_and_narrows_between_points():
    fit = fitted(POWERS, DIGITS)
    low, high = fit.band(POWERS)
    assert (low < fit.predict(POWERS)).all()
    assert (fit.predict(POWERS) < high).all()
    (beyond_low,), (beyond_high,) = fit.band([1e5])
    assert (beyond_low, beyond_high) == pytest.approx((fit.s_min.low, fit.s_min.high), rel=0.01)


@settings(max_examples=40)
@given(factor=st.floats(1e-3, 1e3), rate=st.floats(1e-3, 1e3))
def test_units_scale_the_answer(factor, rate):
    base = fitted(POWERS, DIGITS)
    fit = fitted(POWERS * factor, DIGITS * rate)
    for name, scale in (("b_crit", factor), ("s_min", rate), ("e_min", factor * rate)):
        for end in ("value", "low", "high"):
            expected = getattr(getattr(base, name), end) * scale
            assert getattr(getattr(fit, name), end) == pytest.approx(expected, rel=1e-4)


@settings(max_examples=20)
@given(order=st.permutations(range(len(DIGITS))))
def test_order_does_not_matter(order):
    fit = fitted(POWERS[order], DIGITS[order])
    assert fit.b_crit.value == pytest.approx(fitted(POWERS, DIGITS).b_crit.value, rel=1e-6)


@pytest.mark.parametrize("sizes", [[], [2], [2, 4], [2, 4, 4]])
def test_three_batch_sizes_are_needed(sizes):
    with pytest.raises(AnalysisError, match="needs at least 3 batch sizes.*got [0-2]; add"):
        fitted(sizes, [10.0] * len(sizes))


def test_misses_do_not_count_as_points():
    with pytest.raises(AnalysisError, match="needs at least 3 batch sizes.*got 2; add"):
        fitted([2, 4, 8], [10.0, 7.0, 5.0], [True, False, False])


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("exponent", [0.7, 1.0, 2.0])
def test_every_model_recovers_exact_data(name, exponent):
    model = MODELS[name]
    exponent = exponent if model.exponent else 1.0
    found = fitted(POWERS, curve_of(model, POWERS, 20.0, 60.0, exponent), name=name)
    assert found.s_min.value == pytest.approx(20, rel=1e-3)
    assert found.b_crit.value == pytest.approx(60, rel=1e-3)
    factor = 20 * 60**exponent if name == "power" else 1200
    assert found.e_min.value == pytest.approx(factor, rel=2e-3)
    assert found.sigma < 1e-3
    if model.exponent:
        assert found.exponent.value == pytest.approx(exponent, rel=1e-3)


def test_a_miss_below_the_curve_adds_nothing_and_one_above_raises_it():
    plain = fitted(POWERS, DIGITS)
    sizes, missed = [1, *POWERS], [True, *[False] * len(POWERS)]
    low = fitted(sizes, [100, *DIGITS], missed)
    assert low.e_min.value == pytest.approx(plain.e_min.value, rel=1e-4)
    high = fitted(sizes, [1500, *DIGITS], missed)
    assert high.e_min.value > 1.02 * plain.e_min.value
    assert high.residuals[0] < 0.3


@settings(max_examples=25, deadline=None)
@given(
    at=st.integers(0, 9),
    bounds=st.lists(st.floats(0.2, 4.0), min_size=2, max_size=2).map(sorted),
    name=st.sampled_from(list(NOISES)),
)
def test_a_higher_bound_never_makes_the_points_more_likely(at, bounds, name):
    missed = np.arange(len(DIGITS)) == at
    less, more = (
        fitted(POWERS, DIGITS * np.where(missed, bound, 1.0), missed, noise=NOISES[name])
        for bound in bounds
    )
    assert more.log_likelihood <= less.log_likelihood + 1e-6


@pytest.mark.parametrize("name", ["hyperbola", "smooth"])
def test_with_misses_interval_ends_lie_on_the_threshold(name):
    sizes, steps = 4.0 ** np.arange(9), np.minimum(QUADRATIC["sgd"][0], 5000.0)
    missed = steps == 5000
    found = fitted(sizes, steps, missed, name)
    fixed = found.s_min.high
    model = MODELS[name]

    def shortfall(parameters):
        log_b_crit, log_sigma, log_k = parameters
        exponent = math.exp(log_k) if model.exponent else 1.0
        curve = curve_of(model, sizes, fixed, math.exp(log_b_crit), exponent)
        z = (np.log(steps) - np.log(curve)) / math.exp(log_sigma)
        seen = stats.norm.logpdf(z[~missed]) - log_sigma
        return -(seen.sum() + stats.norm.logsf(z[missed]).sum())

    start = [math.log(found.b_crit.value), math.log(found.sigma), 0.2]
    least = optimize.minimize(shortfall, start, method="Nelder-Mead", options={"maxiter": 4000})
    freedom = 7 - model.parameters
    expected = 7 * math.log1p(stats.f.ppf(0.95, 1, freedom) / freedom) / 2
    assert found.log_likelihood + least.fun == pytest.approx(expected, rel=0.01)


def test_noise_is_log_logistic_only_where_clearly_more_likely():
    steps = hyperbola(POWERS, 20, 1200) * np.exp(0.03 * np.sin(7 * POWERS))
    assert fitted(POWERS, steps).noise.name == "log-normal"
    steps[4] *= 4
    found = fitted(POWERS, steps)
    assert found.noise.name == "log-logistic"
    plain = fitted(POWERS, steps, noise=NOISES["log-normal"])
    assert found.log_likelihood > plain.log_likelihood + HEAVY_TAILS_GAIN
    # the outlier biases a normal fit but not this one
    assert found.b_crit.value == pytest.approx(60, rel=0.1)
    assert abs(plain.b_crit.value - 60) > 2 * abs(found.b_crit.value - 60)


def test_the_model_that_made_the_points_has_the_least_aicc():
    rng = np.random.default_rng(11)
    sizes = 2.0 ** np.arange(16)
    noise = np.exp(0.03 * rng.standard_normal(16))
    for name, exponent in (("hyperbola", 1.0), ("power", 0.6), ("smooth", 3.0)):
        steps = curve_of(MODELS[name], sizes, 20.0, 200.0, exponent) * noise
        assert fit_all(Points.of(sizes, steps)).best.model.name == name


def test_aicc_of_least_squares():
    found = fitted(POWERS, DIGITS)
    variance = np.square(found.residuals).mean()
    log_likelihood = -5 * (math.log(math.tau * variance) + 1)
    assert found.log_likelihood == pytest.approx(log_likelihood)
    assert found.aicc == pytest.approx(6 - 2 * log_likelihood + 24 / 6)
    assert aicc(0.0, observed=4, parameters=3) is None


@pytest.mark.parametrize("count", [3, 4, 5])
def test_few_points_allow_only_the_hyperbola_with_a_reason_for_the_others(count):
    fits = fit_all(Points.of(POWERS[:count], DIGITS[:count]))
    assert list(fits.by_name) == ["hyperbola"]
    assert fits.best is fits["hyperbola"]
    assert (fits.best.aicc is None) == (count < 5)
    assert set(fits.missing) == {"power", "smooth"}
    for reason in fits.missing.values():
        assert f"needs at least 6 batch sizes that reached the target, got {count}" in reason


def test_an_unbounded_exponent_is_not_identified():
    found = fitted(POWERS[:6], 6000 / POWERS[:6], name="smooth")
    assert not found.exponent.identified
    assert not found.b_crit.identified


@pytest.mark.parametrize("name", ["power", "smooth"])
def test_units_scale_every_model(name):
    base = fitted(POWERS, DIGITS, name=name)
    found = fitted(POWERS * 32, DIGITS * 5, name=name)
    for end in ("value", "low", "high"):
        assert getattr(found.b_crit, end) == pytest.approx(32 * getattr(base.b_crit, end), rel=1e-3)
        assert getattr(found.s_min, end) == pytest.approx(5 * getattr(base.s_min, end), rel=1e-3)
        assert getattr(found.exponent, end) == pytest.approx(getattr(base.exponent, end), rel=1e-3)


@pytest.mark.parametrize("name", MODELS)
def test_band_holds_every_models_curve(name):
    found = fitted(POWERS, DIGITS, name=name)
    low, high = found.band(POWERS)
    assert (low < found.predict(POWERS)).all()
    assert (found.predict(POWERS) < high).all()
