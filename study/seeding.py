"""Seeds: all randomness of a study follows from (study seed, batch size, trial, role)."""

from zlib import crc32

import numpy as np
import torch

from study.records import Role

_SEED_BITS = 63  # fits the int64 column of the tables


def derive_seed(*path: int | str) -> int:
    """Return a seed, 0 to 2^63 - 1, for a path of strings and numbers >= 0.

    Different paths give independent seeds.

    >>> derive_seed(0, 64, 3, "search") == derive_seed(0, 64, 3, "search")
    True
    """
    entropy = [crc32(part.encode()) if isinstance(part, str) else part for part in path]
    word = np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0]
    return int(word) >> (64 - _SEED_BITS)


def trial_seed(study_seed: int, batch_size: int, trial: int, role: Role) -> int:
    """Return the seed of a trial's initialization and data order."""
    return derive_seed(study_seed, batch_size, trial, str(role))


def generator(seed: int, stream: str) -> torch.Generator:
    """Return a CPU generator for one stream ("order", "init", ...) of a trial's randomness."""
    return torch.Generator().manual_seed(derive_seed(seed, stream))
