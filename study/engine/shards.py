"""The training set in shards, one for each client: at random, or with skewed labels."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from study.records import Floats
from study.seeding import derive_seed


def iid_shards(examples: int, clients: int, seed: int) -> list[Tensor]:
    """Cuts a training set at random into shards whose sizes differ by at most one.

    Args:
        examples: size of the training set, >= clients.
        clients: how many shards, >= 1.
        seed: of the study; with the number of clients it fixes the shards, for every trial.

    Returns:
        Indices of each client's examples; each example has one client.
    """
    order = _generator(seed, clients).permutation(examples)
    return [torch.from_numpy(shard) for shard in np.array_split(order, clients)]


def dirichlet_shards(labels: Tensor, clients: int, alpha: float, seed: int) -> list[Tensor]:
    """Cuts a training set into equally large shards whose classes differ.

    As in Hsu et al. 2019 (arXiv:1909.06335), proportions of the classes are drawn client by client
    from Dir(alpha p), and the client's examples by them, without replacement; a class that runs out
    is left out and the other proportions are scaled up. Here p are the proportions in what the
    clients before have left, not in the whole set: else the last clients would get what nobody
    wanted, at any alpha. No shard is empty: sizes differ by at most one, as in iid shards.

    Args:
        labels: classes of the training set, integers of shape (examples,), examples >= clients.
        clients: how many shards, >= 1.
        alpha: concentration, > 0: towards infinity all clients have the proportions of the whole,
            towards 0 each has one class while it lasts. Dir(a, ..., a) over K classes, as others
            write it, is this with alpha = K a, where the classes are equally large.
        seed: as for `iid_shards`.

    Returns:
        Indices of each client's examples; each example has one client.
    """
    random = _generator(seed, clients)
    classes, inverse = np.unique(labels.cpu().numpy(), return_inverse=True)
    pools = [random.permutation(np.flatnonzero(inverse == place)) for place in range(len(classes))]
    left = np.array([len(pool) for pool in pools])
    shards = []
    for size in [len(part) for part in np.array_split(inverse, clients)]:
        drawn = np.zeros_like(left)
        there = np.flatnonzero(left)
        proportions = log_proportions(random, alpha * left[there] / left.sum())
        drawn[there] = _counts(random, proportions, left[there], size)
        left = left - drawn
        parts = [pool[rest:][:n] for pool, rest, n in zip(pools, left, drawn, strict=True)]
        shards.append(torch.from_numpy(np.concatenate(parts)))
    return shards


def log_proportions(random: np.random.Generator, concentration: Floats) -> Floats:
    """Draws proportions from a Dirichlet distribution, as logarithms up to a constant.

    Args:
        random: what draws.
        concentration: that of each class, > 0, shape (classes,).

    Returns:
        Logarithms of gamma variates, shape (classes,); the proportions are their softmax.
    """
    # of concentrations near 0 the variates themselves would all be 0: G(a) = G(a + 1) U^(1/a)
    fall = random.exponential(size=len(concentration)) / concentration
    logs: Floats = np.log(random.gamma(concentration + 1)) - fall
    return logs


def shares(shards: Sequence[Tensor]) -> list[float]:
    """Gives each client's share of all examples, n_k / n; they add up to 1."""
    total = sum(len(shard) for shard in shards)
    return [len(shard) / total for shard in shards]


def _generator(seed: int, clients: int) -> np.random.Generator:
    return np.random.default_rng(derive_seed(seed, "shards", clients))


def _counts(
    random: np.random.Generator, log_weights: Floats, left: NDArray[np.int64], size: int
) -> NDArray[np.int64]:
    """Draws how many examples of each class a client takes, no more than are left of any."""
    counts = np.zeros_like(left)
    while (missing := size - counts.sum()) > 0:
        open_logs = np.where(counts < left, log_weights, -np.inf)
        weights = np.exp(open_logs - open_logs.max())
        # what a class cannot give is drawn again from the others: as if one by one
        counts = np.minimum(counts + random.multinomial(missing, weights / weights.sum()), left)
    return counts
