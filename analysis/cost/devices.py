"""Data parallel training: a batch spread over devices, and an all-reduce of gradients in each step.

A step on N devices takes as long as a step with the share B / N of a batch on one device, and an
all-reduce, which is taken not to overlap with it. So the time to target on N devices is

    S(B) (t(B / N) + a(N))

and at each N the best of the study's batch sizes is taken.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from analysis.cost.estimates import exactly, product, ratio
from analysis.cost.step_costs import MOST, StepCosts
from analysis.errors import AnalysisError
from analysis.fitting.estimates import Estimate

EXAMPLES, SHARES, ALL_REDUCE = "examples", "shares", "all-reduce"
"""Why device-hours rise with the number of devices; see `DeviceCost.factors`."""
HALF = 0.5
"""Share of the speed-up of perfect scaling below which strong scaling is said to have ended."""
_BYTES_PER_PARAMETER = 4
"""Gradients are summed in float32, in every precision of batchscale."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """What connects the devices, and what goes over it in each step."""

    bandwidth: float  # of each device's link, bytes per second, > 0
    latency: float = 0.0  # of a message, seconds, >= 0
    # trainable numbers of the model, >= 1; None for those of the timed model
    parameters: int | None = None
    # number of devices that it was measured on; None where it was given
    measured_on: int | None = None

    def __post_init__(self) -> None:
        """Refuse a link that no message passes."""
        if not 1 <= self.bandwidth < math.inf:
            raise AnalysisError(
                f"--bandwidth must be at least 1 byte/s, got {self.bandwidth:g} bytes/s"
            )
        if not 0 <= self.latency <= MOST:
            raise AnalysisError(f"--latency must be 0 to {MOST:g} s, got {self.latency:g} s")
        if self.parameters is not None and self.parameters < 1:
            raise AnalysisError(f"--parameters must be 1 or more, got {self.parameters}")


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceCost:
    """The cost of training to the target at a batch size on several devices.

    Attributes:
        devices: their number N.
        batch_size: of all of them together, B.
        steps: steps to target.
        share_seconds: time of a step on the busiest device, which has the `share` of a batch.
        all_reduce_seconds: of a step, in the all-reduce.
        price: money per device-hour, if known.
        alone: the fastest batch size on one device; None for that itself.
    """

    devices: int
    batch_size: int
    steps: Estimate
    share_seconds: Estimate
    all_reduce_seconds: float
    price: float | None
    alone: "DeviceCost | None" = None

    @property
    def share(self) -> int:
        """Examples of a batch on the busiest device, B / N rounded up."""
        return math.ceil(self.batch_size / self.devices)

    @property
    def step_seconds(self) -> Estimate:
        """Time of a step, all-reduce included."""
        own, more = self.share_seconds, self.all_reduce_seconds
        return Estimate(value=own.value + more, low=own.low + more, high=own.high + more)

    @property
    def seconds(self) -> Estimate:
        """Time to target."""
        return product(self.steps, self.step_seconds)

    @property
    def device_seconds(self) -> Estimate:
        """N times that time."""
        return self.seconds.times(self.devices)

    @property
    def device_hours(self) -> Estimate:
        """N times that time, in hours."""
        return self.seconds.times(self.devices / 3600)

    @property
    def money(self) -> Estimate | None:
        """Price of these hours; None without a price."""
        return None if self.price is None else self.device_hours.times(self.price)

    @property
    def speedup(self) -> Estimate:
        """How many times as fast as the fastest batch size on one device."""
        if self.alone is None or self.devices == 1:
            return exactly(1.0)
        # at one batch size the steps are the same, whatever they are
        same = self.batch_size == self.alone.batch_size
        steps = exactly(1.0) if same else ratio(self.alone.steps, self.steps)
        return product(steps, ratio(self.alone.step_seconds, self.step_seconds))

    @property
    def efficiency(self) -> float:
        """Share of the speed-up of perfect scaling."""
        return self.speedup.value / self.devices

    @property
    def factors(self) -> Mapping[str, float]:
        """What multiplies the device-hours of one device; the product is N over the speed-up.

        `examples` is for the examples to target at this batch size over those at that one, `shares`
        for the time of an example where each device has a share of the batch, and `all-reduce`.
        """
        alone = self.alone or self
        examples = self.steps.value * self.batch_size / (alone.steps.value * alone.batch_size)
        whole = self.share_seconds.value * self.devices / self.batch_size
        return {
            EXAMPLES: examples,
            SHARES: whole / (alone.share_seconds.value / alone.batch_size),
            ALL_REDUCE: self.step_seconds.value / self.share_seconds.value,
        }


def all_reduce_seconds(devices: int, size: float, bandwidth: float, latency: float) -> float:
    """Return the time of a ring all-reduce.

    2 (N - 1) messages of size / N each, one after another (Thakur, Rabenseifner and Gropp 2005,
    International Journal of High Performance Computing Applications 19, 49, section 4.4, without
    the time of the sums; Patarasu and Yuan 2009, J. Parallel Distrib. Comput. 69, 117).

    >>> round(all_reduce_seconds(4, 1e9, 1e10, 1e-5), 5)
    0.15006

    Args:
        devices: their number N, >= 1.
        size: bytes to sum over the devices.
        bandwidth: of each device's link, bytes per second.
        latency: of a message, seconds.
    """
    messages = 2 * (devices - 1)
    return messages * (latency + size / devices / bandwidth)


def link_of(devices: int, small: float, large: float, size: float) -> Link:
    """Return the link of a ring all-reduce that takes some measured times.

    >>> link_of(4, 6e-5, 6e-5 + 0.15, 1e9).bandwidth
    10000000000.0

    Args:
        devices: how many took part, >= 2.
        small: seconds for a message of a few bytes.
        large: seconds for a large message.
        size: bytes of the large message.
    """
    messages = 2 * (devices - 1)
    # a large message that is as fast as a small one means a bandwidth too high to be measured
    sending = max(large - small, 1e-9)
    return Link(
        bandwidth=messages * size / devices / sending,
        latency=small / messages,
        measured_on=devices,
    )


def scaled(
    steps: Mapping[int, Estimate],
    costs: StepCosts,
    devices: Sequence[int],
    link: Link | None,
    price: float | None,
) -> tuple[DeviceCost, ...]:
    """Return the cost on each number of devices, at the fastest batch size there.

    A batch size is left out where the share of a device is smaller than every batch size that was
    timed: what a step takes there is not known. A number of devices for which none is left is, too.
    Numbers of devices rise; the link may be missing where there is but one.
    """
    size = _message_bytes(costs, link)
    best: list[DeviceCost] = []
    for count in (1, *devices):
        slow = 0.0
        if link is not None:
            slow = all_reduce_seconds(count, size, link.bandwidth, link.latency)
        tried = [
            DeviceCost(
                devices=count,
                batch_size=batch_size,
                steps=own,
                share_seconds=seconds,
                all_reduce_seconds=slow,
                price=price,
            )
            for batch_size, own in steps.items()
            if batch_size >= count
            and (seconds := step_seconds(costs, math.ceil(batch_size / count))) is not None
        ]
        best += [min(tried, key=lambda at: at.seconds.value)] if tried else []
    if not best or best[0].devices != 1:
        return ()
    return tuple(replace(cost, alone=best[0]) for cost in best[1:])


def _message_bytes(costs: StepCosts, link: Link | None) -> float:
    """Return the size of the gradients that the devices sum; 0 where nothing connects them."""
    if link is None:
        return 0.0
    parameters = link.parameters or costs.parameters
    if parameters is None:
        raise AnalysisError(
            "--devices needs the number of trainable parameters, whose gradients are all-reduced, "
            f"got step times without it ({costs.source}); add --parameters"
        )
    return float(parameters * _BYTES_PER_PARAMETER)


def step_seconds(costs: StepCosts, batch_size: int) -> Estimate | None:
    """Return the time of a step, between two timed batch sizes by a power law.

    None outside of the timed range.
    """
    sizes = np.log([row.batch_size for row in costs.rows])
    at = math.log(batch_size)
    if not sizes[0] <= at <= sizes[-1]:
        return None
    if (row := costs.at(batch_size)) is not None:
        return row.seconds
    over = int(np.searchsorted(sizes, at))
    weight = (at - sizes[over - 1]) / (sizes[over] - sizes[over - 1])
    below, above = costs.rows[over - 1].seconds, costs.rows[over].seconds

    def between(low: float, high: float) -> float:
        return float(low ** (1 - weight) * high**weight)

    return Estimate(
        value=between(below.value, above.value),
        low=between(below.low, above.low),
        high=between(below.high, above.high),
    )
