"""What each measured batch size does to the critical batch size: where more work narrows it."""

import numpy as np

from analysis.fitting.models import Floats


def sensitivities(batch_sizes: Floats, b_crit: float) -> Floats:
    """Return the change of log b_crit by that of the log steps at each batch size.

    For the hyperbola log S = log S_min + log(1 + b_crit / B) fitted by least squares, to first
    order. With steps of variance v_i, log b_crit has that of the sum of (sensitivity_i)^2 v_i.

    Args:
        batch_sizes: two different ones or more, shape (n,).
        b_crit: the fitted one, > 0 and finite.

    >>> sensitivities(np.array([1.0, 100.0]), 10.0).round(2).tolist()
    [1.22, -1.22]
    """
    rise = b_crit / batch_sizes
    jacobian = np.column_stack([np.ones_like(rise), rise / (1 + rise)])
    change: Floats = np.linalg.pinv(jacobian)[1].astype(np.float64)
    return change
