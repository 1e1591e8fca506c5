import math

import numpy as np
import pytest

from analysis.fitting.fit import fit, fit_all
from analysis.fitting.models import MODELS, hyperbola
from analysis.fitting.points import Points
from analysis.fitting.tuned import tuned_b_crit, tuned_b_crits
from analysis.fitting.tuning_gap import GAPS, TuningGap

SIZES = 4.0 ** np.arange(9)
TRUTH = hyperbola(SIZES, 20.0, 20.0 * 60)


def gap_about(center, spread=0.02):
    weights = np.exp(-(((GAPS - center) / spread) ** 2) / 2) * GAPS
    return TuningGap(weights=weights / weights.sum())


def gaps_of(centers, **spread):
    return {size: gap_about(g, **spread) for size, g in zip(SIZES, centers, strict=True)}


@pytest.mark.parametrize(("name", "exponent"), [("hyperbola", 1), ("smooth", 1.6), ("power", 0.9)])
def test_known_gaps_are_taken_off(name, exponent):
    truth = MODELS[name].steps(SIZES, 20.0, 60.0, exponent)
    noise = 0.03 * np.random.default_rng(1).standard_normal(SIZES.size)
    gaps = np.where(SIZES > 60, 0.6, 0.1)
    found = fit(Points.of(SIZES, truth * np.exp(gaps + noise)), MODELS[name])
    tuned = tuned_b_crit(found, gaps_of(gaps))
    assert abs(math.log(found.b_crit.value / 60)) > 0.2
    assert tuned.value == pytest.approx(60, rel=0.15)
    assert tuned.low < 60 < tuned.high


def test_a_wider_gap_makes_a_wider_interval():
    found = fit(Points.of(SIZES, TRUTH * np.exp(0.02 * np.cos(9 * np.arange(9)))))
    narrow, wide = (
        tuned_b_crit(found, gaps_of(np.full(9, 0.3), spread=spread)) for spread in (0.02, 0.3)
    )
    assert wide.high / wide.low > 1.2 * narrow.high / narrow.low


def test_no_interval_is_narrower_than_without_gaps():
    rng = np.random.default_rng(3)
    for _ in range(5):
        found = fit(Points.of(SIZES, TRUTH * np.exp(0.2 * rng.standard_normal(9))))
        tuned, fitted = tuned_b_crit(found, gaps_of(np.full(9, 0.01))), found.b_crit
        assert tuned.low / tuned.value <= fitted.low / fitted.value * (1 + 1e-9)
        assert tuned.high / tuned.value >= fitted.high / fitted.value * (1 - 1e-9)


def test_what_is_not_identified_stays_so():
    perfect = fit(Points.of(SIZES[:5], 1000 / SIZES[:5] * [1, 1.02, 0.99, 1.01, 1]))
    tuned = tuned_b_crit(perfect, gaps_of(np.full(9, 0.05)))
    assert perfect.b_crit.high == tuned.high == math.inf


def test_misses_and_all_models():
    steps = np.minimum(TRUTH, 1000)
    fits = fit_all(Points.of(SIZES, steps, steps == 1000))
    gaps = {size: gap for size, gap in gaps_of(np.full(9, 0.05)).items() if size > 1}
    found = tuned_b_crits(fits, gaps)
    assert list(found) == list(MODELS)
    assert all(estimate.low < 60 < estimate.high for estimate in found.values())
    assert found["hyperbola"].value == pytest.approx(60, rel=0.2)
