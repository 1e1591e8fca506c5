"""All-reduces are timed by real processes."""

import pytest

from analysis.cost.devices import all_reduce_seconds
from study.costing.all_reduce import LARGE, measured_link


@pytest.mark.slow
@pytest.mark.long
def test_two_processes_measure_their_link():
    link = measured_link(2, "cpu")
    assert link.measured_on == 2
    assert 0 < link.latency < 1
    assert 0 < all_reduce_seconds(2, LARGE, link.bandwidth, link.latency) < 10
