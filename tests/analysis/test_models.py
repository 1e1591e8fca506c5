import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.models import batch_size_at_overhead, hyperbola

positive = st.floats(1e-3, 1e6)


@given(batch_size=positive, s_min=positive, e_min=positive)
def test_steps_and_examples_trade_off_as_in_the_paper(batch_size, s_min, e_min):
    steps = float(hyperbola(batch_size, s_min, e_min))
    # (S / S_min - 1)(E / E_min - 1) = 1, multiplied out so that neither factor cancels
    assert (e_min / (batch_size * s_min)) * (batch_size * s_min / e_min) == pytest.approx(1)
    assert steps == pytest.approx(s_min * (1 + (e_min / s_min) / batch_size))


def test_both_costs_double_at_the_critical_batch_size():
    steps = float(hyperbola(100.0, s_min=20.0, e_min=2000.0))
    assert (steps, 100 * steps) == (40.0, 4000.0)


def test_keeps_the_shape():
    assert hyperbola(np.ones((2, 3)), 1.0, 1.0).shape == (2, 3)


@pytest.mark.parametrize(("b_crit", "published"), [(2190.6, 745), (3239.8, 955)])
def test_published_critical_batch_sizes_at_20_percent(b_crit, published):
    # Zhang et al. 2024, 85M and 151M parameters, reference batch size 256
    assert round(batch_size_at_overhead(0.2, b_ref=256, b_crit=b_crit)) == published


@given(b_ref=positive, b_crit=positive, overhead=st.floats(0.01, 1))
def test_examples_are_so_much_more_at_the_overhead(b_ref, b_crit, overhead):
    batch_size = batch_size_at_overhead(overhead, b_ref, b_crit)
    examples = batch_size * float(hyperbola(batch_size, 1.0, b_crit))
    reference = b_ref * float(hyperbola(b_ref, 1.0, b_crit))
    assert examples == pytest.approx((1 + overhead) * reference)
