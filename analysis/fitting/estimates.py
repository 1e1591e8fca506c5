"""A number with its interval, and how numbers are written in sentences and tables."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Self

LEVEL = 0.95
"""Coverage of the reported intervals; 1 - LEVEL is the size of the tests."""
REACH = 10.0
"""Factor beyond the measured range up to which an end of an interval is a number.

If the critical batch size is 10 times the largest measured one, the steps there differ by a tenth
from perfect scaling; if it is a tenth of the smallest, by a tenth from the plateau. Anything beyond
is decided by the model and the noise, not by the data."""

_ZERO = 1e-6
"""Share that may be a rounding error of 0."""


class Interval(StrEnum):
    """Which ends of an interval the data determine."""

    CLOSED = "closed"
    NO_UPPER = "no upper bound"
    NO_LOWER = "no lower bound"
    OPEN = "not identified"


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A positive quantity with its interval.

    Attributes:
        value: point estimate; 0 or infinite if the likelihood is greatest at that limit.
        low: lower end; 0 if the data give no lower bound.
        high: upper end; infinite if the data give no upper bound.
    """

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """Return the estimate of a `record`; a value that is not identified is infinite."""
        value, low, high = (record[name] for name in ("value", "low", "high"))
        return cls(
            value=math.inf if value is None else value,
            low=0.0 if low is None else low,
            high=math.inf if high is None else high,
        )

    @property
    def interval(self) -> Interval:
        """Which of its ends the data determine."""
        if self.low > 0:
            return Interval.CLOSED if math.isfinite(self.high) else Interval.NO_UPPER
        return Interval.NO_LOWER if math.isfinite(self.high) else Interval.OPEN

    @property
    def identified(self) -> bool:
        """Whether the data give a bound on both sides."""
        return self.interval is Interval.CLOSED

    @property
    def known(self) -> "Estimate":
        """The estimate, with NaN for its value unless the data give a bound on both sides."""
        return self if self.identified else replace(self, value=math.nan)

    def within(self, least: float, most: float) -> "Estimate":
        """Return the estimate with every end open that lies outside a range.

        >>> Estimate(value=224.0, low=37.0, high=7890.0).within(7.0, 2920.0)
        Estimate(value=224.0, low=37.0, high=inf)
        """
        value = 0.0 if self.value < least else self.value if self.value <= most else math.inf
        return Estimate(
            value=value,
            low=0.0 if self.low < least else min(self.low, most),
            high=math.inf if self.high > most else max(self.high, least),
        )

    def times(self, factor: float) -> "Estimate":
        """Return the estimate of a multiple, `factor` > 0."""
        return Estimate(value=factor * self.value, low=factor * self.low, high=factor * self.high)

    def inverse(self) -> "Estimate":
        """Return the estimate of the reciprocal.

        >>> Estimate(value=0.5, low=0.0, high=0.8).inverse()
        Estimate(value=2.0, low=1.25, high=inf)
        """
        value, low, high = (
            1 / end if end > 0 else math.inf for end in (self.value, self.high, self.low)
        )
        return Estimate(value=value, low=low, high=high)

    def text(self, name: str = "", unit: str = "") -> str:
        """Return the estimate as text: value and interval, or only a bound.

        >>> print(Estimate(value=61.2, low=48.4, high=79.1).text("S_min", "steps"))
        S_min = 61 steps (48–79)
        >>> print(Estimate(value=61.2, low=48.4, high=79.1).text())
        61 (48–79)
        >>> print(Estimate(value=900.0, low=484.0, high=math.inf).text("b_crit"))
        b_crit > 484 (no upper bound)
        """
        unit = f" {unit}" if unit else ""
        if self.identified:
            equals = f"{name} = " if name else ""
            return f"{equals}{rounded(self.value)}{unit} ({self.ends})"
        named = f"{name} " if name else ""
        if self.interval is Interval.OPEN:
            return f"{named}{self.interval}"
        sign, bound = (">", self.low) if self.low > 0 else ("<", self.high)
        return f"{named}{sign} {rounded(bound)}{unit} ({self.interval})"

    def __str__(self) -> str:
        return self.text()

    @property
    def ends(self) -> str:
        """The interval as text, if the data determine both ends."""
        return f"{rounded(self.low)}\N{EN DASH}{rounded(self.high)}"

    def record(self) -> dict[str, Any]:
        """Return value, low, high and interval as plain data.

        A value that is not identified is null, and so is an end that the data do not determine.
        """
        return {
            "value": self.value if self.identified else None,
            "low": self.low if self.low > 0 else None,
            "high": self.high if math.isfinite(self.high) else None,
            "interval": str(self.interval),
        }


NOT_IDENTIFIED = Estimate(value=math.inf, low=0.0, high=math.inf)
"""The estimate of a quantity that the data say nothing about."""


def rounded(value: float) -> str:
    """Return a finite number >= 0 as text, with three significant digits from 100 on, else two.

    >>> [rounded(value) for value in (0.0123, 7.26, 61.2, 2191.4, 0)]
    ['0.012', '7.3', '61', '2190', '0']
    """
    if value == 0:
        return "0"
    size = math.floor(math.log10(value))
    if size >= 1:
        return f"{round(value, min(2 - size, 0)):.0f}"
    return f"{value:.{1 - size}f}"


def size_text(batch_size: float) -> str:
    """Return a batch size as text; a whole number keeps every digit.

    >>> size_text(1048576), size_text(2.5)
    ('1048576', '2.5')
    """
    return f"{batch_size:.15g}"


def two_digits(value: float, down: bool = False) -> float:
    """Return a finite number > 0 rounded to two significant digits, to the nearest or down.

    >>> [two_digits(0.0847), two_digits(0.0847, down=True), two_digits(1388), two_digits(7)]
    [0.085, 0.084, 1400.0, 7.0]
    """
    place = math.floor(math.log10(value)) - 1
    # the quotient may fall just below a whole number, and must not lose a digit
    count = value / 10.0**place + 1e-9
    whole = math.floor(count) if down else round(count)
    return float(f"{whole}e{place}")


def percent(share: float, digits: int = 0) -> str:
    """Return a share in percent; only 0 is shown as 0%, and only 1 as 100%.

    >>> percent(0.0), percent(0.004), percent(0.5), percent(0.996), percent(1.0)
    ('0%', '<1%', '50%', '>99%', '100%')
    >>> percent(0.0002, 1), percent(0.0312, 1)
    ('<0.1%', '3.1%')
    """
    text, least = f"{share:.{digits}%}", 0.1**digits
    if text == f"{0:.{digits}%}" and share > _ZERO:
        return f"<{least:.{digits}f}%"
    return f">{100 - least:.{digits}f}%" if text == f"{1:.{digits}%}" and share < 1 else text


def span_text(low: object, high: object) -> str:
    """Return a range as text; a single number if both ends are equal.

    >>> span_text(4, 5), span_text(5, 5)
    ('4 to 5', '5')
    """
    return str(low) if low == high else f"{low} to {high}"


def counted(number: object, things: str) -> str:
    """Return a number or a range with the things it counts, which are given in the plural.

    >>> counted(1, "batch sizes"), counted("4 to 5", "trials")
    ('1 batch size', '4 to 5 trials')
    """
    return f"{number} {things.removesuffix('s') if str(number) == '1' else things}"


def value_text(value: float, digits: int = 3) -> str:
    """Return a hyperparameter as text; one just below 1, such as a momentum, is not shown as 1.

    >>> value_text(0.00172), value_text(0.998), value_text(0.99963)
    ('0.00172', '0.998', '0.99963')
    """
    text = f"{value:.{digits}g}"
    if text != "1" or value >= 1:
        return text
    return f"{value:.{1 - math.floor(math.log10(1 - value))}f}"


def list_text(items: Iterable[str]) -> str:
    """Return one or more items as text.

    >>> list_text(["a"]), list_text(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    *most, last = items
    return f"{', '.join(most)} and {last}" if most else last
