"""Steps at one batch size from those at others."""

import math
from collections.abc import Mapping


def interpolated(batch_size: int, known: Mapping[int, int]) -> int:
    """Return the steps at a batch size from those at others, at least one.

    Between known batch sizes, they are interpolated on log-log scales. Outside, they are an upper
    bound: a smaller batch size needs at most inversely proportional steps, a larger one at most as
    many.

    >>> [interpolated(size, {8: 100, 32: 50}) for size in (4, 8, 16, 64)]
    [200, 100, 71, 50]
    """
    if batch_size in known:
        return known[batch_size]
    if batch_size < min(known):
        return math.ceil(known[min(known)] * min(known) / batch_size)
    below = max(size for size in known if size < batch_size)
    above = min((size for size in known if size > batch_size), default=None)
    if above is None:
        return known[below]
    share = math.log(batch_size / below) / math.log(above / below)
    return round(math.exp((1 - share) * math.log(known[below]) + share * math.log(known[above])))
