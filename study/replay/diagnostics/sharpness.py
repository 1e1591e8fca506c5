"""How far the training loss rises in a small box around the weights.

Keskar et al. 2017 (arXiv:1609.04836): 100 (max f(x + z) - f(x)) / (1 + f(x)) over all z with
|z_i| <= epsilon (|x_i| + 1). A network whose layers are scaled against each other computes the same
and is sharper or flatter by that measure (Dinh et al. 2017). Adaptive sharpness (Kwon et al. 2021,
arXiv:2102.11600, p infinite) is the rise over |z_i| <= rho |x_i|, which scaling leaves as it is.
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
"""Half-width of the adaptive box, a share of each weight."""
STARTS = 3
"""Points that the maximum is sought from: the corner along the gradient, and random ones."""
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
    # places are in half-widths of the box and rises in those of its corner, or the search would
    # take the smallest box for flat
    unit = max(float(np.abs(slope * box).sum()), 1e-12)

    def fall(place: Floats) -> tuple[float, Floats]:
        found, there = network.slope(center + torch.from_numpy(place * box).to(center))
        return (loss - found) / unit, -there.double().cpu().numpy() * box / unit

    starts = [np.sign(slope), *source.uniform(-1, 1, size=(STARTS - 1, len(box)))]
    bounds, options = [(-1.0, 1.0)] * len(box), {"maxiter": _ITERATIONS}
    search = partial(minimize, fall, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    lowest = min(float(search(start).fun) for start in starts)
    return max(0.0, -lowest * unit)
