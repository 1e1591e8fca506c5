"""Models of steps to target against batch size, as pure functions."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def hyperbola(batch_size: ArrayLike, s_min: float, e_min: float) -> Floats:
    """Gives steps to target by the trade-off of steps against examples.

    `S(B) = S_min + E_min / B`, which is `(S / S_min - 1)(E / E_min - 1) = 1` with E = B S
    (McCandlish et al. 2018, arXiv:1812.06162, eq. 2.11). The two limits are straight lines:
    perfect scaling `E_min / B`, and the plateau `S_min`. At `b_crit = E_min / S_min` steps and
    examples are both twice their minimum.

    Args:
        batch_size: examples per step, > 0, any shape.
        s_min: steps to target at an infinite batch size, >= 0.
        e_min: examples to target at a vanishing batch size, >= 0.

    Returns:
        Steps to target, in the shape of `batch_size`.

    >>> hyperbola([10, 1000], s_min=20.0, e_min=2000.0).tolist()
    [220.0, 22.0]
    """
    return s_min + e_min / np.asarray(batch_size, dtype=np.float64)


def batch_size_at_overhead(overhead: float, b_ref: float, b_crit: float) -> float:
    """Gives the batch size that needs so many more examples than perfect scaling from a reference.

    Under the hyperbola `E(B) = (1 + p) E(B_ref)` at `B = (1 + p) B_ref + p b_crit`. The answer
    depends on the reference, so report both.

    Args:
        overhead: p, the share of examples on top, > 0; 0.2 in Zhang et al. 2024
            (arXiv:2410.21676).
        b_ref: reference batch size, > 0.
        b_crit: critical batch size of the hyperbola, E_min / S_min.

    Returns:
        The batch size, examples.

    >>> round(batch_size_at_overhead(0.2, b_ref=256, b_crit=2191))
    745
    """
    return (1 + overhead) * b_ref + overhead * b_crit
