import math

import numpy as np
import pytest

from analysis.fitting.fit import Fits, fit, fit_all
from analysis.fitting.models import MODELS
from analysis.fitting.points import Points
from analysis.fitting.tuned import tuned_fits
from analysis.fitting.tuning_gap import GAPS, TuningGap
from tests.analysis.fitting.reading import curve_of, hyperbola

SIZES = 4.0 ** np.arange(9)
TRUTH = hyperbola(SIZES, 20.0, 20.0 * 60)


def gap_about(center, spread=0.02):
    weights = np.exp(-(((GAPS - center) / spread) ** 2) / 2) * GAPS
    return TuningGap(weights=weights / weights.sum())


def gaps_of(centers, **spread):
    return {size: gap_about(g, **spread) for size, g in zip(SIZES, centers, strict=True)}


def tuned_fit(found, gaps):
    return tuned_fits(Fits(by_name={"one": found}, missing={}), gaps)["one"]


@pytest.mark.parametrize(("name", "exponent"), [("hyperbola", 1), ("smooth", 1.6), ("power", 0.9)])
def test_known_gaps_are_subtracted(name, exponent):
    truth = curve_of(MODELS[name], SIZES, 20.0, 60.0, exponent)
    noise = 0.03 * np.random.default_rng(1).standard_normal(SIZES.size)
    gaps = np.where(SIZES > 60, 0.6, 0.1)
    found = fit(Points.of(SIZES, truth * np.exp(gaps + noise)), MODELS[name])
    tuned = tuned_fit(found, gaps_of(gaps)).b_crit
    assert abs(math.log(found.b_crit.value / 60)) > 0.2
    assert tuned.value == pytest.approx(60, rel=0.15)
    assert tuned.low < 60 < tuned.high


def test_a_wider_gap_makes_a_wider_interval():
    found = fit(Points.of(SIZES, TRUTH * np.exp(0.02 * np.cos(9 * np.arange(9)))))
    narrow, wide = (
        tuned_fit(found, gaps_of(np.full(9, 0.3), spread=spread)).b_crit for spread in (0.02, 0.3)
    )
    assert wide.high / wide.low > 1.2 * narrow.high / narrow.low


def test_small_gaps_change_nothing():
    rng = np.random.default_rng(3)
    for width in (0.0, 0.005, 0.15):
        steps = TRUTH * np.exp(0.1 * rng.standard_normal(9))
        fits = fit_all(
            Points.of(SIZES, steps * np.exp(width / 2), before=steps * np.exp(-width / 2))
        )
        found = tuned_fits(fits, gaps_of(np.full(9, 0.002), spread=0.001))
        assert found.found is fits
        for name, tuned in found.by_name.items():
            fitted = fits[name]
            for quantity in ("b_crit", "s_min", "e_min"):
                pair = getattr(tuned, quantity), getattr(fitted, quantity)
                for end in ("value", "low", "high"):
                    one, other = (getattr(estimate, end) for estimate in pair)
                    # the exponent of the power law is not above 1 here
                    if name != "power" and 0 < other < math.inf:
                        assert one == pytest.approx(other, rel=0.08)
            at = np.geomspace(2, 30_000, 20)
            if name != "power":
                assert tuned.predict(at) == pytest.approx(fitted.predict(at), rel=0.15)


def test_a_quantity_that_is_not_identified_stays_so():
    perfect = fit(Points.of(SIZES[:5], 1000 / SIZES[:5] * [1, 1.02, 0.99, 1.01, 1]))
    tuned = tuned_fit(perfect, gaps_of(np.full(9, 0.05))).b_crit
    assert perfect.b_crit.high == tuned.high == math.inf


def test_misses_and_all_models():
    steps = np.minimum(TRUTH, 1000)
    fits = fit_all(Points.of(SIZES, steps, steps == 1000))
    gaps = {size: gap for size, gap in gaps_of(np.full(9, 0.05)).items() if size > 1}
    found = tuned_fits(fits, gaps)
    assert list(found.by_name) == list(MODELS)
    assert all(fit.b_crit.low < 60 < fit.b_crit.high for fit in found.by_name.values())
    assert found["hyperbola"].b_crit.value == pytest.approx(60, rel=0.2)
