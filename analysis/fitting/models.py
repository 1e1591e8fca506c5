"""Models of steps to target against batch size, as pure functions.

All have one shape: log S(B) = log S_min + h(x; k) with x = log b_crit - log B. Above b_crit a curve
is its plateau S_min, below it falls as E_min / B^s; the two limits cross at b_crit, and the models
differ in how they bend there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """One way for steps to target to depend on batch size.

    Attributes:
        name: how it is called.
        formula: S(B) in words.
        critical: what its b_crit is, in words.
        exponent: name of its shape parameter k; None where it has none and k is 1.
        least_points: how many batch sizes must have reached the target for a fit. Two parameters
            need one point more; three need as many as AICc takes to be finite.
        rise: h(x, k), log of the curve over its plateau.
        slope: s(k), how steeply the curve falls where it falls.
    """

    name: str
    formula: str
    critical: str
    exponent: str | None
    least_points: int
    rise: Callable[[Floats, Floats], Floats]
    slope: Callable[[Floats], Floats]

    @property
    def parameters(self) -> int:
        """Parameters of the curve; the noise has one more."""
        return 2 if self.exponent is None else 3

    def steps(
        self, batch_size: ArrayLike, s_min: float, b_crit: float, exponent: float = 1.0
    ) -> Floats:
        """Gives steps to target.

        Args:
            batch_size: examples per step, > 0, any shape.
            s_min: steps to target at an infinite batch size, > 0.
            b_crit: where the two limits of the curve cross, examples, > 0.
            exponent: k, > 0; 1 for a model that has none.

        Returns:
            Steps to target, in the shape of `batch_size`.

        >>> MODELS["smooth"].steps([10, 1000], s_min=20.0, b_crit=100.0).tolist()
        [220.0, 22.0]
        """
        x = np.log(b_crit / np.asarray(batch_size, dtype=np.float64))
        return s_min * np.exp(self.rise(x, np.asarray(exponent, dtype=np.float64)))


def _bend(x: Floats, k: Floats) -> Floats:
    return np.asarray(np.logaddexp(0.0, k * x))


def _same(k: Floats) -> Floats:
    return k


def _softened(x: Floats, k: Floats) -> Floats:
    return _bend(x, k) / k


MODELS: Mapping[str, Model] = {
    model.name: model
    for model in (
        Model(
            name="hyperbola",
            formula="S_min + E_min / B",
            critical="E_min / S_min: steps and examples to target are both twice their minimum "
            "there (McCandlish et al. 2018)",
            exponent=None,
            least_points=3,
            rise=_bend,
            slope=np.ones_like,
        ),
        Model(
            name="power",
            formula="S_min + E_min / B^alpha",
            critical="where its two terms are equal, (E_min / S_min)^(1 / alpha)",
            exponent="alpha",
            least_points=6,
            rise=_bend,
            slope=_same,
        ),
        Model(
            name="smooth",
            formula="(S_min^g + (E_min / B)^g)^(1/g)",
            critical="E_min / S_min, where perfect scaling and plateau would cross",
            exponent="g",
            least_points=6,
            rise=_softened,
            slope=np.ones_like,
        ),
    )
}
"""All models by name. With an exponent of 1 each is the hyperbola (McCandlish et al. 2018,
arXiv:1812.06162, eq. 2.11). The power law is the form that Zhang et al. 2024 (arXiv:2410.21676)
fit; its E_min counts examples only where alpha is 1. The smooth maximum keeps perfect scaling exact
and has a free knee, sharper as g grows."""


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


def diversity_bound(b_crit: float) -> float:
    """Gives the batch-size bound of gradient diversity, read from the hyperbola.

    Yin et al. 2018 (arXiv:1706.05699): mini-batches with `B - 1 <= delta B_S` need at most
    `1 + delta` times the examples of single ones. Under the hyperbola
    `E(B) / E(1) = 1 + (B - 1) / (1 + b_crit)`, so that B_S is `1 + b_crit`, exactly.

    Args:
        b_crit: critical batch size of the hyperbola, E_min / S_min.

    Returns:
        B_S, examples.
    """
    return 1 + b_crit
