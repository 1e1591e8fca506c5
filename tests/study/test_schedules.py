import numpy as np
import pytest

from study.schedules import SCHEDULES


@pytest.mark.parametrize(
    ("step", "factors"), [(0, [1.0, 1.0]), (50, [0.55, 0.75]), (100, [0.1, 0.5]), (999, [0.1, 0.5])]
)
def test_linear_decay_falls_to_its_end_factor_and_stays(step, factors):
    values = {"decay_fraction": np.array([0.1, 0.1]), "end_factor": np.array([0.1, 0.5])}
    factor = SCHEDULES["linear-decay"].factor
    assert factor is not None
    np.testing.assert_allclose(factor(step, 1000, values), factors)


def test_a_constant_rate_needs_no_factor():
    assert SCHEDULES["constant"].factor is None
    assert not SCHEDULES["constant"].hyperparameters
