"""Shards of the training set, one per client: random, or with skewed labels."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from study.records import Floats
from study.seeding import derive_seed


def iid_shards(examples: int, clients: int, seed: int) -> list[Tensor]:
    """Return the indices of each client's examples, a random partition of the training set.

    Shard sizes differ by at most one.

    Args:
        examples: size of the training set, >= clients.
        clients: number of shards, >= 1.
        seed: study seed; with the number of clients it fixes the shards, for every trial.
    """
    order = _generator(seed, clients).permutation(examples)
    return [torch.from_numpy(shard) for shard in np.array_split(order, clients)]


def dirichlet_shards(labels: Tensor, clients: int, alpha: float, seed: int) -> list[Tensor]:
    """Return the indices of each client's examples, a partition with skewed class proportions.

    As in Hsu et al. 2019 (arXiv:1909.06335), class proportions are sampled client by client from
    Dir(alpha p), then the client's examples by these proportions, without replacement; a class that
    runs out is left out and the other proportions are scaled up. Here p are the proportions among
    the remaining examples, not in the training set: otherwise the last clients would get the
    others' leftovers, at any alpha. Shard sizes differ by at most one, as in iid shards.

    Args:
        labels: classes of the training set, integers of shape (examples,), examples >= clients.
        clients: number of shards, >= 1.
        alpha: concentration, > 0. Towards infinity all clients have the proportions of the training
            set; towards 0 each has one class while it lasts. For K equally large classes,
            Dir(a, ..., a) in other papers is alpha = K a.
        seed: as for `iid_shards`.
    """
    random = _generator(seed, clients)
    classes, inverse = np.unique(labels.cpu().numpy(), return_inverse=True)
    pools = [random.permutation(np.flatnonzero(inverse == place)) for place in range(len(classes))]
    left = np.array([len(pool) for pool in pools])
    shards = []
    for size in [len(shard) for shard in np.array_split(inverse, clients)]:
        taken = np.zeros_like(left)
        nonempty = np.flatnonzero(left)
        log_weights = log_proportions(random, alpha * left[nonempty] / left.sum())
        taken[nonempty] = _counts(random, log_weights, left[nonempty], size)
        left = left - taken
        parts = [pool[rest:][:n] for pool, rest, n in zip(pools, left, taken, strict=True)]
        shards.append(torch.from_numpy(np.concatenate(parts)))
    return shards


def log_proportions(random: np.random.Generator, concentration: Floats) -> Floats:
    """Return log gamma variates, (classes,), whose softmax is a sample of a Dirichlet distribution.

    `concentration` has shape (classes,), each > 0.
    """
    # G(a) = G(a + 1) U^(1/a), since variates of concentrations near 0 would underflow
    fall = random.exponential(size=len(concentration)) / concentration
    logs: Floats = np.log(random.gamma(concentration + 1)) - fall
    return logs


def _generator(seed: int, clients: int) -> np.random.Generator:
    return np.random.default_rng(derive_seed(seed, "shards", clients))


def _counts(
    random: np.random.Generator, log_weights: Floats, left: NDArray[np.int64], size: int
) -> NDArray[np.int64]:
    """Sample how many examples of each class a client takes, at most `left` of each."""
    counts = np.zeros_like(left)
    while (missing := size - counts.sum()) > 0:
        log_remaining = np.where(counts < left, log_weights, -np.inf)
        weights = np.exp(log_remaining - log_remaining.max())
        # examples that a class lacks are sampled again from the others, as if one by one
        counts = np.minimum(counts + random.multinomial(missing, weights / weights.sum()), left)
    return counts
