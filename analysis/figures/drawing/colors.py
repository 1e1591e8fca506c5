"""Colors from the user's style, or else ones that color-blind readers can distinguish.

Text has the color of ink, or a color darkened (on dark paper lightened) until it is readable.
"""

import matplotlib
import numpy as np
from matplotlib.colors import to_hex, to_rgb

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#6E6E6E")
"""Blue, orange, green, purple (Okabe and Ito 2008) and gray: the cycle where the user set none."""
INK = "#222222"
STAR = "#F0E442"
"""Yellow, with an outline of ink."""
MIN_CONTRAST = 4.5
"""Contrast of text with what is behind it (Web Content Accessibility Guidelines, 1.4.3)."""

_SHARES = np.linspace(0, 1, 21)


def color(place: int) -> str:
    """Return a color of matplotlib's cycle by its index; a short cycle repeats."""
    cycle = matplotlib.rcParams["axes.prop_cycle"].by_key().get("color", OKABE_ITO)
    return to_hex(cycle[place % len(cycle)])


def ink() -> str:
    """Return the color of text and of marks as dark as text."""
    return to_hex(matplotlib.rcParams["text.color"])


def paper() -> str:
    """Return the background color of the axes."""
    return to_hex(matplotlib.rcParams["axes.facecolor"])


def pale(share: float, base: str | None = None) -> str:
    """Return a color, by default ink, mixed with a share of paper from 0 to 1."""
    return _mixed(base or ink(), paper(), share)


def readable(base: str) -> str:
    """Return a color mixed with just enough ink to be readable as text on paper."""
    mixtures = (_mixed(base, ink(), float(share)) for share in _SHARES)
    return next((one for one in mixtures if contrast(one, paper()) >= MIN_CONTRAST), ink())


def contrast(one: str, other: str) -> float:
    """Return the ratio of the luminances of two colors, from 1 to 21.

    >>> round(contrast("white", "black"))
    21
    """
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def ramp(count: int) -> list[str]:
    """Return hexadecimal colors from dark to light for an ordered quantity (viridis)."""
    # the last sixth of viridis is too pale for lines on white
    return [to_hex(one) for one in matplotlib.colormaps["viridis"](np.linspace(0, 0.84, count))]


def _mixed(one: str, other: str, share: float) -> str:
    ends = np.array([to_rgb(one), to_rgb(other)])
    return to_hex(tuple((1 - share) * ends[0] + share * ends[1]))


def _luminance(one: str) -> float:
    """Return the relative luminance of a color of sRGB, from 0 to 1."""
    rgb = np.array(to_rgb(one))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))
