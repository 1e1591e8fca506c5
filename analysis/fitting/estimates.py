"""A number with its interval, and how numbers are written in sentences and tables."""

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A positive quantity with its interval.

    Attributes:
        value: point estimate; 0 or infinite if the likelihood is greatest at that limit.
        low: lower end; 0 if the data set no lower bound.
        high: upper end; infinite if the data set no upper bound.
    """

    value: float
    low: float
    high: float

    @property
    def identified(self) -> bool:
        """Whether the data bound it on both sides."""
        return self.low > 0 and math.isfinite(self.high)

    def inverse(self) -> "Estimate":
        """Return the estimate of the reciprocal.

        >>> Estimate(value=0.5, low=0.0, high=0.8).inverse()
        Estimate(value=2.0, low=1.25, high=inf)
        """
        value, low, high = (
            1 / end if end > 0 else math.inf for end in (self.value, self.high, self.low)
        )
        return Estimate(value=value, low=low, high=high)

    def text(self, name: str) -> str:
        """Return the estimate of a named quantity as text: value and interval, or only a bound.

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
        """Return value, low and high as plain data; null if 0 or infinite."""
        ends = {"value": self.value, "low": self.low, "high": self.high}
        return {name: end if end > 0 and math.isfinite(end) else None for name, end in ends.items()}


def rounded(value: float) -> str:
    """Return a finite number >= 0 as text: three significant digits from 100 on, else two.

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
    """Return a finite number > 0 rounded to two significant digits, to the nearest or down.

    >>> [two_digits(0.0847), two_digits(0.0847, down=True), two_digits(1388), two_digits(7)]
    [0.085, 0.084, 1400.0, 7.0]
    """
    place = math.floor(math.log10(value)) - 1
    # the division may fall just below a whole number, which must not lose a digit
    count = value / 10.0**place + 1e-9
    whole = math.floor(count) if down else round(count)
    return float(f"{whole}e{place}")


def span_text(low: object, high: object) -> str:
    """Return a range as text, a single number where both ends are equal.

    >>> span_text(4, 5), span_text(5, 5)
    ('4 to 5', '5')
    """
    return str(low) if low == high else f"{low} to {high}"
