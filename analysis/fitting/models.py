"""Models of steps to target against batch size, as pure functions.

Every model has the form log S(B) = log S_min + h(x; k) with x = log b_crit - log B. Far above
b_crit the curve is the plateau S_min, far below it falls as E_min / B^s; the two limits cross at
b_crit, and the models differ in how sharply they bend there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """A model of steps to target against batch size."""

    name: str  # key in `MODELS`
    formula: str  # S(B) as text
    critical: str  # definition of its b_crit as text
    exponent: str | None  # name of the shape parameter k; None if there is none and k is 1
    # batch sizes that must have reached the target: one more than the parameters for two of them;
    # for three, as many as a finite AICc needs
    least_points: int
    rise: Callable[[Floats, Floats], Floats]  # h(x, k), log of the curve above its plateau
    # s(k), negative slope of log S against log B under perfect scaling
    slope: Callable[[Floats], Floats]

    @property
    def parameters(self) -> int:
        """Number of parameters of the curve; the noise adds one."""
        return 2 if self.exponent is None else 3

    @property
    def counts_examples(self) -> bool:
        """Whether E_min is in examples: steps first fall as 1 / B, whatever the exponent."""
        return float(self.slope(np.asarray(2.0))) == 1.0


# functions of the module and not lambdas, so that fits can be pickled
def _softplus(x: Floats, k: Floats) -> Floats:
    return np.asarray(np.logaddexp(0.0, k * x))


def _normalized_softplus(x: Floats, k: Floats) -> Floats:
    return _softplus(x, k) / k


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
            rise=_softplus,
            slope=np.ones_like,
        ),
        Model(
            name="power",
            formula="S_min + c / B^alpha",
            critical="where its two terms are equal, (c / S_min)^(1 / alpha)",
            exponent="alpha",
            least_points=6,
            rise=_softplus,
            slope=np.positive,
        ),
        Model(
            name="smooth",
            formula="(S_min^g + (E_min / B)^g)^(1/g)",
            critical="E_min / S_min, where perfect scaling and plateau would cross",
            exponent="g",
            least_points=6,
            rise=_normalized_softplus,
            slope=np.ones_like,
        ),
    )
}
"""All models by name. With an exponent of 1, each is the hyperbola (McCandlish et al. 2018,
arXiv:1812.06162, eq. 2.11). The power law is the form that Zhang et al. 2024 (arXiv:2410.21676)
fit; its factor c is E_min, in examples, only if alpha is 1. The smooth maximum keeps perfect
scaling exact, and its knee is sharper the greater g is."""


def sensitivities(batch_sizes: Floats, b_crit: float) -> Floats:
    """Return the derivative of the fitted log b_crit by the log steps at each batch size.

    It is for the hyperbola log S = log S_min + log(1 + b_crit / B), fitted by least squares. If log
    steps have variances v_i, log b_crit has variance sum_i sensitivity_i^2 v_i, to first order.

    Args:
        batch_sizes: at least two different ones, shape (n,).
        b_crit: the fitted value, > 0 and finite.

    >>> sensitivities(np.array([1.0, 100.0]), 10.0).round(2).tolist()
    [1.22, -1.22]
    """
    rise = b_crit / batch_sizes
    jacobian = np.column_stack([np.ones_like(rise), rise / (1 + rise)])
    change: Floats = np.linalg.pinv(jacobian)[1].astype(np.float64)
    return change
