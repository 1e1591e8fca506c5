"""Data parallel training: the batch is split over devices, which all-reduce gradients every step.

A step on N devices takes as long as a step of B / N examples on one device plus an all-reduce,
which is assumed not to overlap with it. The time to target on N devices is thus

    S(B) (t(B / N) + a(N))

and the fastest of the study's batch sizes is chosen for each N.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from analysis.cost.estimates import exact, product, ratio
from analysis.cost.step_costs import MAXIMUM, StepCosts
from analysis.errors import AnalysisError
from analysis.fitting.estimates import Estimate

EXAMPLES, SHARES, ALL_REDUCE = "examples", "shares", "all-reduce"
"""Why device-hours rise with the number of devices; see `DeviceCost.factors`."""
_BYTES_PER_PARAMETER = 4
"""Gradients are summed in float32, whatever the precision of training."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """The network between the devices, and the size of the gradients sent over it."""

    bandwidth: float  # of each device's link, bytes per second, >= 1
    latency: float = 0.0  # of a message, seconds, >= 0
    parameters: int | None = None  # trainable parameters, >= 1; None for those of the timed model
    measured_on: int | None = None  # number of devices measured; None where the user gave it

    def __post_init__(self) -> None:
        """Refuse an impossible bandwidth, latency or number of parameters."""
        if not 1 <= self.bandwidth < math.inf:
            raise AnalysisError(
                f"--bandwidth must be at least 1 byte/s, got {self.bandwidth:g} bytes/s"
            )
        if not 0 <= self.latency <= MAXIMUM:
            raise AnalysisError(f"--latency must be 0 to {MAXIMUM:g} s, got {self.latency:g} s")
        if self.parameters is not None and self.parameters < 1:
            raise AnalysisError(f"--parameters must be 1 or more, got {self.parameters}")


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceCost:
    """The cost of training to the target at a batch size on several devices.

    Attributes:
        devices: number of devices, N.
        batch_size: examples per step on all devices together, B.
        steps: steps to target.
        share_seconds: compute time of a step on the busiest device, for its `share` of the batch.
        all_reduce_seconds: time of the all-reduce in each step.
        price: money per device-hour, if known.
        alone: the fastest batch size on one device; None if this is it.
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
        share, sync = self.share_seconds, self.all_reduce_seconds
        return Estimate(value=share.value + sync, low=share.low + sync, high=share.high + sync)

    @property
    def seconds(self) -> Estimate:
        """Time to target."""
        return product(self.steps, self.step_seconds)

    @property
    def device_seconds(self) -> Estimate:
        """Time to target, summed over the devices."""
        return self.seconds.times(self.devices)

    @property
    def device_hours(self) -> Estimate:
        """Time to target in hours, summed over the devices."""
        return self.seconds.times(self.devices / 3600)

    @property
    def money(self) -> Estimate | None:
        """Price of the device-hours; None without a price."""
        return None if self.price is None else self.device_hours.times(self.price)

    @property
    def speedup(self) -> Estimate:
        """Time to target of the fastest batch size on one device over the time to target here."""
        if self.alone is None or self.devices == 1:
            return exact(1.0)
        # at the same batch size, uncertain steps cancel
        same = self.batch_size == self.alone.batch_size
        steps = exact(1.0) if same else ratio(self.alone.steps, self.steps)
        return product(steps, ratio(self.alone.step_seconds, self.step_seconds))

    @property
    def efficiency(self) -> float:
        """Speed-up over N, which perfect scaling would give."""
        return self.speedup.value / self.devices

    @property
    def factors(self) -> Mapping[str, float]:
        """Factors by which the device-hours exceed those of one device; their product is N/speedup.

        `examples` is the ratio of examples to target, `shares` the ratio of compute times per
        example, as smaller shares of a batch use a device less well, and `all-reduce` the ratio of
        step times with and without it.
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
        devices: number of devices N, >= 1.
        size: bytes to sum over the devices.
        bandwidth: of each device's link, bytes per second.
        latency: of a message, seconds.
    """
    messages = 2 * (devices - 1)
    return messages * (latency + size / devices / bandwidth)


def link_of(devices: int, small: float, large: float, size: float) -> Link:
    """Return the link for which a ring all-reduce takes the measured times.

    >>> link_of(4, 6e-5, 6e-5 + 0.15, 1e9).bandwidth
    10000000000.0

    Args:
        devices: number of devices, >= 2.
        small: seconds to all-reduce a few bytes.
        large: seconds to all-reduce a large message.
        size: bytes of the large message.
    """
    messages = 2 * (devices - 1)
    # if the large message took no longer than the small one, the bandwidth is too high to measure
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
    """Return the cost on each number of devices, in ascending order, at the fastest batch size.

    A batch size whose share per device lies outside the timed range is left out, as the step time
    is unknown there; so is a number of devices without any other batch size. A single device needs
    no link.
    """
    size = _message_bytes(costs, link)
    best: list[DeviceCost] = []
    for count in (1, *devices):
        sync = 0.0
        if link is not None:
            sync = all_reduce_seconds(count, size, link.bandwidth, link.latency)
        candidates = [
            DeviceCost(
                devices=count,
                batch_size=batch_size,
                steps=to_target,
                share_seconds=seconds,
                all_reduce_seconds=sync,
                price=price,
            )
            for batch_size, to_target in steps.items()
            if batch_size >= count
            and (seconds := step_seconds(costs, math.ceil(batch_size / count))) is not None
        ]
        best += sorted(candidates, key=lambda cost: cost.seconds.value)[:1]
    if not best or best[0].devices != 1:
        return ()
    return tuple(replace(cost, alone=best[0]) for cost in best[1:])


def _message_bytes(costs: StepCosts, link: Link | None) -> float:
    """Return the size of the gradients in bytes; 0 without a link."""
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
    """Return the time of a step, interpolated by a power law; None outside the timed range."""
    if (row := costs.at(batch_size)) is not None:
        return row.seconds
    sizes = np.log([row.batch_size for row in costs.rows])
    size = math.log(batch_size)
    if not sizes[0] <= size <= sizes[-1]:
        return None
    over = int(np.searchsorted(sizes, size))
    weight = (size - sizes[over - 1]) / (sizes[over] - sizes[over - 1])
    value, low, high = (
        float(getattr(costs.rows[over - 1].seconds, end) ** (1 - weight))
        * float(getattr(costs.rows[over].seconds, end) ** weight)
        for end in ("value", "low", "high")
    )
    return Estimate(value=value, low=low, high=high)
