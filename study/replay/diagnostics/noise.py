"""The gradient noise scale, in the norm of each kind of optimizer.

With the full gradient G and the covariance S over examples, the noise of a batch equals its
gradient in size at B = tr(S) / |G|^2 (McCandlish et al. 2018, arXiv:1812.06162). Sign descent moves
by signs and spectral descent by orthogonal matrices, so the dual norm matters there (Naganuma et
al. 2026, arXiv:2602.03001): the sum of absolute values, and of singular values. With s_i the
standard deviation of a coordinate, the scales are (sum s_i / sum |G_i|)^2 and, over all tensors of
two or more dimensions as matrices, (tr(E[N N^T]^(1/2)) / |G|_*)^2 with the noise N of one example.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from study.replay.diagnostics.intervals import Ratio, fieller, jackknife_covariance, quantile
from study.replay.diagnostics.network import Network, Row, row

GROUPS = 64
"""Batches of equal size into which the sample is divided, one gradient each."""
BLOCKS = 16
"""Blocks of these batches that the jackknife leaves out in turn."""
MIN_GROUPS = 8
_MAX_NUMBERS = 2**27  # in all gradients together
VARIANTS = {"euclidean": 1, "sign": 2, "spectral": 2}
"""The norms, each with the power to which the ratio of noise to signal is raised."""


def noise(network: Network) -> Iterable[Row]:
    """Return the noise scales of a network; nulls if there are too few batches for statistics."""
    indices, share = network.sample.indices, network.sample.share
    count = min(GROUPS, max(MIN_GROUPS, _MAX_NUMBERS // len(network.weights.parameters)))
    size = max(1, len(indices) // count)
    if network.loaded.indivisible:
        size = network.trial.batch_size  # for the batch statistics of training
    groups = torch.split(indices[: len(indices) // size * size], size)[:count]
    if len(groups) < MIN_GROUPS:
        return [row("noise_scale", None, variant=name, samples=len(groups)) for name in VARIANTS]
    gradients = torch.stack(list(network.gradients(groups, "noise")))
    used = len(groups) * size
    share = share * used / len(indices)
    scales = noise_scales(gradients, size, share, network.layout.shapes)
    counts = {"examples": used, "samples": len(groups)}
    (trace, signal), *_ = _terms(gradients, size, share, [])
    value, low, high = (None if end is None else 1 + end for end in scales["euclidean"])
    return [
        *(
            row("noise_scale", scale, variant=name, low=low, high=high, **counts)
            for name, (scale, low, high) in scales.items()
        ),
        row("diversity_bound", value, low=low, high=high, **counts),
        row("noise_trace", trace, **counts),
        row("gradient_norm_squared", signal, **counts),
    ]


def noise_scales(
    gradients: Tensor, size: int, share: float, shapes: Sequence[tuple[int, ...]]
) -> dict[str, Ratio]:
    """Return the noise scale with its 95 % interval in each norm, by name.

    Noise and signal are estimated separately, without bias in the Euclidean norm, then divided; the
    interval is Fieller's, with variances by a jackknife over blocks of batches. In the other norms
    the noise of the mean adds to the signal, by less than the noise itself, and the interval allows
    for it.

    Args:
        gradients: of disjoint batches, shape (batches, parameters), 8 batches or more.
        size: examples in each batch.
        share: share of the training set in all batches together; 0 for an endless one.
        shapes: shapes of the parameter tensors.
    """
    matrices = _matrices(gradients, shapes)
    whole = np.array(_terms(gradients, size, share, matrices))
    blocks = np.array_split(np.arange(len(gradients)), min(BLOCKS, len(gradients)))
    without = []
    for block in blocks:
        rest = torch.from_numpy(np.setdiff1d(np.arange(len(gradients)), block)).to(gradients.device)
        part = share * len(rest) / len(gradients)
        without.append(_terms(gradients[rest], size, part, [m[rest] for m in matrices]))
    covariance = jackknife_covariance(np.array(without))
    # the signal is exact if the batches are the whole training set
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
    """Return the gradients of each matrix, (batches, rows, columns) with rows <= columns."""
    pieces = torch.split(gradients, [math.prod(shape) for shape in shapes], dim=1)
    matrices = [
        piece.reshape(len(gradients), shape[0], -1)
        for piece, shape in zip(pieces, shapes, strict=True)
        if len(shape) > 1
    ]
    return [m if m.shape[1] <= m.shape[2] else m.mT for m in matrices]


def _terms(
    gradients: Tensor, size: int, share: float, matrices: Sequence[Tensor]
) -> list[tuple[float, float]]:
    """Return noise and signal in each norm, the spectral one only if there are matrices."""
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
    deviations = (matrices - mean).transpose(0, 1).flatten(1)
    covariance = deviations @ deviations.mT * (size / (len(matrices) - 1))
    spread = torch.linalg.eigvalsh(covariance).clamp(min=0).sqrt().sum()
    return float(spread), float(torch.linalg.svdvals(mean).sum())
