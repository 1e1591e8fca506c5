"""Time to target on several devices, against the formulas computed by hand."""

import math

import pytest

from analysis.cost.devices import Link, all_reduce_seconds, link_of, step_seconds
from analysis.cost.sentences import cost_sentences
from analysis.cost.step_costs import StepCosts
from analysis.errors import AnalysisError

LINK = Link(bandwidth=1e9, latency=2e-6, parameters=250_000)


def ring(devices, size, bandwidth, latency):
    """Walk through a ring all-reduce: every device sends a piece in each round of two passes."""
    rounds = [*range(devices - 1), *range(devices - 1)]
    return sum(latency + (size / devices) / bandwidth for _ in rounds)


@pytest.mark.parametrize("devices", [1, 2, 3, 8, 1000])
def test_the_all_reduce_is_a_ring(devices):
    assert all_reduce_seconds(devices, 1e6, 1e9, 2e-6) == pytest.approx(
        ring(devices, 1e6, 1e9, 2e-6)
    )


def test_a_large_ring_takes_twice_the_time_to_send_everything():
    assert all_reduce_seconds(10**6, 1e9, 1e9, 0.0) == pytest.approx(2.0, rel=1e-5)


def test_a_measured_link_reproduces_the_measured_times():
    link = link_of(8, 1.4e-4, 3e-3, 2**26)
    assert all_reduce_seconds(8, 0, link.bandwidth, link.latency) == pytest.approx(1.4e-4)
    assert all_reduce_seconds(8, 2**26, link.bandwidth, link.latency) == pytest.approx(3e-3)
    assert link.measured_on == 8
    assert math.isfinite(link_of(2, 1e-4, 1e-4, 4).bandwidth)


def test_step_times_are_interpolated_by_a_power_law(costs):
    known = costs((4, 16), spread=1.1)
    low, high = known.at(4).seconds, known.at(16).seconds
    middle = step_seconds(known, 8)
    assert middle.value == pytest.approx(math.sqrt(low.value * high.value))
    assert middle.low == pytest.approx(middle.value / 1.1)
    assert step_seconds(known, 16) == high
    assert step_seconds(known, 3) is None
    assert step_seconds(known, 17) is None


def test_each_number_of_devices_has_its_fastest_batch_size(cost, truth):
    found = cost(devices=(1, 2, 8, 64), link=LINK, price=2.0)
    assert [row.devices for row in found.scaling] == [1, 2, 8, 64]
    steps = {row.batch_size: row.steps.value for row in found.rows}
    for row in found.scaling:
        slow = all_reduce_seconds(row.devices, 1e6, 1e9, 2e-6)
        times = {
            size: steps[size] * (truth.seconds(size / row.devices) + slow)
            for size in truth.sizes
            if size / row.devices >= 2
        }
        assert row.batch_size == min(times, key=times.get)
        assert row.seconds.value == pytest.approx(times[row.batch_size])
        assert row.seconds.low < row.seconds.value < row.seconds.high
        assert row.device_hours.value == pytest.approx(row.devices * row.seconds.value / 3600)
        assert row.money.value == pytest.approx(2 * row.device_hours.value)
        alone = found.scaling[0].seconds.value
        assert row.speedup.value == pytest.approx(alone / row.seconds.value)
        assert row.speedup.low <= row.speedup.value <= row.speedup.high
        # why the device-hours rise, factor by factor
        assert math.prod(row.factors.values()) == pytest.approx(row.devices / row.speedup.value)


def test_strong_scaling_ends_because_of_the_critical_batch_size(cost, truth):
    # a device that is as fast at any share, and a link that costs nothing: only examples are lost
    sizes = truth.sizes
    rows = [
        {"batch_size": size, "step_seconds": 1e-5 * size, "device": "made", "source": "made"}
        for size in sizes
    ]
    free = Link(bandwidth=1e15, latency=0.0, parameters=1)
    found = cost(made=StepCosts.of(rows), devices=(1, 4, 16, 32, 64, 512), link=free)
    # at the smallest share, 2, N devices need (2 N + 64) / (2 + 64) times the examples of one
    assert found.ended.devices == 64
    assert [row.batch_size for row in found.scaling] == [2, 8, 32, 64, 128, 1024]
    for row in found.scaling:
        assert row.factors["examples"] == pytest.approx((row.batch_size + 64) / 66, rel=0.05)
        assert row.factors["shares"] == pytest.approx(1.0)
        assert row.factors["all-reduce"] == pytest.approx(1.0, rel=1e-3)
    assert found.cheapest_scaled.devices == 1
    assert found.fastest_scaled.devices == 512
    assert found.cheapest_near.devices == 512
    (told,) = [text for text in cost_sentences(found) if "Strong scaling" in text]
    assert "ends before 64 devices" in told
    assert "because of the critical batch size: larger batches need more examples (b_crit" in told


def test_shares_that_were_not_timed_are_left_out(cost):
    found = cost(devices=(1, 512, 1024), link=LINK)
    assert [row.devices for row in found.scaling] == [1, 512]
    assert found.scaling[1].batch_size == 1024
    (sentence,) = [text for text in cost_sentences(found) if text.startswith("Left out")]
    assert sentence == (
        "Left out: 1024 devices, as no batch size that reached the target gives each of them 2 to "
        "1024 examples, which were timed."
    )


def test_devices_are_left_out_where_one_device_has_no_time(cost, costs, without_fit):
    # two devices at B = 4 have a share that was timed; no batch size has one on one device
    found = cost(without_fit, costs((2,)), devices=(1, 2), link=LINK)
    assert found.scaling == ()
    assert (
        "Left out: 1, 2 devices, as no time to target on one device is known to compare with."
    ) in cost_sentences(found)


def test_a_missing_link_or_size_is_asked_for(cost, costs, made):
    with pytest.raises(AnalysisError, match="give the bandwidth of each device's link with --band"):
        cost(devices=(1, 4))
    with pytest.raises(AnalysisError, match="add --parameters"):
        cost(devices=(4,), link=Link(bandwidth=1e9))
    assert cost(made=costs(parameters=10), devices=(4,), link=Link(bandwidth=1e9)).scaling
    assert [row.speedup.value for row in cost(devices=(1,)).scaling] == [1.0]
