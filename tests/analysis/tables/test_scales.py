import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.tables.scales import SCALES, positions

RANGES = {
    "linear": {"low": -2.0, "high": 6.0, "scale": "linear"},
    "log": {"low": 1e-4, "high": 10.0, "scale": "log"},
    "reverse-log": {"low": 0.0, "high": 0.999, "scale": "reverse-log"},
}


@pytest.mark.parametrize("scale", SCALES)
def test_positions_run_from_low_to_high(scale):
    entry = RANGES[scale]
    middle = {"linear": 2.0, "log": 10**-1.5, "reverse-log": 1 - 10**-1.5}[scale]
    along = positions([entry["low"], middle, entry["high"]], entry)
    assert along == pytest.approx([0, 0.5, 1])


@pytest.mark.parametrize("scale", SCALES)
@given(share=st.floats(0, 1))
def test_the_inverse_undoes_the_transform(scale, share):
    low, high = RANGES[scale]["low"], RANGES[scale]["high"]
    value = np.asarray(low + share * (high - low))
    again = SCALES[scale].inverse(SCALES[scale].forward(value))
    assert float(again) == pytest.approx(float(value), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("scale", "low", "high", "allowed"),
    [
        ("linear", -5.0, 5.0, True),
        ("log", 0.0, 1.0, False),
        ("log", 1e-9, 1e9, True),
        ("reverse-log", -1.0, 0.999, True),
        ("reverse-log", 0.0, 1.0, False),
        ("log", math.nan, 1.0, False),
        ("linear", 0.0, math.inf, False),
    ],
)
def test_the_domain_of_a_scale(scale, low, high, allowed):
    assert SCALES[scale].allows(low, high) is allowed
