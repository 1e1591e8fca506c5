"""The gradient noise scale, in the norm of each kind of optimizer.

With the full gradient G and one example's covariance S, the noise of a batch of B is as large as
its gradient at B = tr(S) / |G|^2 (McCandlish et al. 2018, arXiv:1812.06162). Sign descent moves by
signs and spectral descent by orthogonal matrices, so what counts there is the dual norm (Naganuma
et al. 2026, arXiv:2602.03001): the sum of absolute values, and of singular values. With s_i the
standard deviation of a coordinate these are (sum s_i / sum |G_i|)^2, and, over all tensors of two
dimensions or more as matrices, (tr(E[N N^T]^(1/2)) / |G|_*)^2 with the noise N of one example.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from study.replay.diagnostics.intervals import Ratio, fieller, jackknife_covariance, quantile
from study.replay.diagnostics.network import Network, Row, row

GROUPS = 64
"""Batches of equal size into which the sample is cut, one gradient each."""
BLOCKS = 16
"""Blocks of these batches that the jackknife leaves out in turn."""
LEAST_GROUPS = 8
_MOST_NUMBERS = 2**27  # of all gradients together
VARIANTS = {"euclidean": 1, "sign": 2, "spectral": 2}
"""The norms, and the power to which the ratio of noise to signal is raised in each."""


def noise(network: Network) -> Iterable[Row]:
    """Return the noise scales of a network; nulls where batches of statistics are too few."""
    indices, share = network.sample.indices, network.sample.share
    count = min(GROUPS, max(LEAST_GROUPS, _MOST_NUMBERS // len(network.weights.parameters)))
    size = max(1, len(indices) // count)
    if network.loaded.indivisible:
        size = network.trial.batch_size  # whose statistics are those of training
    groups = torch.split(indices[: len(indices) // size * size], size)[:count]
    if len(groups) < LEAST_GROUPS:
        return [row("noise_scale", None, variant=name, samples=len(groups)) for name in VARIANTS]
    gradients = torch.stack(list(network.gradients(groups, "noise")))
    used = len(groups) * size
    found = noise_scales(gradients, size, share * used / len(indices), network.layout.shapes)
    about = {"examples": used, "samples": len(groups)}
    (trace, signal), *_ = _terms(gradients, size, share * used / len(indices), [])
    value, low, high = found["euclidean"]
    ends = {"low": None if low is None else 1 + low, "high": None if high is None else 1 + high}
    return [
        *(
            row("noise_scale", scale, variant=name, low=low, high=high, **about)
            for name, (scale, low, high) in found.items()
        ),
        row("diversity_bound", None if value is None else 1 + value, **ends, **about),
        row("noise_trace", trace, **about),
        row("gradient_norm_squared", signal, **about),
    ]


def noise_scales(
    gradients: Tensor, size: int, share: float, shapes: Sequence[tuple[int, ...]]
) -> dict[str, Ratio]:
    """Return the noise scale with its 95 % interval in each norm, by name.

    The two terms are estimated separately, without bias in the Euclidean norm, then divided; the
    interval is Fieller's, with variances by a jackknife over blocks of batches. In the other norms
    the noise of the mean adds to the signal, by less than the noise itself: the interval allows for
    that.

    Args:
        gradients: of disjoint batches, shape (batches, parameters), 8 batches or more.
        size: examples of each batch.
        share: share of the training set that they are together; 0 for an endless one.
        shapes: shapes of the parameter tensors.
    """
    matrices = _matrices(gradients, shapes)
    whole = np.array(_terms(gradients, size, share, matrices))
    blocks = np.array_split(np.arange(len(gradients)), min(BLOCKS, len(gradients)))
    left = []
    for block in blocks:
        rest = torch.from_numpy(np.setdiff1d(np.arange(len(gradients)), block)).to(gradients.device)
        part = share * len(rest) / len(gradients)
        left.append(_terms(gradients[rest], size, part, [m[rest] for m in matrices]))
    covariance = jackknife_covariance(np.array(left))
    # the signal is exact where the examples are all there are
    exact = np.array([1.0, math.sqrt(max(0.0, 1 - share))])
    covariance = covariance * np.outer(exact, exact)
    far = quantile(len(blocks))
    scales: dict[str, Ratio] = {}
    for (name, power), pair, own in zip(VARIANTS.items(), whole, covariance, strict=False):
        ratio, low, high = fieller(pair, own, far)
        if power > 1 and ratio is not None:
            doubt = ratio * math.sqrt((1 - share) / (len(gradients) * size))
            high = None if high is None or doubt >= 1 else high / (1 - doubt)
        scales[name] = (_power(ratio, power), _power(low, power), _power(high, power))
    return scales


def _power(end: float | None, power: int) -> float | None:
    return None if end is None else end**power


def _matrices(gradients: Tensor, shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
    """Return the gradients of each matrix, (batches, rows, columns) with the fewer rows."""
    pieces = torch.split(gradients, [math.prod(shape) for shape in shapes], dim=1)
    found = []
    for piece, shape in zip(pieces, shapes, strict=True):
        if len(shape) > 1:
            matrix = piece.reshape(len(gradients), shape[0], -1)
            found.append(matrix if matrix.shape[1] <= matrix.shape[2] else matrix.mT)
    return found


def _terms(
    gradients: Tensor, size: int, share: float, matrices: Sequence[Tensor]
) -> list[tuple[float, float]]:
    """Return noise and signal in each norm; the last only where there are matrices."""
    count = len(gradients)
    mean = gradients.mean(dim=0)
    variance = size * gradients.var(dim=0).double()  # of one example, by coordinate
    trace = float(variance.sum())
    signal = float(mean.double().square().sum()) - (1 - share) * trace / (count * size)
    terms = [(trace, signal), (float(variance.sqrt().sum()), float(mean.abs().double().sum()))]
    if matrices:
        noise, nuclear = zip(
            *(_spectral(matrix.double(), size) for matrix in matrices), strict=True
        )
        terms.append((sum(noise), sum(nuclear)))
    return terms


def _spectral(matrices: Tensor, size: int) -> tuple[float, float]:
    """Return noise and signal of one matrix by its singular values."""
    mean = matrices.mean(dim=0)
    away = (matrices - mean).transpose(0, 1).flatten(1)
    covariance = away @ away.mT * (size / (len(matrices) - 1))
    spread = torch.linalg.eigvalsh(covariance).clamp(min=0).sqrt().sum()
    return float(spread), float(torch.linalg.svdvals(mean).sum())
