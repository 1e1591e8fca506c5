import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.fitting.models import MODELS
from tests.analysis.fitting.reading import curve_of, hyperbola

positive = st.floats(1e-3, 1e6)


@given(s_min=positive, e_min=positive, share=st.floats(1e-3, 1e3))
def test_steps_and_examples_trade_off_as_in_the_paper(s_min, e_min, share):
    batch_size = share * e_min / s_min
    steps = float(hyperbola(batch_size, s_min, e_min))
    excess_steps, excess_examples = steps / s_min - 1, batch_size * steps / e_min - 1
    assert excess_steps * excess_examples == pytest.approx(1)


def test_both_costs_double_at_the_critical_batch_size():
    steps = float(hyperbola(100.0, s_min=20.0, e_min=2000.0))
    assert (steps, 100 * steps) == (40.0, 4000.0)


def test_keeps_the_shape():
    assert hyperbola(np.ones((2, 3)), 1.0, 1.0).shape == (2, 3)


@pytest.mark.parametrize("name", MODELS)
@given(batch_size=positive, b_crit=positive)
def test_every_model_is_the_hyperbola_at_exponent_one(name, batch_size, b_crit):
    expected = hyperbola(batch_size, 20.0, 20.0 * b_crit)
    assert curve_of(MODELS[name], batch_size, 20.0, b_crit) == pytest.approx(expected)


def test_formulas():
    sizes = np.array([1.0, 30.0, 900.0])
    assert curve_of(MODELS["power"], sizes, 20.0, 50.0, 0.7) == pytest.approx(
        20 + 20 * 50**0.7 / sizes**0.7
    )
    assert curve_of(MODELS["smooth"], sizes, 20.0, 50.0, 2.5) == pytest.approx(
        (20**2.5 + (1000 / sizes) ** 2.5) ** 0.4
    )


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("exponent", [0.5, 1.0, 4.0])
def test_limits_cross_at_b_crit(name, exponent):
    model = MODELS[name]
    exponent = exponent if model.exponent else 1.0
    slope = float(model.slope(np.asarray(exponent)))
    far = 1e-9 ** (1 / exponent) * 100
    falling = float(curve_of(model, far, 20.0, 100.0, exponent)) * (far / 100) ** slope
    assert falling == pytest.approx(20, rel=1e-6)
    assert float(curve_of(model, 100 / far * 100, 20.0, 100.0, exponent)) == pytest.approx(
        20, rel=1e-6
    )
