import math

import pytest

from analysis.fitting.estimates import Estimate, rounded


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.0123, "0.012"),
        (0.5, "0.50"),
        (7.26, "7.3"),
        (10.4, "10"),
        (61.5, "62"),
        (128.4, "128"),
        (2191.4, "2190"),
        (2_834_258.0, "2830000"),
    ],
)
def test_rounded(value, text):
    assert rounded(value) == text


@pytest.mark.parametrize(
    ("low", "high", "identified", "text"),
    [
        (48.2, 79.4, True, "b = 61 (48–79)"),
        (48.2, math.inf, False, "b > 48"),
        (0.0, 79.4, False, "b < 79"),
        (0.0, math.inf, False, "b not identified"),
    ],
)
def test_an_open_end_is_written_as_a_bound(low, high, identified, text):
    estimate = Estimate(value=61.2, low=low, high=high)
    assert estimate.identified is identified
    assert estimate.text("b") == text
