"""A number with its interval, and how both are written."""

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A positive quantity with its interval.

    Attributes:
        value: the best value; 0 or infinite where the data run to that limit.
        low: lower end; 0 where the data set none.
        high: upper end; infinite where the data set none.
    """

    value: float
    low: float
    high: float

    @property
    def identified(self) -> bool:
        """Whether the data bound it on both sides."""
        return self.low > 0 and math.isfinite(self.high)

    def inverse(self) -> "Estimate":
        """Gives one over it.

        Returns:
            The estimate with its ends changed round.

        >>> Estimate(value=0.5, low=0.0, high=0.8).inverse()
        Estimate(value=2.0, low=1.25, high=inf)
        """
        value, low, high = (
            1 / end if end > 0 else math.inf for end in (self.value, self.high, self.low)
        )
        return Estimate(value=value, low=low, high=high)

    def text(self, name: str) -> str:
        """Says the estimate in words.

        Args:
            name: what is estimated.

        Returns:
            The name with its value and interval, with the one bound there is, or with
            "not identified".

        >>> print(Estimate(value=61.2, low=48.4, high=79.1).text("b_crit"))
        b_crit = 61 (48–79)
        >>> print(Estimate(value=900.0, low=484.0, high=math.inf).text("b_crit"))
        b_crit > 484
        """
        if self.identified:
            ends = f"{rounded(self.low)}\N{EN DASH}{rounded(self.high)}"
            return f"{name} = {rounded(self.value)} ({ends})"
        if self.low > 0:
            return f"{name} > {rounded(self.low)}"
        if math.isfinite(self.high):
            return f"{name} < {rounded(self.high)}"
        return f"{name} not identified"

    def record(self) -> Mapping[str, float | None]:
        """Gives value, low and high as plain data; null where 0 or infinite."""
        ends = {"value": self.value, "low": self.low, "high": self.high}
        return {name: end if end > 0 and math.isfinite(end) else None for name, end in ends.items()}


def rounded(value: float) -> str:
    """Writes a positive number without exponent: whole from 10 on, three digits, two below 10.

    Args:
        value: a finite number, >= 0.

    Returns:
        The number.

    >>> [rounded(value) for value in (0.0123, 7.26, 61.2, 2191.4, 0)]
    ['0.012', '7.3', '61', '2190', '0']
    """
    if value == 0:
        return "0"
    size = math.floor(math.log10(value))
    if size >= 1:
        return f"{round(value, min(2 - size, 0)):.0f}"
    return f"{value:.{1 - size}f}"


def two_digits(value: float, down: bool = False) -> float:
    """Gives a positive number with two significant digits.

    Args:
        value: a finite number, > 0.
        down: whether to round down; else to the nearest.

    Returns:
        The number.

    >>> [two_digits(0.0847), two_digits(0.0847, down=True), two_digits(1388), two_digits(7)]
    [0.085, 0.084, 1400.0, 7.0]
    """
    place = math.floor(math.log10(value)) - 1
    # a number of two digits stays, whatever the rounding of the division
    count = value / 10.0**place + 1e-9
    whole = math.floor(count) if down else round(count)
    return float(f"{whole}e{place}")
