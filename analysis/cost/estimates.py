"""Products and ratios of estimates, and amounts with intervals and units as text."""

import math
from collections.abc import Sequence
from typing import Any

from analysis.fitting.estimates import Estimate, rounded

Units = Sequence[tuple[float, float, str]]
"""Units, the largest first: the least value that each is used for, its size and its name."""
TIME: Units = (
    (172_800.0, 86_400.0, "days"),
    (7200.0, 3600.0, "h"),
    (120.0, 60.0, "min"),
    (1.0, 1.0, "s"),
    (1e-3, 1e-3, "ms"),
    (0.0, 1e-6, "\N{MICRO SIGN}s"),
)
DEVICE_TIME: Units = ((360.0, 3600.0, "device-hours"), (0.0, 1.0, "device-seconds"))
ENERGY: Units = (
    (3.6e6, 3.6e6, "kWh"),
    (3600.0, 3600.0, "Wh"),
    (1.0, 1.0, "J"),
    (0.0, 1e-3, "mJ"),
)
BYTES: Units = ((1e9, 1e9, "GB"), (0.0, 1e6, "MB"))


def exact(value: float) -> Estimate:
    """Return the estimate of a number that is known without error."""
    return Estimate(value=value, low=value, high=value)


def product(one: Estimate, other: Estimate) -> Estimate:
    """Return the product of two independent estimates.

    Relative errors add in quadrature (JCGM 100:2008, 5.1.6), on the log scale and separately on
    each side; an end that is open in one of them is open in the product.

    >>> print(text(product(Estimate(value=50.0, low=40.0, high=60.0), exact(2.0))))
    100 (80–120)
    """
    value = one.value * other.value
    below = math.hypot(*(_log_ratio(part.value, part.low) for part in (one, other)))
    above = math.hypot(*(_log_ratio(part.high, part.value) for part in (one, other)))
    return Estimate(
        value=value,
        low=value * math.exp(-below),
        high=math.inf if math.isinf(above) else value * math.exp(above),
    )


def ratio(one: Estimate, other: Estimate) -> Estimate:
    """Return the ratio of two independent estimates."""
    return product(one, other.inverse())


def _log_ratio(greater: float, less: float) -> float:
    return math.inf if less <= 0 or math.isinf(greater) else math.log(greater / less)


def record(estimate: Estimate | None) -> dict[str, Any] | None:
    """Return an estimate as JSON data; an open end is null, unlike the value beside it."""
    if estimate is None:
        return None
    return {
        "value": estimate.value,
        "low": estimate.low if estimate.low > 0 else None,
        "high": estimate.high if math.isfinite(estimate.high) else None,
    }


def text(estimate: Estimate, units: Units = ()) -> str:
    """Return an estimate with its interval as text, in the unit that suits the value.

    >>> print(text(Estimate(value=95.0, low=80.1, high=131.0), TIME))
    95 s (80–131)
    >>> print(text(Estimate(value=0.5, low=0.0, high=math.inf)))
    0.50
    """
    size, unit = unit_of(estimate.value, units)
    written = f"{rounded(estimate.value / size)} {unit}".rstrip()
    ends = interval_text(estimate, size)
    return f"{written} ({ends})" if ends else written


def interval_text(estimate: Estimate, size: float = 1.0) -> str:
    """Return the interval as text, in a unit of that size; empty where both ends are open."""
    scaled = estimate.times(1 / size)
    if scaled.identified:
        return scaled.ends
    if scaled.low > 0:
        return f"> {rounded(scaled.low)}"
    return f"< {rounded(scaled.high)}" if math.isfinite(scaled.high) else ""


def amount(value: float, units: Units) -> str:
    """Return a number in the unit that suits it.

    >>> amount(0.0032, TIME), amount(5400.0, TIME)
    ('3.2 ms', '90 min')
    """
    size, unit = unit_of(value, units)
    return f"{rounded(value / size)} {unit}"


def unit_of(value: float, units: Units) -> tuple[float, str]:
    """Return the size and name of the unit that suits a number; 1 and no name without units."""
    return next(((size, name) for least, size, name in units if value >= least), (1.0, ""))


def price_text(money: float) -> str:
    """Return an amount of money as text, without its currency."""
    return f"{money:,.2f}" if money >= 1 else rounded(money)
