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
        (48.2, math.inf, False, "b > 48 (no upper bound)"),
        (0.0, 79.4, False, "b < 79 (no lower bound)"),
        (0.0, math.inf, False, "b not identified"),
    ],
)
def test_an_open_end_is_written_as_a_bound(low, high, identified, text):
    estimate = Estimate(value=61.2, low=low, high=high)
    assert estimate.identified is identified
    assert estimate.text("b") == text
    record = estimate.record()
    assert (record["value"] is not None) == identified
    assert Estimate.of(record).text("b") == text


@pytest.mark.parametrize(
    ("low", "high", "within"),
    [
        (2.0, 50.0, (2.0, 50.0)),
        (0.5, 50.0, (0.0, 50.0)),
        (2.0, 500.0, (2.0, math.inf)),
        (200.0, 500.0, (100.0, math.inf)),
        (0.1, 0.5, (0.0, 1.0)),
    ],
)
def test_an_end_out_of_reach_is_open_and_a_bound_no_further_than_the_reach(low, high, within):
    found = Estimate(value=math.sqrt(low * high), low=low, high=high).within(1.0, 100.0)
    assert (found.low, found.high) == within
