"""How far the training loss rises in a small box around the weights.

Keskar et al. 2017 (arXiv:1609.04836): 100 (max f(x + z) - f(x)) / (1 + f(x)) over all z with
|z_i| <= epsilon (|x_i| + 1). Rescaling layers against each other changes this measure although the
network computes the same function (Dinh et al. 2017). Adaptive sharpness (Kwon et al. 2021,
arXiv:2102.11600, p infinite), the rise over |z_i| <= rho |x_i|, does not change.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from scipy.optimize import minimize

from study.records import Floats
from study.replay.diagnostics.network import Network, Row, row

EPSILONS = (1e-3, 5e-4)
"""Half-widths of Keskar's box."""
RHO = 1e-2
"""Half-width of the adaptive box, as a fraction of each weight."""
STARTS = 3
"""Starting points of the maximization: the corner along the gradient, and random points."""
_ITERATIONS = 10


def sharpness(network: Network) -> Iterator[Row]:
    """Yield Keskar's sharpness in both boxes, and adaptive sharpness."""
    center = network.weights.parameters
    loss, slope = network.slope(center)
    weights = center.double().abs().cpu().numpy()
    about = {"examples": network.sample.train.size, "samples": STARTS}

    def rise(box: Floats) -> float:
        return _rise(network, loss, slope.double().cpu().numpy(), box)

    for epsilon in EPSILONS:
        value = 100 * rise(epsilon * (weights + 1)) / (1 + loss)
        yield row("keskar", value, variant=f"epsilon {epsilon:g}", **about)
    yield row("adaptive", rise(RHO * weights), variant=f"rho {RHO:g}", **about)


def _rise(network: Network, loss: float, slope: Floats, box: Floats) -> float:
    """Return the largest rise of the loss found in a box, by L-BFGS-B from several points."""
    center = network.weights.parameters
    source = np.random.default_rng(network.seed("sharpness"))
    # points are scaled by the half-widths of the box and losses by the rise at its corner, or the
    # search would stop at once in a tiny box
    unit = max(float(np.abs(slope * box).sum()), 1e-12)

    def negative_rise(point: Floats) -> tuple[float, Floats]:
        value, gradient = network.slope(center + torch.from_numpy(point * box).to(center))
        return (loss - value) / unit, -gradient.double().cpu().numpy() * box / unit

    starts = [np.sign(slope), *source.uniform(-1, 1, size=(STARTS - 1, len(box)))]
    bounds, options = [(-1.0, 1.0)] * len(box), {"maxiter": _ITERATIONS}
    search = partial(
        minimize, negative_rise, jac=True, method="L-BFGS-B", bounds=bounds, options=options
    )
    lowest = min(float(search(start).fun) for start in starts)
    return max(0.0, -lowest * unit)
